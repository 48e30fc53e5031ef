"""Which samples come in which batch."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest

from deeprecon.training.batches import Batches, RandomBatches


def samples(batches: Batches, epoch: int, rank: int = 0, processes: int = 1) -> list[list[int]]:
    return [list(batch) for batch in batches(epoch, rank, processes)]


def test_every_sample_comes_once_an_epoch_in_a_new_order() -> None:
    batches = Batches(10, 4, np.ndarray.tolist, seed=1)
    first, second = samples(batches, 0), samples(batches, 1)
    assert [len(batch) for batch in first] == [4, 4, 2]
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(10))
    assert first != second
    assert first == samples(batches, 0)
    assert first != samples(Batches(10, 4, np.ndarray.tolist, seed=2), 0)


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_an_epoch_in_equal_parts(processes: int) -> None:
    batches = Batches(25, 4, np.ndarray.tolist)
    parts = [samples(batches, 0, rank, processes) for rank in range(processes)]
    assert {len(part) for part in parts} == {25 // (4 * processes)}
    together = [sample for part in parts for batch in part for sample in batch]
    assert len(set(together)) == len(together)


def test_batches_are_loaded_when_they_are_reached() -> None:
    loaded: list[int] = []
    epoch = Batches(8, 2, lambda indices: loaded.append(len(indices)))(0)
    assert len(epoch) == 4
    assert loaded == []
    next(iter(epoch))
    assert loaded == [2]


def test_drawn_samples_come_only_once() -> None:
    draws = RandomBatches(3, 4, np.ndarray.tolist)
    first, second = ([list(batch) for batch in draws(epoch)] for epoch in (0, 1))
    assert list(chain(*first, *second)) == list(range(24))


def test_two_processes_draw_together_what_one_draws_with_the_double_size() -> None:
    two, one = RandomBatches(3, 4, np.ndarray.tolist), RandomBatches(3, 8, np.ndarray.tolist)
    parts = [list(two(5, rank, 2)) for rank in (0, 1)]
    assert [left + right for left, right in zip(*parts, strict=True)] == list(one(5))
