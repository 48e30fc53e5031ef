"""Rigid motions of slices: how far each was moved to lie where it was, and how sure that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

COMPONENTS = ("along rows mm", "along columns mm", "through plane mm", "turn degrees")
"""Of a motion: along the rows (i) and columns (j), along the normal, and around the normal from rows to columns."""


@dataclass(frozen=True, eq=False)
class Motion:
    """Of the slices of one stack.

    Attributes:
        matrices: (k, 4, 4) rigid motion of each slice, RAS mm to RAS mm; they share the direction of the normal.
        middles: (k, 3) RAS mm, middle of the wall of each slice as it was imaged; NaN where it shows none.
        moved: (k, 4) the motion of each middle in `COMPONENTS`.
        deviation: (k, 4) standard deviations of these; NaN where nothing was measured.
        tilt: (2,) degrees by which the whole stack was turned around its rows and columns.
        agreement: (k, 2) overlap of wall and reference, twice the common part over the sum, before and after; NaN where
            there is no reference.
    """

    matrices: Floats
    middles: Floats
    moved: Floats
    deviation: Floats
    tilt: Floats
    agreement: Floats

    @property
    def offsets(self) -> Floats:
        """(k, 3) RAS mm by which the middle of each slice's wall is moved."""
        middles = np.nan_to_num(self.middles)
        moved = np.einsum("kab,kb->ka", self.matrices[:, :3, :3], middles) + self.matrices[:, :3, 3]
        return np.where(np.isfinite(self.middles), moved - middles, self.matrices[:, :3, 3])


@dataclass(frozen=True, eq=False)
class Frame:
    """Right-angled axes along a stack, in mm.

    Attributes:
        origin: (3,) RAS mm.
        axes: (3, 3) rows: along the rows (i) of the images, across them in the plane, along the normal.
    """

    origin: Floats
    axes: Floats

    def to_local(self, points: Floats) -> Floats:
        """(..., 3) RAS mm to (..., 3) mm along the axes."""
        local: Floats = (points - self.origin) @ self.axes.T
        return local

    def to_ras(self, local: Floats) -> Floats:
        """(..., 3) mm along the axes to (..., 3) RAS mm."""
        points: Floats = local @ self.axes + self.origin
        return points

    def motion_in_ras(self, rotation: Floats, translation: Floats) -> Floats:
        """(4, 4) the motion x -> rotation x + translation along the axes as one of RAS mm."""
        result = np.eye(4)
        result[:3, :3] = self.axes.T @ rotation @ self.axes
        result[:3, 3] = self.origin + self.axes.T @ translation - result[:3, :3] @ self.origin
        return result


def frame_of(ijk_to_ras: Floats, normal: Floats) -> Frame:
    """Axes along the rows, in the plane and along the normal of a stack, from the center of its first pixel."""
    first = ijk_to_ras[:3, 0] / np.linalg.norm(ijk_to_ras[:3, 0])
    return Frame(ijk_to_ras[:3, 3].astype(np.float64), np.stack([first, np.cross(normal, first), normal]))


def rotation(vector: Sequence[float] | Floats) -> Floats:
    """(3, 3) the rotation around a vector (3,) by its length in radians (Rodrigues' formula)."""
    x, y, z = vector
    angle = float(np.sqrt(x * x + y * y + z * z))
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    if angle < 1e-12:
        return np.asarray(np.eye(3) + cross)
    turned: Floats = np.eye(3) + np.sin(angle) / angle * cross + (1 - np.cos(angle)) / angle**2 * cross @ cross
    return turned
