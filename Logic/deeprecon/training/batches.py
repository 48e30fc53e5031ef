"""Order of the samples as a pure function of seed, epoch and process: nothing has to be saved for resuming."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batches:
    """The batches of an epoch, shuffled anew in each; `fit` takes an object like this as `train_batches`.

    Attributes:
        count: number of samples.
        size: samples in a batch of one process.
        load: makes a batch out of sample numbers.
        seed: of the order.
    """

    count: int
    size: int
    load: Callable[[Indices], Any]
    seed: int = 0

    def __call__(self, epoch: int, rank: int = 0, processes: int = 1) -> Epoch:
        """This process's share of the epoch: every process gets equally many batches.

        With several processes the last, incomplete round is left out; with one the last batch may be smaller.
        """
        order = np.random.default_rng([self.seed, epoch]).permutation(self.count)
        if processes > 1:
            order = order[: self.count - self.count % (self.size * processes)]
        batches = [order[start : start + self.size] for start in range(0, len(order), self.size)]
        return Epoch(batches[rank::processes], self.load)


@dataclass(frozen=True)
class RandomBatches:
    """Batches of samples drawn at random, each only once; otherwise as `Batches`.

    Attributes:
        batches: in an epoch of each process.
        size: samples in a batch of one process.
        load: makes a batch out of sample numbers. A number stands for the same sample whatever the processes, so that
            two processes see together what one with the double size sees.
    """

    batches: int
    size: int
    load: Callable[[Indices], Any]

    def __call__(self, epoch: int, rank: int = 0, processes: int = 1) -> Epoch:
        """This process's share of the epoch."""
        count = self.batches * processes * self.size
        numbers = np.arange(epoch * count, (epoch + 1) * count, dtype=np.int64)
        return Epoch(list(numbers.reshape(self.batches, processes, self.size)[:, rank]), self.load)


@dataclass(frozen=True)
class Epoch:
    """Batches that are loaded when they are reached."""

    batches: list[Indices]
    load: Callable[[Indices], Any]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Any]:
        return (self.load(indices) for indices in self.batches)
