"""From a slice of labels or sound speeds to the contrast that a wave meets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.segmentation import read_segmentation
from deeprecon.data.volume import Volume, canonical, check_finite
from deeprecon.data.volume_io import read_volume
from deeprecon.scattering.physics.coordinates import cell_axis
from deeprecon.scattering.read.measurements import Geometry

Floats = npt.NDArray[np.floating[Any]]

SLOWEST, FASTEST = 100.0, 10_000.0
"""m/s; beyond, a volume holds no sound speeds."""
_MARGIN = 1.05
"""Radius of the region over that of the object, where the region is made around it."""
_FINE = 4


def parse_speeds(texts: Sequence[str]) -> dict[str, float]:
    """Sound speed in m/s by label or segment name, from texts such as "1=1450" or "Muscle=1580".

    Raises:
        InputError: another form, a name twice, or a speed that no tissue has.
    """
    speeds: dict[str, float] = {}
    for text in texts:
        name, equals, value = text.rpartition("=")
        try:
            speed = float(value)
        except ValueError:
            speed = math.nan
        if not equals or not name.strip() or not SLOWEST <= speed <= FASTEST:
            raise InputError(f"speeds has {text!r}.", f"Write NAME=SPEED, in {SLOWEST:g} to {FASTEST:g} m/s.")
        if name.strip() in speeds:
            raise InputError(f"speeds names {name.strip()} twice.", "Give each label one speed.")
        speeds[name.strip()] = speed
    return speeds


def contrast_of(speed: Floats, background: float) -> npt.NDArray[np.float64]:
    """q = (background / speed)^2 - 1 of any shape: positive where sound is slower."""
    return np.asarray((background / speed) ** 2 - 1)


def speed_of(contrast: Floats, background: float) -> npt.NDArray[np.float64]:
    """The inverse of `contrast_of`; contrasts below -0.99 are taken as -0.99."""
    return np.asarray(background / np.sqrt(1 + np.maximum(contrast, -0.99)))


def read_speeds(path: Path, speeds: Mapping[str, float], background: float) -> Volume:
    """Sound speed in m/s at each voxel, in canonical axis order (slices along array axis 0).

    Args:
        path: labels or a segmentation with `speeds`, else a volume of sound speeds, 0 where there is only background.
        speeds: by label or segment name; an empty one says that the volume holds the speeds itself.
        background: m/s.

    Raises:
        InputError: a label without a voxel, no labels, or values that are no sound speeds.
    """
    if not speeds:
        volume = read_volume(path)
        check_finite(volume)
        values = np.asarray(volume.array, np.float64)
        values = np.where(values == 0, background, values)
        if not ((values >= SLOWEST) & (values <= FASTEST)).all():
            raise InputError(
                f"{path} holds values from {values.min():g} to {values.max():g}, which are no sound speeds in m/s.",
                "Give speeds for its labels: --speeds 1=1450 2=1580.",
            )
        return canonical(Volume(values, volume.ijk_to_ras, volume.name))
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
class Region:
    """Slices of a volume inside of one disc.

    Attributes:
        contrast: (S, n, n) float64, rows are y, on `cell_axis(n)`.
        geometry: of the disc and the slices.
        slices: (S,) numbers of the slices in canonical order, from 1.
    """

    contrast: npt.NDArray[np.float64]
    geometry: Geometry
    slices: npt.NDArray[np.int64]


def cut_out(
    speed: Volume, background: float, n: int, radius: float | None = None, slices: Sequence[int] = ()
) -> Region:
    """The disc of a volume of sound speeds that is measured, the same in all slices.

    Args:
        speed: m/s, canonical.
        background: m/s.
        n: pixels along a side of the result.
        radius: of the disc in mm around the object's middle; just around the object if None.
        slices: numbers from 1; all that show the object if empty.

    Raises:
        InputError: nothing but background, slices that are not there or empty, or an object beyond the disc.
    """
    array = np.asarray(speed.array, np.float64)
    shown = np.flatnonzero((array != background).any(axis=(1, 2)))
    if not len(shown):
        raise InputError(f"{speed.name} holds nothing but the background.", "Give --speeds that differ from it.")
    chosen = np.unique(np.asarray(slices, np.int64) - 1) if len(slices) else np.arange(shown[0], shown[-1] + 1)
    if chosen[-1] >= len(array):
        raise InputError(f"{speed.name} has {len(array)} slices, not {chosen[-1] + 1}.", "Correct --slices.")
    steps = np.unique(np.diff(chosen))
    if len(steps) > 1:
        raise InputError("The slices are not equally far apart.", "Give slices at one distance, such as 10 12 14.")
    step = int(steps[0]) if len(steps) else 1
    object_ = (array[chosen] != background).any(axis=0)
    if not object_.any():
        raise InputError(f"The slices {', '.join(map(str, chosen + 1))} hold nothing but the background.")
    columns = speed.ijk_to_ras[:3, :3]
    spacing = speed.spacing
    rows, cols = np.nonzero(object_)
    center = np.array([(cols.min() + cols.max()) / 2, (rows.min() + rows.max()) / 2])
    corner = np.hypot(
        (np.abs(cols - center[0]) + 0.5) * spacing[0], (np.abs(rows - center[1]) + 0.5) * spacing[1]
    ).max()
    size = float(_MARGIN * corner) if radius is None else radius
    if size < corner:
        raise InputError(
            f"The object in {speed.name} reaches {corner:.1f} mm from its middle, beyond the region of {size:g} mm.",
            "Give a larger --radius, or leave it out.",
        )
    offset = (np.arange(_FINE) + 0.5) / _FINE - 0.5
    fine = (cell_axis(n)[:, None] + 2 / n * offset).ravel() * size
    i = np.rint(center[0] + fine / spacing[0]).astype(int)
    j = np.rint(center[1] + fine / spacing[1]).astype(int)
    inside = ((j >= 0) & (j < array.shape[1]))[:, None] & ((i >= 0) & (i < array.shape[2]))[None]
    at = array[chosen][:, np.clip(j, 0, array.shape[1] - 1)][:, :, np.clip(i, 0, array.shape[2] - 1)]
    q = contrast_of(np.where(inside, at, background), background)
    contrast = q.reshape(len(chosen), n, _FINE, n, _FINE).mean(axis=(2, 4))
    affine = np.eye(4)
    affine[:3, :2] = columns[:, :2] / spacing[:2]
    affine[:3, 2] = columns[:, 2] * step
    affine[:3, 3] = speed.to_ras([center[0], center[1], chosen[0]])
    return Region(contrast, Geometry(size, affine, background), chosen + 1)
