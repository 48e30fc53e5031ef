"""Scenes of ellipses, whose contrast is known exactly at every point.

The contrast is q = n^2 - 1 with the refractive index n, which is the relative permittivity minus 1; outside all shapes
it is 0. The unit of length is the radius of the measured region, which is the unit disc.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.scattering.physics.image_grids import fine_polar_axes, subcell_offsets

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Ellipse:
    """A filled ellipse that adds `contrast`; a disc if both semi-axes are equal.

    Attributes:
        x, y: center.
        a, b: semi-axes.
        contrast: added to that of the other shapes.
        angle: of the axis `a` from the x axis, radians.
    """

    x: float
    y: float
    a: float
    b: float
    contrast: float
    angle: float = 0.0

    def inside(self, x: Floats, y: Floats) -> npt.NDArray[np.bool_]:
        """Whether points lie inside, same shape as `x` and `y`."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        along, across = (x - self.x) * cos + (y - self.y) * sin, (y - self.y) * cos - (x - self.x) * sin
        return np.asarray((along / self.a) ** 2 + (across / self.b) ** 2 < 1)


Scene = tuple[Ellipse, ...]


def disc(x: float, y: float, radius: float, contrast: float) -> Ellipse:
    """An ellipse with equal semi-axes."""
    return Ellipse(x, y, radius, radius, contrast)


def rotated(scene: Scene, angle: float) -> Scene:
    """The scene rotated about the origin by `angle` radians, counterclockwise."""
    cos, sin = math.cos(angle), math.sin(angle)
    return tuple(
        Ellipse(e.x * cos - e.y * sin, e.x * sin + e.y * cos, e.a, e.b, e.contrast, e.angle + angle) for e in scene
    )


def are_separate_discs(scene: Scene) -> bool:
    """Whether all shapes are discs and none touch, as `discs.disc_far_field` requires."""
    separate = all(
        math.hypot(one.x - other.x, one.y - other.y) > one.a + other.a
        for index, one in enumerate(scene)
        for other in scene[:index]
    )
    return separate and all(shape.a == shape.b for shape in scene)


def sample_contrast(scene: Sequence[Ellipse], x: Floats, y: Floats) -> npt.NDArray[np.float64]:
    """Contrast at points, same shape as `x` and `y`."""
    q = np.zeros(np.broadcast(x, y).shape)
    for shape in scene:
        q += shape.contrast * shape.inside(x, y)
    return q


def rasterize_square(scene: Scene, axis: Floats, points: int = 6) -> npt.NDArray[np.float64]:
    """(n, n) contrast on a square grid, rows are y: the mean of `points` x `points` points of each pixel."""
    n, spacing = len(axis), float(axis[1] - axis[0])
    line = (axis[:, None] + spacing * subcell_offsets(points)).ravel()
    q = sample_contrast(scene, line[None, :], line[:, None])
    mean: npt.NDArray[np.float64] = q.reshape(n, points, n, points).mean(axis=(1, 3))
    return mean


def rasterize_polar(scene: Scene, angles: int, rings: int, points: int = 6) -> npt.NDArray[np.float64]:
    """(angles, rings) contrast on the polar grid: the mean of `points` x `points` points of each cell."""
    theta, rho = fine_polar_axes(angles, rings, points)
    q = sample_contrast(scene, np.outer(np.cos(theta), rho), np.outer(np.sin(theta), rho))
    mean: npt.NDArray[np.float64] = q.reshape(angles, points, rings, points).mean(axis=(1, 3))
    return mean
