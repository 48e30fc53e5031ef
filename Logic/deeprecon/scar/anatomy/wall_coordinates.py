"""Coordinates in the left ventricle's wall: depth between its surfaces, angle around and height along its axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.numerics.grids import interpolate
from deeprecon.scar.anatomy.axes import Axes

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_STEPS = 90
"""Steps of the wall's grid along the long axis: about 1 mm each in a human heart."""
_RAYS = 360
"""Rays from the axis in each plane."""
_MIN_GAP = 6
"""Half steps of blood between two walls above which they belong to two ventricles."""
_CUT_PLANES = 6
"""Planes over which a slanted cut may go through the wall."""
_TANGENT_DEGREES, _TANGENT_SHARE = 25, 0.1
"""How far from the right ventricle, around and along the axis (as a share of it), a ray may run along its wall."""


class WallPlace(NamedTuple):
    """Where N points lie in the left ventricle's wall.

    Attributes:
        depth: (N,) 0 at the endocardium, 1 at the epicardium; the nearer of both elsewhere.
        angle: (N,) radians from the septum's middle over the anterior wall, -pi to pi.
        height: (N,) along the long axis: 0 at the cavity's apical end, 1 at the base, below 0 in the apical cap.
        left: (N,) bool, true in the left ventricle's wall, false in that of the right one.
        radius: (N,) distance to the long axis in mm.
        thickness: (N,) of the wall there in mm.
        length: mm of the long axis that are 1 in `height`.
    """

    depth: Floats
    angle: Floats
    height: Floats
    left: Mask
    radius: Floats
    thickness: Floats
    length: float


class WallCoordinates:
    """Coordinates of points in the left ventricle's wall: (N, 3) RAS mm -> `WallPlace`.

    Depth is the distance to the cavity over the sum of that and the distance to the outside of the wall, as the
    transmural coordinate of Cobiveco (Schuler et al. 2021, Med Image Anal 74:102247) is normalized; unlike a solution
    of Laplace's equation it does not drift outwards where the wall is curved. The cut at the base counts as neither
    surface. The cavity is what the wall encloses in planes across the axis and what is connected to the axis, which
    excludes the right ventricle's; where a plane at the base cuts the ring, it is the region between the axis and the
    wall.

    Args:
        axes: of the heart.
        inside: (M, 3) RAS mm -> (M,) bool, true in the wall, of one or both ventricles.
        points: (M, 3) RAS mm that span the wall, such as the nodes of its mesh.

    Raises:
        InputError: the wall encloses nothing around the long axis.
    """

    def __init__(self, axes: Axes, inside: Callable[[Floats], Mask], points: Floats) -> None:
        self.axes = axes
        local = axes.to_local(points)
        self._step = axes.length / _STEPS
        # Planes lie half a step off apex and base, where meshes are cut.
        self._low: Floats = np.floor(local.min(axis=0) / self._step - 3) + np.array([0, 0, 0.5])
        counts = np.ceil(local.max(axis=0) / self._step + 4 - self._low).astype(int)
        z, y, x = (self._step * (self._low[axis] + np.arange(counts[axis])) for axis in (2, 1, 0))
        grid = np.stack(np.meshgrid(z, y, x, indexing="ij")[::-1], axis=-1)
        wall = inside(axes.to_ras(grid.reshape(-1, 3))).reshape(grid.shape[:3])
        cavity = self._cavity(wall)
        filled = np.flatnonzero(cavity.any(axis=(1, 2)))
        self._apical_end = float(z[filled[0]] - self._step / 2)
        self.length = axes.length - self._apical_end
        """mm from the cavity's apical end to the base."""

        theta = np.arctan2(*np.meshgrid(y, x, indexing="ij"))
        ray = np.rint(theta / (2 * np.pi) * _RAYS).astype(int) % _RAYS
        radius = np.hypot(*np.meshgrid(y, x, indexing="ij"))
        rays = _Rays(wall, cavity, (y, x), self._step, int(filled.mean()))
        within = radius < rays.start[:, ray]
        blood = cavity | (~wall & rays.met[:, ray] & within)
        high = (np.arange(len(z)) > filled.mean())[:, None, None]
        beyond_base = high & ~(rays.met[:, ray] & (within | (radius >= rays.end[:, ray])))
        inner, outer = (self._distance(mask) for mask in (blood, ~(wall | blood | beyond_base)))
        across = np.maximum(inner + outer, self._step)
        # Behind a slanted face the nearest voxel's center is a quarter of a step away on average, not a half.
        self._grid = np.stack([inner / across, across + self._step / 2], axis=-1)
        self._outer_radius = rays.outer_radius()

    def _cavity(self, wall: Mask) -> Mask:
        """What the wall (z, y, x) encloses around the axis."""
        from scipy.ndimage import binary_fill_holes, label

        enclosed = np.stack([binary_fill_holes(plane) for plane in wall]) & ~wall
        pieces, _ = label(enclosed)
        column, row, bottom = (int(-low) for low in self._low)
        outside = min(column, row) < 0 or column >= wall.shape[2] or row >= wall.shape[1]
        on_axis = np.zeros(0, int) if outside else pieces[max(bottom, 0) : max(bottom + _STEPS, 0), row, column]
        if not on_axis.any():
            raise InputError(
                "The wall of the mesh encloses no cavity around the line from apex to base.",
                "Check the landmarks, and that mesh and images lie at the same place.",
            )
        found: Mask = pieces == np.bincount(on_axis[on_axis > 0]).argmax()
        return found

    def _distance(self, mask: Mask) -> npt.NDArray[np.float32]:
        """Distance to the faces of a mask's voxels in mm, negative within."""
        import SimpleITK as sitk

        image = sitk.GetImageFromArray(mask.astype(np.uint8))
        distance = sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(image, False, False, False))
        result: npt.NDArray[np.float32] = (distance - 0.5) * np.float32(self._step)
        return result

    def __call__(self, points: Floats) -> WallPlace:
        """Wall coordinates of (N, 3) RAS mm points."""
        x, y, z = self.axes.to_local(np.asarray(points, np.float64)).T
        index = np.stack([z, y, x], axis=1) / self._step - self._low[::-1]
        angle, radius = np.arctan2(y, x), np.hypot(x, y)
        plane = np.clip(np.rint(index[:, 0]), 0, len(self._outer_radius) - 1).astype(int)
        ray = np.rint(angle / (2 * np.pi) * _RAYS).astype(int) % _RAYS
        depth, thickness = interpolate(self._grid, index).T
        height = (z - self._apical_end) / self.length
        left = radius <= self._outer_radius[plane, ray]
        return WallPlace(np.clip(depth, 0, 1), angle, height, left, radius, thickness, self.length)


