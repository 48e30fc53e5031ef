"""DICOM series: one image out of the files of a folder."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom.frames import ENHANCED, FrameGroups, read_frame_groups, read_frame_pixels
from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume

Array = npt.NDArray[np.float64]

_STORAGE = b"1.2.840.10008.5.1.4.1.1."
_PRIVATE = (b"1.3.12.2.1107.5.9.1", b"1.3.46.670589.11.0.0.12.")
_NOT_IMAGES = (*(_STORAGE + kind for kind in (b"4.2", b"9.", b"11.", b"66", b"88.", b"104.")), *_PRIVATE)
"""Storage classes that are no images: spectra, waveforms, presentation states, raw data, registrations, fiducials,
segmentations, reports, documents, and those of Siemens and Philips."""

POSITION_TOLERANCE = 0.01
"""Share of the slice spacing by which a slice may lie off its place along the normal."""


@dataclass(frozen=True)
class DicomSlice:
    """One slice of a series, without its pixels: a file, or a frame of one."""

    path: Path
    series: str
    description: str
    number: str
    rows_columns: tuple[int, int]
    position: Array  # of the first pixel, LPS mm
    row: Array  # direction of growing column index
    column: Array
    spacing: tuple[float, float]  # between columns (i), between rows (j)
    thickness: float | None
    frame: int | None = None  # of an enhanced multi-frame file
    groups: FrameGroups | None = None  # of the frame
    mosaic: bool = False  # all slices of a volume as tiles of one image

    @property
    def name(self) -> str:
        """The file and the frame, for messages."""
        return self.path.name if self.frame is None else f"{self.path.name} (frame {self.frame + 1})"

    @property
    def normal(self) -> Array:
        return np.cross(self.row, self.column)


def is_dicom(path: Path) -> bool:
    """True for a file with the DICOM mark at byte 128."""
    return _head(path)[128:132] == b"DICM"


def _head(path: Path) -> bytes:
    with open(path, "rb") as file:
        return file.read(1024)


def _holds_no_image(path: Path) -> bool:
    """True for reports, presentation states, documents and the like: they lie in many a series' folder."""
    found = re.search(rb"\x02\x00\x02\x00UI(..)([0-9.]+)", _head(path), re.DOTALL)  # MediaStorageSOPClassUID
    return found is not None and found.group(2).startswith(_NOT_IMAGES)


def read_dicom(path: Path) -> Volume:
    """Read a DICOM series: a folder that holds one, or one file of it, which takes its series out of its folder.

    The place of a slice is ImagePositionPatient projected on the slice normal; SliceThickness becomes
    `slice_thickness` and never the spacing (but of a single slice); the modality rescale is applied.

    Raises:
        InputError: no DICOM image, several series, several images at one place, missing or unevenly spaced slices,
            mixed orientation, size or thickness, mosaics, multi-frame files other than enhanced CT, MR and PET.
    """
    folder = path if path.is_dir() else path.parent
    return assemble(folder, read_slices(path))


def read_slices(path: Path) -> list[DicomSlice]:
    """The images of one series, in no particular order.

    Raises:
        InputError: no DICOM image with a place in the patient, or several series.
    """
    folder = path if path.is_dir() else path.parent
    files = sorted(
        file
        for file in folder.iterdir()
        if file.is_file() and file.name != "DICOMDIR" and is_dicom(file) and not _holds_no_image(file)
    )
    own, given = None, []
    if path.is_file():
        given = _read_headers(path) if path in files else []
        if not given:
            raise InputError(
                f"{path} is not a DICOM image with a place in the patient.", "Give a file of the image series."
            )
        own = given[0].series
    slices = [entry for file in files for entry in (given if file == path else _read_headers(file, own))]
    if not slices:
        raise InputError(
            f"The folder {folder} holds no DICOM image.",
            "Give the folder whose files are the slices; folders below it are not searched.",
        )
    _check_one_series(folder, slices)
    return slices


def assemble(folder: Path, slices: Sequence[DicomSlice]) -> Volume:
    """One volume out of slices at different places.

    Raises:
        InputError: see `read_dicom`.
    """
    if slices[0].mosaic:
        raise InputError(
            f"{slices[0].path} is a Siemens mosaic, which is read as a diffusion scan only.",
            "Convert the series with dcm2niix.",
        )
    slices, ijk_to_ras = arrange(folder, slices)
    return Volume(read_pixels(slices), ijk_to_ras, folder.name, slices[0].thickness)


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


def read_pixels(slices: Sequence[DicomSlice]) -> npt.NDArray[np.generic]:
    """Rescaled pixels (slice, j, i); each file is read once.

    Raises:
        InputError: damaged files, unsupported compression, colors.
    """
    found: list[npt.NDArray[np.generic]] = [np.empty(0)] * len(slices)
    files = defaultdict(list)
    for place, entry in enumerate(slices):
        files[entry.path].append(place)
    for path, places in files.items():
        pixels = _read_file(path) if slices[places[0]].frame is None else read_frame_pixels(path)
        for place in places:
            found[place] = pixels[slices[place].frame or 0]
    return np.stack(found)


def _reader(path: Path) -> Any:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    return reader


def open_header(path: Path) -> Any:
    """A SimpleITK reader that knows the header of a file, private entries too.

    Raises:
        InputError: the file is damaged.
    """
    reader = _reader(path)
    reader.LoadPrivateTagsOn()
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise InputError(f"{path} is cut off or damaged.", "Copy or export the series again.") from error
    return reader


