"""MetaImage files (.mha, .mhd), read and written by SimpleITK."""

from __future__ import annotations

import errno
import math
import os
import zlib
from pathlib import Path

from deeprecon.data.errors import InputError, names_damage
from deeprecon.data.files import atomic_path
from deeprecon.data.formats.simpleitk import image_from_volume, volume_from_image
from deeprecon.data.volume import Volume

_RESAVE, _AGAIN = "Save it again as .mha.", "Copy or export it again."
_VALUE_BYTES = {
    "MET_CHAR": 1, "MET_UCHAR": 1, "MET_SHORT": 2, "MET_USHORT": 2, "MET_INT": 4, "MET_UINT": 4, "MET_LONG": 4,
    "MET_ULONG": 4, "MET_LONG_LONG": 8, "MET_ULONG_LONG": 8, "MET_FLOAT": 4, "MET_DOUBLE": 8,
}  # fmt: skip
"""Of the element types of ITK's MetaIO (metaTypes.h)."""
_HEADER_LIMIT = 2**16
"""Bytes in which the header must end."""


@names_damage
def read_metaimage(path: Path) -> Volume:
    """Read a file of one 3D image.

    Raises:
        InputError: cut off or damaged, not 3D, or several values a voxel.
    """
    import SimpleITK as sitk

    check_metaimage(path)
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].rstrip(".")
        raise InputError(f"{path} is cut off or damaged ({reason}).", "Copy or export it again.") from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        size = " x ".join(map(str, image.GetSize()))
        raise InputError(
            f"{path} is {image.GetDimension()}D ({size}, {image.GetNumberOfComponentsPerPixel()} values a "
            "voxel), expected one 3D image.",
            "Give a single volume of it.",
        )
    return volume_from_image(image, path.name)


def check_metaimage(path: Path) -> None:
    """Check the header, and the place and size of the data, on which ITK's reader crashes, hangs or takes memory.

    Raises:
        InputError: damaged, or its data lie outside of its folder.
    """
    entries, start = _header(path)
    name, data = entries.get("elementdatafile", ""), path
    if name.upper() not in ("LOCAL", ""):
        if name.startswith("LIST") or "%" in name:
            raise InputError(f"{path} spreads its data over several files.", _RESAVE)
        data, start = Path(os.path.normpath(path.parent / name)), 0
        if not data.is_relative_to(os.path.normpath(path.parent)):
            raise InputError(f"{path} has its data outside of its folder ({name}).", _RESAVE)
        if not data.is_file():
            raise InputError(f"{path} needs the data file {data}, which is missing.", "Keep both files together.")
    sizes = [int(size) for size in entries.get("dimsize", "").split()]
    size = _VALUE_BYTES.get(entries.get("elementtype", "").removesuffix("_ARRAY"), 0) * int(
        entries.get("elementnumberofchannels", "1")
    )
    if entries.get("ndims") != str(len(sizes)) or not 2 <= len(sizes) <= 4 or min(sizes) < 1 or size < 1:
        raise InputError(f"{path} has a damaged header (NDims, DimSize or ElementType).", _AGAIN)
    expected = math.prod(sizes) * size
    content = memoryview(data.read_bytes())[start:]
    if entries.get("compresseddata", "").lower() == "true":
        _check_compressed(path, content, expected)
    elif entries.get("binarydata", "true").lower() == "true" and len(content) < expected:
        raise InputError(f"{path} is cut off or damaged ({len(content)} of {expected} bytes).", _AGAIN)


def _header(path: Path) -> tuple[dict[str, str], int]:
    """Entries by name in small letters, and the first byte after them."""
    entries: dict[str, str] = {}
    start = 0
    with open(path, "rb") as file:
        for line in file.read(_HEADER_LIMIT).split(b"\n"):
            key, _, value = line.decode("latin-1").partition("=")
            entries[key.strip().lower()] = value.strip()
            start += len(line) + 1
            if key.strip().lower() == "elementdatafile":
                break
    return entries, start


def _check_compressed(path: Path, content: memoryview, expected: int) -> None:
    stream = zlib.decompressobj(zlib.MAX_WBITS | 32)
    length = len(stream.decompress(content, expected + 1))
    if length != expected:
        raise InputError(f"{path} is cut off or damaged ({length} of {expected} bytes).", _AGAIN)


def write_metaimage(path: Path, volume: Volume) -> None:
    """Write a volume as .mha, compressed, atomically.

    Raises:
        OSError: the file cannot be written.
    """
    import SimpleITK as sitk

    with atomic_path(path) as part:
        try:
            sitk.WriteImage(image_from_volume(volume), str(part), useCompression=True)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1].removeprefix("Reason: ")
            full = os.strerror(errno.ENOSPC) in reason
            raise OSError(errno.ENOSPC if full else errno.EIO, reason, str(path)) from error
