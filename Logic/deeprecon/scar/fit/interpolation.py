"""Classical interpolation between slices, without training; `INTERPOLATIONS` is the only list of its kinds.

A new kind is a member of `parameters.Interpolation` and one entry in `INTERPOLATIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from deeprecon.numerics import grids
from deeprecon.scar.anatomy.wall_coordinates import WallCoordinates
from deeprecon.scar.fit.wall_lookup import Lookup, lookup_along_wall
from deeprecon.scar.observe.extrapolation import fill_from_neighbors
from deeprecon.scar.observe.observations import observe, planes_of
from deeprecon.scar.observe.stacks import Stack
from deeprecon.scar.parameters import Interpolation

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

_FINE_MM = 0.5
"""Pixel size on which the contours of signed distances are drawn, in mm."""
_MAX_LOG_ODDS = 6.0
"""Log-odds at which the distance saturates, a probability of 0.9975."""
_NEAR_MM = 1.0
"""Distance to a slice in mm below which being nearer hardly matters."""


class Maps(NamedTuple):
    """What is interpolated of each slice.

    Attributes:
        values: (k, j, i).
        steps_j, steps_i: grid points per pixel along j and i.
    """

    values: Floats
    steps_j: int = 1
    steps_i: int = 1


@dataclass(frozen=True)
class Kind:
    """One way of interpolating between slices.

    Attributes:
        encode: (fractions (k, j, i), pixel size (i, j, k) in mm) -> what is interpolated; the fractions by default.
        decode: (interpolated values, pixel size) -> probability; the values themselves by default.
        weight: share of the way from the lower to the upper slice -> weight of the upper slice.
        along_wall: whether the slices are read at the node's depth and angle in the wall instead of at its position.
    """

    encode: Callable[[Floats, Floats], Maps] = lambda maps, pixel: Maps(maps)
    decode: Callable[[Floats, Floats], Floats] = lambda values, pixel: values
    weight: Callable[[Floats], Floats] = lambda share: share
    along_wall: bool = False


def _distances(maps: Floats, pixel: Floats) -> Maps:
    """Signed distances in mm on a grid of about `_FINE_MM`."""
    fine = _refine(maps, pixel)
    distances = _signed_distances(fine.values, pixel[1] / fine.steps_j, pixel[0] / fine.steps_i)
    return fine._replace(values=distances)


def _probability_of_distance(values: Floats, pixel: Floats) -> Floats:
    """The edge is one pixel wide."""
    return np.clip(0.5 + values / _in_plane(pixel), 0, 1)


def _log_odds(maps: Floats, pixel: Floats) -> Maps:
    """Signed distances in pixels, which saturate."""
    fine = _distances(maps, pixel)
    return fine._replace(values=np.clip(fine.values / _in_plane(pixel), -_MAX_LOG_ODDS, _MAX_LOG_ODDS))


def _probability_of_log_odds(values: Floats, pixel: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-values)))


_SIGNED_DISTANCE = Kind(_distances, _probability_of_distance)

INTERPOLATIONS: dict[Interpolation, Kind] = {
    Interpolation.NEAREST: Kind(weight=np.round),
    Interpolation.LINEAR: Kind(),
    Interpolation.SIGNED_DISTANCE: _SIGNED_DISTANCE,
    Interpolation.LOG_ODDS: Kind(_log_odds, _probability_of_log_odds),
    Interpolation.ANATOMICAL_LINEAR: Kind(along_wall=True),
    Interpolation.ANATOMICAL_SIGNED_DISTANCE: replace(_SIGNED_DISTANCE, along_wall=True),
}

SPATIAL = tuple(name for name, kind in INTERPOLATIONS.items() if not kind.along_wall)
"""The kinds that read each slice straight across from the node."""
ANATOMICAL = tuple(name for name, kind in INTERPOLATIONS.items() if kind.along_wall)
"""The kinds that read each slice along the wall."""


def interpolate(
    stacks: Sequence[Stack], nodes: Floats, kind: Interpolation, wall: WallCoordinates | None = None
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Scar probability at mesh nodes from the slices around each.

    In the plane, each slice's map is first extrapolated beyond the wall from the nearest wall pixels, so that nodes at
    the edge of the wall see no artificial "no scar", and then read bilinearly. Across slices, the values of the two
    neighbors are interpolated by distance; beyond the first and the last slice that one alone counts. The kinds:

    - nearest: the fraction of the nearer slice;
    - linear: the fractions (of the prism, soft or binary);
    - signed-distance: the 2D signed distances in mm to the contour where the fraction is 0.5 (shape-based
      interpolation, Raya and Udupa 1990, IEEE TMI 9:32), converted to a probability over one pixel's width;
    - log-odds: the same distances in pixels as log-odds, saturating at +-6, and mapped back by the logistic function
      (Ukwatta et al. 2015, Med Phys 42:4579);
    - anatomical-linear and anatomical-signed-distance: the same, with each slice read at the node's own depth and
      angle in the wall, see `lookup_along_wall`.

    Several stacks are averaged with weights 1 / (d^2 + (1 mm)^2), d the distance to the nearest slice of the stack.

    Args:
        stacks: at least one, with wall.
        nodes: (N, 3) RAS mm.
        kind: a key of `INTERPOLATIONS`.
        wall: coordinates of the wall; needed by the anatomical kinds.

    Returns:
        (N,) probability, and (N,) uncertainty: the standard deviation between the two slices, each with its own
        probability and its weight along the way from one to the other; 0 at a slice and beyond the ends.

    Raises:
        InputError: see `observe`.
    """
    how = INTERPOLATIONS[kind]
    observe(stacks)  # for its checks
    if how.along_wall:
        if wall is None:
            raise ValueError(f"{kind.value} needs the coordinates of the wall")
        lookup_of = partial(lookup_along_wall, nodes, wall(nodes), wall)
    else:
        lookup_of = partial(_straight_across, nodes)
    mean, square, total = np.zeros((3, len(nodes)))
    for stack in stacks:
        probability, lower, upper, share, distance = _interpolate_stack(stack, nodes, how, lookup_of(stack))
        weight = 1 / (distance**2 + _NEAR_MM**2)
        variance = share * (1 - share) * (upper - lower) ** 2
        mean += weight * probability
        square += weight * (variance + probability**2)
        total += weight
    mean, square = mean / total, square / total
    uncertainty = np.sqrt(np.maximum(square - mean**2, 0))
    return mean.astype(np.float32), uncertainty.astype(np.float32)


