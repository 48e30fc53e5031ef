"""The classical way: scar carried from slice to slice by interpolation, at once and without training."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from deeprecon.numerics import grids
from deeprecon.scar.observe.filling import fill
from deeprecon.scar.observe.observations import observe
from deeprecon.scar.parameters import Interpolation
from deeprecon.scar.read.stacks import Stack

Floats = npt.NDArray[np.float64]

SPATIAL = (Interpolation.NEAREST, Interpolation.LINEAR, Interpolation.SIGNED_DISTANCE, Interpolation.LOG_ODDS)
"""The kinds that read each slice straight across from the node."""

StandIn = Callable[[npt.NDArray[np.intp]], Floats]
"""(N,) slice of each node -> (N, 3) RAS mm, where that slice is read for the node."""

_FINE_MM = 0.5
"""Pixel size on which the contours of signed distances are drawn, in mm."""
_SATURATED = 6.0
"""Log-odds at which a slice is sure, a probability of 0.9975."""
_NEAR_MM = 1.0
"""Distance to a slice in mm below which being nearer hardly counts."""


def interpolate(
    stacks: Sequence[Stack], nodes: Floats, kind: Interpolation
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Scar probability at mesh nodes from the slices around each.

    In the plane, each slice's map is first carried beyond the wall from the nearest wall pixels, so that nodes at the
    edge of the wall meet no artificial "no scar", and then read bilinearly. Across slices, the two neighbors are
    joined by distance; beyond the first and the last slice that one alone counts. The kinds differ in what is joined:

    - nearest: the fraction of the nearer slice;
    - linear: the fractions (of the prism, soft or binary);
    - signed-distance: the 2D signed distances in mm to the contour where the fraction is 0.5 (shape-based
      interpolation, Raya and Udupa 1990, IEEE TMI 9:32), read as a probability over one pixel's width;
    - log-odds: the same distances in pixels as log-odds, saturating at +-6, and mapped back by the logistic function
      (Ukwatta et al. 2015, Med Phys 42:4579).

    Several stacks are averaged with weights 1 / (d^2 + (1 mm)^2), d the distance to the nearest slice of the stack.

    Args:
        stacks: at least one, with wall.
        nodes: (N, 3) RAS mm.
        kind: one of `SPATIAL`; `anatomical.interpolate_anatomical` has the others.

    Returns:
        (N,) probability, and (N,) uncertainty: the standard deviation between the slices that are joined, each read
        with its own probability and its weight along the way from one to the other; 0 at a slice and beyond the ends.

    Raises:
        InputError: see `observe`.
    """
    if kind not in SPATIAL:
        raise ValueError(f"{kind.value} needs the coordinates of the wall: use interpolate_anatomical")
    return join(stacks, nodes, kind, lambda stack: lambda slices: nodes)


