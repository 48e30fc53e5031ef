"""DICOM series: one image out of the files of a folder."""

from __future__ import annotations

import gc
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom.file import DicomFile, open_dicom, text
from deeprecon.data.dicom.frames import ENHANCED, FrameGroups, frame_groups, read_frames
from deeprecon.data.dicom.pixels import frame_count, read_pixels
from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume

Array = npt.NDArray[np.float64]

POSITION_TOLERANCE = 0.01
"""Share of the slice spacing by which a slice may lie off its place along the normal."""
_PLACE = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness")


@dataclass(frozen=True, eq=False)
class DicomSlice:
    """One slice of a series: a file, or a frame of one.

    Attributes:
        file: with its pixels.
        position: of the center of the first pixel, LPS mm.
        row, column: unit vectors of growing column and row index, LPS.
        spacing: mm between columns (i) and between rows (j).
        thickness: mm; None where the file does not state it.
        frame, groups: number and functional groups of a frame of an enhanced file; None for other files.
    """

    file: DicomFile
    position: Array
    row: Array
    column: Array
    spacing: tuple[float, float]
    thickness: float | None
    frame: int | None = None
    groups: FrameGroups | None = None

    @property
    def path(self) -> Path:
        """Of the file."""
        return self.file.path

    @property
    def name(self) -> str:
        """The file and the frame, for messages."""
        return self.path.name if self.frame is None else f"{self.path.name} (frame {self.frame + 1})"

    @property
    def normal(self) -> Array:
        """(3,) unit vector across the slice, LPS."""
        return np.cross(self.row, self.column)

    @property
    def rows_columns(self) -> tuple[int, int]:
        """Size of the image."""
        return self.file.count("Rows"), self.file.count("Columns")

    @property
    def is_mosaic(self) -> bool:
        """True for all slices of a volume as tiles of one Siemens image."""
        siemens = "SIEMENS" in self.file.text(0x00190010) and 0x0019100A in self.file.dataset
        return siemens or "MOSAIC" in self.file.text("ImageType")


def read_dicom(path: Path, opened: DicomFile | None = None) -> Volume:
    """Read a DICOM series: a folder that holds one, or one file of it, which takes its series out of its folder.

    The place of a slice is ImagePositionPatient projected on the slice normal; SliceThickness becomes
    `slice_thickness` and never the spacing (but of a single slice); the modality rescale is applied.

    Args:
        path: of the folder or the file.
        opened: the content of the file, where it has been opened already.

    Raises:
        InputError: no DICOM image, several series, several images at one place, missing or unevenly spaced slices,
            mixed orientation, size or thickness, mosaics, multi-frame files other than enhanced CT, MR and PET.
    """
    folder = path if path.is_dir() else path.parent
    return assemble(folder, read_slices(path, opened))


def read_slices(path: Path, opened: DicomFile | None = None) -> list[DicomSlice]:
    """The images of one series, by file name and frame.

    Args:
        path, opened: see `read_dicom`.

    Raises:
        InputError: no DICOM image with a place in the patient, or several series.
    """
    folder = path if path.is_dir() else path.parent
    series, found = None, {}
    if path.is_file():
        file = opened or open_dicom(path)
        found = {path: _slices(file) if file is not None and file.is_image else []}
        if file is None or not found[path]:
            raise InputError(
                f"{path} is not a DICOM image with a place in the patient.", "Give a file of the image series."
            )
        series = file.series
    with _paused_garbage_collection():
        for other in sorted(folder.iterdir()):
            if other not in found and other.is_file() and other.name != "DICOMDIR":
                file = open_dicom(other, series)
                if file is not None and file.is_image and series in (None, file.series):
                    found[other] = _slices(file)
    slices = [entry for file in sorted(found) for entry in found[file]]
    if not slices:
        raise InputError(
            f"The folder {folder} holds no DICOM image.",
            "Give the folder whose files are the slices; folders below it are not searched.",
        )
    _check_one_series(folder, slices)
    return slices


