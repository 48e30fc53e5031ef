"""Solids of which simulated chests are made: their labels, and the distance of points to their surface."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Field = npt.NDArray[np.float32]


class Label(IntEnum):
    """The solid that fills most of a voxel."""

    AIR = 0
    FAT = 1
    MUSCLE = 2
    LUNG = 3
    LIVER = 4
    HEART = 5
    VESSEL = 6
    BONE = 7
    AIRWAY = 8
    NODULE = 9
    EMBOLUS = 10
    MEDIASTINUM = 11
    SPLEEN = 12
    STOMACH = 13
    GAS = 14
    CARTILAGE = 15
    BREAST = 16


@dataclass(frozen=True)
class Ellipsoid:
    """Center and radii in mm along x, y, z; turned by `angle` in the coronal plane."""

    hu: float
    label: Label
    center: tuple[float, float, float]
    radii: tuple[float, float, float]
    angle: float = 0.0

    @property
    def thickness(self) -> float:
        return 2 * min(self.radii)

    def bounds(self) -> tuple[Array, Array]:
        """Lowest and highest x, y, z."""
        x, y, z = self.radii
        cosine, sine = np.cos(self.angle), np.sin(self.angle)
        reach = np.array([np.hypot(x * cosine, z * sine), y, np.hypot(x * sine, z * cosine)])
        return np.array(self.center) - reach, np.array(self.center) + reach

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        """Distance to the surface in mm, negative inside; exact near the surface."""
        x, y, z = x - np.float32(self.center[0]), y - np.float32(self.center[1]), z - np.float32(self.center[2])
        if self.angle:
            cosine, sine = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
            x, z = cosine * x + sine * z, cosine * z - sine * x
        a, b, c = (np.float32(1 / radius) for radius in self.radii)
        level = np.sqrt((x * a) ** 2 + (y * b) ** 2 + (z * c) ** 2)
        slope = np.sqrt((x * a * a) ** 2 + (y * b * b) ** 2 + (z * c * c) ** 2)
        result: Field = (level - 1) * level / np.maximum(slope, np.float32(1e-6))
        return np.where(level < 0.1, np.float32(-0.5 * min(self.radii)), result)


@dataclass(frozen=True)
class Capsule:
    """A tube with round ends between two points, all in mm."""

    hu: float
    label: Label
    start: tuple[float, float, float]
    end: tuple[float, float, float]
    radius: float

    @property
    def thickness(self) -> float:
        return 2 * self.radius

    def bounds(self) -> tuple[Array, Array]:
        """Lowest and highest x, y, z."""
        ends = np.array([self.start, self.end])
        return ends.min(axis=0) - self.radius, ends.max(axis=0) + self.radius

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        """Distance to the surface in mm, negative inside."""
        (px, py, pz), (dx, dy, dz) = self.start, np.subtract(self.end, self.start).tolist()
        length = max(dx * dx + dy * dy + dz * dz, 1e-9)
        x, y, z = x - np.float32(px), y - np.float32(py), z - np.float32(pz)
        along = np.clip((x * np.float32(dx) + y * np.float32(dy) + z * np.float32(dz)) / np.float32(length), 0, 1)
        squared = (x - along * dx) ** 2 + (y - along * dy) ** 2 + (z - along * dz) ** 2
        result: Field = (np.sqrt(squared) - self.radius).astype(np.float32)
        return result


@dataclass(frozen=True)
class Section:
    """An axial section of a `Loft`: its height, its middle, and its half width and half depth, all in mm."""

    z: float
    x: float
    y: float
    width: float
    depth: float


@dataclass(frozen=True)
class Loft:
    """A solid whose axial sections are superellipses, interpolated linearly between those that are given.

    Attributes:
        sections: from foot to head.
        exponent: 2 for ellipses; larger for rounder rectangles.
    """

    hu: float
    label: Label
    sections: tuple[Section, ...]
    exponent: float = 2.0

    @property
    def thickness(self) -> float:
        return 2 * max(min(section.width, section.depth) for section in self.sections)

    def bounds(self) -> tuple[Array, Array]:
        """Lowest and highest x, y, z."""
        reach = [np.array([each.width, each.depth, 0.0]) for each in self.sections]
        middles = [np.array([each.x, each.y, each.z]) for each in self.sections]
        low = np.min([middle - half for middle, half in zip(middles, reach, strict=True)], axis=0)
        high = np.max([middle + half for middle, half in zip(middles, reach, strict=True)], axis=0)
        return low, high

    def distance(self, x: Field, y: Field, z: Field) -> Field:
        """Distance to the surface in mm along the radius of a section or along z, negative inside."""
        middle_x, middle_y, width, depth = (
            np.interp(z, [each.z for each in self.sections], [getattr(each, name) for each in self.sections]).astype(
                np.float32
            )
            for name in ("x", "y", "width", "depth")
        )
        x, y = x - middle_x, y - middle_y
        power = np.float32(self.exponent)
        level = ((np.abs(x) / width) ** power + (np.abs(y) / depth) ** power) ** (1 / power)
        radius = np.sqrt(x**2 + y**2)
        inside = np.minimum(width, depth)
        radial = np.where(level < 0.1, -inside, radius * (1 - 1 / np.maximum(level, np.float32(0.1))))
        beyond = np.maximum(z - self.sections[-1].z, self.sections[0].z - z).astype(np.float32)
        result: Field = np.maximum(radial, beyond)
        return result


Solid = Ellipsoid | Capsule | Loft
