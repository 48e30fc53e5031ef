"""What multi-frame objects share: patient, series, and a volume as frames with a place each (PS3.3, C.7.6.16)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom.objects.elements import Elements, code, decimal, unique_identifier
from deeprecon.data.dicom.objects.study import NewSeries, references

_TO_LPS = np.diag([-1.0, -1.0, 1.0])
_PROCESSED = code("121322", "DCM", "Source image for image processing operation")
POSITION = {"DimensionIndexPointer": 0x00200032, "FunctionalGroupPointer": 0x00209113}
"""The dimension of places: ImagePositionPatient in PlanePositionSequence."""


def common_elements(series: NewSeries, modality: str) -> Elements:
    """Elements of patient, study, series and equipment (PS3.3, C.7.1 to C.7.5) of an object of our own."""
    created = series.study.created
    date, time = created.strftime("%Y%m%d"), created.strftime("%H%M%S")
    return {
        **series.study.elements,
        "SOPInstanceUID": unique_identifier(series.digest, f"{modality} instance"),
        "InstanceCreationDate": date,
        "InstanceCreationTime": time,
        "Modality": modality,
        "SeriesInstanceUID": unique_identifier(series.digest, f"{modality} series"),
        "SeriesNumber": series.number,
        "SeriesDescription": series.description,
        "SeriesDate": date,
        "SeriesTime": time,
        "ContentDate": date,
        "ContentTime": time,
        "InstanceNumber": 1,
        "Manufacturer": "DeepRecon",
        "ManufacturerModelName": "DeepRecon",
        "DeviceSerialNumber": series.version,
        "SoftwareVersions": series.version,
    }


def image_elements(
    series: NewSeries, ijk_to_ras: npt.NDArray[np.float64], shape: Sequence[int], derivation: Elements, groups: Elements
) -> Elements:
    """Elements of an image on a grid that its frames share.

    Args:
        series: that it makes.
        ijk_to_ras: (4, 4) of the grid.
        shape: (k, j, i).
        derivation: code of how it was made from the images.
        groups: further functional groups of all frames.
    """
    study, lps = series.study, _TO_LPS @ ijk_to_ras[:3, :3]
    spacing = np.linalg.norm(lps, axis=0)
    across, down, thick = map(decimal, spacing.tolist())
    measures = {"PixelSpacing": [down, across], "SliceThickness": thick, "SpacingBetweenSlices": thick}
    directions = list(map(decimal, (lps / spacing)[:, :2].T.ravel().tolist()))
    shared = {
        "PixelMeasuresSequence": [measures],
        "PlaneOrientationSequence": [{"ImageOrientationPatient": directions}],
        **groups,
    }
    elements: dict[str, object] = {
        "FrameOfReferenceUID": study.frame_of_reference,
        "PositionReferenceIndicator": "",
        "BodyPartExamined": series.body_part,
        "Rows": shape[1],
        "Columns": shape[2],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "LossyImageCompression": "00",
        "BurnedInAnnotation": "NO",
    }
    if study.images:
        sources = [
            {**reference, "PurposeOfReferenceCodeSequence": [_PROCESSED]}
            for instances in study.images.values()
            for reference in references(instances)
        ]
        shared["DerivationImageSequence"] = [{"DerivationCodeSequence": [derivation], "SourceImageSequence": sources}]
        elements["ReferencedSeriesSequence"] = [
            {"SeriesInstanceUID": uid, "ReferencedInstanceSequence": references(instances)}
            for uid, instances in study.images.items()
        ]
    return {**elements, "SharedFunctionalGroupsSequence": [shared]}


def frame_elements(
    ijk_to_ras: npt.NDArray[np.float64],
    slices: Sequence[int],
    organization: str,
    dimensions: Sequence[Elements] = (),
    indices: Sequence[tuple[int, ...]] = (),
    groups: Iterable[Elements] = (),
) -> Elements:
    """Elements of the frames: their number, places and dimensions, of which the place is the last.

    Args:
        ijk_to_ras: (4, 4) of the grid.
        slices: index k of each frame.
        organization: UID of the dimensions.
        dimensions: those besides the place.
        indices: of each frame in them, from 1.
        groups: further functional groups of each frame.
    """
    places = {k: place for place, k in enumerate(sorted(set(slices)), 1)}
    positions = {k: list(map(decimal, (_TO_LPS @ (ijk_to_ras @ [0, 0, k, 1])[:3]).tolist())) for k in places}
    others = list(indices) or [()] * len(slices)
    own = list(groups) or [{}] * len(slices)
    frames = [
        {
            "FrameContentSequence": [{"DimensionIndexValues": [*index, places[k]]}],
            "PlanePositionSequence": [{"ImagePositionPatient": positions[k]}],
            **group,
        }
        for k, index, group in zip(slices, others, own, strict=True)
    ]
    all_dimensions = [*dimensions, POSITION]
    return {
        "NumberOfFrames": len(frames),
        "DimensionOrganizationSequence": [{"DimensionOrganizationUID": organization}],
        "DimensionIndexSequence": [{**each, "DimensionOrganizationUID": organization} for each in all_dimensions],
        "PerFrameFunctionalGroupsSequence": frames,
    }
