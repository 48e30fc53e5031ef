"""A mesh of the heart whose regions are its wall, its blood and an atrium."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from deeprecon.data.mesh.mesh import Inside

from ..files import heart, scan
from .files import TO_LPS

STEP = 4.0
CORNERS = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)])
WALL, BLOOD, ATRIUM = range(3)


@cache
def labeled() -> tuple[Any, Any, Any]:
    """(N, 3) nodes in RAS mm, (n, 8) hexahedra, and (n,) WALL, BLOOD or ATRIUM (beyond the base, in no slice)."""
    low = heart().mesh.points.min(0) - 24
    counts = np.ceil((heart().mesh.points.max(0) + 24 - low) / STEP).astype(int)
    boxes = np.indices(counts).reshape(3, -1).T
    centers = low + (boxes + 0.5) * STEP
    wall = Inside(heart().mesh)(centers)
    voxels = np.linalg.solve(scan().ijk_to_ras[:3, :3], (centers - scan().ijk_to_ras[:3, 3]).T).T
    i, j, k = np.rint(voxels).astype(int).T
    shape = scan().blood.shape
    near = (i >= 0) & (j >= 0) & (k >= 0) & (i < shape[2]) & (j < shape[1]) & (k < shape[0])
    blood = np.zeros(len(centers), bool)
    blood[near] = scan().blood[k[near], j[near], i[near]]
    blood &= ~wall
    heights = voxels[:, 2]
    areas = scan().blood.sum((1, 2))
    base = shape[0] if areas[-1] > areas[0] else -1
    middle = voxels[wall].mean(0)[:2]
    ring = np.linalg.norm((voxels[:, :2] - middle) * 2, axis=1) < 30
    atrium = ring & ((heights > base + 0.5) if base > 0 else (heights < base - 0.5)) & ~wall & ~blood
    kept = wall | blood | atrium
    kinds = np.where(wall, WALL, np.where(blood, BLOOD, ATRIUM))[kept]
    corners = (boxes[kept][:, None] + CORNERS).reshape(-1, 3)
    numbers, inverse = np.unique(np.ravel_multi_index(tuple(corners.T), tuple(counts + 1)), return_inverse=True)
    points = low + np.stack(np.unravel_index(numbers, tuple(counts + 1)), 1) * STEP
    return points, inverse.reshape(-1, 8), kinds


def parts(*kinds: int) -> tuple[Any, Any, Any]:
    """Nodes in LPS mm, hexahedra and kinds of some parts."""
    points, cells, found = labeled()
    chosen = np.isin(found, kinds)
    numbers, inverse = np.unique(cells[chosen], return_inverse=True)
    return points[numbers] * TO_LPS, inverse.reshape(-1, 8), found[chosen]
