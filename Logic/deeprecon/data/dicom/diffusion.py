"""Diffusion scans as DICOM series.

One file may hold a slice of a volume, a volume as a Siemens mosaic, or any number of frames (enhanced files). b-value
and direction stand in the frames' MR Diffusion Sequence (PS3.3, C.8.13.5.9), in Diffusion b-value (0018,9087) and
Diffusion Gradient Orientation (0018,9089), all in patient axes, or in the private entries of Siemens (0019,100c and
100e) that mean the same, where the entries of group 0019 are Siemens'.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom.file import DicomFile, first_item, numbers, text
from deeprecon.data.dicom.frames import FrameGroups
from deeprecon.data.dicom.mosaic import read_mosaic
from deeprecon.data.dicom.series import read_series
from deeprecon.data.dicom.slices import DicomSlice
from deeprecon.data.dicom.stack import arrange, stack_pixels
from deeprecon.data.diffusion.gradients import Choices, GradientTable, gradient_table
from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError

_SIEMENS, _SIEMENS_B_VALUE, _SIEMENS_DIRECTION = 0x00190010, 0x0019100C, 0x0019100E
_LEFT_OUT = {"P", "PHASE", "PHASE MAP", "R", "REAL", "I", "IMAGINARY", "ADC", "EADC", "FA"}
_AVERAGES, _ISOTROPIC = {"TRACEW", "TRACE"}, "ISOTROPIC"
"""Words of image types, complex components and directionalities: of images that are no measured magnitudes."""
_SAME_PLACE = 0.01
"""mm along the normal within which slices of different volumes lie at one place."""
_CONVERT = "Convert it with dcm2niix, and give the NIfTI file with its .bval and .bvec."


@dataclass(frozen=True, eq=False)
class _Weighting:
    """Diffusion weighting that a file or frame states.

    Attributes:
        b: s/mm^2; None where it is not stated.
        direction: LPS, zero where there is none.
        kinds: words of its image or frame type, its complex component and its directionality.
        echo: echo time in ms; None where it is not stated.
    """

    b: float | None
    direction: list[float]
    kinds: set[str]
    echo: float | None


@dataclass(frozen=True, eq=False)
class _Weighted:
    """A slice and how it was weighted."""

    slice: DicomSlice
    instance: int
    b: float
    direction: npt.NDArray[np.float64]  # LPS, zero where there is none
    echo: float | None


def read_dwi_dicom(path: Path, opened: DicomFile | None = None, choices: Choices | None = None) -> DwiScan:
    """Read a diffusion series: a folder that holds one, or one file of it.

    The images at one place, in the order of their instance numbers and frames, are the volumes. Phases, and what the
    scanner computed (averages over the directions, maps of diffusion), are left out; notes and doubts say so.

    Args:
        path: of the folder or the file.
        opened: the content of the file, where it has been opened already.
        choices: of the user about its volumes.

    Raises:
        InputError: not a diffusion series, several echo times, volumes that lack slices or lie apart, slices of one
            volume with different weightings, and what `read_dicom` raises.
    """
    series = read_series(path, opened)
    folder, slices = series.folder, series.slices
    if slices[0].is_mosaic:
        return replace(_from_mosaics(folder, slices, choices), doubts=series.doubts)
    every, averages = _weighted(slices)
    if not every:
        raise InputError(f"The series in {folder} holds only phases or computed maps.", "Give the scan itself.")
    volumes = _volumes(folder, every)
    arranged = [arrange(folder, [entry.slice for entry in volume]) for volume in volumes]
    first, ijk_to_ras = arranged[0]
    for number, (members, own) in enumerate(arranged):
        if members[0].rows_columns != first[0].rows_columns or not np.allclose(own, ijk_to_ras, atol=0.02):
            raise InputError(f"Volume {number} in {folder} lies elsewhere than the first one.", _CONVERT)
    pixels = stack_pixels([entry for members, _ in arranged for entry in members])
    array = np.moveaxis(pixels.reshape(len(volumes), -1, *pixels.shape[1:]), 0, -1)
    table = _table(folder, [volume[0].b for volume in volumes], [volume[0].direction for volume in volumes], choices)
    others = len(slices) - len(every) - averages
    notes = (f"{others} images were left out: phases, or computed by the scanner.",) if others else ()
    doubts = (*series.doubts, *_average_doubts(averages, folder.name))
    return DwiScan(np.ascontiguousarray(array), ijk_to_ras, table, folder.name, notes=notes, doubts=doubts)


def _average_doubts(count: int, name: str) -> tuple[Doubt, ...]:
    if not count:
        return ()
    text = f"{count} images are averages over the directions by their header, and are left out."
    return (Doubt("trace-volume", name, text, "Nothing needs to be done.", assumed=True),)


def _volumes(folder: Path, every: Sequence[_Weighted]) -> list[tuple[_Weighted, ...]]:
    """The slices of each volume, in no particular order."""
    echoes = sorted({round(entry.echo, 1) for entry in every if entry.echo is not None})
    if len(echoes) > 1:
        raise InputError(f"The series in {folder} has echo times of {echoes[0]:g} to {echoes[-1]:g} ms.", _CONVERT)
    normal = every[0].slice.normal
    along = np.array([entry.slice.position @ normal for entry in every])
    order = np.argsort(along, kind="stable")
    starts = np.flatnonzero(np.diff(along[order]) > _SAME_PLACE) + 1
    places = [[every[number] for number in part] for part in np.split(order, starts)]
    counts = {len(entries) for entries in places}
    if len(counts) > 1:
        raise InputError(
            f"The series in {folder} has {min(counts)} to {max(counts)} images at one place: volumes lack slices.",
            "Export the series again.",
        )
    for entries in places:
        entries.sort(key=lambda entry: (entry.instance, entry.slice.frame or 0))
    volumes = list(zip(*places, strict=True))
    for number, (first, *others) in enumerate(volumes):
        if any(abs(one.b - first.b) > 1 or np.abs(one.direction - first.direction).max() > 0.01 for one in others):
            raise InputError(f"The slices of volume {number} in {folder} differ in b-value or direction.", _CONVERT)
    return volumes


def _from_mosaics(folder: Path, slices: Sequence[DicomSlice], choices: Choices | None) -> DwiScan:
    mosaics = sorted(((read_mosaic(entry), entry) for entry in slices), key=lambda found: found[0].instance)
    first = mosaics[0][0]
    for mosaic, entry in mosaics:
        if mosaic.tiles != first.tiles or not np.allclose(mosaic.ijk_to_ras, first.ijk_to_ras, atol=1e-3):
            raise InputError(f"{entry.path} lies elsewhere than other mosaics of its series.", _CONVERT)
    images = stack_pixels([entry for _, entry in mosaics])
    array = np.stack([mosaic.volume(image) for (mosaic, _), image in zip(mosaics, images, strict=True)], axis=-1)
    table = _table(folder, [mosaic.b for mosaic, _ in mosaics], [mosaic.direction for mosaic, _ in mosaics], choices)
    return DwiScan(array, first.ijk_to_ras, table, folder.name)


def _table(
    folder: Path, bvals: list[float], directions: list[npt.NDArray[np.float64]], choices: Choices | None
) -> GradientTable:
    return gradient_table(np.array(bvals), np.array(directions) * (-1.0, -1.0, 1.0), folder.name, choices)


def _weighted(slices: Sequence[DicomSlice]) -> tuple[list[_Weighted], int]:
    """Those of the slices that were measured, and are magnitudes; how many of the others are averages."""
    found, averages = [], 0
    for file, entries in groupby(slices, key=lambda entry: entry.file):
        instance = int(next(iter(numbers(file.dataset, "InstanceNumber")), 0))
        for entry in entries:
            weighting = _weighting_of_file(file) if entry.groups is None else _weighting_of_frame(entry.groups)
            if weighting.kinds & _LEFT_OUT:
                continue
            if weighting.kinds & _AVERAGES or (_ISOTROPIC in weighting.kinds and weighting.b):
                averages += 1
                continue
            if weighting.b is None:
                raise InputError(f"{file.path} does not state its b-value where this program looks for it.", _CONVERT)
            found.append(_Weighted(entry, instance, weighting.b, np.array(weighting.direction), weighting.echo))
    return found, averages


def _weighting_of_file(file: DicomFile) -> _Weighting:
    header = file.dataset
    b, direction = numbers(header, "DiffusionBValue"), numbers(header, "DiffusionGradientOrientation")
    if "SIEMENS" in text(header, _SIEMENS):
        b, direction = b or numbers(header, _SIEMENS_B_VALUE), direction or numbers(header, _SIEMENS_DIRECTION)
    words = "\\".join(text(header, key) for key in ("ImageType", "ComplexImageComponent", "DiffusionDirectionality"))
    echo = next(iter(numbers(header, "EchoTime")), None)
    return _Weighting(next(iter(b), None), direction if len(direction) == 3 else [0.0] * 3, _words(words), echo)


def _weighting_of_frame(groups: FrameGroups) -> _Weighting:
    item, kind, echo = (
        groups.item(name) or {} for name in ("MRDiffusionSequence", "MRImageFrameTypeSequence", "MREchoSequence")
    )
    directionality = item.get("DiffusionDirectionality") or ""
    b = item.get("DiffusionBValue")
    if b is None and directionality == "NONE":
        b = 0.0
    gradient = first_item(item, "DiffusionGradientDirectionSequence") or {}
    direction = [float(value) for value in gradient.get("DiffusionGradientOrientation") or (0, 0, 0)]
    words = [*(kind.get("FrameType") or ()), kind.get("ComplexImageComponent") or "", directionality]
    time = echo.get("EffectiveEchoTime")
    return _Weighting(
        None if b is None else float(b), direction, _words("\\".join(words)), None if time is None else float(time)
    )


def _words(joined: str) -> set[str]:
    return {word.strip().upper() for word in joined.split("\\")}
