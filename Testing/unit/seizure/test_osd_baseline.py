"""OpenSeizureDetector's algorithm: powers of sines, its states, and a real event with the watch's log."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.seizure.fit.baseline import ALARM, OK, WARNING, analyze_rows, row_powers
from deeprecon.seizure.read.osdb import ROW_SAMPLES, read_event_json

SECONDS = np.arange(ROW_SAMPLES) / 25


def sine(frequency: float, amplitude: float = 500.0) -> np.ndarray:
    return 1000 + amplitude * np.sin(2 * np.pi * frequency * SECONDS)


def test_powers_of_a_sine_equal_the_formula():
    whole, roi = row_powers(np.array([sine(5.0)]))
    peak = (500.0 * ROW_SAMPLES / 2) ** 2  # |FFT|^2 of a sine in its bin
    assert whole[0] == pytest.approx(peak / ROW_SAMPLES / 2 / 1000, rel=1e-9)
    assert roi[0] == pytest.approx(peak / 25 / 1000, rel=1e-9)


@pytest.mark.parametrize(
    ("frequency", "inside"), [(2.8, False), (3.0, True), (5.0, True), (7.8, True), (8.0, False), (10.0, False)]
)
def test_only_3_to_8_hz_count_as_movement(frequency, inside):
    rows = np.array([sine(frequency)] * 4)
    assert (int(analyze_rows(rows).state[-1]) == ALARM) is inside


def states(pattern: str, **options: object) -> list[int]:
    rows = np.array(
        [{"x": sine(5.0), ".": np.full(ROW_SAMPLES, 1000.0), "?": np.full(ROW_SAMPLES, np.nan)}[key] for key in pattern]
    )
    return analyze_rows(rows, **options).state.tolist()


def test_warning_after_10_s_and_alarm_after_15_s():
    assert states(".xxxx") == [OK, OK, WARNING, ALARM, ALARM]


def test_alarm_falls_back_to_warning_and_movement_keeps_the_warning():
    assert states("xxx..") == [OK, WARNING, ALARM, WARNING, OK]
    assert states("xxx.xx") == [OK, WARNING, ALARM, WARNING, WARNING, ALARM]
    assert states("xx.x") == [OK, WARNING, OK, OK]


def test_gap_ends_a_movement():
    assert states("xx?x") == [OK, WARNING, OK, OK]
    follows = np.array([True, True, False, True])
    assert states("xxxx", continuous=follows) == [OK, WARNING, OK, WARNING]


def test_movement_below_the_threshold_does_not_count():
    assert states("xxx", threshold=1e5) == [OK, OK, OK]


def test_ratio_without_any_power_is_zero():
    assert analyze_rows(np.zeros((1, ROW_SAMPLES))).ratio.tolist() == [0.0]


def test_logged_powers_and_states_of_a_real_seizure_are_reproduced(shared_data):
    (event,) = read_event_json(shared_data / "epi" / "osdb_event_45781.json")
    found = analyze_rows(event.magnitude, threshold=900)
    # the watch cuts off the decimals
    np.testing.assert_array_equal(np.floor(found.spectrum_power), event.spectrum_power)
    np.testing.assert_array_equal(np.floor(found.roi_power), event.roi_power)
    manual = event.alarm_state == 5  # pressed by hand, on a repeated row
    assert manual.sum() == 1
    np.testing.assert_array_equal(found.state[~manual], event.alarm_state[~manual])
