"""Stacks of parallel DICOM slices: their order, their grid and their pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom.frames import read_frames
from deeprecon.data.dicom.pixels import read_pixels
from deeprecon.data.dicom.slices import DicomSlice
from deeprecon.data.errors import InputError

Array = npt.NDArray[np.float64]

POSITION_TOLERANCE = 0.01
"""Share of the slice spacing by which a slice may lie off its place along the normal."""


def arrange(folder: Path, slices: Sequence[DicomSlice]) -> tuple[list[DicomSlice], Array]:
    """Slices in the order of k, and the (4, 4) matrix from voxel index to RAS mm of the volume that they are.

    Raises:
        InputError: see `deeprecon.data.dicom.series.read_dicom`.
    """
    normal = slices[0].normal
    ordered = sorted(slices, key=lambda entry: float(entry.position @ normal))
    _check_alike(folder, ordered)
    affine = np.eye(4)
    affine[:3, 2] = _step(folder, ordered)
    affine[:3, 0] = ordered[0].row * ordered[0].spacing[0]
    affine[:3, 1] = ordered[0].column * ordered[0].spacing[1]
    affine[:3, 3] = ordered[0].position
    return ordered, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine + 0.0


def stack_pixels(slices: Sequence[DicomSlice]) -> npt.NDArray[np.generic]:
    """Rescaled pixels (slice, j, i).

    Raises:
        InputError: damaged files, unsupported compression, colors.
    """
    frames = {entry.file: read_frames(entry.file) for entry in slices if entry.frame is not None}
    stack: npt.NDArray[np.generic] = np.empty((len(slices), *slices[0].rows_columns), np.uint8)
    for place, entry in enumerate(slices):
        pixels = read_pixels(entry.file) if entry.frame is None else frames[entry.file][entry.frame]
        if place == 0 or pixels.dtype != stack.dtype:
            stack = stack.astype(pixels.dtype if place == 0 else np.result_type(stack, pixels), copy=False)
        stack[place] = pixels
    return stack


def _check_alike(folder: Path, slices: Sequence[DicomSlice]) -> None:
    first = slices[0]
    for entry in slices[1:]:
        if max(np.abs(entry.row - first.row).max(), np.abs(entry.column - first.column).max()) > 1e-3:
            raise InputError(
                f"The series in {folder} mixes orientations: {first.name} and {entry.name} are not parallel.",
                "Move each orientation into a folder of its own (scouts too).",
            )
        if entry.rows_columns != first.rows_columns or not _alike(entry.spacing, first.spacing):
            raise InputError(
                f"The series in {folder} mixes sizes: {first.name} and {entry.name} differ in matrix or pixel spacing.",
                "Move each into a folder of its own.",
            )
        thicknesses = [side.thickness for side in (entry, first) if side.thickness is not None]
        if len(thicknesses) == 1 or np.ptp(thicknesses or [0.0]) > 0.01:
            raise InputError(
                f"The series in {folder} mixes slice thicknesses: {first.name} states "
                f"{first.thickness} mm, {entry.name} {entry.thickness} mm.",
                "Move each into a folder of its own.",
            )


def _alike(one: Sequence[float], other: Sequence[float]) -> bool:
    return all(abs(a - b) <= 1e-3 * b + 1e-8 for a, b in zip(one, other, strict=True))


def _rounding(slices: Sequence[DicomSlice]) -> float:
    """Error in mm of the distance of two slices whose positions all are rounded to 0.1 mm; 0 where they are not."""
    tenths = 10 * np.stack([entry.position for entry in slices])
    if np.abs(tenths - np.rint(tenths)).max() > 1e-6:
        return 0.0
    return 0.1 * float(np.abs(slices[0].normal).sum()) + 1e-6


def _step(folder: Path, slices: Sequence[DicomSlice]) -> Array:
    """From one slice to the next, LPS mm."""
    first = slices[0]
    if len(slices) == 1:
        if not first.thickness:
            raise InputError(f"{first.path} is a single slice whose thickness is not stated.", "Give the whole series.")
        return first.normal * first.thickness
    places = np.array([entry.position @ first.normal for entry in slices])
    gaps = np.diff(places)
    spacing = float(np.median(gaps))
    same = int(np.argmin(gaps))
    if gaps[same] < 0.01:
        raise InputError(
            f"The series in {folder} has several images at one place ({int((gaps < 0.01).sum())} too many, such as "
            f"{slices[same].name} and {slices[same + 1].name}).",
            "Keep one image per place: remove repeats, other time points, or the phase images of a PSIR series.",
        )
    off, tolerance = np.abs(gaps - spacing), max(POSITION_TOLERANCE * spacing, 0.02, _rounding(slices))
    if off.max() > tolerance:
        worst = int(off.argmax())
        ratio = gaps[worst] / spacing
        kind = "misses slices" if ratio > 1.5 and abs(ratio - round(ratio)) < 0.05 else "is spaced unevenly"
        raise InputError(
            f"The series in {folder} {kind}: {gaps[worst]:.2f} mm between {slices[worst].name} and "
            f"{slices[worst + 1].name}, {spacing:.2f} mm elsewhere.",
            "Add the missing files, or give the parts as stacks of their own.",
        )
    step = (slices[-1].position - first.position) / (len(slices) - 1)
    expected = first.position + np.arange(len(slices))[:, None] * step
    shift = np.linalg.norm(np.stack([entry.position for entry in slices]) - expected, axis=1)
    if shift.max() > tolerance:
        raise InputError(
            f"The slices of the series in {folder} are shifted sideways by up to {shift.max():.2f} mm.",
            "Resample the series onto a square grid first.",
        )
    return step
