"""OpenSeizureDetector's algorithm: on sines of known power, its states, and a real event that the watch logged."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.seizure.fit.osd import ALARM, OK, ROW, WARNING, analyze, powers
from deeprecon.seizure.read.osdb import read_json

SECONDS = np.arange(ROW) / 25


def sine(frequency: float, amplitude: float = 500.0) -> np.ndarray:
    return 1000 + amplitude * np.sin(2 * np.pi * frequency * SECONDS)


def test_powers_of_a_sine_are_those_of_the_formula():
    whole, roi = powers(np.array([sine(5.0)]))
    peak = (500.0 * ROW / 2) ** 2  # |FFT|^2 of a sine in its bin
    assert whole[0] == pytest.approx(peak / ROW / 2 / 1000, rel=1e-9)
    assert roi[0] == pytest.approx(peak / 25 / 1000, rel=1e-9)


@pytest.mark.parametrize(
    ("frequency", "inside"), [(2.8, False), (3.0, True), (5.0, True), (7.8, True), (8.0, False), (10.0, False)]
)
def test_only_three_to_eight_hertz_count(frequency, inside):
    rows = np.array([sine(frequency)] * 4)
    assert (int(analyze(rows).state[-1]) == ALARM) is inside


def states(pattern: str, **options: object) -> list[int]:
    rows = np.array([{"x": sine(5.0), ".": np.full(ROW, 1000.0), "?": np.full(ROW, np.nan)}[key] for key in pattern])
    return analyze(rows, **options).state.tolist()


def test_it_warns_after_ten_seconds_and_alarms_after_fifteen():
    assert states(".xxxx") == [OK, OK, WARNING, ALARM, ALARM]


def test_an_alarm_fades_to_a_warning_that_one_more_movement_keeps():
    assert states("xxx..") == [OK, WARNING, ALARM, WARNING, OK]
    assert states("xxx.xx") == [OK, WARNING, ALARM, WARNING, WARNING, ALARM]
    assert states("xx.x") == [OK, WARNING, OK, OK]


def test_a_gap_ends_a_movement():
    assert states("xx?x") == [OK, WARNING, OK, OK]
    follows = np.array([True, True, False, True])
    assert states("xxxx", continuous=follows) == [OK, WARNING, OK, WARNING]


def test_weak_movement_is_none():
    assert states("xxx", threshold=1e5) == [OK, OK, OK]


def test_nothing_that_moves_has_a_ratio_of_zero():
    assert analyze(np.zeros((1, ROW))).ratio.tolist() == [0.0]


def test_the_logged_powers_and_states_of_a_real_seizure_are_reproduced(shared_data):
    (event,) = read_json(shared_data / "epi" / "osdb_event_45781.json")
    found = analyze(event.magnitude, threshold=900)
    # the watch cuts off the decimals
    np.testing.assert_array_equal(np.floor(found.spectrum_power), event.spectrum_power)
    np.testing.assert_array_equal(np.floor(found.roi_power), event.roi_power)
    manual = event.alarm_state == 5  # pressed by hand, on a repeated row
    assert manual.sum() == 1
    np.testing.assert_array_equal(found.state[~manual], event.alarm_state[~manual])
