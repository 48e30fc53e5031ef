"""Where a slice is read for a node: at the same depth and angle in the wall, not at the same position in space."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from deeprecon.numerics.grids import interpolate
from deeprecon.scar.anatomy.wall_coordinates import WallCoordinates, WallPlace
from deeprecon.scar.observe.observations import planes_of
from deeprecon.scar.observe.stacks import Stack

Floats = npt.NDArray[np.float64]

Lookup = Callable[[npt.NDArray[np.intp]], Floats]
"""(N,) slice of each node -> (N, 3) RAS mm, where that slice is read for the node."""

_RAYS = 180
_DEPTHS = np.linspace(0, 1, 21)
_RADIUS_MM = 0.5
"""Steps along a ray on which depth is looked up."""
_MIN_COSINE = 0.5
"""Least cosine between the slices' normal and the long axis: slices that run along the axis have no rings."""


def lookup_along_wall(nodes: Floats, place: WallPlace, wall: WallCoordinates, stack: Stack) -> Lookup:
    """Points of the slices of a stack that have the depth and angle of each node.

    The heart tapers between slices, and so do scars. At the slice itself the point is the node. Nodes outside the left
    ventricle's wall, and slices along the axis, are read straight across.

    Args:
        nodes: (N, 3) RAS mm.
        place: of the nodes in the wall.
        wall: coordinates of the wall.
        stack: with wall.
    """
    if abs(stack.normal @ wall.axes.direction) < _MIN_COSINE:
        return lambda slices: nodes
    max_radius = float(place.radius[place.left].max(initial=0.0))
    tables = {int(k): _radii(stack, int(k), wall, max_radius) for k in np.flatnonzero(stack.wall.any(axis=(1, 2)))}
    ray, column = place.angle / (2 * np.pi) % 1.0 * _RAYS, place.depth * (len(_DEPTHS) - 1)

    def lookup(slices: npt.NDArray[np.intp]) -> Floats:
        points = nodes.copy()
        for k, table in tables.items():
            chosen = np.flatnonzero(place.left & (slices == k))
            radius = _periodic(table, ray[chosen], column[chosen])
            points[chosen] = _on_slice(stack, k, wall, place.angle[chosen], radius)
        return points

    return lookup


def _on_slice(stack: Stack, k: int, wall: WallCoordinates, angle: Floats, radius: Floats) -> Floats:
    """(..., 3) RAS mm of the points of a slice at angles (...) around and distances (...) from the long axis in mm."""
    x, y, z = wall.axes.frame
    normal, origin = stack.normal, planes_of(stack)[k].origin
    outwards = np.cos(angle)[..., None] * x + np.sin(angle)[..., None] * y
    at_apex = wall.axes.apex + radius[..., None] * outwards
    # Moved along the axis onto the slice, which leaves angle and distance as they are.
    along = ((origin - at_apex) @ normal) / (z @ normal)
    points: Floats = at_apex + along[..., None] * z
    return points


def _radii(stack: Stack, k: int, wall: WallCoordinates, max_radius: float) -> Floats:
    """(rays, depths) distance from the long axis in mm at which a slice reaches a depth, at angles from 0 on."""
    angle = np.arange(_RAYS) * (2 * np.pi / _RAYS)
    radius = np.arange(0, max_radius + 2 * _RADIUS_MM, _RADIUS_MM)
    points = _on_slice(stack, k, wall, *np.meshgrid(angle, radius, indexing="ij"))
    depth = np.maximum.accumulate(wall(points.reshape(-1, 3)).depth.reshape(_RAYS, -1), axis=1)
    wanted = np.clip(_DEPTHS, 1e-3, 1 - 1e-3)
    after = (depth[:, None] < np.minimum(wanted[:, None], depth.max(axis=1)[:, None, None])).sum(axis=2)
    before = np.maximum(after - 1, 0)
    rows = np.arange(_RAYS)[:, None]
    low, high = depth[rows, before], depth[rows, after]
    share = np.clip((wanted - low) / np.maximum(high - low, 1e-9), 0, 1)
    found: Floats = radius[before] + share * (radius[after] - radius[before])
    return found


def _periodic(table: Floats, ray: Floats, column: Floats) -> Floats:
    """Values of a table at (N,) places between its rows, which are periodic, and (N,) places between its columns."""
    closed = np.concatenate([table, table[:1]])
    return interpolate(closed, np.stack([ray % len(table), column], axis=1))
