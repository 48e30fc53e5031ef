"""Diffusion scans as DICOM series: one file for each slice of each volume.

b-value and direction stand in Diffusion b-value (0018,9087) and Diffusion Gradient Orientation (0018,9089), which is in
patient axes (DICOM PS3.3, C.8.13.5.9), or in the private entries of Siemens (0019,100c and 100e) that mean the same.
"""

from __future__ import annotations

import struct
from base64 import b64decode
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom import DicomSlice, assemble, read_slices
from deeprecon.data.dwi_scan import DwiScan
from deeprecon.data.errors import InputError
from deeprecon.data.gradients import B0_THRESHOLD, gradient_table

_B_VALUE = ("0018|9087", "0019|100c")
_DIRECTION = ("0018|9089", "0019|100e")
_CONVERT = "Convert it with dcm2niix, and give the NIfTI file with its .bval and .bvec."


@dataclass(frozen=True, eq=False)
class _Weighting:
    instance: int
    b: float
    direction: npt.NDArray[np.float64]  # LPS, zero where there is none


def read_dwi_dicom(path: Path) -> DwiScan:
    """Read a diffusion series: a folder that holds one, or one file of it.

    The images at one place, in the order of their instance numbers, are the volumes.

    Raises:
        InputError: not a diffusion series, mosaic or multi-frame files, volumes that lack slices, slices of one volume
            with different weightings, and what `read_dicom` raises.
    """
    folder = path if path.is_dir() else path.parent
    slices = read_slices(path)
    places: dict[float, list[DicomSlice]] = defaultdict(list)
    normal = slices[0].normal
    for entry in slices:
        places[round(float(entry.position @ normal), 2)].append(entry)
    counts = {len(entries) for entries in places.values()}
    if len(counts) > 1:
        raise InputError(
            f"The series in {folder} has {min(counts)} to {max(counts)} images at one place: volumes lack slices.",
            "Export the series again.",
        )
    weightings = {entry.path: _weighting(entry.path) for entry in slices}
    ordered = [sorted(entries, key=lambda entry: weightings[entry.path].instance) for entries in places.values()]
    volumes, bvals, directions = [], [], []
    for number, members in enumerate(zip(*ordered, strict=True)):
        found = [weightings[entry.path] for entry in members]
        if any(abs(one.b - found[0].b) > 1 or np.abs(one.direction - found[0].direction).max() > 0.01 for one in found):
            raise InputError(f"The slices of volume {number} in {folder} differ in b-value or direction.", _CONVERT)
        volumes.append(assemble(folder, members))
        bvals.append(found[0].b)
        directions.append(found[0].direction * (-1.0, -1.0, 1.0))
    array = np.ascontiguousarray(np.stack([volume.array for volume in volumes], axis=-1))
    table = gradient_table(np.array(bvals), np.array(directions), folder.name)
    return DwiScan(array, volumes[0].ijk_to_ras, table, folder.name)


def _weighting(path: Path) -> _Weighting:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    reader.LoadPrivateTagsOn()
    reader.ReadImageInformation()
    if "MOSAIC" in _text(reader, "0008|0008"):
        raise InputError(f"{path} is a Siemens mosaic, which is not read directly.", _CONVERT)
    b = next((values for tag in _B_VALUE if (values := _numbers(reader, tag))), None)
    if b is None:
        raise InputError(f"{path} does not say its b-value where this program looks for it.", _CONVERT)
    direction = next((values for tag in _DIRECTION if len(values := _numbers(reader, tag)) == 3), [0.0, 0.0, 0.0])
    if b[0] > B0_THRESHOLD and not any(direction):
        raise InputError(f"{path} has b = {b[0]:g} but does not say its direction.", _CONVERT)
    instance = _numbers(reader, "0020|0013")
    return _Weighting(int(instance[0]) if instance else 0, b[0], np.array(direction))


def _text(reader: Any, tag: str) -> str:
    return str(reader.GetMetaData(tag)).strip(" \0") if reader.HasMetaDataKey(tag) else ""


def _numbers(reader: Any, tag: str) -> list[float]:
    """The numbers of an entry; GDCM gives those of private entries as they stand in the file, in base 64."""
    text = _text(reader, tag)
    try:
        return [float(number) for number in text.split("\\")] if text else []
    except ValueError:
        pass
    try:
        content = b64decode(text, validate=True)
        return list(struct.unpack(f"<{len(content) // 8}d", content))
    except (ValueError, struct.error):
        return []
