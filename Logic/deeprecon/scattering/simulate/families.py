"""Families of random scenes inside the unit disc."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from deeprecon.scattering.physics.scene import Ellipse, Scene, disc, rotated

MIN_GAP = 1e-3
"""Between two discs, in radii of the region."""
_MAX_TRIALS = 1000


def random_discs(rng: np.random.Generator, contrast: tuple[float, float] = (0.1, 0.8)) -> Scene:
    """One to three discs that do not touch, radius 0.1 to 0.3, uniform in the unit disc (after Desai et al. 2025)."""
    count = int(rng.integers(1, 4))
    made: list[Ellipse] = []
    for _ in range(_MAX_TRIALS):
        radius = rng.uniform(0.1, 0.3)
        distance, angle = (1 - radius) * math.sqrt(rng.uniform()), rng.uniform(0, 2 * math.pi)
        x, y = distance * math.cos(angle), distance * math.sin(angle)
        if all(math.hypot(x - other.x, y - other.y) > radius + other.a + MIN_GAP for other in made):
            made.append(disc(x, y, radius, rng.uniform(*contrast)))
        if len(made) == count:
            break
    return tuple(made)


def random_ellipses(rng: np.random.Generator, contrast: tuple[float, float] = (0.1, 0.8)) -> Scene:
    """The discs of `random_discs`, each shortened along one axis to an ellipse of aspect ratio 1.5 to 2.5."""
    return tuple(
        Ellipse(e.x, e.y, e.a, e.a / rng.uniform(1.5, 2.5), e.contrast, rng.uniform(0, math.pi))
        for e in random_discs(rng, contrast)
    )


def random_annulus(rng: np.random.Generator, contrast: tuple[float, float] = (0.1, 0.8)) -> Scene:
    """A ring of outer radius 0.4 to 0.7, whose thickness is a quarter to half of that."""
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
"""x, y, semi-axes, intensity, angle in degrees: the modified head phantom (Toft 1996, after Shepp and Logan 1974)."""


def shepp_logan(rng: np.random.Generator, contrast: tuple[float, float] = (0.1, 0.8)) -> Scene:
    """The head phantom, rotated at random and scaled so that the contrast of its skull lies in the range."""
    strength = rng.uniform(*contrast)
    scene = tuple(Ellipse(x, y, a, b, strength * q, math.radians(t)) for x, y, a, b, q, t in _SHEPP_LOGAN)
    return rotated(scene, rng.uniform(0, 2 * math.pi))


def random_mixed(rng: np.random.Generator, contrast: tuple[float, float] = (-0.5, 0.8)) -> Scene:
    """A scene of one of the other families, each as often."""
    family = (random_discs, random_ellipses, random_annulus, shepp_logan)[rng.integers(4)]
    return family(rng, contrast)


FAMILIES: dict[str, Callable[[np.random.Generator, tuple[float, float]], Scene]] = {
    "mixed": random_mixed,
    "discs": random_discs,
    "ellipses": random_ellipses,
    "annulus": random_annulus,
    "shepp-logan": shepp_logan,
}
"""Functions that draw a random scene from a generator and the range of the contrast, by family name."""
