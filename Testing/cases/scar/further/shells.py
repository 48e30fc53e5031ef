"""Shells of one surface of the wall, and scar at a depth of the wall beneath them."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from ..files import scan
from .files import surface, used, write_wall

SECTOR = 120.0


def indices(points: Any) -> Any:
    """(N, 3) continuous (i, j, k)."""
    matrix = scan().ijk_to_ras
    return np.linalg.solve(matrix[:3, :3], (points - matrix[:3, 3]).T).T


def positions(mask: Any) -> Any:
    """(N, 3) RAS of a mask's voxels."""
    return np.argwhere(mask)[:, ::-1] @ scan().ijk_to_ras[:3, :3].T + scan().ijk_to_ras[:3, 3]


def in_sector(points: Any) -> Any:
    """(N,) whether points lie within 120 degrees around the cavity's axis."""
    offset = indices(points)[:, :2] - indices(positions(scan().blood)).mean(0)[:2]
    return np.degrees(np.arctan2(offset[:, 1], offset[:, 0])) % 360 < SECTOR


@cache
def depths() -> Any:
    """(n,) from 0 at the cavity to 1 outside, of each voxel of the wall."""
    wall = positions(scan().wall)
    inner = cKDTree(positions(scan().blood)).query(wall)[0]
    outside = positions(~scan().wall & ~scan().blood)
    center = indices(positions(scan().blood)).mean(0)
    beyond = np.linalg.norm((indices(outside) - center)[:, :2], axis=1) > 8
    outer = cKDTree(outside[beyond]).query(wall)[0]
    return inner / (inner + outer)


def drawn(folder: Path, low: float, high: float) -> Path:
    """Scar between two depths of the wall, in the sector."""
    wall = positions(scan().wall)
    scar = np.zeros_like(scan().wall)
    scar[scan().wall] = in_sector(wall) & (depths() >= low) & (depths() <= high)
    return write_wall(folder, Myocardium=scan().wall, Scar=scar)


@cache
def shell(inner: bool) -> tuple[Any, Any]:
    """The surface of the cavity, or the outer one: nodes in RAS mm and triangles."""
    points, triangles = used(*surface())
    to_blood = cKDTree(positions(scan().blood)).query(points)[0]
    chosen = (to_blood < 5.5 if inner else to_blood > 5.5)[triangles].all(1)
    return used(points, triangles[chosen])


def sector_share(points: Any, triangles: Any) -> float:
    """Percent of the shell's area within the sector."""
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    return float(100 * areas[in_sector((a + b + c) / 3)].sum() / areas.sum())
