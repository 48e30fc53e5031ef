"""Analytic scars: functions of (M, 3) RAS mm wall points to whether each is scar.

Half of them are defined in the wall's own coordinates and half in space, so that a method has no advantage from working
in the coordinates in which the truth was made. None of them is aligned with the slices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.scar.simulate.ventricle import Points, Ventricle

Lesion = Callable[[Points], npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class Variation:
    """Position and size of a lesion relative to its default.

    Attributes:
        turn: degrees around the long axis, from the septum over the anterior wall.
        size: factor on its extent along the wall.
    """

    turn: float = 0.0
    size: float = 1.0

    def place(self, ventricle: Ventricle, points: Points) -> Points:
        """(M, 3) RAS mm to (M, 3) local mm of the lesion at its default position."""
        angle = np.radians(self.turn)
        rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        local: Points = ventricle.to_local(points) @ rotation
        return local


DEFAULT_VARIATION = Variation()


def infarct(ventricle: Ventricle, variation: Variation = DEFAULT_VARIATION) -> Lesion:
    """Infarct of the front wall and septum, transmural in the middle and subendocardial at its ragged border, with a
    small second one in the lower side wall. In wall coordinates."""
    front = _Patch(angle=40, height=-0.40, width=29, length=33, slant=30, depth=1.3, ragged=0.15)
    side = _Patch(angle=215, height=0.02, width=14, length=12, slant=-20, depth=0.9, ragged=0.1)
    first, second = front.lesion(ventricle, variation), side.lesion(ventricle, variation)
    return lambda points: first(points) | second(points)


def subendocardial(ventricle: Ventricle, variation: Variation = DEFAULT_VARIATION) -> Lesion:
    """Wide infarct of the lower side wall that nowhere reaches the epicardium. In wall coordinates."""
    patch = _Patch(angle=230, height=-0.20, width=38, length=30, slant=-25, depth=0.65, ragged=0.08)
    return patch.lesion(ventricle, variation)


def midwall(ventricle: Ventricle, variation: Variation = DEFAULT_VARIATION) -> Lesion:
    """Stripe in the middle layer of the septum, as in dilated cardiomyopathy. In wall coordinates."""

    def lesion(points: Points) -> npt.NDArray[np.bool_]:
        depth, angle, height = ventricle.wall_coordinates(points)
        turned = np.angle(np.exp(1j * (angle - np.radians(variation.turn))))
        along, across = height / ventricle.cavity_length + 0.15, turned / np.radians(48)
        ends = ((across + 0.5 * along) ** 2 + (along / 0.42) ** 2) / variation.size**2
        inside: npt.NDArray[np.bool_] = np.abs(depth - 0.5) < 0.24 * np.sqrt(np.clip(1 - ends, 0, None))
        return inside

    return lesion


def tiny(ventricle: Ventricle, variation: Variation = DEFAULT_VARIATION) -> Lesion:
    """A spot below the endocardium of less than a milliliter. In wall coordinates."""
    patch = _Patch(angle=120, height=-0.15, width=9, length=9, slant=15, depth=0.6, ragged=0.0)
    return patch.lesion(ventricle, variation)


def wedge(ventricle: Ventricle, variation: Variation = DEFAULT_VARIATION) -> Lesion:
    """Transmural wedge of the side wall between slanted planes. In space."""

    def lesion(points: Points) -> npt.NDArray[np.bool_]:
        x, y, z = (variation.place(ventricle, points) / ventricle.cavity_radius).T
        size = variation.size
        inside: npt.NDArray[np.bool_] = (
            (x < -0.2)
            & (np.abs(y + 0.35 * z + 0.3) < (0.5 - 0.1 * x) * size)
            & (np.abs(z + 0.25 * y + 0.6) < 0.9 * size)
        )
        return inside

    return lesion


def isthmus(ventricle: Ventricle, variation: Variation = DEFAULT_VARIATION, width: float = 4.0) -> Lesion:
    """Two scars in the lower wall with a slanted channel of `width` mm of living wall between them. In space."""

    def lesion(points: Points) -> npt.NDArray[np.bool_]:
        x, y, z = variation.place(ventricle, points).T
        size = ventricle.cavity_radius / 24
        wide = size * variation.size
        bowl = ((x + 4 * size) / (23 * wide)) ** 2 + ((y + 30 * size) / (18 * wide)) ** 2 + (
            (z + 12 * size) / (26 * wide)
        ) ** 2 < 1
        channel = np.abs(0.80 * (x + 4 * size) + 0.60 * (z + 12 * size)) < width / 2
        inside: npt.NDArray[np.bool_] = bowl & ~channel
        return inside

    return lesion


def apical(ventricle: Ventricle, variation: Variation = DEFAULT_VARIATION) -> Lesion:
    """Cap at the apex below a slanted plane, as after an aneurysm. In space."""

    def lesion(points: Points) -> npt.NDArray[np.bool_]:
        local = variation.place(ventricle, points)
        level = -0.62 - 0.3 * (1 - variation.size)
        inside: npt.NDArray[np.bool_] = local @ [-0.25, -0.35, 1.0] < level * ventricle.cavity_length
        return inside

    return lesion


def patchy(ventricle: Ventricle, variation: Variation = DEFAULT_VARIATION) -> Lesion:
    """Irregular patches of about 10 mm in the front and side wall: a sum of waves above a level. In space."""
    waves = _waves(np.random.default_rng(7), shortest=18.0, longest=36.0)

    def lesion(points: Points) -> npt.NDArray[np.bool_]:
        local = variation.place(ventricle, points)
        ball = np.linalg.norm(local - ventricle.cavity_radius * np.array([-0.7, 0.8, -0.8]), axis=1)
        reach = 1.8 * ventricle.cavity_radius * variation.size
        inside: npt.NDArray[np.bool_] = waves(local) > 0.35 + (ball / reach) ** 4
        return inside

    return lesion


def none(ventricle: Ventricle, variation: Variation = DEFAULT_VARIATION) -> Lesion:
    """No scar anywhere."""
    return lambda points: np.zeros(len(points), dtype=bool)


LESIONS: dict[str, Callable[..., Lesion]] = {
    "infarct": infarct,
    "subendocardial": subendocardial,
    "midwall": midwall,
    "wedge": wedge,
    "isthmus": isthmus,
    "apical": apical,
    "patchy": patchy,
    "tiny": tiny,
    "none": none,
}


def ellipsoid(center: Points, axes: Points, halves: tuple[float, float, float]) -> Lesion:
    """Everything inside an ellipsoid.

    Args:
        center: (3,) RAS mm.
        axes: (3, 3), rows are its unit axes in RAS.
        halves: half-lengths along them in mm.
    """

    def lesion(points: Points) -> npt.NDArray[np.bool_]:
        inside: npt.NDArray[np.bool_] = ((((points - center) @ axes.T) / np.array(halves)) ** 2).sum(axis=1) < 1
        return inside

    return lesion


@dataclass(frozen=True)
class _Patch:
    """Scar from the endocardium outwards over an elliptical patch of the wall.

    Attributes:
        angle: of its middle, degrees from the septum over the anterior wall.
        height: of its middle, as a share of the cavity's length, 0 where the cavity is widest.
        width: half-width around the wall in mm for the default size.
        length: half-length along the wall in mm for the default size.
        slant: degrees by which the patch is turned in the wall.
        depth: transmurality in the middle; above 1 the patch has a transmural core.
        ragged: strength of the irregular border.
    """

    angle: float
    height: float
    width: float
    length: float
    slant: float
    depth: float
    ragged: float

    def lesion(self, ventricle: Ventricle, variation: Variation) -> Lesion:
        """The patch in the wall of a ventricle."""
        size = ventricle.cavity_radius / 24 * variation.size
        cosine, sine = np.cos(np.radians(self.slant)), np.sin(np.radians(self.slant))
        waves = _waves(np.random.default_rng(round(self.angle)), shortest=14.0, longest=30.0)

        def lesion(points: Points) -> npt.NDArray[np.bool_]:
            inward, around, along = ventricle.wall_coordinates(points)
            local = ventricle.to_local(points)
            turned = np.angle(np.exp(1j * (around - np.radians(self.angle + variation.turn))))
            u = turned * np.hypot(local[:, 0], local[:, 1])
            v = along - self.height * ventricle.cavity_length
            across, down = (u * cosine + v * sine) / (self.width * size), (v * cosine - u * sine) / (self.length * size)
            distance = across**2 + down**2
            inside: npt.NDArray[np.bool_] = inward < self.depth * (1 - distance + self.ragged * waves(local))
            return inside

        return lesion


def _waves(rng: np.random.Generator, shortest: float, longest: float) -> Callable[[Points], Points]:
    """A smooth random function of space of about unit variance, made of 12 plane waves of `shortest`..`longest` mm."""
    directions = rng.normal(size=(12, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    vectors = directions * (2 * np.pi / rng.uniform(shortest, longest, size=(12, 1)))
    phases = rng.uniform(0, 2 * np.pi, size=12)

    def value(points: Points) -> Points:
        total: Points = np.cos(points @ vectors.T + phases).sum(axis=1) / np.sqrt(6)
        return total

    return value
