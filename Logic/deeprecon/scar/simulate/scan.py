"""Simulated images of an analytic heart: thick slices, partial volume, noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.data.volume import Volume
from deeprecon.scar.observe.stacks import Stack
from deeprecon.scar.simulate.lesions import Lesion
from deeprecon.scar.simulate.ventricle import Points, Tissue

Fraction = npt.NDArray[np.float32]

# Signal of late enhancement about 15 minutes after contrast, in the arbitrary units of a scanner.
HEALTHY, BLOOD, SCAR, OUTSIDE = 60.0, 230.0, 330.0, 120.0


@dataclass(frozen=True, eq=False)
class Scan:
    """Tissue shares in the slices of one stack, without noise.

    Attributes:
        fractions: of each pixel's prism that each tissue fills, (k, j, i), k counts slices.
        scar: of each prism that is scar, (k, j, i).
        ijk_to_ras: (4, 4), pixel index to RAS mm.
        thickness: of the imaged slab in mm.
    """

    fractions: dict[Tissue, Fraction]
    scar: Fraction
    ijk_to_ras: npt.NDArray[np.float64]
    thickness: float

    @property
    def spacing(self) -> npt.NDArray[np.float64]:
        """(3,) pixel size along the array's axes k, j, i in mm."""
        sizes: npt.NDArray[np.float64] = np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)[::-1]
        return sizes

    def stack(self, name: str) -> Stack:
        """The soft observations: share of wall in each pixel and share of scar in that wall."""
        wall = self.fractions[Tissue.WALL]
        share = np.divide(self.scar, wall, out=np.zeros_like(wall), where=wall > 0)
        return Stack(wall, share, self.ijk_to_ras, self.thickness, name)

    def lge(self, rng: np.random.Generator, noise: float, name: str) -> Volume:
        """Late-enhancement image, (k, j, i) int16: tissues mixed by partial volume, with Rician noise.

        Args:
            rng: for the noise.
            noise: standard deviation of both channels of the receiver (Gudbjartsson and Patz 1995, MRM 34:910).
            name: of the volume.
        """
        signal = OUTSIDE + (HEALTHY - OUTSIDE) * (self.fractions[Tissue.WALL] + self.fractions[Tissue.RIGHT_WALL])
        signal += (BLOOD - OUTSIDE) * (self.fractions[Tissue.LEFT_BLOOD] + self.fractions[Tissue.RIGHT_BLOOD])
        signal += (SCAR - HEALTHY) * self.scar
        real, imaginary = rng.normal(0, noise, size=(2, *signal.shape))
        image = np.rint(np.hypot(signal + real, imaginary)).astype(np.int16)
        return Volume(image, self.ijk_to_ras, name, self.thickness)


def slices(
    points: Points, normal: Points, down: Points, *, spacing: float, pixel: float, margin: float = 12.0
) -> tuple[npt.NDArray[np.float64], tuple[int, int, int]]:
    """Grid of parallel slices that covers points, as short-axis slices are planned.

    Args:
        points: (N, 3) RAS mm to cover.
        normal: (3,) RAS, direction in which the slices are counted.
        down: (3,) RAS, direction of the image columns; its part across `normal` counts.
        spacing: between slice centers in mm. As many slices as fit whole, centered on the points.
        pixel: size in the plane in mm.
        margin: around the points in the plane in mm.

    Returns:
        ijk_to_ras (4, 4), right-handed, and the shape (k, j, i).
    """
    k = normal / np.linalg.norm(normal)
    j = down - k * np.dot(down, k)
    j /= np.linalg.norm(j)
    axes = np.stack([np.cross(j, k), j, k])
    placed = points @ axes.T
    low, high = placed.min(axis=0), placed.max(axis=0)
    sizes = np.array([pixel, pixel, spacing])
    counts = np.ceil((high - low + 2 * margin) / sizes)
    counts[2] = max(1, np.floor((high[2] - low[2]) / spacing))
    matrix = np.eye(4)
    matrix[:3, :3] = axes.T * sizes
    matrix[:3, 3] = ((low + high) / 2 - (counts - 1) / 2 * sizes) @ axes
    return matrix, (int(counts[2]), int(counts[1]), int(counts[0]))