def join(
    stacks: Sequence[Stack], nodes: Floats, kind: Interpolation, stand_ins: Callable[[Stack], StandIn]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """`interpolate` with each slice read at the nodes' stand-ins in it, such as the same place of the wall."""
    observe(stacks)  # for its checks
    mean, square, total = np.zeros((3, len(nodes)))
    for stack in stacks:
        probability, lower, upper, share, distance = _one_stack(stack, nodes, kind, stand_ins(stack))
        weight = 1 / (distance**2 + _NEAR_MM**2)
        spread = share * (1 - share) * (upper - lower) ** 2
        mean += weight * probability
        square += weight * (spread + probability**2)
        total += weight
    mean, square = mean / total, square / total
    uncertainty = np.sqrt(np.maximum(square - mean**2, 0))
    return mean.astype(np.float32), uncertainty.astype(np.float32)


def _one_stack(
    stack: Stack, nodes: Floats, kind: Interpolation, stand_in: StandIn
) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Of one stack, (N,) each: probability, that of the slices below and above, way between them, distance in mm."""
    slices = np.flatnonzero(stack.wall.any(axis=(1, 2)))
    rows, columns = (np.flatnonzero(stack.wall.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    window = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    wall, scar = stack.wall[slices][:, *window], stack.scar[slices][:, *window]
    maps = fill(scar, wall > 0, np.ones(wall.shape, bool))

    to_ijk = np.linalg.inv(stack.ijk_to_ras)
    k = nodes @ to_ijk[2, :3] + to_ijk[2, 3]
    pixel = np.linalg.norm(stack.ijk_to_ras[:3, :3], axis=0)
    above = np.clip(np.searchsorted(slices, k), 1, max(len(slices) - 1, 1))
    below = above - 1
    above = np.minimum(above, len(slices) - 1)
    gap = np.maximum(slices[above] - slices[below], 1)
    share = np.clip((k - slices[below]) / gap, 0, 1)
    apart = np.minimum(np.abs(k - slices[below]), np.abs(k - slices[above])) * pixel[2]
    moved = np.zeros((len(stack.wall), 2)) if stack.shifts is None else stack.shifts / pixel[:2]

    def within(neighbor: npt.NDArray[np.intp]) -> tuple[Floats, Floats, Floats]:
        """Place (j, i) of the nodes within a neighboring slice, and how far beside its pixels they lie in mm."""
        i, j = (stand_in(slices[neighbor]) @ to_ijk[:2, :3].T + to_ijk[:2, 3]).T
        beside_i, beside_j = i - columns[0] - moved[slices[neighbor], 0], j - rows[0] - moved[slices[neighbor], 1]
        inner_i, inner_j = np.clip(beside_i, 0, maps.shape[2] - 1), np.clip(beside_j, 0, maps.shape[1] - 1)
        return inner_j, inner_i, np.hypot((beside_i - inner_i) * pixel[0], (beside_j - inner_j) * pixel[1])

    (*place_below, out_below), (*place_above, out_above) = within(below), within(above)
    distance = np.hypot(apart, np.minimum(out_below, out_above))

    if kind in (Interpolation.NEAREST, Interpolation.LINEAR):
        low, high = _bilinear(maps, below, *place_below), _bilinear(maps, above, *place_above)
        way = np.round(share) if kind is Interpolation.NEAREST else share
        return low + way * (high - low), low, high, share, distance
    in_plane = float(np.sqrt(pixel[0] * pixel[1]))
    fine, step_j, step_i = _refine(maps, pixel)
    distances = _signed_distances(fine, pixel[1] / step_j, pixel[0] / step_i)
    if kind is Interpolation.LOG_ODDS:
        distances = np.clip(distances / in_plane, -_SATURATED, _SATURATED)
    low = _bilinear(distances, below, place_below[0] * step_j, place_below[1] * step_i)
    high = _bilinear(distances, above, place_above[0] * step_j, place_above[1] * step_i)

    def probability(value: Floats) -> Floats:
        if kind is Interpolation.LOG_ODDS:
            return np.asarray(1 / (1 + np.exp(-value)))
        return np.clip(0.5 + value / in_plane, 0, 1)

    return probability(low + share * (high - low)), probability(low), probability(high), share, distance


def _bilinear(maps: Floats, slices: npt.NDArray[np.intp], j: Floats, i: Floats) -> Floats:
    """Values of `maps` (k, j, i) at (N,) whole slices and (N,) places within the plane, all inside the arrays."""
    return grids.interpolate(maps, np.stack([slices, j, i], axis=1))


def _refine(maps: Floats, pixel: Floats) -> tuple[Floats, int, int]:
    """`maps` (k, j, i) on a finer grid with the same corners, and how many steps a pixel has along j and i."""
    step_j, step_i = (max(1, int(np.ceil(size / _FINE_MM - 1e-6))) for size in (pixel[1], pixel[0]))
    j = np.arange((maps.shape[1] - 1) * step_j + 1) / step_j
    i = np.arange((maps.shape[2] - 1) * step_i + 1) / step_i
    jj, ii = (grid.ravel() for grid in np.meshgrid(j, i, indexing="ij"))
    fine = [_bilinear(maps, np.full(jj.shape, k), jj, ii).reshape(len(j), len(i)) for k in range(len(maps))]
    return np.stack(fine), step_j, step_i


def _signed_distances(maps: Floats, size_j: float, size_i: float) -> Floats:
    """Distance of each pixel to its slice's 0.5 contour in mm, above 0 where the fraction is above 0.5.

    A slice that lies on one side throughout has no contour. It is as far on that side as the deepest pixel of the other
    slices is on the other, so that a scar ends half-way to the first slice without it where it is thickest, and sooner
    where it is thin. Where no slice has a contour, all are sure.
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
