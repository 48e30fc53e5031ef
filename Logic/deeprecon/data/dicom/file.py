"""DICOM files, opened once: header and encoded pixels travel as one object from here on.

Only names that pydicom 2.4 and 3.0 share are used.
"""

from __future__ import annotations

import io
import math
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from deeprecon.data.dicom.kinds import kind_of_class, kind_of_head, kind_of_modality
from deeprecon.data.errors import InputError, names_damage
from deeprecon.data.files import HEAD

_FIRST_KINDS = (b"UL", b"OB", b"UI", b"CS", b"SH", b"LO", b"DA", b"TM", b"UN")
"""Value representations of the first elements of a file."""
_BINARY = {"FD": "f8", "US": "u2", "SS": "i2"}
"""numpy types of value representations."""
_DEFLATED, _EXPLICIT = b"1.2.840.10008.1.2.1.99", b"1.2.840.10008.1.2.1\0\0\0"
"""Transfer syntaxes, of the same length."""
_MAX_HEADER = 2**24
"""Bytes of a deflated file besides its pixels."""


@dataclass(frozen=True, eq=False)
class DicomFile:
    """The content of one file.

    Attributes:
        path: of the file, for messages.
        dataset: pydicom Dataset, with the encoded pixels unless the file belongs to another series than asked for.
        kind: what it holds instead of an image, as "structured report"; "" for an image.
    """

    path: Path
    dataset: Any
    kind: str = ""

    @property
    def is_image(self) -> bool:
        """False for reports, presentation states, documents and the like."""
        return not self.kind

    @property
    def storage_class(self) -> str:
        """The SOPClassUID."""
        return self.text("SOPClassUID")

    @property
    def class_name(self) -> str:
        """The storage class in words."""
        return str(getattr(self.dataset.get("SOPClassUID"), "name", "")) or "of no stated class"

    @property
    def series(self) -> str:
        """The SeriesInstanceUID."""
        return self.text("SeriesInstanceUID")

    @property
    def transfer_syntax(self) -> Any:
        """pydicom UID; None where the file does not state it."""
        return self.dataset.file_meta.get("TransferSyntaxUID")

    def text(self, key: str | int) -> str:
        """See the function `text`."""
        return text(self.dataset, key)

    def count(self, keyword: str) -> int:
        """The whole number of an element.

        Raises:
            InputError: it is missing.
        """
        found = numbers(self.dataset, keyword)
        if not found:
            raise InputError(f"{self.path} has no DICOM entry {keyword}.", "Export it again.")
        return int(found[0])

    def damaged(self, addition: str = "") -> InputError:
        """The error for a file that ends early or breaks the encoding rules."""
        return InputError(f"{self.path} is cut off or damaged{addition}.", "Copy or export it again.")


@names_damage
def open_dicom(path: Path, series: str | None = None, kinds: tuple[str, ...] = ()) -> DicomFile | None:
    """Read a file; None for one that is not DICOM.

    Files without the 128 bytes of preamble and the mark after it are read, too, see `is_dicom_head`.

    Args:
        path: of the file.
        series: the SeriesInstanceUID whose pixels are wanted; of other series only the header is read. All by default.
        kinds: of files that are read though they hold no image; others are empty.

    Raises:
        InputError: the file is cut off or damaged, has no pixels though it is an image, or an unknown transfer syntax.
        OSError: it cannot be opened.
    """
    from pydicom import Dataset

    with open(path, "rb") as stream:
        head = stream.read(HEAD)
        if not is_dicom_head(head):
            return None
        if (kind := kind_of_head(head)) and kind not in kinds:
            return DicomFile(path, Dataset(), kind)
        stream.seek(0)
        try:
            plain = io.BytesIO(_inflated(path, stream.read())) if _DEFLATED in head else stream
            dataset, has_pixels = _parse(path, plain, series)
        except InputError:
            raise
        except Exception as error:  # pydicom raises many kinds for damaged files
            raise DicomFile(path, None).damaged() from error
    kind = kind_of_class(text(dataset, "SOPClassUID"))
    if not (kind or has_pixels):
        kind = kind_of_modality(text(dataset, "Modality"))
    if not (kind or has_pixels):
        raise InputError(f"{path} ends before its pixels.", "It is cut off, or was exported without them.")
    return DicomFile(path, dataset, kind)


def is_dicom(path: Path) -> bool:
    """True for a DICOM file; opens the file."""
    with open(path, "rb") as stream:
        return is_dicom_head(stream.read(HEAD))


def kind_of_file(path: Path) -> str:
    """What a DICOM file holds that is no image, as "RT structure set"; "" for images and other files."""
    try:
        with open(path, "rb") as stream:
            head = stream.read(HEAD)
    except OSError:
        return ""
    return kind_of_head(head) if is_dicom_head(head) else ""


