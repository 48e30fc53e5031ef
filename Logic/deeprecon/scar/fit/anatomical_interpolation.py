"""Interpolation between slices along the wall: the same depth and angle are read, not the same place in space."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from deeprecon.numerics.grids import interpolate
from deeprecon.scar.anatomy.wall_coordinates import WallCoordinates
from deeprecon.scar.fit.interpolation import StandIn, join
from deeprecon.scar.parameters import Interpolation
from deeprecon.scar.read.stacks import Stack

Floats = npt.NDArray[np.float64]

ANATOMICAL = {
    Interpolation.ANATOMICAL_LINEAR: Interpolation.LINEAR,
    Interpolation.ANATOMICAL_SIGNED_DISTANCE: Interpolation.SIGNED_DISTANCE,
}
"""The kinds that read each slice along the wall, and how each joins what it reads."""

_RAYS = 180
_DEPTHS = np.linspace(0, 1, 21)
_RADIUS_MM = 0.5
"""Steps along a ray on which depth is looked up."""
_STEEPEST = 0.5
"""Least cosine between the slices' normal and the long axis: slices that run along the axis have no rings."""


def interpolate_anatomical(
    stacks: Sequence[Stack], nodes: Floats, kind: Interpolation, wall: WallCoordinates
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Scar probability at mesh nodes from the slices around each, read at the node's own depth and angle.

    In each of the two slices around a node its stand-in is the point of the slice that has the node's depth in the
    wall and lies at its angle around the long axis; at the slice itself that is the node. The heart tapers between
    slices, and so do scars. What is read is joined as `interpolate` does. Nodes outside the left ventricle's wall, and
    slices along the axis, are read straight across.

    Args:
        stacks: at least one, with wall.
        nodes: (N, 3) RAS mm.
        kind: one of `ANATOMICAL`.
        wall: tells depth and angle.

    Returns:
        (N,) probability and (N,) uncertainty as `interpolate` gives them.

    Raises:
        InputError: see `observe`.
    """
    place = wall(nodes)

    def stand_ins(stack: Stack) -> StandIn:
        if abs(stack.normal @ wall.axes.direction) < _STEEPEST:
            return lambda slices: nodes
        farthest = float(place.radius[place.left].max(initial=0.0))
        radii = {int(k): _radii(stack, int(k), wall, farthest) for k in np.flatnonzero(stack.wall.any(axis=(1, 2)))}
        turn, deep = place.angle / (2 * np.pi) % 1.0 * _RAYS, place.depth * (len(_DEPTHS) - 1)

        def read(slices: npt.NDArray[np.intp]) -> Floats:
            points = nodes.copy()
            for k, table in radii.items():
                chosen = np.flatnonzero(place.left & (slices == k))
                radius = _periodic(table, turn[chosen], deep[chosen])
                points[chosen] = _on_slice(stack, k, wall, place.angle[chosen], radius)
            return points

        return read

    return join(stacks, nodes, ANATOMICAL[kind], stand_ins)


def _on_slice(stack: Stack, k: int, wall: WallCoordinates, angle: Floats, radius: Floats) -> Floats:
    """(..., 3) RAS mm of the points of a slice at angles (...) around and distances (...) from the long axis in mm."""
    x, y, z = wall.axes.frame
    normal, origin = stack.normal, stack.ijk_to_ras[:3, 3] + k * stack.ijk_to_ras[:3, 2]
    outwards = np.cos(angle)[..., None] * x + np.sin(angle)[..., None] * y
    beside = wall.axes.apex + radius[..., None] * outwards
    # Moved along the axis onto the slice, which leaves angle and distance as they are.
    along = ((origin - beside) @ normal) / (z @ normal)
    points: Floats = beside + along[..., None] * z
    return points


def _radii(stack: Stack, k: int, wall: WallCoordinates, farthest: float) -> Floats:
    """(rays, depths) distance from the long axis in mm at which a slice reaches a depth, at angles from 0 on."""
    angle = np.arange(_RAYS) * (2 * np.pi / _RAYS)
    radius = np.arange(0, farthest + 2 * _RADIUS_MM, _RADIUS_MM)
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


def _periodic(table: Floats, turn: Floats, deep: Floats) -> Floats:
    """Values of a table at (N,) places between its rows, which go around, and (N,) places between its columns."""
    closed = np.concatenate([table, table[:1]])
    return interpolate(closed, np.stack([turn % len(table), deep], axis=1))
