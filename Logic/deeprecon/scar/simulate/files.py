"""Phantoms as DICOM series, written by SimpleITK, which Slicer ships."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from deeprecon.data.files import atomic_path
from deeprecon.data.formats.simpleitk import image_from_volume
from deeprecon.data.volume import Volume


def write_dicom(folder: Path, volume: Volume, view: str = "short axis") -> Path:
    """Write an int16 volume as a series of MR images, one file a slice, and return the folder.

    The patient is called SYNTHETIC^PHANTOM; identifiers follow from the pixels, so that the same image gives the same
    files.
    """
    import SimpleITK as sitk

    folder.mkdir(parents=True, exist_ok=True)
    image = image_from_volume(volume)
    digest = hashlib.sha256(np.ascontiguousarray(volume.array).tobytes()).digest()

    def uid(number: int) -> str:  # the 2.25 root takes any 128-bit number (DICOM PS3.5, B.2)
        return f"2.25.{int.from_bytes(hashlib.sha256(digest + number.to_bytes(4, 'big')).digest()[:16], 'big')}"

    writer = sitk.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    for k in range(volume.array.shape[0]):
        part = image[:, :, k : k + 1]
        tags = {
            "0008|0016": "1.2.840.10008.5.1.4.1.1.4",
            "0008|0018": uid(k + 1),
            "0008|0060": "MR",
            "0008|0008": "DERIVED\\SECONDARY",
            "0008|103e": f"Synthetic LGE {view}",
            "0008|0070": "DeepRecon",
            "0008|0020": "20000101",
            "0008|0030": "000000",
            "0010|0010": "SYNTHETIC^PHANTOM",
            "0010|0020": "PHANTOM",
            "0018|0050": f"{volume.slice_thickness or volume.spacing[2]:g}",
            "0020|000d": uid(1000),
            "0020|000e": uid(1001),
            "0020|0052": uid(1002),
            "0020|0011": "1",
            "0020|0013": str(k + 1),
            "0028|1052": "0",
            "0028|1053": "1",
            "0028|1054": "US",
        }
        for key, value in tags.items():
            part.SetMetaData(key, value)
        with atomic_path(folder / f"slice_{k + 1:03d}.dcm") as path:
            writer.SetFileName(str(path))
            writer.Execute(part)
    return folder
