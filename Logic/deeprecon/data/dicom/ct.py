"""CT volumes as DICOM series: one file for each slice (PS3.3, A.3, CT Image), written by pydicom."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path
from deeprecon.data.volume import Volume

Elements = Mapping[str, Any]
"""Values by DICOM keyword; several values as a list, the items of a sequence as a list of such mappings."""

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
IMPLEMENTATION = "2.25.203417498561320984316521845512437914365"
_NEWER = {"SyntheticData": (0x0008001C, "CS"), "PixelData": (0x7FE00010, "OW")}
"""Tag and representation of elements that pydicom 2.4 does not know, or that have several representations."""


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
    digest = hashlib.sha256(np.ascontiguousarray(volume.array).tobytes())
    digest.update(np.ascontiguousarray(volume.ijk_to_ras).tobytes())
    digest.update(_encoded(elements))
    series = {
        "SpecificCharacterSet": "ISO_IR 192",
        "Modality": "CT",
        "StudyInstanceUID": _uid(digest.digest(), "study"),
        "SeriesInstanceUID": _uid(digest.digest(), "series"),
        "FrameOfReferenceUID": _uid(digest.digest(), "frame of reference"),
        **elements,
    }
    paths = []
    for k in range(volume.array.shape[0]):
        instance = _uid(digest.digest(), f"slice {k}")
        paths.append(folder / f"slice_{k + 1:04d}.dcm")
        with atomic_path(paths[-1]) as part:
            _write(part, {**series, **_image(volume, k, instance)})
    return paths


def decimal(value: float) -> str:
    """A number as a decimal string: as exactly as its 16 characters can hold it."""
    from pydicom.valuerep import format_number_as_ds

    short = repr(value).removesuffix(".0")
    return short if len(short) <= 16 else str(format_number_as_ds(value))


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


def _write(path: Path, elements: Elements) -> None:
    from pydicom.dataset import FileDataset, FileMetaDataset

    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength, meta.FileMetaInformationVersion = 0, b"\0\1"  # pydicom fills in the length
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CT_IMAGE, elements["SOPInstanceUID"]
    meta.TransferSyntaxUID, meta.ImplementationClassUID = EXPLICIT_LITTLE_ENDIAN, IMPLEMENTATION
    meta.ImplementationVersionName = "DEEPRECON"
    content = FileDataset("", _dataset(elements), bytes(128), meta, is_implicit_VR=False, is_little_endian=True)
    content.save_as(path)


def _dataset(elements: Elements) -> Any:
    from pydicom import Dataset
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    found = Dataset()
    for keyword, value in elements.items():
        tag, kind = _NEWER.get(keyword) or (tag_for_keyword(keyword), dictionary_VR(keyword))
        _check_room(keyword, kind, value)
        found.add_new(tag, kind, [_dataset(item) for item in value] if kind == "SQ" else value)
    return found


def _check_room(keyword: str, kind: str, value: Any) -> None:
    """Raise InputError for a text that is too long for its representation (PS3.5, 6.2)."""
    from pydicom.valuerep import MAX_VALUE_LEN

    room = MAX_VALUE_LEN.get(kind)
    for text in value if isinstance(value, list) else [value]:
        if room is not None and isinstance(text, str) and len(text) > room:
            raise InputError(f"{text!r} is too long for the DICOM entry {keyword}.", f"It may have {room} characters.")


def _encoded(elements: Elements) -> bytes:
    """The bytes of elements in a file, for checksums."""
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(stream, _dataset(elements), ["utf8"])
    return bytes(stream.getvalue())


def _uid(digest: bytes, role: str) -> str:
    """The 2.25 root takes any 128-bit number (PS3.5, B.2)."""
    return f"2.25.{int.from_bytes(hashlib.sha256(digest + role.encode()).digest()[:16], 'big')}"
