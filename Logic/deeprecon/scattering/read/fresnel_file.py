"""Text files of the Institut Fresnel: microwaves scattered by cylinders in free space, 2001 and 2005.

2001: Belkebir and Saillard, Inverse Problems 17:1565; 2005: Geffrin, Sabouroux and Eyraud, Inverse Problems 21:S117.
Each line holds view, receiver, frequency (GHz), real and imaginary part of the total field, the same of the incident
field; lines with # are comments, of which some state the numbers of views, receivers and frequencies. Time convention
exp(+iwt); fields are turned to exp(-iwt). The file does not state its positions, which are those of the papers:

| set | source of view v | receiver r |
|---|---|---|
| 2001 | 0.72 m, (v - 1) 10 degrees | 0.76 m, (r - 1) 5 degrees |
| 2005 | 1.67 m, (v - 1) 360 / views degrees | 1.67 m, r - 1 degrees |

Receivers lie 60 to 300 degrees from the source. Only TM polarization (electric field along the cylinders) obeys the
scalar equation. The objects lie in a square of 0.15 m.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError, names_damage
from deeprecon.scattering.physics.arrangement import Arrangement
from deeprecon.scattering.read.field_checks import with_doubts
from deeprecon.scattering.read.scattered_fields import Band, ScatteredFields, check_fields

HINT = "Give a text file of the Institut Fresnel as it was published, such as FoamDielExtTM.exp."
_COLUMNS = "view, receiver, frequency in GHz, total field (real, imaginary), incident field (real, imaginary)"
_GHZ = (0.1, 100.0)
_SIDE = 0.15
_MIN_ANGLE = 59.5
"""Least angle in degrees between a source and its receivers."""


@dataclass(frozen=True)
class _Set:
    """Positions of a published set: radii in m, steps of the angles in degrees (None: 360 / views)."""

    source_radius: float
    receiver_radius: float
    source_step: float | None
    receiver_step: float


_SETS = {2001: _Set(0.72, 0.76, 10.0, 5.0), 2005: _Set(1.67, 1.67, None, 1.0)}


def is_fresnel_file(path: Path) -> bool:
    """Whether a file is text of numbers and comments with #, or is named as such files are."""
    return path.suffix.lower() in (".exp", ".txt")


@names_damage
def read_fresnel_file(path: Path) -> ScatteredFields:
    """Read a file, with doubts about its content.

    Raises:
        InputError: other columns, TE polarization, views with different frequencies or receivers, or no incident field.
    """
    text = path.read_text(encoding="latin-1")
    comments = "\n".join(line for line in text.splitlines() if line.lstrip().startswith("#"))
    if re.search(r"Polari[sz]ation\s*:\s*TE", comments):
        raise InputError(
            f"{path} is of TE polarization (magnetic field along the cylinders), which has another equation.",
            "Give the file of TM polarization.",
        )
    rows = _rows(path, text)
    views, receivers = (np.unique(rows[:, column]).astype(int) for column in (0, 1))
    _check_counts(path, comments, rows)
    chosen = 2001 if receivers.max() <= 72 else 2005
    positions = _SETS[chosen]
    step = positions.source_step or 360.0 / len(views)
    grids = _grids(path, rows, views)
    numbers = grids[:, 0, :, 1]
    source = np.radians((views - 1) * step)
    receiver = np.radians((numbers - 1) * positions.receiver_step)
    apart = np.abs((np.degrees(receiver - source[:, None]) + 180) % 360 - 180)
    if apart.min() < _MIN_ANGLE:
        raise InputError(
            f"{path}: receiver {numbers.flat[int(apart.argmin())]:.0f} lies {apart.min():.0f} degrees from its source, "
            f"expected 60 and more of the set of {chosen}.",
            HINT,
        )
    arrangement = Arrangement(
        positions.source_radius * _unit(source), positions.receiver_radius * _unit(receiver), False, False
    )
    total, incident = grids[..., 3] - 1j * grids[..., 4], grids[..., 5] - 1j * grids[..., 6]
    if not np.abs(incident).max() > 0:
        raise InputError(
            f"{path} holds no incident field, which calibrates the sources.",
            "Give the file with the incident field in columns 6 and 7.",
        )
    bands = tuple(
        Band(1e9 * ghz, total[:, f] - incident[:, f], incident[:, f], np.ones(numbers.shape, bool))
        for f, ghz in enumerate(grids[0, :, 0, 2])
    )
    notes = (
        f"Positions are those of the Institut Fresnel's set of {chosen}: sources at {positions.source_radius:g} m, "
        f"receivers at {positions.receiver_radius:g} m; time convention exp(+iwt); objects in a square of 0.15 m.",
    )
    fields = ScatteredFields(arrangement, bands, center=np.zeros(2), side=_SIDE, name=path.name, notes=notes)
    check_fields(fields)
    return with_doubts(fields)


