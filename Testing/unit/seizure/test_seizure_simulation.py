"""Simulated wrists: sensor, times of seizures, frequencies of activities, and files."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.seizure.fit.baseline import analyze_rows, recording_rows
from deeprecon.seizure.observe.recordings import load_recordings, recording_from_event
from deeprecon.seizure.read.osdb import read_event_json
from deeprecon.seizure.simulate.activities import ACTIVITIES, Wearer
from deeprecon.seizure.simulate.files import write_phantom
from deeprecon.seizure.simulate.recordings import (
    EVERYDAY_SHARES,
    Period,
    everyday_periods,
    simulate_gravity,
    simulate_long_recording,
    simulate_periods,
    simulate_recordings,
)

WEARER = Wearer.draw(0, 0)


def measured(activity: str, seconds: float = 120, seed: int = 0) -> np.ndarray:
    """Magnitude in g of one activity."""
    axes, _ = simulate_periods(WEARER, [Period(activity, seconds)], np.random.default_rng(seed))
    return np.linalg.norm(axes, axis=1)


def share(magnitude: np.ndarray, low: float, high: float) -> float:
    """Share of the movement's power between two frequencies."""
    power = np.abs(np.fft.rfft(magnitude - magnitude.mean())) ** 2
    frequency = np.fft.rfftfreq(len(magnitude), 1 / 25)
    return float(power[(frequency >= low) & (frequency < high)].sum() / power.sum())


def test_gravity_is_1_g_with_a_changing_direction():
    found = simulate_gravity(20_000, np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-12)
    assert np.ptp(found, axis=0).max() > 0.3
    assert np.abs(np.diff(found, axis=0)).max() < 0.3


def test_rest_is_1_g():
    assert measured("rest").mean() == pytest.approx(1, abs=0.02)
    assert measured("rest").std() < 0.05


def test_range_and_resolution_of_the_sensor():
    axes, _ = simulate_periods(WEARER, [Period(name, 60) for name in ACTIVITIES], np.random.default_rng(0))
    assert np.abs(axes).max() <= 8
    np.testing.assert_allclose(axes / 0.004, np.round(axes / 0.004), atol=1e-6)


def test_frequencies_of_brushing_and_walking():
    brushing, walking = measured("brushing"), measured("walking")
    assert share(brushing, 2.5, 12.5) > 0.8
    assert share(walking, 1.0, 3.0) > 0.15
    assert brushing.std() > 0.1 > measured("typing").std()


def test_jerks_of_a_seizure_slow_down_and_end_in_rest():
    axes, times = simulate_periods(
        WEARER, [Period("rest", 30), Period("seizure", 100), Period("rest", 60)], np.random.default_rng(1)
    )
    assert times == ((30.0, 130.0),)
    magnitude = np.linalg.norm(axes, axis=1)
    seconds = np.arange(len(magnitude)) / 25

    def centroid(first: float, last: float) -> float:
        part = magnitude[(seconds >= first) & (seconds < last)]
        power = np.abs(np.fft.rfft(part - part.mean())) ** 2
        return float((power * np.fft.rfftfreq(len(part), 1 / 25)).sum() / power.sum())

    assert centroid(65, 90) > centroid(105, 130)
    assert magnitude[(seconds > 65) & (seconds < 125)].std() > 5 * magnitude[seconds > 140].std()


def test_bursts_raise_the_alarm_of_the_baseline():
    states = [analyze_rows(1000 * measured("bursts", 300, seed).reshape(-1, 125)).state.max() for seed in range(5)]
    assert max(states) == 2
    assert analyze_rows(1000 * measured("rest", 300).reshape(-1, 125)).state.max() == 0


def test_everyday_periods_fill_the_time_without_a_seizure():
    periods = everyday_periods(1800, np.random.default_rng(0))
    assert sum(period.seconds for period in periods) == pytest.approx(1800, abs=1.1)
    assert {period.activity for period in periods} <= set(EVERYDAY_SHARES)


def test_seed_determines_the_users():
    one, same, other = (simulate_recordings(2, 1, 2.0, seed) for seed in (0, 0, 1))
    for a, b in zip(one, same, strict=True):
        np.testing.assert_array_equal(a.magnitude, b.magnitude)
    assert len(one[0].magnitude) != len(other[0].magnitude)
    assert {recording.user for recording in one} == {"1", "2"}
    assert [len(recording.seizures) for recording in one] == [1, 0, 1, 0]


def test_files_equal_the_simulation(tmp_path):
    paths = write_phantom(tmp_path, 2, 1, 6.0, 0.2, 0)
    events = read_event_json(paths["events"])
    assert len(events) == 6  # a seizure and 6 minutes in two events, of each user
    memory = simulate_recordings(2, 1, 6.0, 0)[0]
    found = recording_from_event(events[0])
    assert found.seizures[0] == pytest.approx(memory.seizures[0], abs=0.05)
    np.testing.assert_allclose(found.magnitude, memory.magnitude[: len(found.magnitude)], atol=1e-5)
    np.testing.assert_array_equal(analyze_rows(events[0].magnitude).state, events[0].alarm_state)
    (plain,) = load_recordings(paths["recording"])
    axes, times = simulate_long_recording(0.2, 2, 0)
    np.testing.assert_allclose(plain.magnitude, np.linalg.norm(axes, axis=1), atol=1e-5)
    assert len(times) == 1


def test_power_and_ratio_of_seizures_match_the_published_event(shared_data):
    def figures(recording):
        start, end = recording.seizures[0]
        rows, _ = recording_rows(recording)
        found = analyze_rows(rows[int(start // 5) + 1 : int(end // 5)])
        return found.roi_power, found.ratio

    (event,) = load_recordings(shared_data / "epi" / "osdb_event_45781.json")
    simulated = [figures(one) for one in simulate_recordings(15, 2, 1.0, 5) if one.seizures]
    power, ratio = (np.median(np.concatenate(values)) for values in zip(*simulated, strict=True))
    known_power, known_ratio = (np.median(values) for values in figures(event))
    assert 0.5 < power / known_power < 2
    assert ratio == pytest.approx(known_ratio, rel=0.15)
