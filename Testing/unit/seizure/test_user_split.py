"""Data sets, how users are split, and the figure that selects the weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deeprecon.data.errors import InputError
from deeprecon.seizure.configuration import Config, Framework, Metric, ModelConfig
from deeprecon.seizure.read.dataset import read_dataset, write_dataset
from deeprecon.seizure.read.recording import Recording
from deeprecon.seizure.training.split import assign_folds, split_users
from deeprecon.seizure.training.training_set import selection_figure

MODEL = ModelConfig(Framework.PYTORCH)


def recording(user: str, seizures: tuple[tuple[float, float], ...], level: float = 1.0) -> Recording:
    return Recording("r", user, np.full(10_000, level, np.float32), np.ones(10_000, bool), None, seizures)


def users(count: int, with_seizures: int) -> list[Recording]:
    made = [recording(f"u{number}", ((100.0, 200.0),)) for number in range(with_seizures)]
    return made + [recording(f"u{number}", ()) for number in range(with_seizures, count)]


def test_users_with_seizures_are_spread_over_the_folds():
    people = users(30, 12)
    parts = assign_folds(people, 4, 0)
    assert sorted(parts.values()).count(0) in (7, 8)
    for part in range(4):
        assert sum(parts[f"u{number}"] == part for number in range(12)) == 3
    assert assign_folds(people[::-1], 4, 0) == parts
    assert assign_folds(people, 4, 1) != parts
    with pytest.raises(InputError, match="2 users have seizures at known times, too few for 3 parts"):
        assign_folds(users(10, 2), 3, 0)


def test_parts_are_disjoint_and_validation_differs_between_networks():
    split = split_users(users(30, 20), 5, 0.25, 0.25, 0)
    everybody = {f"u{number}" for number in range(30)}
    for training, validation in zip(split.training, split.validation, strict=True):
        assert set(training) | set(validation) | set(split.test) == everybody
        assert len(training) + len(validation) + len(split.test) == 30
    assert set().union(*split.validation[:4]) == everybody - set(split.test)
    assert split.validation[4] not in split.validation[:4]


def test_data_set_is_read_unchanged(tmp_path):
    first = replace(recording("a", ((100.0, 200.0),)), notes=("a note",), uncertain=True)
    first.valid[100:200] = False
    write_dataset(tmp_path / "d.npz", [first, recording("b", (), 0.5)])
    found = read_dataset(tmp_path / "d.npz")
    assert [one.user for one in found] == ["a", "b"]
    assert (found[0].seizures, found[0].notes, found[0].uncertain) == (first.seizures, first.notes, True)
    np.testing.assert_array_equal(found[0].valid, first.valid)
    np.testing.assert_array_equal(found[1].magnitude, 0.5)


@pytest.mark.parametrize("content", [b"", b"not a zip", None])
def test_other_files_are_refused(content, tmp_path):
    path = tmp_path / "d.npz"
    if content is None:
        np.savez(path, magnitude=np.ones(3))
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"d\.npz"):
        read_dataset(path)


def test_selection_figure_is_lower_for_better_predictions():
    label = np.array([1] * 10 + [0] * 90)
    good = np.where(label == 1, 0.9, 0.1)
    bad = good.copy()
    bad[:3] = 0.2  # misses three
    for metric in Metric:
        model = replace(MODEL, modelSelectionMetric=metric)
        assert selection_figure(good, label, model) < selection_figure(bad, label, model), metric
    false = good.copy()
    false[10:19] = 0.8  # 10 % false
    assert selection_figure(false, label, replace(MODEL, modelSelectionMetric=Metric.MIN_FPR)) == pytest.approx(0.1)
    assert selection_figure(bad, label, replace(MODEL, modelSelectionMetric=Metric.MIN_FPR)) == pytest.approx(1.2)
    assert selection_figure(bad, label, replace(MODEL, modelSelectionMetric=Metric.YOUDEN)) == pytest.approx(0.3)
    assert selection_figure(np.full(100, 0.5), label, MODEL) == pytest.approx(np.log(2))
    assert Config().modelConfig.modelSelectionMetric is Metric.VAL_LOSS
