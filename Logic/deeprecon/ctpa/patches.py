"""Overlapping patches of a volume: their positions, and their weights when they are blended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import product

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Shape = tuple[int, int, int]
Slices = tuple[slice, slice, slice]


class Blending(Enum):
    """Weights of the voxels of a patch where patches overlap."""

    HANN = "hann"
    GAUSSIAN = "gaussian"
    CONSTANT = "constant"


def starts(size: int, patch: int, stride: int, offset: int = 0) -> list[int]:
    """First voxel of each patch along an axis. The last patch ends with the axis, so that all voxels are covered.

    With an offset, the patches after the first one are shifted by it.

    Raises:
        ValueError: a patch larger than the axis, a stride that leaves gaps, or an offset beyond it.
    """
    if not 0 < patch <= size:
        raise ValueError(f"a patch of {patch} does not fit into {size} voxels")
    if not 0 < stride <= patch:
        raise ValueError(f"patches of {patch} at a stride of {stride} leave gaps")
    if not 0 <= offset < stride:
        raise ValueError(f"an offset of {offset} is not within a stride of {stride}")
    regular = [0, *range(offset or stride, size - patch + 1, stride)]
    return regular if regular[-1] + patch == size else [*regular, size - patch]


@dataclass(frozen=True)
class Windows:
    """The patches of a volume.

    Attributes:
        shape: (k, j, i) of the volume.
        patch, stride: along each axis; a patch is not larger than the volume.
        offset: see `starts`.
    """

    shape: Shape
    patch: Shape
    stride: Shape
    offset: Shape = (0, 0, 0)

    @classmethod
    def cubes(cls, shape: Shape, patch: int, stride: int) -> Windows:
        """Cubes of one size and stride, cropped where the volume is smaller."""
        k, j, i = (min(patch, count) for count in shape)
        return cls(shape, (k, j, i), (min(stride, k), min(stride, j), min(stride, i)))

    def _starts(self) -> list[list[int]]:
        return [starts(*axis) for axis in zip(self.shape, self.patch, self.stride, self.offset, strict=True)]

    def __len__(self) -> int:
        return int(np.prod([len(axis) for axis in self._starts()]))

    def __iter__(self) -> Iterator[Slices]:
        for first in product(*self._starts()):
            k, j, i = (slice(start, start + size) for start, size in zip(first, self.patch, strict=True))
            yield k, j, i

    def weights(self, kind: Blending = Blending.HANN) -> Iterator[tuple[Slices, npt.NDArray[np.float32]]]:
        """Each patch with the weights of its voxels; over all patches they sum to 1 at every voxel.

        Weights are products of profiles along the axes, so normalizing each axis is exact, without a volume of sums.
        """
        axes = [
            _normalized(size, patch, first, kind)
            for size, patch, first in zip(self.shape, self.patch, self._starts(), strict=True)
        ]
        for (k0, k), (j0, j), (i0, i) in product(*axes):
            where = tuple(slice(start, start + len(profile)) for start, profile in ((k0, k), (j0, j), (i0, i)))
            weights = k[:, None, None] * j[None, :, None] * i[None, None, :]
            yield (where[0], where[1], where[2]), weights.astype(np.float32)


def seam_planes(windows: Windows, axis: int) -> list[int]:
    """Indices n for which a patch begins or ends between voxel n and n + 1 along an axis."""
    size, patch = windows.shape[axis], windows.patch[axis]
    first = starts(size, patch, windows.stride[axis])
    return sorted({start - 1 for start in first if start > 0} | {s + patch - 1 for s in first if s + patch < size})


def _normalized(size: int, patch: int, first: list[int], kind: Blending) -> list[tuple[int, Array]]:
    """Starts with their profiles, normalized to a sum of 1 at every voxel of the axis."""
    profile = _profile(patch, kind)
    total = np.zeros(size)
    for start in first:
        total[start : start + patch] += profile
    return [(start, profile / total[start : start + patch]) for start in first]


def _profile(patch: int, kind: Blending) -> Array:
    """Positive everywhere, as the first and the last voxel of a volume are in a single patch."""
    if kind is Blending.HANN:
        return np.hanning(patch + 2)[1:-1]
    if kind is Blending.GAUSSIAN:
        x = (np.arange(patch) - 0.5 * (patch - 1)) / (0.125 * patch)
        gaussian: Array = np.exp(-0.5 * x**2)
        return gaussian
    return np.ones(patch)
