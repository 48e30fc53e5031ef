"""DICOM segmentations: named regions as frames of one bit a pixel (PS3.3, A.51, Segmentation)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom.objects.elements import Elements, code, unique_identifier, write_object
from deeprecon.data.dicom.objects.multiframe import common_elements, frame_elements, image_elements
from deeprecon.data.dicom.objects.study import NewSeries
from deeprecon.data.errors import InputError

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
_SEGMENT = {"DimensionIndexPointer": 0x0062000B, "FunctionalGroupPointer": 0x0062000A}
"""The dimension of segments: ReferencedSegmentNumber in SegmentIdentificationSequence."""
_SEGMENTED = code("113076", "DCM", "Segmentation")
_MAX_LABEL = 64


@dataclass(frozen=True, eq=False)
class CodedSegment:
    """A region with the terms that say what it is.

    Attributes:
        label: as users see it.
        mask: (k, j, i) bool.
        category, kind, region: codes of the property category and type, and of the anatomic region.
        color: red, green and blue, 0 to 1.
        description: in a sentence.
        modifier: code that tells it from others of the same type; None where there is none.
    """

    label: str
    mask: npt.NDArray[np.bool_]
    category: Elements
    kind: Elements
    region: Elements
    color: tuple[float, float, float]
    description: str
    modifier: Elements | None = None


def write_segmentation_object(
    path: Path,
    segments: Sequence[CodedSegment],
    ijk_to_ras: npt.NDArray[np.float64],
    series: NewSeries,
    algorithm: str,
) -> tuple[str, str]:
    """Write segments, which may overlap, on one grid. Slices without a segment have no frame of it.

    Args:
        path: of the file.
        segments: (k, j, i) masks of one shape.
        ijk_to_ras: (4, 4) of their grid.
        series: that the file makes.
        algorithm: that made the segments, in at most 64 characters.

    Returns:
        UIDs of the series and the instance.

    Raises:
        InputError: no segment has any voxel: a file without frames is not allowed.
    """
    frames = [(k, number) for number, segment in enumerate(segments, 1) for k in _filled(segment.mask)]
    if not frames:
        raise InputError("No segment has any voxel, and a DICOM segmentation needs one.", "Draw or reconstruct a wall.")
    common = common_elements(series, "SEG")
    bits = np.packbits(
        np.concatenate([segments[number - 1].mask[k].ravel() for k, number in frames]), bitorder="little"
    ).tobytes()
    counts = np.sum([segment.mask for segment in segments], axis=0)
    write_object(
        path,
        {
            **common,
            **image_elements(series, ijk_to_ras, segments[0].mask.shape, _SEGMENTED, {}),
            **frame_elements(
                ijk_to_ras,
                [k for k, _ in frames],
                unique_identifier(series.digest, "dimensions of segments"),
                [_SEGMENT],
                [(number,) for _, number in frames],
                [{"SegmentIdentificationSequence": [{"ReferencedSegmentNumber": number}]} for _, number in frames],
            ),
            "SOPClassUID": SEGMENTATION,
            "ImageType": ["DERIVED", "PRIMARY"],
            "SegmentationType": "BINARY",
            "SegmentsOverlap": "YES" if counts.max() > 1 else "NO",
            "PixelRepresentation": 0,
            "BitsAllocated": 1,
            "BitsStored": 1,
            "HighBit": 0,
            "ContentLabel": "SEGMENTATION",
            "ContentDescription": series.content,
            "ContentCreatorName": "",
            "SegmentSequence": [
                _segment(number, segment, algorithm, unique_identifier(series.digest, f"segment {number}"))
                for number, segment in enumerate(segments, 1)
            ],
            "PixelData": bits + bytes(len(bits) % 2),
        },
    )
    return common["SeriesInstanceUID"], common["SOPInstanceUID"]


def _filled(mask: npt.NDArray[np.bool_]) -> list[int]:
    found: list[int] = np.flatnonzero(mask.any(axis=(1, 2))).tolist()
    return found


def _segment(number: int, segment: CodedSegment, algorithm: str, uid: str) -> Elements:
    modifier = {"SegmentedPropertyTypeModifierCodeSequence": [segment.modifier]} if segment.modifier else {}
    return {
        "SegmentNumber": number,
        "SegmentLabel": segment.label[:_MAX_LABEL],
        "SegmentDescription": segment.description,
        "SegmentAlgorithmType": "SEMIAUTOMATIC",
        "SegmentAlgorithmName": algorithm,
        "SegmentedPropertyCategoryCodeSequence": [segment.category],
        "SegmentedPropertyTypeCodeSequence": [{**segment.kind, **modifier}],
        "AnatomicRegionSequence": [segment.region],
        "TrackingID": segment.label[:_MAX_LABEL],
        "TrackingUID": uid,
        "RecommendedDisplayCIELabValue": _encoded_lab(segment.color),
    }


def _encoded_lab(color: tuple[float, float, float]) -> list[int]:
    """A color of sRGB (IEC 61966-2-1) as CIELab with the white of D50, as 16-bit numbers (PS3.3, C.10.7.1.1)."""
    rgb = np.asarray(color)
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4361, 0.3851, 0.1431], [0.2225, 0.7169, 0.0606], [0.0139, 0.0971, 0.7141]])
    ratio = to_xyz @ linear / [0.9642, 1.0, 0.8249]
    x, y, z = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    lab = np.array([(116 * y - 16) / 100, (500 * (x - y) + 128) / 255, (200 * (y - z) + 128) / 255])
    return [int(value) for value in np.rint(np.clip(lab, 0, 1) * 65535)]
