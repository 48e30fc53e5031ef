"""Radiographs as DICOM files (CR, DX): pixels as they are to be shown, spacing, view, distance of the tube."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom.file import DicomFile, numbers
from deeprecon.data.dicom.film_values import display_values, padding
from deeprecon.data.dicom.kinds import with_article
from deeprecon.data.dicom.pixels import decode, frame_count
from deeprecon.data.dicom.view import body_part_doubts, read_view
from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.numerics.grids import turned

Pixels = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MODALITIES = ("CR", "DX", "RG")
"""Computed, digital and film radiography."""
DISTANCES = (500.0, 5000.0)
"""Range of plausible distances from tube to detector in mm; others (0, or metres) are ignored."""


@dataclass(frozen=True, eq=False)
class Film:
    """One X-ray image as it is viewed: the top row nearest to the head, the first column to the patient's right.

    Attributes:
        pixels: (rows, columns), what absorbs more is brighter.
        known: (rows, columns) False where there is padding; None where there is none.
        spacing: mm between columns and between rows at the detector; None where unknown.
        view: "PA", "AP", or "" where the file does not state it.
        source_distance: from tube to detector in mm; None where unknown.
        age: of the patient in years; None where unknown.
        doubts: what the header leaves open or contradicts.
    """

    pixels: Pixels
    known: Mask | None
    spacing: tuple[float, float] | None
    view: str
    source_distance: float | None
    age: float | None = None
    doubts: tuple[Doubt, ...] = ()


def read_film(file: DicomFile) -> Film:
    """A radiograph with the gray values of `display_values`, turned as its Patient Orientation states.

    Raises:
        InputError: another modality than radiography (a CT), several frames, colors, or damaged pixels.
    """
    path, modality = file.path, file.text("Modality")
    if not file.is_image:
        raise InputError(f"{path} is no image but {with_article(file.kind)}.", "Give the file of the X-ray.")
    if modality not in MODALITIES:
        raise InputError(
            f"{path} is {'of modality ' + modality if modality else 'of no stated modality'}, not a radiograph "
            f"({', '.join(MODALITIES)}).",
            "Give the X-ray; a CT belongs to --ct or to the manifest's column ct.",
        )
    view = read_view(file)
    if frame_count(file) != 1:
        raise InputError(f"{path} holds {frame_count(file)} frames, not one X-ray.", "Give a single frontal image.")
    photometric = file.text("PhotometricInterpretation")
    if photometric not in ("MONOCHROME1", "MONOCHROME2"):
        raise InputError(f"{path} is a color image ({photometric}), expected gray values.", "Give the original X-ray.")
    stored = decode(file)[0]
    known = padding(file, stored)
    shown, polarity = display_values(file, stored)
    swap, rows, columns, orientation = _turn(file)
    spacing = _spacing(file)
    distance = next(iter(numbers(file.dataset, "DistanceSourceToDetector")), 0.0)
    return Film(
        turned(shown, swap, rows, columns),
        None if known is None else turned(known, swap, rows, columns),
        spacing[::-1] if spacing is not None and swap else spacing,
        view.side,
        distance if DISTANCES[0] <= distance <= DISTANCES[1] else None,
        _age(file),
        (*view.doubts, *body_part_doubts(file), *polarity, *orientation),
    )


def _turn(file: DicomFile) -> tuple[bool, bool, bool, tuple[Doubt, ...]]:
    r"""The arguments of `turned` that turn an image upright by Patient Orientation (PS3.3, C.7.6.1.1.1).

    It states where rows and columns run to: L\F for an image as it is viewed. Lateral views are left as they are.
    """
    where, stated = str(file.path), file.text("PatientOrientation").upper()
    along, down = ([*(part.strip()[:1] for part in stated.split("\\")), ""])[:2]
    swap = along in ("H", "F") and down in ("L", "R")
    along, down = (down, along) if swap else (along, down)
    if not stated or along in ("A", "P") or down in ("A", "P"):
        return False, False, False, ()
    if along not in ("L", "R") or down not in ("H", "F"):
        found = f"Its PatientOrientation {stated} does not state which way is up and which side is left."
        way_out = "Correct the header, or choose the turn with --turn and --flip."
        return False, False, False, (Doubt("film-orientation", where, found, way_out),)
    upside_down, mirrored = down == "H", along == "R"
    if not (swap or upside_down or mirrored):
        return False, False, False, ()
    found = f"It is stored turned or mirrored (PatientOrientation {stated}) and was turned upright."
    return swap, upside_down, mirrored, (Doubt("film-turned", where, found, assumed=True),)


def _age(file: DicomFile) -> float | None:
    """Years by PatientAge (030Y, 011M, 003W, 010D), else from the dates of birth and study; None where unknown."""
    if found := re.fullmatch(r"(\d{1,3})([DWMY])", file.text("PatientAge").upper()):
        return int(found[1]) / {"D": 365.25, "W": 52.18, "M": 12.0, "Y": 1.0}[found[2]]
    days = []
    for keyword in ("PatientBirthDate", "StudyDate"):
        try:
            days.append(datetime.strptime(file.text(keyword), "%Y%m%d"))
        except ValueError:
            return None
    years = (days[1] - days[0]).days / 365.25
    return years if years >= 0 else None


def _spacing(file: DicomFile) -> tuple[float, float] | None:
    """At the detector (ImagerPixelSpacing) before PixelSpacing; sizes that are not positive are ignored."""
    for keyword in ("ImagerPixelSpacing", "PixelSpacing"):
        spacing = numbers(file.dataset, keyword)
        if len(spacing) == 2 and np.isfinite(spacing).all() and min(spacing) > 0:
            return spacing[1], spacing[0]
    return None