def _read_headers(path: Path, series: str | None = None) -> list[DicomSlice]:
    """The slices of one file.

    None of an image without a place in the patient (a screenshot, a curve), or of a series that is not asked for.
    """
    reader = open_header(path)

    def text(tag: str) -> str:
        return str(reader.GetMetaData(tag)).strip(" \0") if reader.HasMetaDataKey(tag) else ""

    def slice_of(
        position: str,
        orientation: str,
        spacing: str,
        thickness: str,
        frame: int | None = None,
        groups: FrameGroups | None = None,
    ) -> DicomSlice:
        row, column = _axes(path, _numbers(path, "ImageOrientationPatient", orientation, 6))
        row_spacing, column_spacing = _numbers(path, "PixelSpacing", spacing, 2)
        return DicomSlice(
            path,
            text("0020|000e"),
            text("0008|103e"),
            text("0020|0011"),
            (reader.GetSize()[1], reader.GetSize()[0]),
            np.array(_numbers(path, "ImagePositionPatient", position, 3)),
            row,
            column,
            (column_spacing, row_spacing),
            _numbers(path, "SliceThickness", thickness, 1)[0] if thickness else None,
            frame,
            groups,
            "MOSAIC" in text("0008|0008") or ("SIEMENS" in text("0019|0010") and bool(text("0019|100a"))),
        )

    if series not in (None, text("0020|000e")):
        return []
    if text("0008|0016") in ENHANCED:
        return [slice_of(*_place(groups), frame, groups) for frame, groups in enumerate(read_frame_groups(path))]
    if (reader.GetSize()[2] if len(reader.GetSize()) > 2 else 1) > 1:
        raise InputError(
            f"{path} is a multi-frame DICOM file of a kind that is not read directly.",
            "Load it into Slicer and save it as .nrrd, or convert it with dcm2niix.",
        )
    if not text("0020|0032") or not text("0020|0037"):
        return []
    return [slice_of(text("0020|0032"), text("0020|0037"), text("0028|0030"), text("0018|0050"))]


def _place(groups: FrameGroups) -> tuple[str, str, str, str]:
    """Position, orientation, pixel spacing and thickness of a frame as a header writes them."""

    def text(sequence: str, keyword: str) -> str:
        item = groups.item(sequence)
        value = None if item is None else item.get(keyword)
        return "" if value is None else "\\".join(map(str, np.atleast_1d(value)))

    return (
        text("PlanePositionSequence", "ImagePositionPatient"),
        text("PlaneOrientationSequence", "ImageOrientationPatient"),
        text("PixelMeasuresSequence", "PixelSpacing"),
        text("PixelMeasuresSequence", "SliceThickness"),
    )


def _numbers(path: Path, name: str, text: str, count: int) -> list[float]:
    try:
        values = [float(number) for number in text.split("\\")]
    except ValueError:
        values = []
    if len(values) != count or not np.isfinite(values).all():
        raise InputError(
            f"{path}: the DICOM entry {name} reads {text!r}, expected {count} numbers.", "Export the series again."
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
        series[entry.series].append(entry)
    if len(series) > 1:
        listing = "; ".join(
            f"{entries[0].number or '?'} {entries[0].description or 'without name'!r}, {len(entries)} images, such as "
            f"{entries[0].path.name}"
            for entries in series.values()
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
        if entry.rows_columns != first.rows_columns or not np.allclose(entry.spacing, first.spacing, rtol=1e-3):
            raise InputError(
                f"The series in {folder} mixes sizes: {first.name} and {entry.name} differ in matrix or pixel spacing.",
                "Move each into a folder of its own.",
            )
        thicknesses = [side.thickness for side in (entry, first) if side.thickness is not None]
        if len(thicknesses) == 1 or np.ptp(thicknesses or [0.0]) > 0.01:
            raise InputError(
                f"The series in {folder} mixes slice thicknesses: {first.name} says "
                f"{first.thickness} mm, {entry.name} {entry.thickness} mm.",
                "Move each into a folder of its own.",
            )


def _step(folder: Path, slices: Sequence[DicomSlice]) -> Array:
    """From one slice to the next, LPS mm."""
    first = slices[0]
    if len(slices) == 1:
        if not first.thickness:
            raise InputError(
                f"{first.path} is a single slice that does not say how thick it is.", "Give the whole series."
            )
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
    off = np.abs(gaps - spacing)
    if off.max() > max(POSITION_TOLERANCE * spacing, 0.02):
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
    if shift.max() > max(POSITION_TOLERANCE * spacing, 0.02):
        raise InputError(
            f"The slices of the series in {folder} are shifted sideways by up to {shift.max():.2f} mm.",
            "Resample the series onto a square grid first.",
        )
    return step


def _read_file(path: Path) -> npt.NDArray[np.generic]:
    import SimpleITK as sitk

    try:
        image = _reader(path).Execute()
    except RuntimeError as error:
        raise InputError(
            f"{path} is cut off or damaged, or its compression is not supported.", "Copy or export the series again."
        ) from error
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(
            f"{path} is a color image, expected gray values.", "Give the original series, not screenshots."
        )
    array: npt.NDArray[np.generic] = sitk.GetArrayFromImage(image)
    return array.reshape(1, *array.shape[-2:])