class _Rays:
    """The left ventricle's wall along rays from the axis, in each plane of the grid.

    Attributes:
        met: (z, rays) bool, whether the ray meets the wall.
        start, end: (z, rays) mm from the axis, where it enters the wall behind the cavity and leaves it again.
    """

    def __init__(self, wall: Mask, cavity: Mask, sides: tuple[Floats, Floats], step: float, middle: int) -> None:
        self._step = step
        angle = np.arange(_RAYS) * (2 * np.pi / _RAYS)
        radius = np.arange(0, np.hypot(*(np.abs(side).max() for side in sides)), step / 2)
        rows, columns = (
            np.clip(np.rint((radius * wave(angle)[:, None] - side[0]) / step), 0, len(side) - 1).astype(int)
            for side, wave in zip(sides, (np.sin, np.cos), strict=True)
        )
        wall, cavity = wall[:, rows, columns], cavity[:, rows, columns]
        place = np.arange(len(radius))
        behind = np.where(cavity, place, 0).max(axis=2)
        wall &= place >= behind[..., None]
        start = wall.argmax(axis=2)
        outside = ~wall & (place > start[..., None])
        end = outside.argmax(axis=2)
        second = wall & (place > end[..., None])
        again = second.argmax(axis=2) > end + _MIN_GAP
        self.met: Mask = np.asarray(wall.any(axis=2))
        # Above the left ventricle's end at the base, a ray may meet the wall of the right one only.
        for way in (range(middle + 1, len(wall)), range(middle - 1, -1, -1)):
            limit = end[middle].copy()
            for plane in way:
                self.met[plane] &= start[plane] <= limit
                limit = np.where(self.met[plane], end[plane], limit)
        # A slanted cut removes one side of the wall first: it is continued from below, by at most 45 degrees.
        top = len(wall) - 1 - self.met[::-1].argmax(axis=0)
        for plane in range(middle + 1, len(wall)):
            cut = plane > top - _CUT_PLANES
            start[plane] = np.where(cut, np.minimum(start[plane], start[plane - 1] + 2), start[plane])
            end[plane] = np.where(cut, np.maximum(end[plane], end[plane - 1] - 2), end[plane])
        self.start, self.end = radius[start], radius[end]
        self._again: Mask = np.asarray(again & self.met)
        self._middle = middle

    def outer_radius(self) -> Floats:
        """(z, rays) mm from the axis up to which the wall is the left ventricle's.

        That is the end of the wall, but at the insertions rays run along the right ventricle's wall: there the
        thickness is what lies between that of the septum and that of the free wall.
        """
        if self._again.sum() < 0.01 * self.met.sum():  # no second wall behind the first: no right ventricle
            return np.full(self.met.shape, np.inf)
        tangent = self._again.copy()
        for turn in range(1, round(_TANGENT_DEGREES / 360 * _RAYS) + 1):
            tangent |= np.roll(self._again, turn, axis=1) | np.roll(self._again, -turn, axis=1)
        around = tangent.copy()
        for move in range(1, round(_TANGENT_SHARE * _STEPS) + 1):
            around[move:] |= tangent[:-move]
            around[:-move] |= tangent[move:]
        known = self.met & (self._again | ~around)
        thickness = self.end - self.start
        result = np.full(self.met.shape, np.nan)
        for plane in range(len(known)):
            places = np.flatnonzero(known[plane])
            if len(places):
                between = np.interp(np.arange(_RAYS), places, thickness[plane, places], period=_RAYS)
                reach = self.start[plane] + np.minimum(thickness[plane], between) + self._step
                result[plane] = np.where(self.met[plane], reach, np.nan)
        # Planes and rays without wall take the value of the nearest plane towards the middle.
        for way in (range(self._middle + 1, len(known)), range(self._middle - 1, -1, -1)):
            before = self._middle
            for plane in way:
                result[plane] = np.where(np.isnan(result[plane]), result[before], result[plane])
                before = plane
        return np.where(np.isnan(result), np.inf, result)