def _rows(path: Path, text: str) -> npt.NDArray[np.float64]:
    """(lines, 7) numbers."""
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 7:
            raise InputError(f"{path}, line {number}: {len(words)} columns, expected 7: {_COLUMNS}.", HINT)
        try:
            rows.append([float(word) for word in words])
        except ValueError as error:
            raise InputError(f"{path}, line {number}: {error}; expected 7 numbers: {_COLUMNS}.", HINT) from error
    if not rows:
        raise InputError(f"{path} holds no lines of numbers.", HINT)
    values = np.array(rows)
    if not np.isfinite(values).all():
        raise InputError(f"{path} holds values that are not finite.", HINT)
    if (values[:, :2] % 1).any() or values[:, :2].min() < 1 or values[:, 1].max() > 360:
        raise InputError(
            f"{path}: the first two columns hold {values[:, 0].max():g} and {values[:, 1].max():g}, expected numbers "
            f"of views and receivers: {_COLUMNS}.",
            HINT,
        )
    if not (_GHZ[0] <= values[:, 2].min() and values[:, 2].max() <= _GHZ[1]):
        raise InputError(f"{path}: frequencies are up to {values[:, 2].max():g}, expected GHz in column 3.", HINT)
    return values


def _check_counts(path: Path, comments: str, rows: npt.NDArray[np.float64]) -> None:
    """Compare the comments with the content."""
    for words, column, name in (("views", 0, "views"), ("frequencies", 2, "frequencies")):
        stated = re.search(rf"Number of {words}\s*:\s*(\d+)", comments)
        found = len(np.unique(rows[:, column]))
        if stated and int(stated[1]) != found:
            raise InputError(f"{path} states {stated[1]} {name} and holds {found}.", "Copy the file again.")


def _grids(path: Path, rows: npt.NDArray[np.float64], views: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """(V, F, R, 7) rows in order of view, frequency and receiver as in the file."""
    parts = []
    for view in views:
        own = rows[rows[:, 0] == view]
        bands = [own[own[:, 2] == frequency] for frequency in np.unique(own[:, 2])]
        if any(len(band) != len(bands[0]) or (band[:, 1] != bands[0][:, 1]).any() for band in bands):
            raise InputError(f"{path}: the frequencies of view {view} have different receivers.", HINT)
        parts.append(np.stack(bands))
        same = parts[-1].shape[0] == parts[0].shape[0] and np.array_equal(parts[-1][:, 0, 2], parts[0][:, 0, 2])
        if not same:
            raise InputError(
                f"{path}: view {view} has other frequencies than view {views[0]}.",
                "Give a file in which every view has the same frequencies.",
            )
        if parts[-1].shape != parts[0].shape:
            raise InputError(
                f"{path}: view {view} has {parts[-1].shape[1]} receivers, view {views[0]} {parts[0].shape[1]}.", HINT
            )
    return np.stack(parts)


def _unit(angle: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)
