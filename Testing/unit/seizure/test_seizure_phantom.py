"""Simulated wrists: what the sensor measures, where seizures lie, and that activities are what they are called."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.seizure.fit.osd import analyze
from deeprecon.seizure.read.osdb import read_json
from deeprecon.seizure.read.recordings import from_event, read_recordings
from deeprecon.seizure.simulate.wrist import (
    ACTIVITIES,
    NEGATIVES,
    Stretch,
    Wearer,
    everyday,
    gravity,
    long_recording,
    make_recordings,
    simulate,
    write_phantom,
)

WEARER = Wearer.draw(0, 0)


def measured(activity: str, seconds: float = 120, seed: int = 0) -> np.ndarray:
    """Magnitude in g of one activity."""
    axes, _ = simulate(WEARER, [Stretch(activity, seconds)], np.random.default_rng(seed))
    return np.linalg.norm(axes, axis=1)


def share(magnitude: np.ndarray, low: float, high: float) -> float:
    """Share of the movement's power between two frequencies."""
    power = np.abs(np.fft.rfft(magnitude - magnitude.mean())) ** 2
    frequency = np.fft.rfftfreq(len(magnitude), 1 / 25)
    return float(power[(frequency >= low) & (frequency < high)].sum() / power.sum())


def test_gravity_is_one_g_in_a_direction_that_changes():
    found = gravity(20_000, np.random.default_rng(0))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-12)
    assert np.ptp(found, axis=0).max() > 0.3
    assert np.abs(np.diff(found, axis=0)).max() < 0.3


def test_rest_weighs_one_g():
    assert measured("rest").mean() == pytest.approx(1, abs=0.02)
    assert measured("rest").std() < 0.05


def test_the_sensor_has_a_range_and_a_step():
    axes, _ = simulate(WEARER, [Stretch(name, 60) for name in ACTIVITIES], np.random.default_rng(0))
    assert np.abs(axes).max() <= 8
    np.testing.assert_allclose(axes / 0.004, np.round(axes / 0.004), atol=1e-6)


def test_brushing_teeth_moves_at_three_to_six_hertz_and_walking_below():
    brushing, walking = measured("brushing"), measured("walking")
    assert share(brushing, 2.5, 12.5) > 0.8
    assert share(walking, 1.0, 3.0) > 0.15
    assert brushing.std() > 0.1 > measured("typing").std()


def test_the_jerks_of_a_seizure_slow_down_and_end_in_rest():
    axes, times = simulate(
        WEARER, [Stretch("rest", 30), Stretch("seizure", 100), Stretch("rest", 60)], np.random.default_rng(1)
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


def test_some_everyday_movement_looks_like_a_seizure_to_the_baseline():
    states = [analyze(1000 * measured("bursts", 300, seed).reshape(-1, 125)).state.max() for seed in range(5)]
    assert max(states) == 2
    assert analyze(1000 * measured("rest", 300).reshape(-1, 125)).state.max() == 0


def test_everyday_life_fills_its_time_without_a_seizure():
    stretches = everyday(1800, np.random.default_rng(0))
    assert sum(stretch.seconds for stretch in stretches) == pytest.approx(1800, abs=1.1)
    assert {stretch.activity for stretch in stretches} <= set(NEGATIVES)


def test_a_seed_gives_the_same_users_and_another_gives_others():
    one, same, other = (make_recordings(2, 1, 2.0, seed) for seed in (0, 0, 1))
    for a, b in zip(one, same, strict=True):
        np.testing.assert_array_equal(a.magnitude, b.magnitude)
    assert len(one[0].magnitude) != len(other[0].magnitude)
    assert {recording.user for recording in one} == {"1", "2"}
    assert [len(recording.seizures) for recording in one] == [1, 0, 1, 0]


def test_files_say_the_same_as_the_simulation(tmp_path):
    paths = write_phantom(tmp_path, 2, 1, 6.0, 0.2, 0)
    events = read_json(paths["events"])
    assert len(events) == 6  # a seizure and 6 minutes in two events, of each user
    memory = make_recordings(2, 1, 6.0, 0)[0]
    found = from_event(events[0])
    assert found.seizures[0] == pytest.approx(memory.seizures[0], abs=0.05)
    np.testing.assert_allclose(found.magnitude, memory.magnitude[: len(found.magnitude)], atol=1e-5)
    np.testing.assert_array_equal(analyze(events[0].magnitude).state, events[0].alarm_state)
    (plain,) = read_recordings(paths["recording"])
    axes, times = long_recording(0.2, 2, 0)
    np.testing.assert_allclose(plain.magnitude, np.linalg.norm(axes, axis=1), atol=1e-5)
    assert len(times) == 1


def test_seizures_are_as_strong_and_as_broad_in_frequency_as_the_published_one(shared_data):
    def figures(recording):
        start, end = recording.seizures[0]
        rows, _ = recording.rows()
        found = analyze(rows[int(start // 5) + 1 : int(end // 5)])
        return found.roi_power, found.ratio

    (event,) = read_recordings(shared_data / "epi" / "osdb_event_45781.json")
    simulated = [figures(one) for one in make_recordings(15, 2, 1.0, 5) if one.seizures]
    power, ratio = (np.median(np.concatenate(values)) for values in zip(*simulated, strict=True))
    known_power, known_ratio = (np.median(values) for values in figures(event))
    assert 0.5 < power / known_power < 2
    assert ratio == pytest.approx(known_ratio, rel=0.15)
