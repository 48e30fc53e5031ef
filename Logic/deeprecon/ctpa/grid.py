"""The common grid of all CTs: a fixed field of view in mm and a fixed range of HU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.formats.simpleitk import image_from_volume
from deeprecon.data.volume import Volume

Array = npt.NDArray[np.float64]
Hu = npt.NDArray[np.int16]

FIELD = (358.0, 358.0, 365.0)
"""Field of view in mm from right to left, front to back, and foot to head."""
AIR = -1000
LOW, HIGH = -1000, 1000
"""Range of HU of the networks; values beyond are clipped."""
MIN_COVERAGE = 0.5
"""Minimum share of the field of view, along every axis, that a scan covers; a smaller one is a crop."""


@dataclass(frozen=True)
class Grid:
    """Voxels that fill the field of view.

    Attributes:
        shape: (k, j, i) voxels from foot to head, front to back, right to left: the axes of DICOM.
        field: see `FIELD`.
    """

    shape: tuple[int, int, int]
    field: tuple[float, float, float] = FIELD

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Size of a voxel in mm along i, j, k."""
        k, j, i = self.shape
        return self.field[0] / i, self.field[1] / j, self.field[2] / k

    def affine(self, center: npt.ArrayLike = (0.0, 0.0, 0.0)) -> Array:
        """(4, 4) IJK to RAS with the middle of the field at `center`, RAS mm."""
        affine = np.diag([-self.spacing[0], -self.spacing[1], self.spacing[2], 1.0])
        affine[:3, 3] = np.asarray(center, float) - affine[:3, :3] @ (0.5 * (np.array(self.shape[::-1]) - 1))
        return affine

    def axes(self) -> tuple[Array, Array, Array]:
        """Voxel centers in mm from the middle: z towards the head (k), y to the back (j), x to the left (i)."""
        z, y, x = (
            np.asarray((np.arange(count) + 0.5) * size - 0.5 * count * size, float)
            for count, size in zip(self.shape, self.spacing[::-1], strict=True)
        )
        return z, y, x

    def coarser(self, factor: int) -> Grid:
        """The grid with `factor` times fewer voxels along each axis, such as that of a latent.

        Raises:
            ValueError: a count of voxels is not divisible by the factor.
        """
        if any(count % factor for count in self.shape):
            raise ValueError(f"{self.shape} does not divide by {factor}")
        k, j, i = (count // factor for count in self.shape)
        return Grid((k, j, i), self.field)


FULL = Grid((608, 512, 512))
PREVIEW = Grid((304, 256, 256))
PRESETS = {"preview": PREVIEW, "full": FULL}
"""By the value of `parameters.Preset`."""
PUBLISHED = Grid((604, 512, 512))
"""The grid of the published patch training, for comparison only: 604 is not divisible by 8."""


def to_network(hu: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """HU to -1 .. 1, the same for every scan: the extremes of a volume change with a single metal clip."""
    scaled: npt.NDArray[np.float32] = (
        2 * (np.clip(np.asarray(hu, np.float32), LOW, HIGH) - LOW) / (HIGH - LOW) - 1
    ).astype(np.float32)
    return scaled


def to_hu(values: npt.ArrayLike) -> Hu:
    """The inverse of `to_network`: HU as int16."""
    hu = (np.clip(np.asarray(values, np.float32), -1, 1) + 1) * (0.5 * (HIGH - LOW)) + LOW
    rounded: Hu = np.rint(hu).astype(np.int16)
    return rounded


def block_mean(values: npt.NDArray[Any], factor: int) -> npt.NDArray[Any]:
    """Means over blocks of `factor` along each axis; what is left over at the end of an axis is cut off."""
    if factor == 1:
        return values
    counts = [count // factor for count in values.shape]
    blocks = values[tuple(slice(count * factor) for count in counts)]
    blocks = blocks.reshape([size for count in counts for size in (count, factor)])
    mean: npt.NDArray[np.float32] = blocks.mean(axis=tuple(range(1, blocks.ndim, 2)), dtype=np.float32)
    return mean


def resample(volume: Volume, grid: Grid, center: npt.ArrayLike | None = None) -> tuple[Hu, Array]:
    """A CT resampled on a grid: trilinear, after smoothing where it gets coarser.

    Values below -1000, by which scanners mark what they did not reconstruct, become air. Voxels outside of the scan get
    the value of the nearest one inside: they are unknown, see `deeprecon.ctpa.observe.placement`.

    Args:
        volume: in any orientation.
        grid: to resample on.
        center: middle of the grid's field in RAS mm; that of the scan if left out. A volume that has the grid's voxels
            is not resampled about its own middle.

    Returns:
        HU (k, j, i), and the affine IJK to RAS in the patient.

    Raises:
        InputError: values that are no HU, or a scan that covers too little of the field.
    """
    import SimpleITK as sitk

    low, high = _check_hu(volume)
    lower, upper = bounds(volume)
    middle = 0.5 * (lower + upper)
    about = middle if center is None else np.asarray(center, float)
    half = 0.5 * np.array(grid.field)
    inside = np.minimum(upper, about + half) - np.maximum(lower, about - half)
    if (inside < MIN_COVERAGE * np.array(grid.field)).any():
        size = " x ".join(f"{max(0.0, value):.0f}" for value in inside)
        raise InputError(
            f"{volume.name} covers {size} mm of the {grid.field[0]:.0f} x {grid.field[1]:.0f} x {grid.field[2]:.0f} mm "
            "of a chest: it is a crop.",
            "Give the whole scan.",
        )
    if is_on_grid(volume, grid) and np.allclose(about, middle, atol=1e-6):
        return np.rint(np.clip(volume.array, AIR, 32767)).astype(np.int16), np.array(volume.ijk_to_ras)
    affine = grid.affine(about)
    image = image_from_volume(Volume(np.clip(volume.array, AIR, 32767).astype(np.float32), volume.ijk_to_ras))
    ratio = np.array(_along(volume.ijk_to_ras, grid.spacing)) / volume.spacing
    image = sitk.SmoothingRecursiveGaussian(image, (volume.spacing * np.maximum(0.01, _blur(ratio))).tolist())
    result = _resampled(image, np.float32, grid, affine, sitk.sitkLinear)
    return np.rint(np.clip(result, max(AIR, low), high)).astype(np.int16), affine


def bounds(volume: Volume) -> tuple[Array, Array]:
    """The lower and the upper corner of the box around a volume, RAS mm."""
    corners = volume.to_ras(np.array(np.meshgrid(*[(-0.5, count - 0.5) for count in volume.n])).reshape(3, -1).T)
    return corners.min(axis=0), corners.max(axis=0)


def _check_hu(volume: Volume) -> tuple[float, float]:
    """The lowest and the highest value of a volume that may be in HU.

    Raises:
        InputError: with the way out.
    """
    low, high = float(np.min(volume.array)), float(np.max(volume.array))
    if not np.isfinite([low, high]).all():
        raise InputError(f"{volume.name} holds voxels that are not finite numbers (NaN).", "Export the scan again.")
    if low > -500 or high < 0:
        raise InputError(
            f"{volume.name} holds values from {low:g} to {high:g}, not the HU of a CT with air and tissue.",
            "Give the original scan, not one that was scaled.",
        )
    return low, high


def is_on_grid(volume: Volume, grid: Grid) -> bool:
    """Whether a volume has the grid's voxels, wherever its middle is; it is not resampled then."""
    axes = np.abs(volume.ijk_to_ras[:3, :3] - grid.affine()[:3, :3]).max()
    return volume.array.shape == grid.shape and float(axes) < 1e-4


def resample_labels(volume: Volume, grid: Grid, affine: Array) -> npt.NDArray[np.uint8]:
    """Labels at the nearest voxel, on the grid with the given affine; 0 outside of the volume.

    Raises:
        InputError: labels that are not finite.
    """
    import SimpleITK as sitk

    if not np.isfinite(volume.array).all():
        raise InputError(f"{volume.name} holds labels that are not finite numbers (NaN).", "Export the labels again.")
    image = image_from_volume(Volume(np.asarray(volume.array).astype(np.uint8), volume.ijk_to_ras))
    labels: npt.NDArray[np.uint8] = _resampled(image, np.uint8, grid, affine, sitk.sitkNearestNeighbor, False)
    return labels


def _resampled(
    image: Any, dtype: npt.DTypeLike, grid: Grid, affine: Array, interpolator: int, continued: bool = True
) -> npt.NDArray[Any]:
    """On the grid; outside of the image the nearest value is continued, or 0."""
    import SimpleITK as sitk

    target = image_from_volume(Volume(np.empty(grid.shape, dtype), affine))
    values: npt.NDArray[Any] = sitk.GetArrayFromImage(
        sitk.Resample(image, target, sitk.Transform(), interpolator, 0.0, image.GetPixelID(), continued)
    )
    return values


def _blur(ratio: Array) -> Array:
    """Standard deviation in voxels of the filter against aliasing on a coarser grid; 0 where it is not coarser."""
    return np.asarray(0.35 * np.sqrt(np.maximum(ratio**2 - 1, 0)))


def _along(ijk_to_ras: Array, spacing: tuple[float, float, float]) -> list[float]:
    """The grid's spacing along the body axis nearest to each axis of a volume."""
    return [spacing[int(np.abs(ijk_to_ras[:3, axis]).argmax())] for axis in range(3)]
