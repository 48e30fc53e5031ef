"""Windows and their labels, and training batches and their noise."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.data.errors import InputError
from deeprecon.seizure.observe.windows import UNLABELED, LabeledWindows, label_windows, labeled_windows, window_starts
from deeprecon.seizure.read.recording import Recording, treat_as_seizures
from deeprecon.seizure.training.batches import BatchSampler, add_noise


def recording(
    seconds: float = 400, user: str = "a", seizures=((100.0, 200.0),), level: float = 1.0, **more
) -> Recording:
    count = round(seconds * 25)
    return Recording("r", user, np.full(count, level, np.float32), np.ones(count, bool), None, seizures, **more)


def test_windows_with_a_gap_are_left_out():
    valid = np.ones(3000, bool)
    valid[1000] = False
    starts = window_starts(valid, 750, 125)
    assert starts.tolist() == [0, 125, 250, *range(1125, 2251, 125)]
    assert len(window_starts(np.ones(749, bool), 750, 125)) == 0


def test_label_is_inside_outside_or_unlabeled_within_the_border():
    starts = np.arange(0, 370 * 25, 125)
    found = label_windows(recording(), starts, 750, 30.0)
    for second, label in zip(starts / 25, found, strict=True):
        inside = second >= 100 and second + 30 <= 200
        apart = second + 30 <= 70 or second >= 230
        assert label == (1 if inside else 0 if apart else UNLABELED)


def test_seizure_shorter_than_a_window_gives_no_labeled_windows():
    found = label_windows(recording(seizures=((100.0, 120.0),)), np.arange(0, 370 * 25, 125), 750, 30.0)
    assert set(found.tolist()) == {0, UNLABELED}


def test_recording_with_a_seizure_at_an_unknown_time_gives_no_windows():
    unknown = recording(seizures=(), uncertain=True)
    assert len(labeled_windows([unknown], 750, 125, 30.0)) == 0
    whole = labeled_windows(treat_as_seizures([unknown, recording(seizures=())])[:1], 750, 125, 30.0)
    assert set(whole.label.tolist()) == {1}


def sampler(windows: LabeledWindows, **change) -> BatchSampler:
    settings = {"size": 8, "balanced": True, "by_user": True, "noise": 0.0, "seed": 0} | change
    return BatchSampler(windows, **settings)


@pytest.fixture
def windows() -> LabeledWindows:
    """Two users: "a" with a long and "b" with a short recording, distinguished by their level."""
    long = recording(4000, "a", ((100.0, 900.0),), 1.0)
    short = recording(400, "b", ((100.0, 200.0),), 2.0)
    return labeled_windows([long, short], 750, 125, 30.0)


def test_balanced_batches_depend_only_on_seed_and_step(windows):
    drawn = sampler(windows, noise=0.1)
    for step in range(5):
        batch = drawn.batch(step)
        assert batch.label.tolist().count(1) == 4
        again = sampler(windows, noise=0.1).batch(step)
        np.testing.assert_array_equal(batch.magnitude, again.magnitude)
        assert (sampler(windows, noise=0.1, seed=1).batch(step).magnitude != batch.magnitude).any()
    assert any((drawn.batch(0).magnitude != drawn.batch(step).magnitude).any() for step in range(1, 5))


def test_users_are_drawn_equally_often(windows):
    def share(**change: object) -> float:
        drawn = sampler(windows, size=64, **change)
        return float(np.mean([(drawn.batch(step).magnitude[:, 0] == 2.0).mean() for step in range(20)]))

    assert share() == pytest.approx(0.5, abs=0.05)
    assert share(by_user=False) < 0.15
    assert share(balanced=False) == pytest.approx(0.5, abs=0.05)


def test_without_balance_classes_are_drawn_in_proportion(windows):
    expected = (windows.label == 1).mean()
    for by_user in (True, False):
        drawn = sampler(windows, size=64, balanced=False, by_user=by_user)
        share = np.mean([drawn.batch(step).label.mean() for step in range(40)])
        assert share == pytest.approx(expected, abs=0.03)


def test_both_classes_get_the_same_noise(windows):
    plain, noisy = sampler(windows, size=64).batch(0), sampler(windows, size=64, noise=0.02).batch(0)
    assert (noisy.label == plain.label).all()
    for label in (0, 1):
        difference = (noisy.magnitude - plain.magnitude)[plain.label == label]
        assert difference.std() == pytest.approx(0.02, rel=0.05)


def test_noise_of_the_magnitude_equals_noise_on_three_axes():
    rng = np.random.default_rng(0)
    axes = np.array([0.3, -0.4, 0.2]) + rng.normal(0, 0.3, (200_000, 3))
    length = float(np.linalg.norm([0.3, -0.4, 0.2]))
    found = add_noise(np.full((1, 200_000), length, np.float32), 0.3, np.random.default_rng(1))[0]
    quantiles = np.linspace(0.01, 0.99, 9)
    np.testing.assert_allclose(
        np.quantile(found, quantiles), np.quantile(np.linalg.norm(axes, axis=1), quantiles), atol=5e-3
    )


def test_training_without_one_of_the_classes_is_refused():
    made = labeled_windows([recording(seizures=())], 750, 125, 30.0)
    with pytest.raises(InputError, match="no window of 30 s in a seizure"):
        sampler(made)
