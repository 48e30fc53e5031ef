"""Slices that lie beside the heart, brought back onto it: after another breath-hold the heart is elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from deeprecon.data.mesh.mesh import Inside
from deeprecon.scar.observe.stacks import Stack

Floats = npt.NDArray[np.float64]

REACH = 10.0
"""Largest shift in mm that is looked for; a breath-hold rarely moves the heart farther in the plane."""
_COARSE, _FINE = 1.0, 0.25
"""Steps in mm of the search."""
_CUTS = (3, 4)
"""Points along a pixel's side and across the slab that measure how much of its prism is wall."""
_LEAST_GAIN = 0.02
"""Share of the wall's mismatch that a shift has to take away to be believed."""


def align(stacks: Sequence[Stack], inside: Inside) -> tuple[Stack, ...]:
    """Find each slice's shift in its plane from the wall alone: the observed wall has to lie on that of the mesh.

    For every slice the share of each pixel's prism that is wall of the mesh is computed on a fine grid, and the shift
    is taken for which the summed squared difference to the observed shares is least: searched in steps of 1 mm, then
    0.25 mm, then placed between them by a parabola. Scar has no say, so that the shift cannot bend the result. The
    mesh must come from elsewhere: one made of the same slices lies on them wherever they are.

    Args:
        stacks: as observed.
        inside: tells the wall of the mesh.

    Returns:
        The stacks with `shifts`. A slice stays where it is if it shows no wall, if its wall does not meet the mesh, or
        if no shift takes away 2 % of the mismatch.
    """
    return tuple(
        replace(stack, shifts=np.stack([_shift(stack, k, inside) for k in range(len(stack.wall))])) for stack in stacks
    )


def _shift(stack: Stack, k: int, inside: Inside) -> Floats:
    """(2,) mm along the rows and columns for one slice."""
    wall = stack.wall[k].astype(np.float64)
    if not wall.any():
        return np.zeros(2)
    size = np.linalg.norm(stack.ijk_to_ras[:3, :2], axis=0)
    rows, columns = (np.flatnonzero(wall.any(axis=axis)) for axis in (1, 0))
    first, last = np.array([columns[0], rows[0]]), np.array([columns[-1], rows[-1]])
    # Wall of the mesh around the observed one, averaged over the slab, in steps of _FINE mm along the two axes.
    low = (first - 0.5) * size - REACH - size
    high = (last + 0.5) * size + REACH + size
    counts = np.ceil((high - low) / _FINE).astype(int) + 1
    x, y = (low[axis] + _FINE * np.arange(counts[axis]) for axis in (0, 1))
    units = stack.ijk_to_ras[:3, :2] / size
    origin = stack.ijk_to_ras[:3, 3] + k * stack.ijk_to_ras[:3, 2]
    plane = origin + y[:, None, None] * units[:, 1] + x[:, None] * units[:, 0]
    depths = ((np.arange(_CUTS[1]) + 0.5) / _CUTS[1] - 0.5) * stack.thickness
    slab = np.mean([inside((plane + depth * stack.normal).reshape(-1, 3)) for depth in depths], axis=0)
    table = slab.reshape(len(y), len(x))
    if not table.any():
        return np.zeros(2)

    jj, ii = np.meshgrid(
        np.arange(rows[0] - 1, rows[-1] + 2), np.arange(columns[0] - 1, columns[-1] + 2), indexing="ij"
    )
    observed = np.zeros(jj.shape)
    held = (jj >= 0) & (jj < wall.shape[0]) & (ii >= 0) & (ii < wall.shape[1])
    observed[held] = wall[jj[held], ii[held]]
    parts = (np.arange(_CUTS[0]) + 0.5) / _CUTS[0] - 0.5

    def mismatch(shift: Floats) -> float:
        """Sum of squares of observed minus the mesh's share of wall, the slice being moved by `shift` mm."""
        share = np.zeros(jj.shape)
        for part_j in parts:
            row = np.rint(((jj + part_j) * size[1] + shift[1] - low[1]) / _FINE).astype(int)
            for part_i in parts:
                column = np.rint(((ii + part_i) * size[0] + shift[0] - low[0]) / _FINE).astype(int)
                share += table[np.clip(row, 0, len(y) - 1), np.clip(column, 0, len(x) - 1)]
        return float(((observed - share / len(parts) ** 2) ** 2).sum())

    best = np.zeros(2)
    for reach, step in ((REACH, _COARSE), (_COARSE, _FINE)):
        places = np.arange(-reach, reach + step / 2, step)
        grid = np.array([[best[0] + a, best[1] + b] for b in places for a in places])
        grid = grid[(np.abs(grid) <= REACH).all(axis=1)]
        best = grid[np.argmin([mismatch(place) for place in grid])]
    least = mismatch(best)
    for axis in (0, 1):
        step = _FINE * np.eye(2)[axis]
        before, after = mismatch(best - step), mismatch(best + step)
        if (curve := before - 2 * least + after) > 0:
            best = best + step * np.clip(0.5 * (before - after) / curve, -0.5, 0.5)
    return best if least < (1 - _LEAST_GAIN) * mismatch(np.zeros(2)) else np.zeros(2)
