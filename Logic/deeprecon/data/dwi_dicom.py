"""Diffusion scans as DICOM series.

One file may hold a slice of a volume, a volume as a Siemens mosaic, or any number of frames (enhanced files). b-value
and direction stand in the frames' MR Diffusion Sequence (PS3.3, C.8.13.5.9), in Diffusion b-value (0018,9087) and
Diffusion Gradient Orientation (0018,9089), all in patient axes, or in the private entries of Siemens (0019,100c and
100e) that mean the same.
"""

from __future__ import annotations

import struct
from base64 import b64decode
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom import DicomSlice, arrange, read_pixels, read_slices
from deeprecon.data.dicom_frames import FrameGroups, read_frame_groups
from deeprecon.data.dicom_header import first_item
from deeprecon.data.dwi_mosaic import read_mosaic
from deeprecon.data.dwi_scan import DwiScan
from deeprecon.data.errors import InputError
from deeprecon.data.gradients import B0_THRESHOLD, GradientTable, gradient_table

_B_VALUE = ("0018|9087", "0019|100c")
_DIRECTION = ("0018|9089", "0019|100e")
_CONVERT = "Convert it with dcm2niix, and give the NIfTI file with its .bval and .bvec."


@dataclass(frozen=True, eq=False)
class _Weighted:
    """A slice and how it was weighted."""

    slice: DicomSlice
    instance: int
    b: float
    direction: npt.NDArray[np.float64]  # LPS, zero where there is none
    average: bool = False  # over the directions, computed by the scanner


def read_dwi_dicom(path: Path) -> DwiScan:
    """Read a diffusion series: a folder that holds one, or one file of it.

    The images at one place, in the order of their instance numbers and frames, are the volumes. Averages over the
    directions, which scanners add, are left out; the scan's notes say so.

    Raises:
        InputError: not a diffusion series, volumes that lack slices, slices of one volume with different weightings,
            and what `read_dicom` raises.
    """
    folder = path if path.is_dir() else path.parent
    slices = read_slices(path)
    if "MOSAIC" in _text(_reader(slices[0].path), "0008|0008"):
        return _from_mosaics(folder, slices)
    every = _weighted(slices)
    volumes = _volumes(folder, [entry for entry in every if not entry.average])
    arranged = [arrange(folder, [entry.slice for entry in volume]) for volume in volumes]
    pixels = read_pixels([entry for members, _ in arranged for entry in members])
    array = np.moveaxis(pixels.reshape(len(volumes), -1, *pixels.shape[1:]), 0, -1)
    table = _table(folder, [volume[0].b for volume in volumes], [volume[0].direction for volume in volumes])
    left_out = sum(entry.average for entry in every)
    notes = (f"{left_out} images that are averages over the directions were left out.",) if left_out else ()
    return DwiScan(np.ascontiguousarray(array), arranged[0][1], table, folder.name, notes=notes)


def _volumes(folder: Path, every: Sequence[_Weighted]) -> list[tuple[_Weighted, ...]]:
    """The slices of each volume, in no particular order."""
    places: dict[float, list[_Weighted]] = defaultdict(list)
    normal = every[0].slice.normal if every else np.zeros(3)
    for entry in every:
        places[round(float(entry.slice.position @ normal), 2)].append(entry)
    counts = {len(entries) for entries in places.values()}
    if not counts:
        raise InputError(f"The series in {folder} holds only averages over the directions.", "Give the scan itself.")
    if len(counts) > 1:
        raise InputError(
            f"The series in {folder} has {min(counts)} to {max(counts)} images at one place: volumes lack slices.",
            "Export the series again.",
        )
    for entries in places.values():
        entries.sort(key=lambda entry: (entry.instance, entry.slice.frame or 0))
    volumes = list(zip(*places.values(), strict=True))
    for number, (first, *others) in enumerate(volumes):
        if any(abs(one.b - first.b) > 1 or np.abs(one.direction - first.direction).max() > 0.01 for one in others):
            raise InputError(f"The slices of volume {number} in {folder} differ in b-value or direction.", _CONVERT)
    return volumes


def _from_mosaics(folder: Path, slices: Sequence[DicomSlice]) -> DwiScan:
    mosaics = sorted(((read_mosaic(entry), entry) for entry in slices), key=lambda found: found[0].instance)
    first = mosaics[0][0]
    for mosaic, entry in mosaics:
        if mosaic.tiles != first.tiles or not np.allclose(mosaic.ijk_to_ras, first.ijk_to_ras, atol=1e-3):
            raise InputError(f"{entry.path} lies elsewhere than other mosaics of its series.", _CONVERT)
    images = read_pixels([entry for _, entry in mosaics])
    array = np.stack([mosaic.volume(image) for (mosaic, _), image in zip(mosaics, images, strict=True)], axis=-1)
    table = _table(folder, [mosaic.b for mosaic, _ in mosaics], [mosaic.direction for mosaic, _ in mosaics])
    return DwiScan(array, first.ijk_to_ras, table, folder.name)


def _table(folder: Path, bvals: list[float], directions: list[npt.NDArray[np.float64]]) -> GradientTable:
    return gradient_table(np.array(bvals), np.array(directions) * (-1.0, -1.0, 1.0), folder.name)


def _weighted(slices: Sequence[DicomSlice]) -> list[_Weighted]:
    files: dict[Path, list[DicomSlice]] = defaultdict(list)
    for entry in slices:
        files[entry.path].append(entry)
    found = []
    for path, entries in files.items():
        reader = _reader(path)
        instance = int(next(iter(_numbers(reader, "0020|0013")), 0))
        groups = [] if entries[0].frame is None else read_frame_groups(path)
        for entry in entries:
            b, direction, kind = _of_file(reader) if entry.frame is None else _of_frame(groups[entry.frame])
            if b is None:
                raise InputError(f"{path} does not say its b-value where this program looks for it.", _CONVERT)
            average = b > B0_THRESHOLD and kind == "ISOTROPIC"
            if b > B0_THRESHOLD and not average and not any(direction):
                raise InputError(f"{path} has b = {b:g} but does not say its direction.", _CONVERT)
            found.append(_Weighted(entry, instance, b, np.array(direction), average))
    return found


def _of_file(reader: Any) -> tuple[float | None, list[float], str]:
    """b-value, direction and directionality of a file."""
    b = next((values[0] for tag in _B_VALUE if (values := _numbers(reader, tag))), None)
    direction = next((values for tag in _DIRECTION if len(values := _numbers(reader, tag)) == 3), [0.0, 0.0, 0.0])
    return b, direction, _text(reader, "0018|9075")


def _of_frame(groups: FrameGroups) -> tuple[float | None, list[float], str]:
    """b-value, direction and directionality of a frame."""
    item = groups.item("MRDiffusionSequence")
    if item is None or item.get("DiffusionBValue") is None:
        return None, [0.0, 0.0, 0.0], ""
    gradient = first_item(item, "DiffusionGradientDirectionSequence")
    direction = [0.0, 0.0, 0.0] if gradient is None else [float(v) for v in gradient.DiffusionGradientOrientation]
    return float(item.DiffusionBValue), direction, item.get("DiffusionDirectionality", "")


def _reader(path: Path) -> Any:
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    reader.LoadPrivateTagsOn()
    reader.ReadImageInformation()
    return reader


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
