"""The table of a DICOM file's VOI LUT Sequence, which SimpleITK does not hand over.

Encoding: DICOM PS3.5, chapter 7; table: PS3.3, C.11.2.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

SEQUENCE, DESCRIPTOR, DATA = (0x0028, 0x3010), (0x0028, 0x3002), (0x0028, 0x3006)
_ITEM, _DELIMITERS = (0xFFFE, 0xE000), ((0xFFFE, 0xE00D), (0xFFFE, 0xE0DD))
_PIXELS = (0x7FE0, 0x0010)
_UNDEFINED = 0xFFFFFFFF
_LONG = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV")
_BIG_ENDIAN_OR_DEFLATED = ("1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")


def read_voi_table(path: Path) -> tuple[int, npt.NDArray[np.uint16]] | None:
    """The first table of the VOI LUT Sequence: the pixel value that its first entry is for, and its entries.

    None where the file has none, or is in one of the two rare encodings (big-endian, deflated) that are not walked.
    """
    content = path.read_bytes()
    syntax = re.search(rb"\x02\x00\x10\x00UI..([0-9.]+)", content[:2048], re.DOTALL)
    group_length = re.search(rb"\x02\x00\x00\x00UL\x04\x00(....)", content[:256], re.DOTALL)
    if syntax is None or group_length is None or syntax.group(1).decode() in _BIG_ENDIAN_OR_DEFLATED:
        return None
    explicit = syntax.group(1) != b"1.2.840.10008.1.2"
    start = group_length.end() + int(struct.unpack("<I", group_length.group(1))[0])
    found: dict[tuple[int, int], bytes] = {}
    try:
        for tag, value in _elements(content, start, explicit):
            if tag == _PIXELS or (tag == DESCRIPTOR and DESCRIPTOR in found):
                break
            if tag in (DESCRIPTOR, DATA):
                found[tag] = value
    except struct.error:
        return None  # the header is cut off; reading the image says so
    if len(found) < 2:
        return None
    count, first, _ = struct.unpack("<HHH", found[DESCRIPTOR][:6])
    values = np.frombuffer(found[DATA], "<u2")[: count or 65536]
    return (first, values) if len(values) else None


def _elements(content: bytes, place: int, explicit: bool) -> Iterator[tuple[tuple[int, int], bytes]]:
    """Elements in the order of the file. The VOI LUT Sequence is entered, every other sequence passed over."""
    depth = 0  # of nested elements of undefined length that are passed over
    while place + 8 <= len(content):
        tag: tuple[int, int] = struct.unpack_from("<HH", content, place)
        if tag == _ITEM or tag in _DELIMITERS:
            place, depth = place + 8, depth - (tag == _DELIMITERS[1] and depth > 0)
            continue
        if not explicit:
            length, place = struct.unpack_from("<I", content, place + 4)[0], place + 8
        elif content[place + 4 : place + 6] in _LONG:
            length, place = struct.unpack_from("<I", content, place + 8)[0], place + 12
        else:
            length, place = struct.unpack_from("<H", content, place + 6)[0], place + 8
        if tag == _PIXELS:
            return
        if tag == SEQUENCE and depth == 0:
            continue
        if length == _UNDEFINED:
            depth += 1
            continue
        if depth == 0:
            yield tag, content[place : place + length]
        place += length
