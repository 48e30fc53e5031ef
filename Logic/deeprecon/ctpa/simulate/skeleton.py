"""The bones of a simulated thorax: spine, twelve pairs of ribs with cartilage, sternum, shoulders and arms."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.simulate.solids import Capsule, Ellipsoid, Label, Section, Solid

Array = npt.NDArray[np.float64]
Point = tuple[float, float, float]

FIRST_VERTEBRA, SPACING = 118.0, 22.0
"""Height of the first thoracic vertebra in mm, and the distance to the next one."""
CAGE_EXPONENT = 2.7
"""Of the superellipses of the rib cage and of the skin."""
DROPS = (26.0, 46.0, 62.0, 74.0, 84.0, 92.0, 98.0, 100.0, 98.0, 92.0, 66.0, 40.0)
"""Mm by which each rib descends from the spine to its front end."""
ENDS = (2.5, 2.55, 2.55, 2.5, 2.45, 2.38, 2.28, 2.15, 2.0, 1.85, 1.35, 0.95)
"""Angle in radians about the body's axis from the back to the front end of each rib."""


def skeleton(cage: tuple[Section, ...], abduction: float) -> Iterator[Solid]:
    """All bones and cartilage.

    Args:
        cage: sections of the inside of the rib cage.
        abduction: of the arms, degrees.
    """
    yield from _spine()
    for number in range(12):
        for side in (-1, 1):
            yield from _rib(cage, number, side)
    yield Ellipsoid(220, Label.BONE, (0, -88, 22), (17, 6, 78))
    yield Ellipsoid(230, Label.BONE, (0, -72, 92), (26, 7, 24))
    for side in (-1, 1):
        yield from _shoulder(side, abduction)


def _spine() -> Iterator[Solid]:
    for number in range(-7, 19):  # from the first cervical vertebra to the sixth below the thorax
        z = FIRST_VERTEBRA - SPACING * number if number >= 0 else FIRST_VERTEBRA - 18.0 * number
        y = _spine_depth(z)
        wide = 16.0 if number >= 0 else 12.0
        yield Ellipsoid(95, Label.CARTILAGE, (0, y, z - 11), (wide, 13, 5))
        yield Ellipsoid(210, Label.BONE, (0, y, z), (wide + 2, 15, 13))
        yield Ellipsoid(30, Label.MUSCLE, (0, y + 22, z), (9, 8, 13))
        yield Capsule(420, Label.BONE, (0, y + 33, z), (0, y + 52, z - 18), 3.5)
        for side in (-1, 1):
            yield Capsule(420, Label.BONE, (side * 11, y + 14, z), (side * 11, y + 26, z), 4)
            if number >= 0:
                yield Capsule(360, Label.BONE, (side * 12, y + 27, z), (side * 32, y + 36, z + 3), 4)


def _spine_depth(z: float) -> float:
    """How far back the vertebral bodies lie in mm: the curve of neck, thorax and loin."""
    return float(np.interp(z, [-400, -160, -60, 40, 110, 180, 400], [30, 42, 58, 60, 44, 26, 24]))


def _wall(cage: tuple[Section, ...], z: Array, angle: Array, side: int) -> Array:
    """(points, 3) on the rib cage, at heights and angles from the back."""
    heights = [each.z for each in cage]
    width, depth, middle = (
        np.interp(z, heights, [getattr(each, name) for each in cage]) for name in ("width", "depth", "y")
    )
    power = 2 / CAGE_EXPONENT
    x = side * (width + 5) * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** power
    y = middle + (depth + 5) * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** power
    return np.stack([x, y, z], axis=1)


def _rib(cage: tuple[Section, ...], number: int, side: int) -> Iterator[Solid]:
    """A rib, and the cartilage of the first ten to the sternum."""
    angle = np.linspace(0.28, ENDS[number], 14)
    share = (angle - angle[0]) / (2.5 - angle[0])
    z = FIRST_VERTEBRA + 4 - SPACING * number - DROPS[number] * share**1.35
    points = _wall(cage, z, angle, side)
    radius = 4.5 if number in (0, 11) else 5.2
    head = (side * 17.0, _spine_depth(float(z[0])) + 12, float(z[0]) + 2)
    chain: list[Point] = [head, *[(float(x), float(y), float(at)) for x, y, at in points]]
    for start, end in pairwise(chain):
        yield Capsule(560, Label.BONE, start, end, radius)
        yield Capsule(180, Label.BONE, start, end, radius - 2.2)
    if number < 10:
        front = chain[-1]
        joint = (side * 14.0, -86.0, max(88.0 - 18.0 * number, -50.0))
        bend = (side * (0.5 * abs(front[0]) + 8), 0.5 * (front[1] - 90) - 4, 0.5 * (front[2] + joint[2]) - 8)
        for start, end in pairwise((front, bend, joint)):
            yield Capsule(110, Label.CARTILAGE, start, end, 5.5)


def _shoulder(side: int, abduction: float) -> Iterator[Solid]:
    """Clavicle, scapula and humerus."""
    clavicle = [(15, -70, 106), (48, -74, 112), (92, -48, 122), (132, -8, 124), (158, 6, 116)]
    for start, end in pairwise([(side * x, y, z) for x, y, z in clavicle]):
        yield Capsule(480, Label.BONE, start, end, 6)
    yield Ellipsoid(260, Label.BONE, (side * 118, 82, 46), (30, 4, 58), -side * 0.25)
    yield Capsule(420, Label.BONE, (side * 132, 74, -8), (side * 146, 52, 84), 5)
    yield Capsule(420, Label.BONE, (side * 92, 88, 82), (side * 160, 30, 112), 5)
    yield Ellipsoid(300, Label.BONE, (side * 148, 14, 88), (9, 14, 19))
    head, angle = (side * 172.0, 8.0, 92.0), np.radians(abduction)
    elbow = (side * (172 + 330 * np.sin(angle)), 14.0, 92 - 330 * np.cos(angle))
    yield Ellipsoid(320, Label.BONE, head, (24, 23, 24))
    yield Capsule(800, Label.BONE, head, elbow, 11.5)
    yield Capsule(60, Label.BONE, head, elbow, 6)
