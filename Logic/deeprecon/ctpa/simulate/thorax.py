"""A simulated thorax from the abdomen to the neck, with shoulders and arms: the built-in atlas of `ctpa synthesize`.

Sizes are those of adults standing in inspiration, to about 1 cm; the middle of the lungs is the origin, x to the left,
y to the back and z to the head, in mm. HU are those of a pulmonary angiogram.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from deeprecon.ctpa.grid import AIR
from deeprecon.ctpa.simulate.chests import Anatomy, branches
from deeprecon.ctpa.simulate.skeleton import CAGE_EXPONENT, skeleton
from deeprecon.ctpa.simulate.solids import Capsule, Ellipsoid, Label, Loft, Section, Solid

SKIN = (
    Section(-400, 0, 0, 152, 108), Section(-230, 0, 0, 152, 108), Section(-130, 0, 0, 154, 110),
    Section(-50, 0, 0, 158, 112), Section(20, 0, 2, 164, 112), Section(70, 0, 4, 168, 104),
    Section(100, 0, 8, 172, 92), Section(122, 0, 10, 166, 82), Section(140, 0, 11, 140, 74),
    Section(155, 0, 10, 108, 68), Section(170, 0, 9, 78, 64), Section(190, 0, 8, 62, 62), Section(400, 0, 4, 60, 66),
)  # fmt: skip
"""Of a man with 10 mm of fat."""
CAGE = (
    Section(-152, 0, 2, 140, 94), Section(-130, 0, 2, 141, 95), Section(-90, 0, 2, 141, 97),
    Section(-40, 0, 2, 138, 97), Section(0, 0, 2, 133, 95), Section(40, 0, 4, 124, 88), Section(75, 0, 7, 110, 78),
    Section(100, 0, 11, 94, 64), Section(120, 0, 15, 78, 50), Section(134, 0, 18, 65, 40), Section(143, 0, 20, 52, 27),
)  # fmt: skip
"""The inside of the rib cage, which the lungs fill."""
MEDIASTINUM = (
    Section(-170, 4, -4, 46, 92), Section(-60, 6, -6, 42, 92), Section(0, 2, -4, 36, 90), Section(45, 2, 0, 33, 84),
    Section(75, 1, 3, 30, 74), Section(100, 0, 8, 28, 58), Section(150, 0, 14, 30, 40), Section(180, 0, 14, 34, 40),
)  # fmt: skip
"""What lies between the lungs, from the sternum to the spine."""
PERICARDIUM = (
    Section(-140, 30, -24, 44, 74), Section(-110, 28, -24, 60, 76), Section(-75, 24, -22, 61, 78),
    Section(-50, 19, -20, 54, 78), Section(-25, 11, -18, 46, 74), Section(5, 6, -14, 38, 66),
    Section(30, 6, -14, 34, 60),
)  # fmt: skip
"""Heart and fat around it, between sternum, diaphragm and lungs."""
BACK = (
    Section(-400, 0, 84, 44, 22), Section(-60, 0, 88, 42, 21), Section(60, 0, 84, 38, 21), Section(130, 0, 62, 32, 24),
    Section(180, 0, 44, 28, 22),
)  # fmt: skip
"""Muscles beside and behind the spine."""
DOMES = (
    Section(-400, 0, 0, 88, 96), Section(-150, 0, 0, 88, 96), Section(-50, 0, 0, 86, 95), Section(-30, 0, 0, 80, 90),
    Section(-15, 0, 0, 68, 79), Section(-5, 0, 0, 50, 58), Section(0, 0, 0, 16, 18),
)  # fmt: skip
"""Of the diaphragm, below the height of its top."""
LIVER = (Section(-130, 0, 0, 30, 50), *DOMES[2:])
"""The same of the liver, which tapers below the right dome."""
_LUNGS = {side: Ellipsoid(0, Label.LUNG, (side * 82.0, 4.0, -5.0), (46, 74, 116)) for side in (-1, 1)}
"""Within which vessels branch."""


@dataclass(frozen=True)
class Build:
    """What differs between people beyond their size.

    Attributes:
        name: for messages.
        fat: thickness below the skin in mm.
        breast: volume over that of an average woman's; 0 for a man.
        heart: width over that of an average man's.
        abduction: of the arms from the body, degrees; about 180 for arms above the head.
    """

    name: str
    fat: float = 10.0
    breast: float = 0.0
    heart: float = 1.0
    abduction: float = 25.0


BUILDS = (
    Build("a man, arms away from the body"),
    Build("a woman, arms away from the body", 13.0, 1.0, 0.95),
    Build("a heavy man, arms beside the body", 30.0, 0.2, 1.15, 8.0),
    Build("a man, arms raised", 10.0, 0.0, 1.0, 160.0),
)


def make_thorax(build: Build) -> Anatomy:
    """The anatomy of a build; always the same."""
    rng = np.random.default_rng(7)
    solids: list[Solid] = [*_body(build), *_chest_cavity(build.heart), *_abdomen(), *_heart(build.heart)]
    solids += [*_great_vessels(), *_airways(), *_lung_vessels(rng), *skeleton(CAGE, build.abduction)]
    waves = np.column_stack([rng.normal(0, 0.25, (8, 3)), rng.uniform(0, 2 * np.pi, 8)])
    return Anatomy(tuple(solids), waves)


def _grown(sections: tuple[Section, ...], by: float) -> tuple[Section, ...]:
    """Sections whose half width and depth are larger by some mm."""
    return tuple(Section(each.z, each.x, each.y, each.width + by, each.depth + by) for each in sections)


def _body(build: Build) -> Iterator[Solid]:
    """Skin, fat, muscles, arms and breasts."""
    extra = build.fat - 10.0
    yield Loft(-95, Label.FAT, _grown(SKIN, extra), CAGE_EXPONENT)
    yield from _arms(-95, Label.FAT, 9.0 + 0.5 * extra, build.abduction)
    if build.breast:
        size = np.cbrt(build.breast)
        for side in (-1, 1):
            middle = (side * 72.0, -82.0 - extra, -18.0)
            yield Ellipsoid(-40, Label.BREAST, middle, (66 * size, 44 * size, 60 * size))
    yield Loft(48, Label.MUSCLE, _grown(SKIN, -10), CAGE_EXPONENT)
    yield from _arms(48, Label.MUSCLE, 0.0, build.abduction)
    for side in (-1, 1):  # fat of the armpits, between the muscles of chest and back
        yield Ellipsoid(-85, Label.FAT, (side * 136.0, 8, 62), (14, 34, 38))


def _arms(hu: float, label: Label, fat: float, abduction: float) -> Iterator[Solid]:
    angle = np.radians(abduction)
    for side in (-1, 1):
        shoulder = (side * 172.0, 8.0, 92.0)
        yield Ellipsoid(hu, label, shoulder, (34 + fat, 38 + fat, 42 + fat))
        end = (side * (172.0 + 330 * np.sin(angle)), 14.0, 92.0 - 330 * np.cos(angle))
        yield Capsule(hu, label, shoulder, end, 36 + fat)


def _chest_cavity(heart: float) -> Iterator[Solid]:
    """Lungs, mediastinum, muscles of the back, and what the heart lies in, `heart` times as wide as a man's."""
    yield Loft(-860, Label.LUNG, CAGE, CAGE_EXPONENT)
    yield Loft(20, Label.MEDIASTINUM, MEDIASTINUM, 2.5)
    sac = tuple(Section(each.z, each.x, each.y, each.width * heart, each.depth) for each in PERICARDIUM)
    yield Loft(-60, Label.FAT, sac, 2.5)
    yield Loft(48, Label.MUSCLE, BACK, 2.5)
    yield Ellipsoid(-90, Label.FAT, (4, -66, 20), (16, 14, 60))  # in front of the great vessels


