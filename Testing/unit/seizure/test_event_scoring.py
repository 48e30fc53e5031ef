"""Alarms and the rules by which they are counted, on intervals made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chi2

from deeprecon.seizure.measure.alarms import find_alarms
from deeprecon.seizure.measure.operating_points import best_threshold, operating_points, rate_at, sensitivity_at
from deeprecon.seizure.measure.scoring import (
    Score,
    Track,
    count_interval,
    score_recording,
    score_users,
    share_interval,
    total_score,
)

TIMES = np.arange(30.0, 3631.0, 5.0)  # an hour
KNOWN = np.ones(len(TIMES), bool)


def positive(*intervals: tuple[float, float]) -> np.ndarray:
    return np.any([(first <= TIMES) & (last >= TIMES) for first, last in intervals] or [np.zeros(len(TIMES), bool)], 0)


def scored(*alarmed: tuple[float, float], seizures: list[tuple[float, float]] | None = None) -> Score:
    return score_recording(TIMES, positive(*alarmed), KNOWN, seizures or [], 5.0)


@pytest.mark.parametrize(
    ("at", "detected", "false"),
    [(880, 1, 0), (875, 0, 1), (1000, 1, 0), (1060, 1, 0), (1070, 1, 0), (1075, 0, 1)],
)
def test_alarm_counts_as_detection_from_120_s_before_to_10_s_after(at, detected, false):
    found = scored((at, at), seizures=[(1000.0, 1060.0)])
    assert (found.seizures, found.detected, found.false_alarms) == (1, detected, false)
    assert found.latencies == ((at - 1000.0,) if detected else ())


def test_several_alarms_in_one_seizure_are_one_detection():
    found = scored((900, 905), (1000, 1010), (1040, 1050), seizures=[(1000.0, 1060.0)])
    assert (found.detected, found.false_alarms, found.latencies) == (1, 0, (-100.0,))


@pytest.mark.parametrize(("seconds", "pieces"), [(0, 1), (145, 1), (150, 2), (295, 2), (300, 3), (595, 4)])
def test_a_long_false_alarm_counts_once_for_each_150_s(seconds, pieces):
    assert scored((2000, 2000 + seconds)).false_alarms == pieces


def test_best_threshold_separates_seizures_from_false_alarms():
    values = np.full(len(TIMES), 0.01)
    values[positive((1010, 1050))] = 0.95  # the seizure
    values[positive((2000, 2020)) | positive((2500, 2520)) | positive((3000, 3020))] = 0.7  # seizure-like movement
    track = Track("a", TIMES, values, ((1000.0, 1060.0),), False, 5.0)
    threshold, found = best_threshold(operating_points([track]))
    assert 0.7 <= threshold < 0.95
    assert (found.detected, found.false_alarms, found.f1) == (1, 0, 1.0)


def test_best_threshold_is_the_middle_of_equally_good_ones():
    good, bad = Score(seizures=2, detected=2), Score(seizures=2, detected=1)
    points = [(0.1, bad), (0.2, good), (0.3, good), (0.4, good), (0.5, bad)]
    assert best_threshold(points) == (0.3, good)


def test_f1_of_missed_seizures_and_false_alarms():
    assert Score(seizures=4, detected=3, false_alarms=2).f1 == pytest.approx(2 * 0.75 * 0.6 / (0.75 + 0.6))
    assert math.isnan(Score(false_alarms=2).f1)


def test_separate_false_alarms_are_counted_separately():
    assert scored((500, 510), (530, 530), (2000, 2000)).false_alarms == 3


def test_alarm_beyond_the_interval_of_a_seizure_is_a_false_alarm():
    found = scored((1050, 1300), seizures=[(1000.0, 1060.0)])
    assert (found.detected, found.false_alarms) == (1, 2)  # 1075 to 1300 s


def test_hours_count_windows_outside_of_seizures():
    assert scored().hours == pytest.approx(len(TIMES) * 5 / 3600)
    less = scored(seizures=[(1000.0, 1060.0)])
    assert scored().hours - less.hours == pytest.approx((120 + 60 + 10 + 5) / 3600)
    assert scored((2000, 2000)).false_alarms_per_day == pytest.approx(24 / scored().hours)


def test_seizure_without_windows_is_reported_but_not_counted():
    known = KNOWN & ~positive((880, 1070))
    found = score_recording(TIMES, positive(), known, [(1000.0, 1060.0), (2000.0, 2050.0)], 5.0)
    assert (found.uncovered, found.seizures, found.detected) == (1, 1, 0)


def test_recording_with_a_seizure_at_an_unknown_time_counts_as_event_only():
    found = score_recording(TIMES, positive((500, 900)), KNOWN, [], 5.0, uncertain=True)
    assert found == Score(seizure_events=1, alarmed_seizure_events=1)
    assert (found.seizures, found.false_alarms, found.hours) == (0, 0, 0)


def test_event_is_alarmed_by_any_alarm():
    scores = [
        scored((500, 500), seizures=[(1000.0, 1060.0)]),  # an alarm at another time than the seizure
        scored(seizures=[(1000.0, 1060.0)]),
        scored((500, 900)),
        scored(),
        scored(),
        score_recording(TIMES, positive((500, 900)), ~KNOWN, [], 5.0),  # no window without a gap
    ]
    figures = total_score(scores).figures()
    assert figures["event_sensitivity"] == 0.5
    assert figures["event_false_positive_rate"] == pytest.approx(1 / 3)
    assert figures["sensitivity"] == 0.0


def test_undefined_figures_are_left_out():
    assert "sensitivity" not in Score(hours=1.0).figures()
    assert "false_alarms_per_day" not in Score(seizures=1).figures()


def test_close_alarms_are_merged():
    values = np.where(positive((500, 520), (600, 610), (1000, 1000)), 0.9, 0.1)
    assert [(one.begin, one.end) for one in find_alarms(TIMES, values, 0.5, merge=100)] == [(500, 610), (1000, 1000)]
    assert len(find_alarms(TIMES, values, 0.5)) == 3
    values[TIMES == 505] = np.nan
    assert next(one.end for one in find_alarms(TIMES, values, 0.5)) == 500
    assert find_alarms(TIMES, values, 0.95) == []


def test_scores_of_users_are_added():
    tracks = [
        Track(user, TIMES, np.where(positive((at, at)), 0.9, 0.1), ((1000.0, 1060.0),), False, 5.0)
        for user, at in (("b", 1000), ("a", 2000), ("a", 1020))
    ]
    by_user = score_users(tracks, 0.5)
    assert list(by_user) == ["a", "b"]
    assert (by_user["a"].seizures, by_user["a"].detected, by_user["a"].false_alarms) == (2, 1, 1)
    assert total_score(by_user.values()).sensitivity == pytest.approx(2 / 3)


def test_operating_points_trade_sensitivity_for_false_alarms():
    values = np.full(len(TIMES), 0.1)
    values[TIMES == 1000] = 0.6
    values[TIMES == 2000] = 0.7  # a false alarm above the first seizure's peak, below the second's
    values[TIMES == 3000] = 0.8
    track = Track("a", TIMES, values, ((1000.0, 1060.0), (3000.0, 3050.0)), False, 5.0)
    points = operating_points([track])
    assert sensitivity_at(points, 0.0) == 0.5
    assert rate_at(points, 0.5) == 0.0
    assert rate_at(points, 1.0) == pytest.approx(24 / scored(seizures=list(track.seizures)).hours)
    assert rate_at([], 0.5) == math.inf


def test_wilson_interval_equals_published_values():
    assert share_interval(47, 49) == pytest.approx((0.8629, 0.9887), abs=1e-4)
    assert share_interval(0, 10)[0] == 0
    assert share_interval(10, 10)[1] == pytest.approx(1)
    assert all(math.isnan(bound) for bound in share_interval(0, 0))


@pytest.mark.parametrize("count", [1, 4, 20, 164])
def test_count_interval_is_exact(count):
    exact = chi2.ppf(0.025, 2 * count) / 2, chi2.ppf(0.975, 2 * count + 2) / 2
    assert count_interval(count) == pytest.approx(exact, rel=1e-9)
    assert count_interval(0)[0] == 0
