"""A chest X-ray made of formulas, and DICOM files of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, ImplicitVRLittleEndian

Pixels = npt.NDArray[Any]
SPACING = 2.1


def chest(rows: int = 200, columns: int = 180) -> Pixels:
    """(rows, columns) uint16 of 12 bits as it is viewed: the heart and a marker are on the patient's left."""
    v, u = np.meshgrid(np.linspace(-1, 1, rows), np.linspace(-1, 1, columns), indexing="ij")
    image = np.where(np.abs(u) < 0.93, 2600.0, 250.0) + 300 * np.cos(9 * v) * (np.abs(u) > 0.2)
    for center in (-0.45, 0.45):
        image -= 1500 * np.exp(-(((u - center) / 0.28) ** 4 + ((v + 0.05) / 0.6) ** 4))
    image += 900 * np.exp(-(((u - 0.18) / 0.33) ** 2 + ((v - 0.35) / 0.3) ** 2)) + 500 * (np.abs(u) < 0.08)
    image[8:20, columns - 20 : columns - 10] = 4000
    return np.clip(image, 0, 4095).astype(np.uint16)


def write_film(path: Path, pixels: Pixels, bits: int = 12, implicit: bool = False, **elements: Any) -> Path:
    """A PA film of an adult's chest; elements by keyword, None leaves one out."""
    syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    meta = FileMetaDataset()
    meta.FileMetaInformationGroupLength, meta.FileMetaInformationVersion = 0, b"\0\1"
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (DigitalXRayImageStorageForPresentation, "2.25.7")
    meta.TransferSyntaxUID, meta.ImplementationClassUID = syntax, "2.25.1"
    data = FileDataset(str(path), {}, bytes(128), meta, is_implicit_VR=implicit, is_little_endian=True)
    signed = int(pixels.dtype.kind == "i")
    standard = {
        "SOPClassUID": DigitalXRayImageStorageForPresentation, "SOPInstanceUID": "2.25.7", "StudyInstanceUID": "2.25.8",
        "SeriesInstanceUID": "2.25.9", "Modality": "DX", "ViewPosition": "PA", "ImagerPixelSpacing": [SPACING, SPACING],
        "SamplesPerPixel": 1, "PhotometricInterpretation": "MONOCHROME2", "Rows": pixels.shape[0],
        "Columns": pixels.shape[1], "BitsAllocated": 16, "BitsStored": bits, "HighBit": bits - 1,
        "PixelRepresentation": signed, "PixelData": np.ascontiguousarray(pixels, f"<{pixels.dtype.kind}2").tobytes(),
    }  # fmt: skip
    for name, value in (standard | elements).items():
        if value is not None:
            setattr(data, name, value)
    data.save_as(path)
    return path


def without_preamble(path: Path, meta: bool = True) -> Path:
    """The file without its first 132 bytes; also without its file meta information, as old archives write them."""
    content = path.read_bytes()[132:]
    if not meta:
        content = content[12 + int.from_bytes(content[8:12], "little") :]
    path.write_bytes(content)
    return path
