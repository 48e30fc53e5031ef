"""Elements of the DICOM objects that this library writes, their unique identifiers and their files, by pydicom."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path

Elements = Mapping[str, Any]
"""Values by DICOM keyword; several values as a list, the items of a sequence as a list of such mappings."""

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
IMPLEMENTATION = "2.25.203417498561320984316521845512437914365"
_NEWER = {
    "SyntheticData": (0x0008001C, "CS"),
    "SegmentsOverlap": (0x00620013, "CS"),
    "PixelData": (0x7FE00010, "OW"),
}
"""Tag and representation of elements that pydicom 2.4 does not know, or that have several representations."""


def decimal(value: float) -> str:
    """A number as a decimal string: as exactly as its 16 characters can hold it."""
    from pydicom.valuerep import format_number_as_ds

    short = repr(value).removesuffix(".0")
    return short if len(short) <= 16 else str(format_number_as_ds(value))


def code(value: str, scheme: str, meaning: str) -> Elements:
    """An item of a code sequence (PS3.3, 8.8)."""
    return {"CodeValue": value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning}


def unique_identifier(digest: bytes, role: str) -> str:
    """A UID that follows from a checksum. The 2.25 root takes any 128-bit number (PS3.5, B.2)."""
    return f"2.25.{int.from_bytes(hashlib.sha256(digest + role.encode()).digest()[:16], 'big')}"


def digest_of(arrays: Sequence[npt.NDArray[Any]], elements: Elements) -> bytes:
    """Checksum of arrays and elements, from which UIDs follow: the same content has the same ones."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    digest.update(_encoded(elements))
    return digest.digest()


def write_object(path: Path, elements: Elements) -> None:
    """Write a file of the storage class `SOPClassUID`, atomically; its texts are UTF-8.

    Raises:
        InputError: a text that is too long for its element.
    """
    from pydicom.dataset import FileDataset, FileMetaDataset

    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength, meta.FileMetaInformationVersion = 0, b"\0\1"  # pydicom fills in the length
    meta.MediaStorageSOPClassUID = elements["SOPClassUID"]
    meta.MediaStorageSOPInstanceUID = elements["SOPInstanceUID"]
    meta.TransferSyntaxUID, meta.ImplementationClassUID = EXPLICIT_LITTLE_ENDIAN, IMPLEMENTATION
    meta.ImplementationVersionName = "DEEPRECON"
    dataset = _dataset({"SpecificCharacterSet": "ISO_IR 192", **elements})
    content = FileDataset("", dataset, bytes(128), meta, is_implicit_VR=False, is_little_endian=True)
    with atomic_path(path) as part:
        content.save_as(part)


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
