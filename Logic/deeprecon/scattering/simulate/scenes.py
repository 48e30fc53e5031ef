"""Scenes whose contrast is known everywhere: discs inside the unit disc, and shapes of other families.

The contrast is q = n - 1, with n the squared index of refraction; outside of all shapes it is 0. Lengths are in radii
of the measured region, which is the unit disc.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

GAP = 1e-3
"""Smallest distance of two discs."""
_TRIALS = 1000


@dataclass(frozen=True)
class Ellipse:
    """A filled ellipse that adds `contrast`; a disc where both half axes are equal.

    Attributes:
        x, y: center.
        a, b: half axes.
        contrast: added inside.
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
    """An ellipse with equal half axes."""
    return Ellipse(x, y, radius, radius, contrast)


def turned(scene: Scene, angle: float) -> Scene:
    """The scene rotated about the origin by `angle` radians, counterclockwise."""
    cos, sin = math.cos(angle), math.sin(angle)
    return tuple(
        Ellipse(e.x * cos - e.y * sin, e.x * sin + e.y * cos, e.a, e.b, e.contrast, e.angle + angle) for e in scene
    )


def random_discs(rng: np.random.Generator, contrast: tuple[float, float] = (0.1, 0.8)) -> Scene:
    """One to three discs that do not touch, radius 0.1 to 0.3, uniform in the unit disc (after Desai et al. 2025)."""
    count = int(rng.integers(1, 4))
    made: list[Ellipse] = []
    for _ in range(_TRIALS):
        radius = rng.uniform(0.1, 0.3)
        distance, angle = (1 - radius) * math.sqrt(rng.uniform()), rng.uniform(0, 2 * math.pi)
        x, y = distance * math.cos(angle), distance * math.sin(angle)
        if all(math.hypot(x - other.x, y - other.y) > radius + other.a + GAP for other in made):
            made.append(disc(x, y, radius, rng.uniform(*contrast)))
        if len(made) == count:
            break
    return tuple(made)


def random_ellipses(rng: np.random.Generator, contrast: tuple[float, float] = (0.1, 0.8)) -> Scene:
    """The discs of `random_discs`, each squeezed to an ellipse of aspect 1.5 to 2.5."""
    return tuple(
        Ellipse(e.x, e.y, e.a, e.a / rng.uniform(1.5, 2.5), e.contrast, rng.uniform(0, math.pi))
        for e in random_discs(rng, contrast)
    )


def random_annulus(rng: np.random.Generator, contrast: tuple[float, float] = (0.1, 0.8)) -> Scene:
    """A ring of outer radius 0.4 to 0.7 and a thickness of a quarter to half of it."""
    outer, strength = rng.uniform(0.4, 0.7), rng.uniform(*contrast)
    inner, angle = outer * rng.uniform(0.5, 0.75), rng.uniform(0, 2 * math.pi)
    distance = rng.uniform(0, 0.95 - outer)
    x, y = distance * math.cos(angle), distance * math.sin(angle)
    return disc(x, y, outer, strength), disc(x, y, inner, -strength)


_SHEPP_LOGAN = (
    (0.0, 0.0, 0.69, 0.92, 1.0, 0.0),
    (0.0, -0.0184, 0.6624, 0.874, -0.8, 0.0),
    (0.22, 0.0, 0.11, 0.31, -0.2, -18.0),
    (-0.22, 0.0, 0.16, 0.41, -0.2, 18.0),
    (0.0, 0.35, 0.21, 0.25, 0.1, 0.0),
    (0.0, 0.1, 0.046, 0.046, 0.1, 0.0),
    (0.0, -0.1, 0.046, 0.046, 0.1, 0.0),
    (-0.08, -0.605, 0.046, 0.023, 0.1, 0.0),
    (0.0, -0.605, 0.023, 0.023, 0.1, 0.0),
    (0.06, -0.605, 0.023, 0.046, 0.1, 0.0),
)
"""x, y, half axes, intensity, angle in degrees: the modified head phantom (Toft 1996, after Shepp and Logan 1974)."""


def shepp_logan(rng: np.random.Generator, contrast: tuple[float, float] = (0.1, 0.8)) -> Scene:
    """The head phantom, turned at random and scaled so that its skull has a contrast out of the range."""
    strength = rng.uniform(*contrast)
    scene = tuple(Ellipse(x, y, a, b, strength * q, math.radians(t)) for x, y, a, b, q, t in _SHEPP_LOGAN)
    return turned(scene, rng.uniform(0, 2 * math.pi))


FAMILIES: dict[str, Callable[[np.random.Generator, tuple[float, float]], Scene]] = {
    "discs": random_discs,
    "ellipses": random_ellipses,
    "annulus": random_annulus,
    "shepp-logan": shepp_logan,
}
"""Family -> one random scene of it, from a generator and the range of the contrast."""


def is_discs(scene: Scene) -> bool:
    """Whether the scene is made of discs that do not touch, which `scattering.discs` solves without error."""
    apart = all(
        math.hypot(one.x - other.x, one.y - other.y) > one.a + other.a
        for index, one in enumerate(scene)
        for other in scene[:index]
    )
    return apart and all(shape.a == shape.b for shape in scene)


def on_points(scene: Sequence[Ellipse], x: Floats, y: Floats) -> npt.NDArray[np.float64]:
    """Contrast at points, same shape as `x` and `y`."""
    q = np.zeros(np.broadcast(x, y).shape)
    for shape in scene:
        q += shape.contrast * shape.inside(x, y)
    return q


def on_square(scene: Scene, axis: Floats, fine: int = 6) -> npt.NDArray[np.float64]:
    """(n, n) contrast on a square grid, rows are y: the mean over `fine` x `fine` points of each pixel."""
    n, spacing = len(axis), float(axis[1] - axis[0])
    points = (axis[:, None] + spacing * _offsets(fine)).ravel()
    q = on_points(scene, points[None, :], points[:, None])
    mean: npt.NDArray[np.float64] = q.reshape(n, fine, n, fine).mean(axis=(1, 3))
    return mean


def on_polar(scene: Scene, angles: int, radii: int, fine: int = 6) -> npt.NDArray[np.float64]:
    """(angles, radii) contrast on the polar grid of `coordinates`: the mean of `fine` x `fine` points of each cell."""
    theta = 2 * np.pi / angles * (np.arange(angles)[:, None] + _offsets(fine)).ravel()
    rho = (np.arange(radii)[:, None] + 0.5 + _offsets(fine)).ravel() / radii
    q = on_points(scene, np.outer(np.cos(theta), rho), np.outer(np.sin(theta), rho))
    mean: npt.NDArray[np.float64] = q.reshape(angles, fine, radii, fine).mean(axis=(1, 3))
    return mean


def _offsets(fine: int) -> Floats:
    """(fine,) places inside of a cell of length 1 around its center."""
    return (np.arange(fine) + 0.5) / fine - 0.5
