"""MetaImage files (.mha, .mhd), read and written by SimpleITK."""

from __future__ import annotations

import errno
import math
import os
from pathlib import Path

from deeprecon.data.errors import InputError, names_damage
from deeprecon.data.files import atomic_path
from deeprecon.data.formats.simpleitk import image_from_volume, volume_from_image
from deeprecon.data.volume import Volume

_HEADER_LIMIT = 2**16
"""Bytes in which the header must end."""
_MAX_DEFLATE = 1032
"""Bytes that a byte of deflated data can hold (zlib.net/zlib_tech.html)."""


@names_damage
def read_metaimage(path: Path) -> Volume:
    """Read a file of one 3D image.

    Raises:
        InputError: cut off or damaged, not 3D, or several values a voxel.
    """
    import SimpleITK as sitk

    _check_header(path)
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


def _check_header(path: Path) -> None:
    """Check the place and the size of the data before SimpleITK takes memory for them."""
    entries: dict[str, str] = {}
    with open(path, "rb") as file:
        for line in file.read(_HEADER_LIMIT).split(b"\n"):
            key, _, value = line.decode("latin-1").partition("=")
            entries[key.strip().lower()] = value.strip()
            if key.strip().lower() == "elementdatafile":
                break
    name = entries.get("elementdatafile", "")
    data = path
    if name.upper() not in ("LOCAL", ""):
        data = Path(os.path.normpath(path.parent / name.split()[0]))
        if name.startswith("LIST") or "%" in name:
            raise InputError(f"{path} spreads its data over several files.", "Save it again as .mha.")
        if not data.is_relative_to(os.path.normpath(path.parent)):
            raise InputError(f"{path} has its data outside of its folder ({name}).", "Save it as .mha.")
        if not data.is_file():
            raise InputError(f"{path} needs the data file {data}, which is missing.", "Keep both files together.")
    count = math.prod(int(size) for size in entries.get("dimsize", "0").split())
    ratio = _MAX_DEFLATE if entries.get("compresseddata", "").lower() == "true" else 1
    if not 0 < count <= ratio * data.stat().st_size:
        size = entries.get("dimsize", "none")
        raise InputError(
            f"{path} is cut off or damaged (size {size}, {data.stat().st_size} bytes).", "Copy or export it again."
        )


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
