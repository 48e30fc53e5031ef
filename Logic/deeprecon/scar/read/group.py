"""The results of many patients."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.data.tables import read_table

_PICTURES = "picture_mesh", "picture_bullseye"
_COLUMNS = {
    "volume_ml": "scar_ml",
    "low_ml": "low_ml",
    "high_ml": "high_ml",
    "mass_g": "scar_g",
    "percent_of_wall": "scar_percent",
    "area_cm2": "scar_cm2",
    "not_observed_percent": "not_observed_percent",
}
"""Figures of a result and their columns."""
_REGIONS = {"wall": "wall_ml", "core": "core_ml", "border zone": "border_ml", "uncertain edge": "uncertain_edge_ml"}
"""Rows of a result's table and the columns of their volumes."""


@dataclass(frozen=True)
class Patient:
    """A result of `scar reconstruct`.

    Attributes:
        row: of the table.
        percent: of the wall that is scar, -1 where it is not known.
        pictures: PNG files.
    """

    row: dict[str, Any]
    percent: float
    pictures: tuple[Path, ...]


def read_group(folder: Path) -> tuple[list[Patient], list[str]]:
    """The patients, and what could not be read."""
    patients, problems = [], []
    files = [path for path in sorted(folder.rglob("result.json")) if ".job" not in path.parts]
    for file in files:
        name = file.parent.relative_to(folder).as_posix() if file.parent != folder else folder.name
        try:
            if (patient := _read(file, name)) is not None:
                patients.append(patient)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, InputError):
            problems.append(f"The result of {name} cannot be read and is left out.")
    done = {file.parent for file in files}
    open_runs = sorted(path.parent for path in folder.rglob(".job") if path.is_dir() and path.parent not in done)
    # The folder of a list of cases has a record of its own, and no result.
    missing = [path.relative_to(folder).as_posix() for path in open_runs if (path / ".job" / "job.json").is_file()]
    if missing:
        problems.append(f"Without a result: {', '.join(missing)}.")
    return patients, problems


def _read(file: Path, name: str) -> Patient | None:
    """A patient's result; None where another verb wrote it."""
    content = json.loads(file.read_text(encoding="utf-8"))
    provenance, figures = content["provenance"], content["metrics"]
    if (provenance["method"], provenance["verb"]) != ("scar", "reconstruct"):
        return None
    outputs = {role: file.parent / output["path"] for role, output in content["outputs"].items()}
    row: dict[str, Any] = {"patient": name}
    row |= {column: round(figures[key], 3) for key, column in _COLUMNS.items() if _is_number(figures.get(key))}
    for region in read_table(outputs["table"]):
        column, size = _REGIONS.get(region["region"]), region.get("volume_ml", "")
        if column and size and size[0].isdigit():
            row[column] = float(size)
    if (channels := outputs.get("channels")) is not None:
        row["channels"] = len(read_table(channels))
    row["doubts"] = " ".join(dict.fromkeys(doubt["code"] for doubt in content["doubts"]))
    row["date"] = provenance["date"]
    percent = figures.get("percent_of_wall")
    pictures = tuple(outputs[role] for role in _PICTURES if role in outputs and outputs[role].is_file())
    return Patient(row, float(percent) if _is_number(percent) else -1.0, pictures)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