def _abdomen() -> Iterator[Solid]:
    """Diaphragm, liver, spleen, stomach with its air bubble, and what lies below."""
    below = tuple(Section(z, 0, 2, 138, 92) for z in (-400, -162))
    yield Loft(35, Label.MUSCLE, below, 2.2)
    yield _loft(50, Label.MUSCLE, DOMES, -58, -74)
    yield _loft(100, Label.LIVER, LIVER, -58, -74)
    yield _loft(50, Label.MUSCLE, DOMES, 60, -88)
    yield Ellipsoid(110, Label.SPLEEN, (98, 48, -158), (34, 40, 52))
    yield Ellipsoid(30, Label.STOMACH, (52, -6, -150), (46, 46, 50))
    yield Ellipsoid(AIR, Label.GAS, (54, 2, -117), (30, 20, 13))
    yield Ellipsoid(-95, Label.FAT, (10, -40, -250), (90, 45, 70))


def _loft(hu: float, label: Label, sections: tuple[Section, ...], x: float, top: float) -> Loft:
    return Loft(hu, label, tuple(Section(top + each.z, x, 2, each.width, each.depth) for each in sections), 2.2)


def _heart(size: float) -> Iterator[Solid]:
    """The four chambers; the left ventricle within its muscle."""
    yield Ellipsoid(110, Label.HEART, (36 * size, -16, -56), (52 * size, 52, 46), 0.55)
    yield Ellipsoid(280, Label.HEART, (34 * size, -12, -52), (36 * size, 30, 29), 0.55)
    yield Ellipsoid(330, Label.HEART, (8 * size, -42, -58), (46 * size, 26, 38), 0.3)
    yield Ellipsoid(330, Label.HEART, (-24 * size, -14, -42), (27 * size, 34, 40))
    yield Ellipsoid(290, Label.HEART, (8, 24, -22), (38 * size, 22, 26))


