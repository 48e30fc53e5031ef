"""MetaImage files (.mha, .mhd), read and written by SimpleITK."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path
from deeprecon.data.formats.simpleitk import image_from_volume, volume_from_image
from deeprecon.data.volume import Volume


def read_metaimage(path: Path) -> Volume:
    """Read a file of one 3D image.

    Raises:
        InputError: cut off or damaged, not 3D, or several values a voxel.
    """
    import SimpleITK as sitk

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