def is_dicom_head(head: bytes) -> bool:
    """Whether the first bytes of a file are those of DICOM.

    They have the mark at byte 128; or, without the preamble, begin with an element of the file meta information or of
    group 8 whose representation fits it, or whose length is as short as those of the first elements are: 4 bytes for
    the length of the group.
    """
    if head[128:132] == b"DICM":
        return True
    if len(head) < 132 or head[:2] not in (b"\x02\0", b"\x08\0"):
        return False
    if head[4:6] in _FIRST_KINDS:
        return head[2:4] <= b"\x60\0"
    if head[2:4] == b"\0\0":
        return head[4:8] == b"\x04\0\0\0"
    return head[2:4] in (b"\x01\0", b"\x05\0", b"\x08\0", b"\x12\0", b"\x16\0") and head[5:8] == bytes(3)


def _inflated(path: Path, content: bytes) -> bytes:
    """A deflated file (PS3.5, A.5) without its compression; it may hold the pixels that its header states, no more."""
    from pydicom import dcmread

    begin = content.find(b"\2\0\0\0UL\4\0", 0, HEAD) + 8  # its value: the length of what follows and is not deflated
    start = begin + 4 + int.from_bytes(content[begin : begin + 4], "little")
    meta = content[:start].replace(_DEFLATED, _EXPLICIT)
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    head = stream.decompress(content[start:], _MAX_HEADER)
    dataset = dcmread(io.BytesIO(meta + head), stop_before_pixels=True, force=True)
    sizes = ("Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "BitsAllocated")
    pixels = math.prod(int(next(iter(numbers(dataset, key)), 1)) for key in sizes) // 8
    rest = stream.decompress(stream.unconsumed_tail, max(pixels, 0) + _MAX_HEADER)
    if not stream.eof:
        raise DicomFile(path, None).damaged(": it holds more than its header states, or its compressed data end early")
    return meta + head + rest


def _parse(path: Path, stream: IO[bytes], series: str | None) -> tuple[Any, bool]:
    """The dataset, and whether the file has pixels, which are read for the wanted series only."""
    from pydicom import dcmread
    from pydicom.filereader import read_dataset

    dataset = dcmread(stream, stop_before_pixels=True, force=True)
    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if syntax is not None and syntax.type != "Transfer Syntax":
        raise InputError(
            f"{path} is encoded by the unknown transfer syntax {syntax}.", "Export it without compression."
        )
    if syntax is None:  # the stream is not at the pixels
        stream.seek(0)
        dataset = dcmread(stream, force=True)
    elif series in (None, text(dataset, "SeriesInstanceUID")):
        dataset.update(read_dataset(stream, syntax.is_implicit_VR, syntax.is_little_endian))
    else:
        return dataset, bool(stream.read(1))
    return dataset, "PixelData" in dataset


def text(dataset: Any, key: str | int) -> str:
    r"""The text of an element as it stands in the file, values apart by a backslash; "" where there is none.

    Args:
        dataset: pydicom Dataset.
        key: keyword, or the number of a private tag.
    """
    raw = _raw(dataset, key)
    if raw is None or raw.value is None:
        return ""
    if isinstance(raw.value, bytes):
        return raw.value.decode("utf-8", "replace").strip(" \0")
    return "\\".join(map(str, [raw.value] if isinstance(raw.value, str) else np.atleast_1d(raw.value)))


def numbers(dataset: Any, key: str | int) -> list[float]:
    """The numbers of an element; empty where there are none.

    A private element whose representation the file does not state is read as text, else as 8-byte numbers.

    Args:
        dataset, key: see `text`.
    """
    raw = _raw(dataset, key)
    if raw is None or raw.value is None:
        return []
    if not isinstance(raw.value, bytes):
        return [float(value) for value in np.atleast_1d(raw.value)]
    kind = raw.VR or _representation(raw)
    if kind not in _BINARY:
        try:
            return [float(number) for number in raw.value.decode("ascii").strip(" \0").split("\\")]
        except ValueError:
            pass
    try:
        return list(
            map(float, np.frombuffer(raw.value, ("<" if raw.is_little_endian else ">") + _BINARY.get(kind, "f8")))
        )
    except ValueError:
        return []


def first_item(dataset: Any, sequence: str) -> Any | None:
    """The first item of a sequence by its keyword; None where there is none.

    Args:
        dataset: pydicom Dataset.
        sequence: keyword.
    """
    items = dataset.get(sequence)
    return items[0] if items else None


def _raw(dataset: Any, key: str | int) -> Any:
    from pydicom.datadict import tag_for_keyword

    tag = tag_for_keyword(key) if isinstance(key, str) else key
    return dataset.get_item(tag) if tag in dataset else None


def _representation(raw: Any) -> str:
    """Value representation of a standard element in a file that does not state it."""
    from pydicom.datadict import dictionary_VR

    return "" if raw.tag.is_private else str(dictionary_VR(raw.tag))