def _great_vessels() -> Iterator[Solid]:
    aorta = [(6, -16, -14), (-14, -22, 20), (-13, -18, 48), (0, -6, 66), (18, 14, 70), (30, 32, 56), (29, 42, 10),
             (20, 46, -80), (8, 44, -400)]  # fmt: skip
    yield from _tube(260, aorta, [16, 16, 15, 14, 13, 13, 12.5, 12])
    yield from _tube(380, [(-22, 0, 110), (-27, -8, 60), (-28, -10, -10)], [8, 9])
    yield from _tube(180, [(-24, 4, -60), (-20, 18, -120), (-16, 30, -400)], [12, 11])
    yield from _tube(260, [(-8, -10, 64), (-20, -4, 100), (-26, 6, 180)], [7, 4.5])
    yield from _tube(260, [(16, 8, 72), (24, 10, 110), (26, 10, 180)], [5, 4])
    yield from _tube(400, [(18, -36, -20), (16, -28, 8), (12, -12, 26)], [14, 13])


def _tube(hu: float, points: Sequence[tuple[float, float, float]], radii: Sequence[float]) -> Iterator[Solid]:
    """Capsules from point to point."""
    for start, end, radius in zip(points[:-1], points[1:], radii, strict=True):
        yield Capsule(hu, Label.VESSEL, start, end, radius)


def _airways() -> Iterator[Solid]:
    carina = (0.0, 14.0, 46.0)
    yield Capsule(AIR, Label.AIRWAY, (0, 2, 400), (0, 8, 120), 9)
    yield Capsule(AIR, Label.AIRWAY, (0, 8, 120), carina, 9)
    for side, end in ((-1, (-44.0, 18.0, 14.0)), (1, (48.0, 18.0, 10.0))):
        yield Capsule(AIR, Label.AIRWAY, carina, end, 7)
        for up in (26.0, -34.0):
            yield Capsule(AIR, Label.AIRWAY, end, (end[0] + side * 20, 22.0, end[2] + up), 3.5)


def _lung_vessels(rng: np.random.Generator) -> Iterator[Solid]:
    """The arteries of both lungs from the trunk to the segments, and the veins to the left atrium."""
    trunk = (12.0, -12.0, 26.0)
    for side, lung in _LUNGS.items():
        hilum = (side * 46.0, 4.0, 20.0 if side < 0 else 28.0)
        yield Capsule(400, Label.VESSEL, trunk, hilum, 10.5)
        for turn in (
            (0.5, -0.5, 1.0),
            (0.4, 0.5, 1.0),
            (1.0, 0.4, 0.2),
            (1.0, -0.5, 0.0),
            (0.5, 0.6, -1.0),
            (0.5, 0.1, -1.0),
        ):
            direction = np.array([side * turn[0], turn[1], turn[2]])
            yield from branches(rng, np.array(hilum), direction, 6.0, lung, 400)
        root = (side * 36.0, 24.0, -22.0)
        yield Capsule(290, Label.VESSEL, (8, 24, -22), root, 7)
        for turn in ((1.0, 0.1, -0.2), (0.8, 0.5, -0.7), (0.8, -0.5, 0.8)):
            direction = np.array([side * turn[0], turn[1], turn[2]])
            yield from branches(rng, np.array(root), direction, 4.5, lung, 290)
