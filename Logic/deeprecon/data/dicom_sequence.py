"""The first item of a sequence of a DICOM file, which SimpleITK does not hand over.

Encoding: DICOM PS3.5, chapter 7.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Iterator
from pathlib import Path

Tag = tuple[int, int]

_ITEM, _DELIMITERS = (0xFFFE, 0xE000), ((0xFFFE, 0xE00D), (0xFFFE, 0xE0DD))
_PIXELS = (0x7FE0, 0x0010)
_UNDEFINED = 0xFFFFFFFF
_LONG = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UN", b"UR", b"UT", b"SV", b"UV")
_BIG_ENDIAN_OR_DEFLATED = ("1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99")


def read_first_item(path: Path, sequence: Tag, tags: Collection[Tag]) -> dict[Tag, bytes]:
    """Some elements of the first item of a sequence that is nested in no other.

    Args:
        path: of the file.
        sequence: its tag.
        tags: of the elements; they must not occur beside the sequence.

    Returns:
        Those that are there; an empty dict where the file has no such sequence, is in one of the two rare encodings
        (big-endian, deflated) that are not walked, or is cut off, which reading the image says.
    """
    content = path.read_bytes()
    syntax = re.search(rb"\x02\x00\x10\x00UI..([0-9.]+)", content[:2048], re.DOTALL)
    group_length = re.search(rb"\x02\x00\x00\x00UL\x04\x00(....)", content[:256], re.DOTALL)
    if syntax is None or group_length is None or syntax.group(1).decode() in _BIG_ENDIAN_OR_DEFLATED:
        return {}
    explicit = syntax.group(1) != b"1.2.840.10008.1.2"
    start = group_length.end() + int(struct.unpack("<I", group_length.group(1))[0])
    found: dict[Tag, bytes] = {}
    try:
        for tag, value in _elements(content, start, explicit, sequence):
            if tag in found:
                break  # of the second item
            if tag in tags:
                found[tag] = value
    except struct.error:
        return {}
    return found


def _elements(content: bytes, place: int, explicit: bool, sequence: Tag) -> Iterator[tuple[Tag, bytes]]:
    """Elements before the pixels in the order of the file. One sequence is entered, every other passed over."""
    depth = 0  # of nested elements of undefined length that are passed over
    while place + 8 <= len(content):
        tag: Tag = struct.unpack_from("<HH", content, place)
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
        if tag == sequence and depth == 0:
            continue
        if length == _UNDEFINED:
            depth += 1
            continue
        if depth == 0:
            yield tag, content[place : place + length]
        place += length
