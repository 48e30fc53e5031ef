"""Volumes of sound speed, from labels or directly, and the contrast of their slices inside the measured region."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.segmentation import read_segmentation
from deeprecon.data.volume import Volume, canonical, check_finite
from deeprecon.data.volume_io import read_volume
from deeprecon.scattering.parameters import MAX_SPEED, MIN_SPEED
from deeprecon.scattering.physics.contrast import contrast_from_speed
from deeprecon.scattering.physics.image_grids import pixel_centers, subcell_offsets
from deeprecon.scattering.read.far_field_data import RegionGeometry

Floats = npt.NDArray[np.floating[Any]]

_MARGIN = 1.05
"""Default radius of the region over that of the object."""
_POINTS = 4
"""Sampling points along each side of a pixel."""


def read_speeds(path: Path, speeds: Mapping[str, float], background: float) -> Volume:
    """Sound speed in m/s at each voxel, in canonical axis order (slices along array axis 0).

    Args:
        path: labels or a segmentation with `speeds`, else a volume of sound speeds, 0 where there is only background.
        speeds: by label or segment name; empty if the volume holds the speeds itself.
        background: m/s.

    Raises:
        InputError: a label without a voxel, no labels, or values that are not sound speeds.
    """
    if not speeds:
        volume = read_volume(path)
        check_finite(volume)
        values = np.asarray(volume.array, np.float64)
        values = np.where(values == 0, background, values)
        if not ((values >= MIN_SPEED) & (values <= MAX_SPEED)).all():
            raise InputError(
                f"{path} holds values from {values.min():g} to {values.max():g}, which are no sound speeds in m/s.",
                "Give speeds for its labels: --speeds 1=1450 2=1580.",
            )
        return canonical(replace(volume, array=values))
    segmentation = read_segmentation(path)
    names = {segment.name: segment for segment in segmentation.segments}
    if unknown := sorted(set(speeds) - set(names)):
        raise InputError(
            f"{path} has no label or segment {', '.join(unknown)}; it has {', '.join(names)}.", "Correct --speeds."
        )
    first = segmentation.segments[0].mask
    values = np.full(first.shape, background)
    for name, speed in speeds.items():
        values[names[name].mask] = speed
    return canonical(Volume(values, segmentation.ijk_to_ras, segmentation.name))


@dataclass(frozen=True, eq=False)
class RegionSlices:
    """Slices of a volume inside one disc.

    Attributes:
        contrast: (S, n, n) float64, rows are y, on `pixel_centers(n)`.
        geometry: of the disc and the slices.
        slices: (S,) numbers of the slices in canonical order, from 1.
    """

    contrast: npt.NDArray[np.float64]
    geometry: RegionGeometry
    slices: npt.NDArray[np.int64]


def extract_region(
    speed: Volume, background: float, n: int, radius: float | None = None, slices: Sequence[int] = ()
) -> RegionSlices:
    """The contrast of slices of a volume of sound speeds inside one disc, the same in all slices.

    Args:
        speed: m/s, canonical.
        background: m/s.
        n: pixels along a side of the result.
        radius: of the disc in mm, whose center is that of the object; 1.05 times that of the object if None.
        slices: numbers from 1; all that contain the object if empty.

    Raises:
        InputError: a volume or slices without an object, missing or unequally spaced slices, or an object that extends
            beyond the disc.
    """
    array = np.asarray(speed.array, np.float64)
    chosen, step = _chosen_slices(array != background, speed.name, slices)
    center, extent = _extent((array[chosen] != background).any(axis=0), speed.spacing)
    size = float(_MARGIN * extent) if radius is None else radius
    if size < extent:
        raise InputError(
            f"The object in {speed.name} reaches {extent:.1f} mm from its middle, beyond the region of {size:g} mm.",
            "Give a larger --radius, or leave it out.",
        )
    contrast = _sample_disc(array[chosen], background, center, size, speed.spacing, n)
    columns = speed.ijk_to_ras[:3, :3]
    affine = np.eye(4)
    affine[:3, :2] = columns[:, :2] / speed.spacing[:2]
    affine[:3, 2] = columns[:, 2] * step
    affine[:3, 3] = speed.to_ras([center[0], center[1], chosen[0]])
    return RegionSlices(contrast, RegionGeometry(size, affine, background), chosen + 1)


def _chosen_slices(
    object_mask: npt.NDArray[np.bool_], name: str, slices: Sequence[int]
) -> tuple[npt.NDArray[np.int64], int]:
    """(S,) indices of the slices, and their distance."""
    occupied = np.flatnonzero(object_mask.any(axis=(1, 2)))
    if not len(occupied):
        raise InputError(f"{name} holds nothing but the background.", "Give --speeds that differ from it.")
    chosen = np.arange(occupied[0], occupied[-1] + 1)
    if len(slices):
        chosen = np.unique(np.asarray(slices, np.int64) - 1)
    if chosen[-1] >= len(object_mask):
        raise InputError(f"{name} has {len(object_mask)} slices, not {chosen[-1] + 1}.", "Correct --slices.")
    steps = np.unique(np.diff(chosen))
    if len(steps) > 1:
        raise InputError("The slices are not equally far apart.", "Give slices at one distance, such as 10 12 14.")
    if not object_mask[chosen].any():
        raise InputError(f"The slices {', '.join(map(str, chosen + 1))} hold nothing but the background.")
    return chosen, int(steps[0]) if len(steps) else 1


def _extent(object_mask: npt.NDArray[np.bool_], spacing: Floats) -> tuple[npt.NDArray[np.float64], float]:
    """Center (i, j) of the bounding box of an (rows, columns) mask, and the largest distance from it in mm."""
    rows, columns = np.nonzero(object_mask)
    center = np.array([(columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2])
    corners = np.hypot((np.abs(columns - center[0]) + 0.5) * spacing[0], (np.abs(rows - center[1]) + 0.5) * spacing[1])
    return center, float(corners.max())


def _sample_disc(
    speed: Floats, background: float, center: Floats, radius: float, spacing: Floats, n: int
) -> npt.NDArray[np.float64]:
    """(S, n, n) contrast on the square around the disc: the mean of the nearest voxels of points in each pixel.

    Args:
        speed: (S, rows, columns) m/s.
        background: m/s, also outside the volume.
        center: of the disc, (i, j) in voxels.
        radius: of the disc in mm.
        spacing: mm along i and j.
        n: pixels along a side.
    """
    line = (pixel_centers(n)[:, None] + 2 / n * subcell_offsets(_POINTS)).ravel() * radius
    i, j = (np.rint(center[axis] + line / spacing[axis]).astype(int) for axis in (0, 1))
    inside = ((j >= 0) & (j < speed.shape[1]))[:, None] & ((i >= 0) & (i < speed.shape[2]))[None]
    nearest = speed[:, np.clip(j, 0, speed.shape[1] - 1)][:, :, np.clip(i, 0, speed.shape[2] - 1)]
    contrast = contrast_from_speed(np.where(inside, nearest, background), background)
    mean: npt.NDArray[np.float64] = contrast.reshape(-1, n, _POINTS, n, _POINTS).mean(axis=(2, 4))
    return mean
