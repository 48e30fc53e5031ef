"""What is read off a volume while it passes slab by slab, so that it is never whole in memory."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.grid import Grid, Hu
from deeprecon.ctpa.patches import Windows, seam_planes

Array = npt.NDArray[np.float64]

SLICE_POSITIONS = (10.0, 0.0, 5.0)
"""Where the shown slices lie, mm from the middle towards head, back and left: near the pulmonary trunk."""


class VolumeSummary:
    """A coarser copy, three slices, and how much neighboring planes differ.

    Args:
        grid: of the volume.
        factor: how many times fewer voxels the copy has along each axis.
    """

    def __init__(self, grid: Grid, factor: int = 1) -> None:
        self.grid, self.factor = grid, factor
        self.coarse_grid = grid.coarser(self.factor)
        self.coarse: Hu = np.empty(self.coarse_grid.shape, np.int16)
        self._sums = [np.zeros(count - 1, np.int64) for count in grid.shape]
        self._last: Hu | None = None
        self._next = 0
        self._place = [int(np.abs(axis - at).argmin()) for axis, at in zip(grid.axes(), SLICE_POSITIONS, strict=True)]
        k, j, i = grid.shape
        self.axial: Hu = np.zeros((j, i), np.int16)
        self.coronal: Hu = np.zeros((k, i), np.int16)
        self.sagittal: Hu = np.zeros((k, j), np.int16)

    def add(self, slab: Hu) -> None:
        """The next planes (planes, j, i) towards the head; their number divides by the factor."""
        first, count, factor = self._next, len(slab), self.factor
        self._next += count
        k, j, i = self._place
        if first <= k < self._next:
            self.axial[:] = slab[k - first]
        self.coronal[first : self._next] = slab[:, j]
        self.sagittal[first : self._next] = slab[:, :, i]
        blocks = slab.reshape(count // factor, factor, slab.shape[1] // factor, factor, -1, factor)
        mean = slab if factor == 1 else np.rint(blocks.mean(axis=(1, 3, 5), dtype=np.float32)).astype(np.int16)
        self.coarse[first // factor : self._next // factor] = mean
        if self._last is not None:
            self._sums[0][first - 1] = _step(self._last, slab[0]).sum(dtype=np.int64)
        self._sums[0][first : self._next - 1] = _step(slab[:-1], slab[1:]).sum(axis=(1, 2), dtype=np.int64)
        self._sums[1] += _step(slab[:, :-1], slab[:, 1:]).sum(axis=(0, 2), dtype=np.int64)
        self._sums[2] += _step(slab[:, :, :-1], slab[:, :, 1:]).sum(axis=(0, 1), dtype=np.int64)
        self._last = slab[-1].copy()

    def seam_ratio(self, windows: Windows) -> float:
        """Mean step across the planes where windows of a latent meet, over that at planes beside; 1 without a seam.

        Latent planes are held against latent planes alone, for what a decoder leaves at each of them is no seam, and
        against near ones, for anatomy changes along the body.
        """
        ratios = []
        for axis in range(3):
            factor = self.grid.shape[axis] // windows.shape[axis]
            step = self._sums[axis][factor - 1 :: factor].astype(float)
            planes = seam_planes(windows, axis)
            beside = {plane + away for plane in planes for away in (-2, -1, 1, 2)} & set(range(len(step)))
            rest = sorted(beside - set(planes))
            if planes and rest and step[rest].mean() > 0:
                ratios.append(float(step[planes].mean() / step[rest].mean()))
        return float(np.mean(ratios)) if ratios else 1.0


def _step(first: Hu, second: Hu) -> Hu:
    difference: Hu = np.abs(second - first)
    return difference
