"""The manifest of `ctpa prepare`, a table of CTs with their X-rays and patients, and the split by patient."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deeprecon.ctpa.parameters import SynthesizeParameters
from deeprecon.data.dicom.file import is_dicom_head
from deeprecon.data.errors import InputError, names_damage
from deeprecon.data.files import digest
from deeprecon.data.tables import read_table
from deeprecon.jobs.options import values_of_cell
from deeprecon.jobs.parameters import fields_of, from_json

REQUIRED = ("patient", "ct")
FILM = ("view", "turn", "flip", "invert", "pixel_spacing", "patient_age")
"""Columns with settings of the X-ray, by their names among those of the synthesis."""
OPTIONAL = ("xray", "labels", *FILM)
TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")
NOT_A_VALUE = ("nan", "none", "null", "<na>", "n/a")
"""What programs write into the cells of a table that have no value."""
MIN_PATIENTS_TO_SPLIT = 3
"""Minimum patients for each split with a share to get at least one."""


@dataclass(frozen=True)
class Pair:
    """One row of a manifest.

    Attributes:
        row: its number from 1, without the header.
        patient: an identifier; all rows of a patient go to one split.
        ct: a file, a DICOM folder, or one file of a DICOM series.
        xray: a file; None where there is none, and one is projected from the CT.
        film: settings of the X-ray as texts, by the columns `FILM`; those that are not given are left out.
        labels: a label map on the CT's grid, where there is one.
    """

    row: int
    patient: str
    ct: Path
    xray: Path | None
    film: Mapping[str, str]
    labels: Path | None

    @property
    def name(self) -> str:
        """Of the case in a store."""
        return f"case_{self.row:05d}"

    def film_settings(self) -> SynthesizeParameters:
        """The settings with which the X-ray is read.

        Raises:
            InputError: not a value of its column, or out of range.
        """
        fields = {field.name: field for field in fields_of(SynthesizeParameters)}
        values = {name: values_of_cell(fields[name], text) for name, text in self.film.items()}
        settings = from_json(SynthesizeParameters, values)
        if reasons := settings.validate():
            raise InputError(f"{'; '.join(reasons)}.", "Correct the row of the manifest.")
        return settings

    def files(self) -> dict[str, Path]:
        """Its files by role."""
        found = {"ct": self.ct, "xray": self.xray, "labels": self.labels}
        return {role: path for role, path in found.items() if path is not None}


@names_damage
def read_manifest(path: Path) -> list[Pair]:
    """Read a manifest: CSV with a header line, or JSON, a list of objects; other columns are ignored.

    Paths are relative to the manifest's folder. The files are checked when they are prepared, so that one bad pair does
    not stop the others.

    Raises:
        InputError: no such file, invalid, without rows, without a required column, or a row without a patient or a CT.
    """
    rows = _read_json(path) if path.suffix.lower() == ".json" else read_table(path)
    if not rows:
        raise InputError(f"The manifest {path} lists no pair.", f"Each row needs {' and '.join(REQUIRED)}.")
    if missing := [name for name in REQUIRED if not any(name in row for row in rows)]:
        raise InputError(
            f"The manifest {path} has no column {' and '.join(missing)}.",
            f"It needs {', '.join(REQUIRED)} and may have {', '.join(OPTIONAL)}.",
        )
    return [_pair(path, number, row) for number, row in enumerate(rows, start=1)]


def _read_json(path: Path) -> list[dict[str, str]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"Cannot read the manifest {path}: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"The manifest {path} is not valid JSON ({error}).") from error
    if not isinstance(content, list) or not all(isinstance(row, dict) for row in content):
        raise InputError(f"The manifest {path} is not a list of objects.", 'Write [{"patient": ..., "ct": ...}, ...].')
    for number, row in enumerate(content, start=1):
        for name in (*REQUIRED, *OPTIONAL):
            if not isinstance(row.get(name), str | None):
                raise InputError(f"The manifest {path}, row {number}: {name} is {row[name]!r}, expected text.")
    return [{name: value for name, value in row.items() if value is not None} for row in content]


def _pair(path: Path, number: int, row: Mapping[str, Any]) -> Pair:
    text = {name: str(row.get(name, "")).strip() for name in (*REQUIRED, *OPTIONAL)}
    for name, value in text.items():
        if value.lower() in NOT_A_VALUE:
            way_out = "Fill it in, or remove the row." if name in REQUIRED else "Leave it empty where there is none."
            raise InputError(f"The manifest {path}, row {number}: {name} is {value}, not a value.", way_out)
    for name in REQUIRED:
        if not text[name]:
            raise InputError(f"The manifest {path}, row {number}: {name} is empty.", "Fill it in, or remove the row.")
    files = {name: path.parent / text[name] if text[name] else None for name in ("xray", "labels")}
    text["view"] = text["view"].upper()
    film = {name: text[name] for name in FILM if text[name]}
    return Pair(number, text["patient"], path.parent / text["ct"], files["xray"], film, files["labels"])


def split_patients(patients: Iterable[str], validation: float, test: float, seed: int) -> dict[str, str]:
    """Each patient's split.

    Patients are ordered by a hash of name and seed; the first are for the test, the next for validation. So the split
    depends neither on the order of the rows nor on the number of rows of a patient.
    """
    ordered = sorted(set(patients), key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    minimum = 1 if len(ordered) >= MIN_PATIENTS_TO_SPLIT else 0
    counts = [max(minimum, round(share * len(ordered))) if share else 0 for share in (test, validation)]
    names = [TEST] * counts[0] + [VALIDATION] * counts[1]
    return {patient: names[index] if index < len(names) else TRAIN for index, patient in enumerate(ordered)}


def source_sha256(path: Path) -> str:
    """Checksum of a file; of a DICOM series, that of the names and checksums of all files in its folder."""
    if path.is_file() and not is_dicom_head(digest(path).head):
        return digest(path).sha256
    folder = path if path.is_dir() else path.parent
    total = hashlib.sha256()
    for file in sorted(entry for entry in folder.iterdir() if entry.is_file()):
        total.update(f"{file.name} {digest(file).sha256}\n".encode())
    return total.hexdigest()
