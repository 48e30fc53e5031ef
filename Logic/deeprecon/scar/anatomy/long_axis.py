"""The direction of the ventricle's long axis from its wall alone, without landmarks and whatever the slices show."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_STEPS = 26
"""Steps of the grid along the longest side of the wall: about 4 mm each in a human heart."""
_DIRECTIONS = 80
"""Directions that are tried, on half a sphere: about 15 degrees apart."""
_NEARLY = 0.9
"""Share of the most blood that is enclosed, from which on a direction counts as nearly as good as the best."""
_MIN_BLOOD = 0.1
"""Blood over wall below which nothing is enclosed; a whole ventricle holds about as much blood as wall."""


def long_axis(inside: Callable[[Floats], Mask], points: Floats, likely: Floats) -> Floats | None:
    """(3,) unit vector along the long axis of a ventricle, of either sign; None where its wall encloses no cavity.

    A ventricle is a cup that is open at the base. Planes across its axis cut rings, which enclose the blood; planes
    along the axis cut open arcs. So the axis is the direction across which planes enclose the most blood: the mean of
    those that come near it. Where that is so in nearly all directions, the base is closed, and the axis is that along
    which the blood extends most.

    Args:
        inside: (M, 3) RAS mm -> (M,) bool, true in the wall, of one or both ventricles.
        points: (M, 3) RAS mm that span the wall, such as the nodes of its mesh.
        likely: (D, 3) unit vectors that are tried as well, since a single ring is closed in its own plane only.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    half, step = float(np.linalg.norm(high - low)) / 2, float((high - low).max()) / _STEPS
    side = np.arange(-half - step, half + 1.5 * step, step)
    grid = np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1)
    center = (low + high) / 2
    frames = [_frame(direction) for direction in (*likely, *_half_sphere(_DIRECTIONS))]
    blood = [_enclosed(inside((grid @ frame + center).reshape(-1, 3)).reshape(grid.shape[:3])) for frame in frames]
    amount = np.array([np.count_nonzero(one) for one in blood])
    wall = np.count_nonzero(inside((grid + center).reshape(-1, 3)))
    best = int(amount.argmax())
    if amount[best] < _MIN_BLOOD * wall:
        return None
    near = amount >= _NEARLY * amount[best]
    if near.mean() > _NEARLY:
        axes: Floats = np.linalg.eigh(np.cov(grid[blood[best]].T))[1][:, -1] @ frames[best]
        return axes
    directions = np.stack([frame[0] for frame in frames])[near]
    # The main direction of axes, which have no sign.
    mean: Floats = np.linalg.eigh(directions.T @ directions)[1][:, -1]
    return mean


def _half_sphere(count: int) -> Floats:
    """(count, 3) unit vectors, evenly spread over half a sphere."""
    number = np.arange(count) + 0.5
    z = 1 - number / count
    turn = number * np.pi * (1 + np.sqrt(5))
    radius = np.sqrt(1 - z**2)
    return np.stack([radius * np.cos(turn), radius * np.sin(turn), z], axis=1)


def _frame(direction: Floats) -> Floats:
    """(3, 3) orthonormal rows of which the first is a direction."""
    first = np.cross(direction, np.eye(3)[np.abs(direction).argmin()])
    first /= np.linalg.norm(first)
    return np.stack([direction, first, np.cross(direction, first)])


def _enclosed(wall: Mask) -> Mask:
    """What the wall (z, y, x) encloses within each plane z."""
    from scipy.ndimage import generate_binary_structure, label

    in_plane = generate_binary_structure(3, 1) & np.array([False, True, False])[:, None, None]
    pieces, count = label(~wall, in_plane)
    # The rim of each plane is free, so that its first voxel lies outside.
    outside = np.zeros(count + 1, bool)
    outside[pieces[:, 0, 0]] = True
    found: Mask = ~wall & ~outside[pieces]
    return found
