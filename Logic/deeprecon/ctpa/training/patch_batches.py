"""The training batches of an autoencoder: patches of a store or of phantoms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from numpy.lib.stride_tricks import sliding_window_view
from torch import Tensor

from deeprecon.ctpa.grid import Grid, Hu, to_network
from deeprecon.ctpa.observe.placement import BLOCK
from deeprecon.ctpa.patches import Slices
from deeprecon.ctpa.simulate.chests import draw, make_anatomy
from deeprecon.ctpa.training.store import Case
from deeprecon.data.errors import InputError
from deeprecon.training.batches import Indices

Mask = npt.NDArray[np.bool_]

ALIGNMENT = BLOCK
"""Patches begin at multiples of it in voxels, as tiles do."""
FIRST_PHANTOM, FIRST_HELD_OUT = 10**9, 2 * 10**9
"""Seeds of anatomies, far from those of `ctpa phantom`."""
PATCHES_PER_ANATOMY = 4
"""Patches of each phantom: most of the time for a small patch is spent on its anatomy."""
MAX_OFFSET = 0.35
"""Maximum distance of a patch's middle from that of the field along x and y, as a share of the field: beyond is air."""


@dataclass(frozen=True, eq=False)
class StorePatches:
    """Random patches of a store's volumes, for `training.batches.RandomBatches`.

    Of a CT that does not fill the field of view only patches within the scan are drawn: the rest is unknown.

    Attributes:
        cases: to draw from.
        patch: voxels along each axis, cut to the volume where it is smaller.
        seed: of the choice.
    """

    cases: Sequence[Case]
    patch: int
    seed: int

    def __call__(self, numbers: Indices) -> Tensor:
        """(batch, 1, k, j, i) in -1 .. 1."""
        return _stacked([self._one(int(number)) for number in numbers])

    def held_out(self, count: int) -> Tensor:
        """The same patches on every call."""
        return self(np.arange(count, dtype=np.int64))

    def _one(self, number: int) -> Hu:
        rng = np.random.default_rng([self.seed, 4, number])
        case = self.cases[int(rng.integers(len(self.cases)))]
        blocks = case.blocks()
        if blocks.all():
            return case.patch(_window(case.grid.shape, self.patch, rng))
        return case.patch(_known_window(case, blocks, self.patch, rng))


@dataclass(frozen=True, eq=False)
class PhantomPatches:
    """Patches of phantoms, each a new one, rendered on a grid.

    Attributes:
        patch: voxels along each axis.
        seed: of the phantoms.
        grid: see there.
    """

    patch: int
    seed: int
    grid: Grid

    def __call__(self, numbers: Indices) -> Tensor:
        """(batch, 1, k, j, i) in -1 .. 1."""
        return _stacked([self._one(FIRST_PHANTOM, int(number)) for number in numbers])

    def held_out(self, count: int) -> Tensor:
        """Patches of phantoms that are not in the training."""
        return _stacked([self._one(FIRST_HELD_OUT, PATCHES_PER_ANATOMY * number) for number in range(count)])

    def _one(self, first: int, number: int) -> Hu:
        anatomy = make_anatomy(first + self.seed + number // PATCHES_PER_ANATOMY)
        rng = np.random.default_rng([self.seed, first, number])
        limits = (0.5, MAX_OFFSET, MAX_OFFSET)
        parts = []
        for count, limit in zip(self.grid.shape, limits, strict=True):
            size = min(self.patch, count)
            start = count * (0.5 + rng.uniform(-limit, limit)) - 0.5 * size
            start = int(np.clip(start, 0, count - size)) // ALIGNMENT * ALIGNMENT
            parts.append(slice(start, start + size))
        z, y, x = (axis[part] for axis, part in zip(self.grid.axes(), parts, strict=True))
        return draw(anatomy, (z, y, x))[0]


def _window(shape: tuple[int, int, int], patch: int, rng: np.random.Generator) -> Slices:
    parts = []
    for count in shape:
        size = min(patch, count)
        start = ALIGNMENT * int(rng.integers((count - size) // ALIGNMENT + 1))
        parts.append(slice(start, start + size))
    return parts[0], parts[1], parts[2]


def _known_window(case: Case, blocks: Mask, patch: int, rng: np.random.Generator) -> Slices:
    """A random patch in which every block is known.

    Raises:
        InputError: there is none.
    """
    shape = case.grid.shape
    sizes = [min(patch, count) for count in shape]
    spans = [-(-size // ALIGNMENT) for size in sizes]
    starts = [range((count - size) // ALIGNMENT + 1) for count, size in zip(shape, sizes, strict=True)]
    found: Mask = sliding_window_view(blocks, spans).all(axis=(3, 4, 5)).astype(bool)
    places = np.argwhere(found[tuple(slice(len(some)) for some in starts)])
    if not len(places):
        raise InputError(
            f"The scan of {case.patient} ({case.name}) fills no patch of {' x '.join(map(str, sizes))} voxels.",
            "Choose a smaller --patch, or leave the scan out.",
        )
    place = places[int(rng.integers(len(places)))] * ALIGNMENT
    k, j, i = (slice(int(start), int(start) + size) for start, size in zip(place, sizes, strict=True))
    return k, j, i


def _stacked(volumes: Sequence[Hu]) -> Tensor:
    return torch.from_numpy(np.stack([to_network(volume) for volume in volumes]))[:, None]
