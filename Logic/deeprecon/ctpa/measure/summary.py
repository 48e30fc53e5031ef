"""A summary of a volume that passes slab by slab: a coarse copy, three slices, and seams."""

from __future__ import annotations

import numpy as np

from deeprecon.ctpa.grid import Grid, Hu, block_mean
from deeprecon.ctpa.patches import Windows, seam_planes

SLICE_POSITIONS = (10.0, 0.0, 5.0)
"""Positions of the slices in mm from the middle towards head, back and left: near the pulmonary trunk."""


class VolumeSummary:
    """A coarse copy, three slices, and the mean absolute differences between neighboring planes.

    Args:
        grid: of the volume.
        factor: voxels per voxel of the copy along each axis.
    """

    def __init__(self, grid: Grid, factor: int = 1) -> None:
        self.grid, self.factor = grid, factor
        self.coarse_grid = grid.coarser(self.factor)
        self.coarse: Hu = np.empty(self.coarse_grid.shape, np.int16)
        self._sums = [np.zeros(count - 1, np.int64) for count in grid.shape]
        self._last: Hu | None = None
        self._next = 0
        self._index = [int(np.abs(axis - at).argmin()) for axis, at in zip(grid.axes(), SLICE_POSITIONS, strict=True)]
        k, j, i = grid.shape
        self.axial: Hu = np.zeros((j, i), np.int16)
        self.coronal: Hu = np.zeros((k, i), np.int16)
        self.sagittal: Hu = np.zeros((k, j), np.int16)

    def add(self, slab: Hu) -> None:
        """Add the next planes (planes, j, i) towards the head; their number is divisible by the factor."""
        first, factor = self._next, self.factor
        self._next += len(slab)
        k, j, i = self._index
        if first <= k < self._next:
            self.axial[:] = slab[k - first]
        self.coronal[first : self._next] = slab[:, j]
        self.sagittal[first : self._next] = slab[:, :, i]
        self.coarse[first // factor : self._next // factor] = np.rint(block_mean(slab, factor))
        if self._last is not None:
            self._sums[0][first - 1] = _difference(self._last, slab[0]).sum(dtype=np.int64)
        self._sums[0][first : self._next - 1] = _difference(slab[:-1], slab[1:]).sum(axis=(1, 2), dtype=np.int64)
        self._sums[1] += _difference(slab[:, :-1], slab[:, 1:]).sum(axis=(0, 2), dtype=np.int64)
        self._sums[2] += _difference(slab[:, :, :-1], slab[:, :, 1:]).sum(axis=(0, 1), dtype=np.int64)
        self._last = slab[-1].copy()

    def seam_ratio(self, windows: Windows) -> float:
        """Mean difference across the planes where windows of a latent meet, over that at nearby planes.

        1 without seams. Only planes between latent voxels are compared, as a decoder may leave a pattern at each of
        them, and only near ones, as the anatomy changes along the body.
        """
        ratios = []
        for axis in range(3):
            factor = self.grid.shape[axis] // windows.shape[axis]
            step = self._sums[axis][factor - 1 :: factor].astype(float)
            planes = seam_planes(windows, axis)
            nearby = {plane + offset for plane in planes for offset in (-2, -1, 1, 2)} & set(range(len(step)))
            rest = sorted(nearby - set(planes))
            if planes and rest and step[rest].mean() > 0:
                ratios.append(float(step[planes].mean() / step[rest].mean()))
        return float(np.mean(ratios)) if ratios else 1.0


def _difference(first: Hu, second: Hu) -> Hu:
    difference: Hu = np.abs(second - first)
    return difference