LONG_AXIS_ANGLES = (0.0, 60.0, 120.0)
"""Degrees from the front, away from the septum, of the 2-, the 4- and the 3-chamber plane around the long axis."""


def long_axis_slice(
    points: Points, axes: Points, center: Points, angle: float, *, depth: float, pixel: float
) -> tuple[npt.NDArray[np.float64], tuple[int, int, int]]:
    """Grid of one slice through the heart's long axis; its rows run from base to apex.

    Args:
        points: (N, 3) RAS mm to cover within the plane.
        axes: (3, 3) rows in RAS: to the septum, to the front, from apex to base.
        center: (3,) RAS mm on the long axis.
        angle: of the plane around the axis, see `LONG_AXIS_ANGLES`.
        depth: of the slice in mm, which a single slice has for its spacing.
        pixel: size in the plane in mm.

    Returns:
        As `slices`.
    """
    septum, front, base = axes
    normal = np.cos(np.radians(angle)) * septum + np.sin(np.radians(angle)) * front
    matrix, (_, rows, columns) = slices(points, normal, -base, spacing=depth, pixel=pixel)
    matrix[:3, 3] += normal * ((center - matrix[:3, 3]) @ normal)
    return matrix, (1, rows, columns)


def scan(
    tissue: Callable[[Points], npt.NDArray[np.uint8]],
    lesion: Lesion,
    ijk_to_ras: npt.NDArray[np.float64],
    shape: tuple[int, int, int],
    thickness: float,
    shifts: Points | None = None,
) -> Scan:
    """Average tissues over each pixel's prism at 4 x 4 x 8 points that are independent of any mesh.

    Args:
        tissue: (M, 3) RAS mm to (M,) `Tissue`.
        lesion: (M, 3) RAS mm wall points to (M,) bool.
        ijk_to_ras: (4, 4) pixel index to RAS mm.
        shape: (k, j, i).
        thickness: of the imaged slab in mm; the prism is the pixel's square times this, centered on the slice.
        shifts: (k, 2) mm by which the heart was displaced along the image rows (i) and columns (j), as after another
            breath-hold.
    """
    count, rows, columns = shape
    fine, deep = 4, 8
    normal = ijk_to_ras[:3, 2] / np.linalg.norm(ijk_to_ras[:3, 2])
    in_plane = (np.arange(fine) + 0.5) / fine - 0.5
    offsets = ((np.arange(deep) + 0.5) / deep - 0.5)[:, None] * thickness * normal
    j = (np.arange(rows)[:, None] + in_plane).ravel()
    i = (np.arange(columns)[:, None] + in_plane).ravel()
    plane = j[:, None, None] * ijk_to_ras[:3, 1] + i[:, None] * ijk_to_ras[:3, 0] + ijk_to_ras[:3, 3]
    units = ijk_to_ras[:3, :2] / np.linalg.norm(ijk_to_ras[:3, :2], axis=0)
    moved = np.zeros((count, 2)) if shifts is None else shifts

    def share(mask: npt.NDArray[np.bool_]) -> Fraction:
        hits = mask.reshape(deep, -1).sum(axis=0, dtype=np.uint8).reshape(rows, fine, columns, fine)
        total: Fraction = (hits.sum(axis=3).sum(axis=1) / (deep * fine * fine)).astype(np.float32)
        return total

    fractions: dict[Tissue, Fraction] = {
        kind: np.zeros(shape, dtype=np.float32) for kind in Tissue if kind != Tissue.OUTSIDE
    }
    scar = np.zeros(shape, dtype=np.float32)
    for k in range(count):
        center = plane + k * ijk_to_ras[:3, 2] - units @ moved[k]
        points = (center + offsets[:, None, None]).reshape(-1, 3)
        found = tissue(points)
        for kind, fraction in fractions.items():
            fraction[k] = share(found == kind)
        scarred = found == Tissue.WALL
        scarred[scarred] = lesion(points[scarred])
        scar[k] = share(scarred)
    return Scan(fractions, scar, ijk_to_ras, thickness)
