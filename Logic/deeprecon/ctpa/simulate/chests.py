"""Simulated chests, rendered on any grid or patch of one.

An anatomy is a list of solids, each of which covers the earlier ones: body, lungs, heart, vessels that branch down to
a millimetre, ribs, spine, emboli. A voxel is the mean over its parts (partial volume), so that coarse and fine grids
agree on the mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.grid import AIR, Grid, Hu
from deeprecon.ctpa.simulate.solids import Capsule, Ellipsoid, Label, Solid

Array = npt.NDArray[np.float64]
Field = npt.NDArray[np.float32]
Axes = tuple[Array, Array, Array]

MIN_VESSEL_RADIUS = 1.0
"""Radius in mm at which vessels end."""
TEXTURE = 18.0
"""Standard deviation in HU of the smooth variation within tissue."""
SLAB = 32
"""Planes that are rendered at a time."""


@dataclass(frozen=True)
class Anatomy:
    """A chest: its solids in the order in which they are rendered, and its texture.

    Attributes:
        solids: later ones cover earlier ones.
        waves: (count, 4) of the texture: wave vector in 1/mm (x, y, z) and phase.
    """

    solids: tuple[Solid, ...]
    waves: Array

    @property
    def has_embolus(self) -> bool:
        return any(solid.label is Label.EMBOLUS for solid in self.solids)


def make_anatomy(seed: int) -> Anatomy:
    """A chest drawn at random; the same for the same seed."""
    rng = np.random.default_rng([seed, 61])
    a, b = rng.uniform(145, 172), rng.uniform(95, 125)  # half width and half depth of the body
    middle, lung_hu, contrast = rng.uniform(5, 25), rng.uniform(-880, -780), rng.uniform(150, 350)
    far = 1e4  # body and muscle extend beyond the field
    solids: list[Solid] = [
        Ellipsoid(-90, Label.FAT, (0, 0, 0), (a, b, far)),
        Ellipsoid(45, Label.MUSCLE, (0, 0, 0), (a - 16, b - 13, far)),
    ]
    lungs = {}
    for side, smaller in ((-1, 1.0), (1, 0.93)):  # the left lung (x > 0) makes room for the heart
        radii = (0.37 * a * smaller, 0.68 * b, rng.uniform(115, 140))
        lungs[side] = Ellipsoid(lung_hu, Label.LUNG, (side * 0.43 * a, 0.0, middle), radii)
    solids += lungs.values()
    dome = rng.uniform(-125, -85)
    solids += [
        Ellipsoid(60, Label.LIVER, (side * 0.42 * a, 0, dome - 60 - (8 if side > 0 else 0)), (0.4 * a, 0.72 * b, 60))
        for side in (-1, 1)
    ]
    heart = (rng.uniform(45, 66), rng.uniform(40, 54), rng.uniform(45, 62))
    place = (rng.uniform(10, 28), -0.18 * b, middle - 62 + rng.uniform(-12, 12))
    solids.append(Ellipsoid(contrast, Label.HEART, place, heart, rng.uniform(0.2, 0.6)))
    solids += _airway(middle)
    vessels = _vessels(rng, middle, lungs, contrast + rng.uniform(100, 150))
    solids += vessels
    solids += _bones(rng, a, b, middle)
    if rng.random() < 0.4:
        side = int(rng.choice([-1, 1]))
        spot = (side * rng.uniform(50, 85), rng.uniform(-40, 40), middle + rng.uniform(-60, 60))
        radius = rng.uniform(5, 14)
        solids.append(Ellipsoid(20, Label.NODULE, spot, (radius, radius, radius)))
    if rng.random() < 0.5:
        solids += _emboli(rng, vessels)
    waves = np.column_stack([rng.normal(0, 0.25, (8, 3)), rng.uniform(0, 2 * np.pi, 8)])
    return Anatomy(tuple(solids), waves)


def draw(anatomy: Anatomy, axes: Axes) -> tuple[Hu, npt.NDArray[np.uint8]]:
    """Render a part of a chest.

    Args:
        anatomy: see there.
        axes: centers of the voxels in mm along z, y and x, evenly spaced, two or more along each; see `Grid.axes`.

    Returns:
        HU int16 and `Label`s, both (k, j, i).
    """
    steps = [float(axis[1] - axis[0]) for axis in axes]
    hu = np.full([len(axis) for axis in axes], AIR, np.float32)
    labels = np.zeros(hu.shape, np.uint8)
    for solid in anatomy.solids:
        where = _inside(solid, axes, steps)
        if where is None or solid.thickness < 0.5 * min(steps):
            continue
        z, y, x = (axis[part].astype(np.float32) for axis, part in zip(axes, where, strict=True))
        distance = solid.distance(x[None, None, :], y[None, :, None], z[:, None, None])
        size = np.float32(np.cbrt(np.prod(steps)))
        covered = np.clip(0.5 - distance / size, 0, 1) * np.float32(min(1.0, solid.thickness / float(size)))
        hu[where] += covered * (np.float32(solid.hu) - hu[where])
        labels[where][covered > 0.5] = solid.label
    texture = _texture(anatomy.waves, axes, min(steps))
    tissue = (labels != Label.AIR) & (labels != Label.AIRWAY)
    hu += np.where(tissue, texture, 0)
    return np.rint(hu).astype(np.int16), labels


def draw_grid(anatomy: Anatomy, grid: Grid) -> tuple[Hu, npt.NDArray[np.uint8]]:
    """Render a chest on a grid, slab by slab; see `draw`."""
    z, y, x = grid.axes()
    hu, labels = np.empty(grid.shape, np.int16), np.empty(grid.shape, np.uint8)
    for part in _slabs(len(z)):
        hu[part], labels[part] = draw(anatomy, (z[part], y, x))
    return hu, labels


def _slabs(count: int) -> Iterator[slice]:
    """Slabs of two planes or more."""
    edges = [*range(0, max(count - 1, 1), SLAB), count]
    yield from (slice(first, last) for first, last in pairwise(edges))


def _inside(solid: Solid, axes: Axes, steps: list[float]) -> tuple[slice, slice, slice] | None:
    """The voxels that a solid may cover; None where there are none."""
    low, high = solid.bounds()
    parts = []
    for axis, step, first, last in zip(axes, steps, low[::-1], high[::-1], strict=True):
        start, stop = np.searchsorted(axis, [first - step, last + step])
        if start >= stop:
            return None
        parts.append(slice(int(start), int(stop)))
    return parts[0], parts[1], parts[2]


def _texture(waves: Array, axes: Axes, step: float) -> Field:
    """Plane waves, a function of the position alone, so the same in every patch; damped if too short for the grid."""
    z, y, x = axes
    total = np.zeros([len(axis) for axis in axes], np.float32)
    amplitude = TEXTURE * np.sqrt(2 / len(waves))
    for kx, ky, kz, phase in waves:
        fade = np.exp(-0.1 * (step * np.linalg.norm([kx, ky, kz])) ** 2)
        plane = np.exp(1j * ky * y)[:, None] * np.exp(1j * kx * x)[None, :]
        along = np.exp(1j * (kz * z + phase))
        real = along.real[:, None, None] * plane.real[None] - along.imag[:, None, None] * plane.imag[None]
        total += (amplitude * fade * real).astype(np.float32)
    return total


def _airway(middle: float) -> Iterable[Solid]:
    carina = (0.0, 12.0, middle + 35)
    yield Capsule(AIR, Label.AIRWAY, (0, 8, 190), carina, 8.5)
    for side in (-1, 1):
        yield Capsule(AIR, Label.AIRWAY, carina, (side * 42, 14, middle + 5), 6.0)


def _bones(rng: np.random.Generator, a: float, b: float, middle: float) -> Iterable[Solid]:
    yield Capsule(350, Label.BONE, (0, b - 38, -260), (rng.uniform(-6, 6), b - 40, 260), 16)
    yield Capsule(300, Label.BONE, (0, 21 - b, middle - 70), (0, 26 - b, middle + 90), 7)
    for side in (-1, 1):
        yield Capsule(500, Label.BONE, (side * 12, 27 - b, middle + 105), (side * 0.75 * a, 10, middle + 138), 6)
    for pair in range(10):
        top = middle + 135 - 27 * pair
        angles = np.linspace(0.2, 2.45, 11)  # from the spine round the side to the front, going down
        height = top - 38 * (angles / 2.45) ** 1.3
        for side in (-1, 1):
            points = np.stack([side * (a - 23) * np.sin(angles), (b - 20) * np.cos(angles), height], axis=1).tolist()
            yield from (Capsule(500, Label.BONE, tuple(p), tuple(q), 5) for p, q in pairwise(points))


def _vessels(rng: np.random.Generator, middle: float, lungs: dict[int, Ellipsoid], hu: float) -> list[Capsule]:
    """The pulmonary arteries: a trunk, a branch to each lung, and trees down to `MIN_VESSEL_RADIUS` or the pleura."""
    trunk = (8.0, -18.0, middle)
    found = [Capsule(hu, Label.VESSEL, (12, -22, middle - 40), trunk, float(rng.uniform(11, 14)))]
    for side, lung in lungs.items():
        hilum = (side * rng.uniform(42, 52), rng.uniform(-6, 10), middle + rng.uniform(-4, 12))
        radius = float(rng.uniform(8, 11))
        found.append(Capsule(hu, Label.VESSEL, trunk, hilum, radius))
        outwards = np.array([side, 0.0, 0.0])
        for turn in (np.array([0.3 * side, 0, 1.0]), np.array([side, 0.2, -0.1]), np.array([0.35 * side, 0.1, -1.0])):
            found += branches(rng, np.array(hilum), turn + 0.2 * outwards, 0.62 * radius, lung, hu)
    return found


def branches(
    rng: np.random.Generator, start: Array, direction: Array, radius: float, lung: Ellipsoid, hu: float
) -> list[Capsule]:
    """A tree of vessels: each branch ends in two narrower ones, down to `MIN_VESSEL_RADIUS` or the border of a lung."""
    direction = direction / np.linalg.norm(direction)
    length = radius * rng.uniform(4.0, 6.0)
    while length > 2 and np.linalg.norm((start + length * direction - lung.center) / np.array(lung.radii)) > 0.95:
        length *= 0.7  # shorter near the pleura
    if radius < MIN_VESSEL_RADIUS or length <= 2:
        return []
    end = start + length * direction
    found = [Capsule(hu, Label.VESSEL, tuple(start.tolist()), tuple(end.tolist()), float(radius))]
    across = np.cross(direction, rng.normal(size=3))
    across /= np.linalg.norm(across)
    for sign in (-1, 1):
        turned = direction + sign * rng.uniform(0.4, 0.8) * across
        found += branches(rng, end, turned, radius * rng.uniform(0.72, 0.84), lung, hu)
    return found


def _emboli(rng: np.random.Generator, vessels: list[Capsule]) -> list[Solid]:
    """Filling defects: 50 HU within one to three of the larger arteries."""
    large = [vessel for vessel in vessels[1:] if vessel.radius > 3]
    chosen = rng.choice(len(large), min(len(large), int(rng.integers(1, 4))), replace=False)
    solids: list[Solid] = []
    for vessel in (large[index] for index in chosen):
        begin, end = np.array(vessel.start), np.array(vessel.end)
        first, last = begin + 0.25 * (end - begin), begin + rng.uniform(0.6, 0.9) * (end - begin)
        solids.append(
            Capsule(
                50, Label.EMBOLUS, tuple(first.tolist()), tuple(last.tolist()), vessel.radius * rng.uniform(0.6, 0.85)
            )
        )
    return solids
