"""CT volumes as DICOM series: one file for each slice, written with numpy alone.

An own writer, since SimpleITK can write neither sequences nor entries that its dictionary does not know. Encoding:
DICOM PS3.5, chapter 7 (explicit, little-endian); content: PS3.3, A.3 (CT Image).
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path
from deeprecon.data.volume import Volume

Tag = tuple[int, int]
Content = str | int | float | bytes | Sequence[float] | Sequence[Mapping[Tag, "Entry"]]
Entry = tuple[str, Content]
"""A value representation (PS3.5, 6.2) and a value: several numbers or texts as PS3.5 joins them, by a backslash."""
Entries = Mapping[Tag, Entry]

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
IMPLEMENTATION = "2.25.203417498561320984316521845512437914365"
LONG = ("OB", "OW", "SQ", "UT")
"""Representations whose length takes four bytes."""
LONGEST = {"CS": 16, "DA": 8, "DS": 16, "IS": 12, "LO": 64, "SH": 16, "ST": 1024, "TM": 14, "DT": 26, "UI": 64}
"""Characters of one value."""


def write_ct_series(folder: Path, volume: Volume, entries: Entries) -> list[Path]:
    """Write a CT as slice_NNNN.dcm, from the first slice along k to the last; values and places are exact.

    UIDs follow from the voxels, the geometry and the entries: the same series has the same ones, and any change gives
    others.

    Args:
        folder: to write to; made where it is missing.
        volume: int16 HU.
        entries: what else each file says, of patient, study, series and equipment; they must not be those of the
            image itself.

    Raises:
        InputError: a text that DICOM has no room for.
        ValueError: voxels that are not int16.
    """
    if volume.array.dtype != np.int16:
        raise ValueError(f"HU as int16 are needed, not {volume.array.dtype}")
    folder.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(np.ascontiguousarray(volume.array).tobytes())
    digest.update(np.ascontiguousarray(volume.ijk_to_ras).tobytes())
    digest.update(_encode(entries))
    series = {
        (0x0008, 0x0005): ("CS", "ISO_IR 192"),
        (0x0008, 0x0060): ("CS", "CT"),
        (0x0020, 0x000D): ("UI", _uid(digest.digest(), "study")),
        (0x0020, 0x000E): ("UI", _uid(digest.digest(), "series")),
        (0x0020, 0x0052): ("UI", _uid(digest.digest(), "frame of reference")),
        **entries,
    }
    paths = []
    for k in range(volume.array.shape[0]):
        instance = _uid(digest.digest(), f"slice {k}")
        content = _encode({**series, **_image(volume, k, instance)})
        paths.append(folder / f"slice_{k + 1:04d}.dcm")
        with atomic_path(paths[-1]) as part, open(part, "wb") as file:
            file.write(bytes(128) + b"DICM" + _file_meta(instance) + content)
    return paths


def _image(volume: Volume, k: int, instance: str) -> Entries:
    """What is of one slice alone."""
    lps = np.diag([-1.0, -1.0, 1.0]) @ volume.ijk_to_ras[:3]
    row, column = (lps[:, axis] / np.linalg.norm(lps[:, axis]) for axis in (0, 1))
    across, down, thickness = volume.spacing.tolist()
    pixels = np.ascontiguousarray(volume.array[k], "<i2")
    return {
        (0x0008, 0x0016): ("UI", CT_IMAGE),
        (0x0008, 0x0018): ("UI", instance),
        (0x0018, 0x0050): ("DS", thickness),
        (0x0018, 0x0060): ("DS", ""),  # kVp: there was no tube
        (0x0018, 0x0088): ("DS", thickness),
        (0x0018, 0x5100): ("CS", "HFS"),
        (0x0020, 0x0012): ("IS", ""),
        (0x0020, 0x0013): ("IS", k + 1),
        (0x0020, 0x0032): ("DS", (lps @ [0, 0, k, 1]).tolist()),
        (0x0020, 0x0037): ("DS", [*row.tolist(), *column.tolist()]),
        (0x0020, 0x1040): ("LO", ""),
        (0x0028, 0x0002): ("US", 1),
        (0x0028, 0x0004): ("CS", "MONOCHROME2"),
        (0x0028, 0x0010): ("US", pixels.shape[0]),
        (0x0028, 0x0011): ("US", pixels.shape[1]),
        (0x0028, 0x0030): ("DS", [down, across]),
        (0x0028, 0x0100): ("US", 16),
        (0x0028, 0x0101): ("US", 16),
        (0x0028, 0x0102): ("US", 15),
        (0x0028, 0x0103): ("US", 1),  # signed
        (0x0028, 0x1052): ("DS", 0),
        (0x0028, 0x1053): ("DS", 1),
        (0x0028, 0x1054): ("LO", "HU"),
        (0x7FE0, 0x0010): ("OW", pixels.tobytes()),
    }


def _file_meta(instance: str) -> bytes:
    content = _encode(
        {
            (0x0002, 0x0001): ("OB", b"\x00\x01"),
            (0x0002, 0x0002): ("UI", CT_IMAGE),
            (0x0002, 0x0003): ("UI", instance),
            (0x0002, 0x0010): ("UI", EXPLICIT_LITTLE_ENDIAN),
            (0x0002, 0x0012): ("UI", IMPLEMENTATION),
            (0x0002, 0x0013): ("SH", "DEEPRECON"),
        }
    )
    return _encode({(0x0002, 0x0000): ("UL", len(content))}) + content


def _uid(digest: bytes, role: str) -> str:
    """The 2.25 root takes any 128-bit number (PS3.5, B.2)."""
    return f"2.25.{int.from_bytes(hashlib.sha256(digest + role.encode()).digest()[:16], 'big')}"


def _encode(entries: Entries) -> bytes:
    """Entries in the order of their tags."""
    parts = []
    for tag, (kind, content) in sorted(entries.items(), key=lambda item: item[0]):
        value = _value(tag, kind, content)
        length = struct.pack("<HI", 0, len(value)) if kind in LONG else struct.pack("<H", len(value))
        parts.append(struct.pack("<HH", *tag) + kind.encode() + length + value)
    return b"".join(parts)


def _value(tag: Tag, kind: str, content: Content) -> bytes:
    if isinstance(content, bytes):
        value = content
    elif kind == "SQ":
        value = b"".join(_item(entries) for entries in content)  # type: ignore[union-attr, arg-type]
    elif kind in ("US", "UL"):
        value = struct.pack("<H" if kind == "US" else "<I", content)
    else:
        value = _text(tag, kind, content)
    return value + (b"" if len(value) % 2 == 0 else b"\x00" if kind in ("OB", "OW", "UI") else b" ")


def _item(entries: Entries) -> bytes:
    content = _encode(entries)
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def _text(tag: Tag, kind: str, content: Content) -> bytes:
    values = [content] if isinstance(content, str | int | float) else list(content)
    text = "\\".join(value if isinstance(value, str) else decimal(float(value)) for value in values)  # type: ignore[arg-type]
    parts = [text] if kind == "ST" else text.split("\\")
    if max(map(len, parts)) > LONGEST.get(kind, len(text)):
        raise InputError(
            f"The DICOM entry ({tag[0]:04X},{tag[1]:04X}) has no room for {max(parts, key=len)!r}.",
            f"It may have {LONGEST[kind]} characters.",
        )
    return text.encode("utf-8")


def decimal(value: float) -> str:
    """A number in the 16 characters of a decimal string, as exactly as they can hold it."""
    texts = [repr(value)] if value != int(value) else [str(int(value))]
    texts += [f"{value:.{digits}g}" for digits in range(16, 0, -1)]
    return next(text for text in texts if len(text) <= LONGEST["DS"])
