"""Alignment of slices with the mesh: between breath-holds the heart moves within the plane of the slice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from deeprecon.data.mesh.mesh import Inside
from deeprecon.scar.observe.stacks import Stack

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

MAX_SHIFT = 10.0
"""Largest shift in mm that is searched; a breath-hold rarely moves the heart farther in the plane."""
_COARSE, _FINE = 1.0, 0.25
"""Steps in mm of the search."""
_SAMPLES = (3, 4)
"""Points along a pixel's side and across the slab that measure how much of its prism is wall."""
_MIN_GAIN = 0.02
"""Share of the mismatch of the wall that a shift has to remove to be accepted."""


def align(stacks: Sequence[Stack], inside: Inside) -> tuple[Stack, ...]:
    """Find the shift of each slice in its plane at which the observed wall matches that of the mesh.

    For every slice the share of each pixel's prism that is wall of the mesh is computed on a fine grid. The shift has
    the least summed squared difference to the observed shares: searched in steps of 1 mm, then 0.25 mm, then refined
    by a parabola. Scar is not used, so that the shift cannot bias the result. The mesh must come from other images:
    one made of the same slices lies on them wherever they are.

    Args:
        stacks: as observed.
        inside: whether points lie in the wall of the mesh.

    Returns:
        The stacks with `shifts`. The shift is 0 where a slice shows no wall, where its wall does not meet the mesh,
        and where no shift removes 2 % of the mismatch.
    """
    return tuple(
        replace(stack, shifts=np.stack([_shift(stack, k, inside) for k in range(len(stack.wall))])) for stack in stacks
    )


def _shift(stack: Stack, k: int, inside: Inside) -> Floats:
    """(2,) mm along the rows and columns for one slice."""
    observed = stack.wall[k].astype(np.float64)
    if not observed.any():
        return np.zeros(2)
    rows, columns = (np.flatnonzero(observed.any(axis=axis)) for axis in (1, 0))
    mesh = _map_mesh_wall(stack, k, inside, rows, columns)
    if not mesh.table.any():
        return np.zeros(2)
    j, i = np.meshgrid(np.arange(rows[0] - 1, rows[-1] + 2), np.arange(columns[0] - 1, columns[-1] + 2), indexing="ij")
    padded = np.pad(observed, 1)[j + 1, i + 1]

    def mismatch(shift: Floats) -> float:
        """Sum of squares of observed minus mesh's share of wall, the slice being moved by `shift` mm."""
        return float(((padded - mesh.shares(j, i, shift)) ** 2).sum())

    best = _search(mismatch)
    least = mismatch(best)
    refined = _refine(mismatch, best, least)
    return refined if least < (1 - _MIN_GAIN) * mismatch(np.zeros(2)) else np.zeros(2)


@dataclass(frozen=True, eq=False)
class _WallMap:
    """Wall of the mesh around the observed wall of one slice, averaged over the slab.

    Attributes:
        table: (rows, columns) share of wall on a grid of `_FINE` mm.
        low: (2,) mm, position of its first point along rows (i) and columns (j) of the slice.
        size: (2,) mm, pixel size along i and j.
    """

    table: Floats
    low: Floats
    size: Floats

    def shares(self, j: Integers, i: Integers, shift: Floats) -> Floats:
        """Share of wall of each pixel, the slice being moved by `shift` mm."""
        parts = (np.arange(_SAMPLES[0]) + 0.5) / _SAMPLES[0] - 0.5
        share = np.zeros(j.shape)
        for part_j in parts:
            row = np.rint(((j + part_j) * self.size[1] + shift[1] - self.low[1]) / _FINE).astype(int)
            for part_i in parts:
                column = np.rint(((i + part_i) * self.size[0] + shift[0] - self.low[0]) / _FINE).astype(int)
                share += self.table[
                    np.clip(row, 0, self.table.shape[0] - 1), np.clip(column, 0, self.table.shape[1] - 1)
                ]
        return share / len(parts) ** 2


def _map_mesh_wall(stack: Stack, k: int, inside: Inside, rows: Integers, columns: Integers) -> _WallMap:
    """The mesh's wall on the plane of slice `k`, within `MAX_SHIFT` of the observed wall."""
    size = np.linalg.norm(stack.ijk_to_ras[:3, :2], axis=0)
    first, last = np.array([columns[0], rows[0]]), np.array([columns[-1], rows[-1]])
    low = (first - 0.5) * size - MAX_SHIFT - size
    high = (last + 0.5) * size + MAX_SHIFT + size
    counts = np.ceil((high - low) / _FINE).astype(int) + 1
    x, y = (low[axis] + _FINE * np.arange(counts[axis]) for axis in (0, 1))
    units = stack.ijk_to_ras[:3, :2] / size
    origin = stack.ijk_to_ras[:3, 3] + k * stack.ijk_to_ras[:3, 2]
    plane = origin + y[:, None, None] * units[:, 1] + x[:, None] * units[:, 0]
    depths = ((np.arange(_SAMPLES[1]) + 0.5) / _SAMPLES[1] - 0.5) * stack.thickness
    slab = np.mean([inside((plane + depth * stack.normal).reshape(-1, 3)) for depth in depths], axis=0)
    return _WallMap(slab.reshape(len(y), len(x)), low, size)


def _search(mismatch: Callable[[Floats], float]) -> Floats:
    """(2,) shift of least mismatch in steps of `_COARSE`, then of `_FINE`."""
    best = np.zeros(2)
    for reach, step in ((MAX_SHIFT, _COARSE), (_COARSE, _FINE)):
        offsets = np.arange(-reach, reach + step / 2, step)
        grid = np.array([[best[0] + a, best[1] + b] for b in offsets for a in offsets])
        grid = grid[(np.abs(grid) <= MAX_SHIFT).all(axis=1)]
        best = grid[np.argmin([mismatch(shift) for shift in grid])]
    return best


def _refine(mismatch: Callable[[Floats], float], best: Floats, least: float) -> Floats:
    """The minimum of a parabola along either axis around `best`, whose mismatch is `least`."""
    for axis in (0, 1):
        step = _FINE * np.eye(2)[axis]
        before, after = mismatch(best - step), mismatch(best + step)
        if (curvature := before - 2 * least + after) > 0:
            best = best + step * np.clip(0.5 * (before - after) / curvature, -0.5, 0.5)
    return best