@contextmanager
def _paused_garbage_collection() -> Iterator[None]:
    """Headers are many objects, all of which stay: searching them for garbage takes a fifth of the time of reading."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def assemble(folder: Path, slices: Sequence[DicomSlice]) -> Volume:
    """One volume out of slices at different places.

    Raises:
        InputError: see `read_dicom`.
    """
    if slices[0].is_mosaic:
        raise InputError(
            f"{slices[0].path} is a Siemens mosaic, which is read as a diffusion scan only.",
            "Convert the series with dcm2niix.",
        )
    slices, ijk_to_ras = arrange(folder, slices)
    return Volume(stack_pixels(slices), ijk_to_ras, folder.name, slices[0].thickness)


def arrange(folder: Path, slices: Sequence[DicomSlice]) -> tuple[list[DicomSlice], Array]:
    """Slices in the order of k, and the (4, 4) matrix from voxel index to RAS mm of the volume that they are.

    Raises:
        InputError: see `read_dicom`.
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


def _slices(file: DicomFile) -> list[DicomSlice]:
    """The slices of one file; none of an image without a place in the patient (a screenshot, a curve)."""
    if file.text("SOPClassUID") in ENHANCED:
        groups = frame_groups(file)
        return [_slice(file, _place(each), frame, each) for frame, each in enumerate(groups)]
    if frame_count(file) > 1:
        raise InputError(
            f"{file.path} is a multi-frame DICOM file of a kind that is not read directly.",
            "Load it into Slicer and save it as .nrrd, or convert it with dcm2niix.",
        )
    place = [file.text(keyword) for keyword in _PLACE]
    return [_slice(file, place)] if place[0] and place[1] else []


def _slice(
    file: DicomFile, place: Sequence[str], frame: int | None = None, groups: FrameGroups | None = None
) -> DicomSlice:
    """Of the texts of the elements `_PLACE`."""
    position, orientation, spacing, thickness = place
    row, column = _axes(file.path, _numbers(file.path, "ImageOrientationPatient", orientation, 6))
    row_spacing, column_spacing = _numbers(file.path, "PixelSpacing", spacing, 2)
    return DicomSlice(
        file,
        np.array(_numbers(file.path, "ImagePositionPatient", position, 3)),
        row,
        column,
        (column_spacing, row_spacing),
        _numbers(file.path, "SliceThickness", thickness, 1)[0] if thickness else None,
        frame,
        groups,
    )


def _place(groups: FrameGroups) -> list[str]:
    """The texts of `_PLACE` of a frame."""
    items = map(groups.item, ("PlanePositionSequence", "PlaneOrientationSequence", *["PixelMeasuresSequence"] * 2))
    return ["" if item is None else text(item, keyword) for item, keyword in zip(items, _PLACE, strict=True)]


def _numbers(path: Path, name: str, written: str, count: int) -> list[float]:
    try:
        values = [float(number) for number in written.split("\\")]
    except ValueError:
        values = []
    if len(values) != count or not np.isfinite(values).all():
        raise InputError(
            f"{path}: the DICOM entry {name} reads {written!r}, expected {count} numbers.", "Export the series again."
        )
    return values


def _axes(path: Path, orientation: Sequence[float]) -> tuple[Array, Array]:
    row, column = np.array(orientation[:3]), np.array(orientation[3:])
    if abs(np.linalg.norm(row) - 1) > 0.01 or abs(np.linalg.norm(column) - 1) > 0.01 or abs(row @ column) > 0.01:
        raise InputError(
            f"{path}: its ImageOrientationPatient is not two unit vectors at right angles.", "Export the series again."
        )
    return row / np.linalg.norm(row), column / np.linalg.norm(column)


def _check_one_series(folder: Path, slices: Sequence[DicomSlice]) -> None:
    series = defaultdict(list)
    for entry in slices:
        series[entry.file.series].append(entry)
    if len(series) > 1:
        listing = "; ".join(
            f"{first.text('SeriesNumber') or '?'} {first.dataset.get('SeriesDescription') or 'without name'!r}, "
            f"{len(entries)} images, such as {first.path.name}"
            for entries in series.values()
            for first in [entries[0].file]
        )
        raise InputError(
            f"The folder {folder} holds {len(series)} DICOM series: {listing}.",
            "Give one file of the series that is meant, or a folder of its own.",
        )


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
