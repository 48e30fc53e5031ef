"""CT volumes as DICOM series: one file for each slice (PS3.3, A.3, CT Image), written by pydicom."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deeprecon.data.dicom.objects.elements import Elements, decimal, digest_of, unique_identifier, write_object
from deeprecon.data.volume import Volume

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"


def write_ct_series(folder: Path, volume: Volume, elements: Elements) -> list[Path]:
    """Write a CT as slice_NNNN.dcm, from the first slice along k to the last; values and places are exact.

    UIDs follow from the voxels, the geometry and the elements: the same series has the same ones, and any change gives
    others.

    Args:
        folder: to write to; made where it is missing.
        volume: int16 HU.
        elements: of patient, study, series and equipment; not those of the image itself.

    Raises:
        InputError: a text that is too long for its element.
        ValueError: voxels that are not int16.
    """
    if volume.array.dtype != np.int16:
        raise ValueError(f"HU as int16 are needed, not {volume.array.dtype}")
    folder.mkdir(parents=True, exist_ok=True)
    digest = digest_of([volume.array, volume.ijk_to_ras], elements)
    series = {
        "Modality": "CT",
        "StudyInstanceUID": unique_identifier(digest, "study"),
        "SeriesInstanceUID": unique_identifier(digest, "series"),
        "FrameOfReferenceUID": unique_identifier(digest, "frame of reference"),
        **elements,
    }
    paths = []
    for k in range(volume.array.shape[0]):
        instance = unique_identifier(digest, f"slice {k}")
        paths.append(folder / f"slice_{k + 1:04d}.dcm")
        write_object(paths[-1], {**series, **_image(volume, k, instance)})
    return paths


def _image(volume: Volume, k: int, instance: str) -> Elements:
    """The elements of one slice alone."""
    lps = np.diag([-1.0, -1.0, 1.0]) @ volume.ijk_to_ras[:3]
    row, column = (lps[:, axis] / np.linalg.norm(lps[:, axis]) for axis in (0, 1))
    across, down, thickness = map(decimal, volume.spacing.tolist())
    pixels = np.ascontiguousarray(volume.array[k], "<i2")
    return {
        "SOPClassUID": CT_IMAGE,
        "SOPInstanceUID": instance,
        "SliceThickness": thickness,
        "KVP": None,  # there was no tube
        "SpacingBetweenSlices": thickness,
        "PatientPosition": "HFS",
        "AcquisitionNumber": None,
        "InstanceNumber": k + 1,
        "ImagePositionPatient": list(map(decimal, (lps @ [0, 0, k, 1]).tolist())),
        "ImageOrientationPatient": list(map(decimal, [*row.tolist(), *column.tolist()])),
        "PositionReferenceIndicator": "",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "PixelSpacing": [down, across],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,  # signed
        "RescaleIntercept": "0",
        "RescaleSlope": "1",
        "RescaleType": "HU",
        "PixelData": pixels.tobytes(),
    }
