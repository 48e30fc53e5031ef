"""Windows and their labels, batches and their noise, and how users are split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deeprecon.data.errors import InputError
from deeprecon.seizure.config import Config, DataConfig, Framework, Metric, ModelConfig
from deeprecon.seizure.observe.windows import NEITHER, Sampler, Windows, labels, make_windows, window_starts, with_noise
from deeprecon.seizure.read.dataset import fold_of_users, read_dataset, split_users, with_whole_events, write_dataset
from deeprecon.seizure.read.recordings import Recording
from deeprecon.seizure.training.examples import selection

MODEL = ModelConfig(Framework.PYTORCH)


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


def test_labels_are_inside_outside_by_more_than_the_border_or_neither():
    starts = np.arange(0, 370 * 25, 125)
    found = labels(recording(), starts, 750, 30.0)
    for second, label in zip(starts / 25, found, strict=True):
        inside = second >= 100 and second + 30 <= 200
        apart = second + 30 <= 70 or second >= 230
        assert label == (1 if inside else 0 if apart else NEITHER)


def test_a_seizure_shorter_than_a_window_gives_no_window_of_either_class():
    found = labels(recording(seizures=((100.0, 120.0),)), np.arange(0, 370 * 25, 125), 750, 30.0)
    assert set(found.tolist()) == {0, NEITHER}


def test_a_recording_with_a_seizure_at_an_unknown_time_gives_no_windows():
    unknown = recording(seizures=(), uncertain=True)
    assert len(make_windows([unknown], MODEL, DataConfig(), 125)) == 0
    whole = make_windows(with_whole_events([unknown, recording(seizures=())])[:1], MODEL, DataConfig(), 125)
    assert set(whole.label.tolist()) == {1}


def sampler(windows: Windows, **change) -> Sampler:
    settings = {"size": 8, "balanced": True, "by_user": True, "noise": 0.0, "seed": 0} | change
    return Sampler(windows, **settings)


@pytest.fixture
def windows() -> Windows:
    """Two users: "a" with a long and "b" with a short recording, told apart by their level."""
    long = recording(4000, "a", ((100.0, 900.0),), 1.0)
    short = recording(400, "b", ((100.0, 200.0),), 2.0)
    return make_windows([long, short], MODEL, DataConfig(), 125)


def test_balanced_batches_have_as_many_seizures_as_others_and_a_function_of_the_step(windows):
    drawn = sampler(windows)
    for step in range(5):
        batch = drawn.batch(step)
        assert batch.label.tolist().count(1) == 4
        again = sampler(windows).batch(step)
        np.testing.assert_array_equal(batch.magnitude, again.magnitude)
    assert any((drawn.batch(0).magnitude != drawn.batch(step).magnitude).any() for step in range(1, 5))


def test_users_are_drawn_equally_where_wanted(windows):
    def share(**change: object) -> float:
        drawn = sampler(windows, size=64, **change)
        return float(np.mean([(drawn.batch(step).magnitude[:, 0] == 2.0).mean() for step in range(20)]))

    assert share() == pytest.approx(0.5, abs=0.05)
    assert share(by_user=False) < 0.15
    assert share(balanced=False) == pytest.approx(0.5, abs=0.05)


def test_without_balance_seizures_come_as_often_as_they_are(windows):
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


def test_the_noise_of_the_length_is_that_of_noise_on_three_axes():
    rng = np.random.default_rng(0)
    axes = np.array([0.3, -0.4, 0.2]) + rng.normal(0, 0.3, (200_000, 3))
    length = float(np.linalg.norm([0.3, -0.4, 0.2]))
    found = with_noise(np.full((1, 200_000), length, np.float32), 0.3, np.random.default_rng(1))[0]
    quantiles = np.linspace(0.01, 0.99, 9)
    np.testing.assert_allclose(
        np.quantile(found, quantiles), np.quantile(np.linalg.norm(axes, axis=1), quantiles), atol=5e-3
    )


def test_without_one_of_the_classes_there_is_nothing_to_train_on():
    made = make_windows([recording(seizures=())], MODEL, DataConfig(), 125)
    with pytest.raises(InputError, match="no window of 30 s in a seizure"):
        sampler(made)


def users(count: int, with_seizures: int) -> list[Recording]:
    made = [recording(user=f"u{number}", seizures=((100.0, 200.0),)) for number in range(with_seizures)]
    return made + [recording(user=f"u{number}", seizures=()) for number in range(with_seizures, count)]


def test_a_user_is_in_one_part_only_and_seizures_are_spread():
    people = users(30, 12)
    parts = fold_of_users(people, 4, 0)
    assert sorted(parts.values()).count(0) in (7, 8)
    for part in range(4):
        assert sum(parts[f"u{number}"] == part for number in range(12)) == 3
    assert fold_of_users(people[::-1], 4, 0) == parts
    assert fold_of_users(people, 4, 1) != parts
    with pytest.raises(InputError, match="2 users have seizures at known times, too few for 3 parts"):
        fold_of_users(users(10, 2), 3, 0)


def test_training_validation_and_test_share_no_user_and_networks_are_validated_on_different_ones():
    split = split_users(users(30, 20), 5, 0.25, 0.25, 0)
    everybody = {f"u{number}" for number in range(30)}
    for training, validation in zip(split.training, split.validation, strict=True):
        assert set(training) | set(validation) | set(split.test) == everybody
        assert len(training) + len(validation) + len(split.test) == 30
    assert set().union(*split.validation[:4]) == everybody - set(split.test)
    assert split.validation[4] not in split.validation[:4]


def test_a_data_set_comes_back_as_it_was(tmp_path):
    first = replace(recording(), notes=("a note",), uncertain=True)
    first.valid[100:200] = False
    write_dataset(tmp_path / "d.npz", [first, recording(50, "b", (), 0.5)])
    found = read_dataset(tmp_path / "d.npz")
    assert [one.user for one in found] == ["a", "b"]
    assert (found[0].seizures, found[0].notes, found[0].uncertain) == (first.seizures, first.notes, True)
    np.testing.assert_array_equal(found[0].valid, first.valid)
    np.testing.assert_array_equal(found[1].magnitude, 0.5)


@pytest.mark.parametrize("content", [b"", b"not a zip", None])
def test_what_is_no_data_set_is_refused(content, tmp_path):
    path = tmp_path / "d.npz"
    if content is None:
        np.savez(path, magnitude=np.ones(3))
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"d\.npz"):
        read_dataset(path)


def test_figures_that_select_weights_are_better_the_lower():
    label = np.array([1] * 10 + [0] * 90)
    good = np.where(label == 1, 0.9, 0.1)
    bad = good.copy()
    bad[:3] = 0.2  # misses three
    for metric in Metric:
        model = replace(MODEL, modelSelectionMetric=metric)
        assert selection(good, label, model) < selection(bad, label, model), metric
    false = good.copy()
    false[10:19] = 0.8  # 10 % false
    assert selection(false, label, replace(MODEL, modelSelectionMetric=Metric.MIN_FPR)) == pytest.approx(0.1)
    assert selection(bad, label, replace(MODEL, modelSelectionMetric=Metric.MIN_FPR)) == pytest.approx(1.2)
    assert selection(bad, label, replace(MODEL, modelSelectionMetric=Metric.YOUDEN)) == pytest.approx(0.3)
    assert selection(np.full(100, 0.5), label, MODEL) == pytest.approx(np.log(2))
    assert Config().modelConfig.modelSelectionMetric is Metric.VAL_LOSS
