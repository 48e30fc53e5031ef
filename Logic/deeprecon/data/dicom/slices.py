"""Slices of DICOM files: where each image lies in the patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom.file import DicomFile, numbers, text
from deeprecon.data.dicom.frames import ENHANCED, FrameGroups, frame_groups
from deeprecon.data.dicom.kinds import SECONDARY_CAPTURE
from deeprecon.data.dicom.pixels import frame_count
from deeprecon.data.errors import InputError

Array = npt.NDArray[np.float64]

_PLACE = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness")


@dataclass(frozen=True, eq=False)
class DicomSlice:
    """One slice of a series: a file, or a frame of one.

    Attributes:
        file: with its pixels.
        position: of the center of the first pixel, LPS mm.
        row, column: unit vectors of growing column and row index, LPS.
        spacing: mm between columns (i) and between rows (j).
        thickness: mm; None where the file does not state it, or states 0.
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

    @property
    def is_secondary(self) -> bool:
        """True for a screenshot or another secondary copy, and for colors."""
        return is_screenshot(self.file) or numbers(self.file.dataset, "SamplesPerPixel")[:1] not in ([], [1.0])


def is_screenshot(file: DicomFile) -> bool:
    """Whether a file is a secondary capture, of one frame or several."""
    return file.storage_class == SECONDARY_CAPTURE or file.storage_class.startswith(f"{SECONDARY_CAPTURE}.")


def slices_of(file: DicomFile) -> tuple[list[DicomSlice], str]:
    """The slices of one file, or, where it has none, what it is: "structured report", "image without ...".

    Raises:
        InputError: entries that are no numbers, or an enhanced file that does not describe its frames.
    """
    if not file.is_image:
        return [], file.kind
    if file.storage_class in ENHANCED:
        return frame_slices(file), ""
    if frame_count(file) > 1:
        kind = "of screenshots" if is_screenshot(file) else f"of a kind that is not read ({file.class_name})"
        return [], f"multi-frame file {kind}"
    place = [file.text(keyword) for keyword in _PLACE]
    missing = [keyword for keyword, stated in zip(_PLACE[:2], place, strict=False) if not stated]
    if missing:
        return [], "screenshot" if is_screenshot(file) else f"image without {' and '.join(missing)}"
    return [_slice(file, place)], ""


def frame_slices(file: DicomFile) -> list[DicomSlice]:
    """The frames of a file that describes the place of each.

    Raises:
        InputError: entries that are no numbers, or the file does not describe its frames.
    """
    return [_slice(file, _place(each), frame, each) for frame, each in enumerate(frame_groups(file))]


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
        (_numbers(file.path, "SliceThickness", thickness, 1)[0] or None) if thickness else None,
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
