"""Alarms and the rules by which they are counted, on intervals made by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import chi2

from deeprecon.seizure.fit.detection import Detection
from deeprecon.seizure.measure.alarms import alarm_rows, find_alarms
from deeprecon.seizure.measure.operating_points import (
    best_threshold,
    operating_points,
    rate_at,
    sensitivity_at,
    sensitivity_intervals,
    threshold_for_budget,
)
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
SEIZURES = ((1000.0, 1060.0),)


def positive(*intervals: tuple[float, float]) -> np.ndarray:
    return np.any([(first <= TIMES) & (last >= TIMES) for first, last in intervals] or [np.zeros(len(TIMES), bool)], 0)


def track(values: np.ndarray, seizures: tuple = (), uncertain: bool = False, user: str = "a") -> Track:
    return Track(user, TIMES, values, seizures, uncertain, 5.0, 3630.0)


def scored(*alarmed: tuple[float, float], seizures: tuple = (), merge: float = 0.0) -> Score:
    return score_recording(track(np.where(positive(*alarmed), 0.9, 0.1), seizures), 0.5, merge)


@pytest.mark.parametrize(
    ("at", "detected", "false"),
    [(880, 1, 0), (875, 0, 1), (1000, 1, 0), (1060, 1, 0), (1070, 1, 0), (1075, 0, 1)],
)
def test_alarm_counts_as_detection_from_120_s_before_to_10_s_after(at, detected, false):
    found = scored((at, at), seizures=SEIZURES)
    assert (found.seizures, found.detected, found.false_alarms) == (1, detected, false)
    assert found.latencies == ((at - 1000.0,) if detected else ())


def test_several_alarms_in_one_seizure_are_one_detection():
    found = scored((900, 905), (1000, 1010), (1040, 1050), seizures=SEIZURES)
    assert (found.detected, found.false_alarms, found.latencies) == (1, 0, (-100.0,))


@pytest.mark.parametrize(("seconds", "pieces"), [(0, 1), (145, 1), (150, 2), (295, 2), (300, 3), (595, 4)])
def test_a_long_false_alarm_counts_once_for_each_150_s(seconds, pieces):
    assert scored((2000, 2000 + seconds)).false_alarms == pieces


def test_best_threshold_separates_seizures_from_false_alarms():
    values = np.full(len(TIMES), 0.01)
    values[positive((1010, 1050))] = 0.95  # the seizure
    values[positive((2000, 2020)) | positive((2500, 2520)) | positive((3000, 3020))] = 0.7  # seizure-like movement
    threshold, found = best_threshold(operating_points([track(values, SEIZURES)]))
    assert 0.7 <= threshold < 0.95
    assert (found.detected, found.false_alarms, found.f1) == (1, 0, 1.0)


def test_best_threshold_is_the_middle_of_equally_good_ones():
    good, bad = Score(seizures=2, detected=2), Score(seizures=2, detected=1)
    points = [(0.1, bad), (0.2, good), (0.3, good), (0.4, good), (0.5, bad)]
    assert best_threshold(points) == (0.3, good)


def test_a_budget_gives_the_best_sensitivity_within_it_with_the_fewest_false_alarms():
    def point(detected: int, false_alarms: int) -> Score:
        return Score(seizures=4, detected=detected, false_alarms=false_alarms, hours=48.0)

    scores = [point(4, 8), point(3, 2), point(3, 1), point(3, 1), point(3, 1), point(2, 0), point(0, 0)]
    points = [(n / 10, score) for n, score in enumerate(scores)]
    assert threshold_for_budget(points, 4.0)[0] == 0.0
    assert threshold_for_budget(points, 1.0)[0] == 0.3
    assert threshold_for_budget(points, 0.4)[0] == 0.5
    nothing = [(n / 10, Score(false_alarms=3 - n, hours=48.0)) for n in range(4)]  # no seizures: the fewest alarms
    assert threshold_for_budget(nothing, 1.0)[0] == 0.3


def test_intervals_over_users_are_wider_than_over_seizures_where_users_differ():
    same = {str(n): Score(seizures=10, detected=5) for n in range(8)}
    differing = {str(n): Score(seizures=10, detected=10 * (n % 2)) for n in range(8)}
    (alike, apart) = sensitivity_intervals([same, differing])
    assert alike == (0.5, 0.5)
    assert apart[0] < 0.25 < 0.75 < apart[1]
    low, high = share_interval(40, 80)
    assert apart[1] - apart[0] > high - low
    assert np.isnan(sensitivity_intervals([{"a": Score()}])[0]).all()


def test_f1_of_missed_seizures_and_false_alarms():
    assert Score(seizures=4, detected=3, false_alarms=2).f1 == pytest.approx(2 * 0.75 * 0.6 / (0.75 + 0.6))
    assert math.isnan(Score(false_alarms=2).f1)


def test_separate_false_alarms_are_counted_separately():
    assert scored((500, 510), (530, 530), (2000, 2000)).false_alarms == 3


def test_rest_of_an_alarm_that_detects_a_seizure_is_not_a_false_alarm():
    assert scored((1050, 1200), seizures=SEIZURES).false_alarms == 0
    assert scored((800, 890), seizures=SEIZURES).false_alarms == 0
    assert scored((1075, 1200), seizures=SEIZURES).false_alarms == 1  # does not touch it
    # pauses of less than the merging time do not separate the rest from the detection
    parts = ((1050, 1080), (1150, 1160))
    assert [scored(*parts, seizures=SEIZURES, merge=merge).false_alarms for merge in (0, 60, 150)] == [1, 1, 0]


def test_alarm_that_does_not_end_is_false_from_150_s_after_the_interval():
    found = scored((1050, 1530), seizures=SEIZURES)
    assert (found.detected, found.false_alarms) == (1, 3)  # 1225 to 1530 s
    always = scored((30, 3630), seizures=SEIZURES)
    assert (always.detected, always.false_alarms) == (1, 5 + 17)  # 30 to 725 s and 1225 to 3630 s


def test_close_false_alarms_are_one():
    found = [scored((2000, 2010), (2100, 2110), (2500, 2500), merge=merge).false_alarms for merge in (0, 80, 91, 400)]
    assert found == [3, 3, 2, 4]  # the last is one of 505 s


def test_alarms_per_day_are_over_the_monitored_time():
    assert scored().hours == scored(seizures=SEIZURES).hours == pytest.approx(3630 / 3600)
    assert scored((2000, 2000)).false_alarms_per_day == pytest.approx(24 * 3600 / 3630)


def test_seizure_without_windows_is_reported_but_not_counted():
    values = np.where(positive((880, 1070)), np.nan, 0.1)
    found = score_recording(track(values, ((1000.0, 1060.0), (2000.0, 2050.0))), 0.5)
    assert (found.uncovered, found.seizures, found.detected) == (1, 1, 0)


def test_recording_with_a_seizure_at_an_unknown_time_counts_as_event_only():
    found = score_recording(track(np.where(positive((500, 900)), 0.9, 0.1), uncertain=True), 0.5)
    assert found == Score(seizure_events=1, alarmed_seizure_events=1)
    assert (found.seizures, found.false_alarms, found.hours) == (0, 0, 0)


def test_event_is_alarmed_by_any_alarm():
    scores = [
        scored((500, 500), seizures=SEIZURES),  # an alarm at another time than the seizure
        scored(seizures=SEIZURES),
        scored((500, 900)),
        scored(),
        scored(),
        score_recording(track(np.full(len(TIMES), np.nan)), 0.5),  # no window without a gap
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


def test_row_of_an_alarm_is_what_its_windows_show():
    values = np.where(positive((500, 520), (2000, 2000)), 0.9, 0.1)
    unused = np.zeros(len(TIMES))
    rows = alarm_rows(Detection(TIMES, values[None], unused, unused, unused, unused), 0.5, 0.5, 150.0)
    shown = [(row["onset_s"], row["end_s"], row["duration_s"], row["alarm_s"]) for row in rows]
    assert shown == [(470, 520, 50, 500), (1970, 2000, 30, 2000)]  # windows of 30 s


def test_scores_of_users_are_added():
    tracks = [
        track(np.where(positive((at, at)), 0.9, 0.1), SEIZURES, user=user)
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
    points = operating_points([track(values, ((1000.0, 1060.0), (3000.0, 3050.0)))])
    assert sensitivity_at(points, 0.0) == 0.5
    assert rate_at(points, 0.5) == 0.0
    assert rate_at(points, 1.0) == pytest.approx(24 / scored().hours)
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