def _straight_across(nodes: Floats, stack: Stack) -> Lookup:
    return lambda slices: nodes


class _Reading(NamedTuple):
    """Where nodes are read in one of their neighboring slices, all (N,).

    Attributes:
        slices: index into the maps.
        j, i: pixel position within the maps.
        outside: distance in mm of the node to the nearest pixel of the maps, 0 within them.
    """

    slices: Indices
    j: Floats
    i: Floats
    outside: Floats


def _interpolate_stack(
    stack: Stack, nodes: Floats, kind: Kind, lookup: Lookup
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Of one stack, (N,) each: probability, that of the slices below and above, way between them, distance in mm."""
    slices = np.flatnonzero(stack.wall.any(axis=(1, 2)))
    rows, columns = (np.flatnonzero(stack.wall.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    wall, scar = stack.wall[slices][:, *window], stack.scar[slices][:, *window]
    filled = fill_from_neighbors(scar, wall > 0, np.ones(wall.shape, bool))

    pixel = np.linalg.norm(stack.ijk_to_ras[:3, :3], axis=0)
    planes = planes_of(stack)
    depths = np.array([planes[k].origin @ stack.normal for k in slices])
    order = np.argsort(depths)  # motions through the plane may exchange neighbors
    depth, at = nodes @ stack.normal, depths[order]
    above = np.clip(np.searchsorted(at, depth), 1, max(len(slices) - 1, 1))
    below = above - 1
    above = np.minimum(above, len(slices) - 1)
    gap = np.maximum(at[above] - at[below], 1e-6)
    share = np.clip((depth - at[below]) / gap, 0, 1)
    to_slice = np.minimum(np.abs(depth - at[below]), np.abs(depth - at[above]))
    below, above = order[below], order[above]
    to_pixel = np.stack([np.linalg.inv(stack.placed[k])[:2] for k in slices])

    def reading(neighbor: Indices) -> _Reading:
        points = np.column_stack([lookup(slices[neighbor]), np.ones(len(nodes))])
        i, j = np.einsum("nab,nb->an", to_pixel[neighbor], points)
        i, j = i - columns[0], j - rows[0]
        inner_i, inner_j = np.clip(i, 0, filled.shape[2] - 1), np.clip(j, 0, filled.shape[1] - 1)
        return _Reading(neighbor, inner_j, inner_i, np.hypot((i - inner_i) * pixel[0], (j - inner_j) * pixel[1]))

    maps = kind.encode(filled, pixel)
    readings = reading(below), reading(above)
    distance = np.hypot(to_slice, np.minimum(*(one.outside for one in readings)))
    low, high = (_bilinear(maps.values, one.slices, one.j * maps.steps_j, one.i * maps.steps_i) for one in readings)
    values = low + kind.weight(share) * (high - low)
    return kind.decode(values, pixel), kind.decode(low, pixel), kind.decode(high, pixel), share, distance


def _in_plane(pixel: Floats) -> float:
    """Size of a square pixel of the same area in mm."""
    return float(np.sqrt(pixel[0] * pixel[1]))


def _bilinear(maps: Floats, slices: Indices, j: Floats, i: Floats) -> Floats:
    """Values of `maps` (k, j, i) at (N,) whole slices and (N,) places within the plane, all inside the arrays."""
    return grids.interpolate(maps, np.stack([slices, j, i], axis=1))


def _refine(maps: Floats, pixel: Floats) -> Maps:
    """`maps` (k, j, i) on a finer grid with the same corners."""
    step_j, step_i = (max(1, int(np.ceil(size / _FINE_MM - 1e-6))) for size in (pixel[1], pixel[0]))
    j = np.arange((maps.shape[1] - 1) * step_j + 1) / step_j
    i = np.arange((maps.shape[2] - 1) * step_i + 1) / step_i
    jj, ii = (grid.ravel() for grid in np.meshgrid(j, i, indexing="ij"))
    fine = [_bilinear(maps, np.full(jj.shape, k), jj, ii).reshape(len(j), len(i)) for k in range(len(maps))]
    return Maps(np.stack(fine), step_j, step_i)


def _signed_distances(maps: Floats, size_j: float, size_i: float) -> Floats:
    """Distance of each pixel to its slice's 0.5 contour in mm, positive where the fraction is above 0.5.

    A slice without a contour lies on one side throughout. Its distance is that of the deepest pixel that the other
    slices have on the other side, so that a scar ends half-way to the first slice without it where it is thickest, and
    sooner where it is thin. Where no slice has a contour, the distance is that of the image's diagonal.
    """
    import SimpleITK as sitk

    result = np.empty(maps.shape)
    inside = maps > 0.5
    mixed = [bool(mask.any() and not mask.all()) for mask in inside]
    for k in np.flatnonzero(mixed):
        image = sitk.GetImageFromArray(inside[k].astype(np.uint8))
        image.SetSpacing((size_i, size_j))
        outward = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
        result[k] = -sitk.GetArrayFromImage(outward)
    drawn = result[mixed]
    for k in np.flatnonzero(~np.array(mixed)):
        full = bool(inside[k].all())
        depth = np.abs(drawn.min() if full else drawn.max()) if len(drawn) else np.hypot(*maps.shape[1:]) * size_j
        result[k] = depth if full else -depth
    return result
