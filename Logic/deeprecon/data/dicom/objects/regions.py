"""Named regions out of DICOM: the frames of segmentations (PS3.3, A.51), and contours of RT structure sets (A.19)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom.file import DicomFile, first_item, numbers, open_dicom, text
from deeprecon.data.dicom.kinds import SEGMENTATION
from deeprecon.data.dicom.pixels import decode, frame_count
from deeprecon.data.dicom.slices import DicomSlice, frame_slices
from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
_ON_GRID = 0.05
"""Share of the slice spacing by which a frame may miss its place."""
_MAX_VOXELS = 2**31
"""Of all masks of a file together."""


@dataclass(frozen=True, eq=False)
class Regions:
    """Masks with names on one grid; they may overlap.

    Attributes:
        masks: name and (k, j, i) mask of each, in the file's order.
        ijk_to_ras: (4, 4).
        thickness: of the slices in mm where the file states it.
        doubts: about the file.
        left_out: names of regions that have no area.
    """

    masks: tuple[tuple[str, Mask], ...]
    ijk_to_ras: Array
    thickness: float | None = None
    doubts: tuple[Doubt, ...] = ()
    left_out: tuple[str, ...] = ()


def read_segment_frames(path: Path) -> Regions:
    """Read a DICOM segmentation: binary, fractional or with labels. Slices without a frame of a segment are free of it.

    Raises:
        InputError: damaged or compressed file, frames that are no stack of parallel slices, no segment.
    """
    file = open_dicom(path, kinds=(SEGMENTATION,))
    assert file is not None  # `is_segmentation_file` has looked
    entries = file.dataset.get("SegmentSequence") or []
    names = {int(numbers(entry, "SegmentNumber")[0]): text(entry, "SegmentLabel") for entry in entries}
    slices = frame_slices(file)
    if not names or not slices:
        raise InputError(f"{path} has no {'segment' if not names else 'frame'}.", "Export the segmentation again.")
    ijk_to_ras, places, count = _stack(path, slices)
    frames, doubts = _frames(file)
    shape = (count, *frames.shape[1:])
    if len(names) * np.prod(shape, dtype=float) > _MAX_VOXELS:
        raise InputError(f"{path} spans {count} slices, more than an image has.", "Export the segmentation again.")
    masks = {number: np.zeros(shape, bool) for number in names}
    labeled = file.text("SegmentationType") == "LABELMAP"
    for k, entry, frame in zip(places, slices, frames, strict=True):
        assert entry.groups is not None
        item = entry.groups.item("SegmentIdentificationSequence")
        own = [] if item is None else [int(number) for number in numbers(item, "ReferencedSegmentNumber")]
        if not (labeled or own) or not set(own) <= set(names):
            raise InputError(f"{path}: {entry.name} belongs to no segment.", "Export the segmentation again.")
        for number in names if labeled else own:
            masks[number][k] |= frame == number if labeled else frame != 0
    found = tuple((names[number], mask) for number, mask in masks.items())
    return Regions(found, ijk_to_ras, slices[0].thickness, doubts)


def _stack(path: Path, slices: list[DicomSlice]) -> tuple[Array, list[int], int]:
    """The (4, 4) matrix from voxel to RAS mm of the stack of frames, the slice of each, and the number of slices."""
    first, normal = slices[0], slices[0].normal
    offsets = np.array([entry.position - first.position for entry in slices])
    heights = offsets @ normal
    turned = any(
        np.abs(entry.row - first.row).max() > 1e-3
        or np.abs(entry.column - first.column).max() > 1e-3
        or np.abs(np.subtract(entry.spacing, first.spacing)).max() > 1e-3
        for entry in slices
    )
    if turned or np.linalg.norm(offsets - heights[:, None] * normal, axis=1).max() > 0.1:
        raise InputError(
            f"{path}: its frames are no stack of parallel slices at the same place.",
            "Export the segments of each stack as a file of its own.",
        )
    gaps = np.diff(np.unique(np.round(heights, 3)))
    assert first.groups is not None
    measures = first.groups.item("PixelMeasuresSequence")
    stated = numbers(measures, "SpacingBetweenSlices") if measures is not None else []
    steps = [step for step in (*stated[:1], *([gaps.min()] if len(gaps) else [first.thickness])) if step]
    step = next((step for step in steps if step > 1e-3 and _fits(heights, step)), None)
    if step is None:
        raise InputError(
            f"{path}: its frames are not evenly spaced, or do not state their spacing.", "Export it again."
        )
    places = np.rint((heights - heights.min()) / step).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([first.row * first.spacing[0], first.column * first.spacing[1], normal * step], axis=1)
    affine[:3, 3] = first.position + heights.min() * normal
    return _TO_RAS @ affine + 0.0, places.tolist(), int(places.max()) + 1


def _fits(heights: Array, step: float) -> bool:
    """Whether all heights are whole numbers of steps apart."""
    places = (heights - heights.min()) / step
    return bool(np.abs(places - np.rint(places)).max() <= _ON_GRID)


def _frames(file: DicomFile) -> tuple[npt.NDArray[np.generic], tuple[Doubt, ...]]:
    """(frame, j, i) what the pixels hold: bits, labels, or whether a fraction exceeds one half, and the doubts."""
    rows, columns, count = file.count("Rows"), file.count("Columns"), frame_count(file)
    if file.count("BitsAllocated") == 1:
        syntax = file.transfer_syntax
        if syntax is not None and syntax.is_encapsulated:
            raise InputError(f"{file.path} is a compressed segmentation of single bits.", "Export it uncompressed.")
        size = rows * columns * count
        packed = np.frombuffer(file.dataset.get_item(0x7FE00010).value, np.uint8)
        if 8 * len(packed) < size:
            raise file.damaged(": it has fewer pixels than it states")
        return np.unpackbits(packed, count=size, bitorder="little").reshape(count, rows, columns), ()
    stored = decode(file)
    if len(stored) != count:
        raise file.damaged(": it has fewer frames than it states")
    if file.text("SegmentationType") != "FRACTIONAL":
        return stored, ()
    most = file.count("MaximumFractionalValue")
    if not ((stored > 0) & (stored < most)).any():
        return stored > most / 2, ()
    told = "It holds fractions; what is above one half is inside."
    return stored > most / 2, (Doubt("mask-probability", file.path.name, told, assumed=True),)


def structure_names(file: DicomFile) -> dict[int, str]:
    """Names of the regions of an RT structure set, by number."""
    entries = file.dataset.get("StructureSetROISequence") or []
    return {int(numbers(entry, "ROINumber")[0]): text(entry, "ROIName") for entry in entries}


def referenced_series(file: DicomFile) -> str:
    """UID of the series that the contours of an RT structure set were drawn on; "" where it is not stated."""
    item = file.dataset
    for sequence in (
        "ReferencedFrameOfReferenceSequence",
        "RTReferencedStudySequence",
        "RTReferencedSeriesSequence",
    ):
        item = first_item(item, sequence)
        if item is None:
            return ""
    return text(item, "SeriesInstanceUID")
