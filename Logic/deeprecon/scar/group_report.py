"""One page and one table about the results of many patients: `scar report-group`."""

from __future__ import annotations

import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deeprecon.data.errors import InputError
from deeprecon.data.tables import read_table, write_table
from deeprecon.jobs.parameters import NoParameters
from deeprecon.jobs.run import Outcome, Run
from deeprecon.reporting.html import Report
from deeprecon.scar.parameters import GroupInputs

_THUMBNAIL = 420, 260
"""Largest width and height of a picture in pixels."""
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
class _Patient:
    """A result.

    Attributes:
        row: of the table.
        percent: of the wall that is scar, -1 where it is not known.
        pictures: PNG files.
    """

    row: dict[str, Any]
    percent: float
    pictures: tuple[Path, ...]


def report_group(inputs: GroupInputs, parameters: NoParameters, run: Run) -> Outcome:
    """A page and a table with the scar of each patient, the largest share of the wall first.

    Results of `scar reconstruct` are taken from the folder and from all folders below it. What other verbs wrote is
    passed over; results that cannot be read, and folders of runs that have none, are named in a warning.

    Raises:
        InputError: it is no folder, or there is no result in it.
    """
    if not inputs.folder.is_dir():
        raise InputError(f"{inputs.folder} is no folder.", "Give the folder that holds the results.")
    run.reporter.status("Reading the results")
    patients, problems = _read_all(inputs.folder)
    if not patients:
        raise InputError(
            f"{inputs.folder} holds no result of scar reconstruct.",
            "Give the output folder of scar reconstruct --cases, or one that holds several results.",
        )
    for problem in problems:
        run.reporter.warning(problem)
    patients.sort(key=lambda patient: (-patient.percent, patient.row["patient"]))
    names = list(dict.fromkeys(name for patient in patients for name in patient.row))
    rows = [{name: patient.row.get(name, "") for name in names} for patient in patients]
    outputs = {"table": run.output / "group.tsv", "report": run.output / "group.html"}
    write_table(outputs["table"], rows, "\t")
    known = [patient.percent for patient in patients if patient.percent >= 0]
    _write_page(outputs["report"], patients, rows, known, problems)
    figures: dict[str, Any] = {"patients": len(rows), "with_doubts": sum(bool(row["doubts"]) for row in rows)}
    if known:
        figures["median_scar_percent"] = round(float(np.median(known)), 2)
    return Outcome(outputs, figures)


def _read_all(folder: Path) -> tuple[list[_Patient], list[str]]:
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


def _read(file: Path, name: str) -> _Patient | None:
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
    return _Patient(row, float(percent) if _is_number(percent) else -1.0, pictures)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _write_page(
    path: Path, patients: list[_Patient], rows: list[dict[str, Any]], known: list[float], problems: list[str]
) -> None:
    lead = f"{len(rows)} {'patient' if len(rows) == 1 else 'patients'}, the largest share of the wall first."
    if known:
        lead += f" Scar: median {np.median(known):.1f} % of the wall, {min(known):.1f} to {max(known):.1f} %."
    report = Report("Scar of a group", lead)
    for problem in problems:
        report.warning(problem)
    report.text("low_ml and high_ml are the spread of the ensemble about scar_ml; it is not calibrated.")
    report.table(rows)
    for patient in patients:
        if patient.pictures:
            report.heading(patient.row["patient"])
        for picture in patient.pictures:
            try:
                report.picture(_thumbnail(picture), f"{patient.row['patient']}: {picture.stem}")
            except OSError:
                report.warning(f"The picture {picture.name} is damaged.")
    report.write(path)


def _thumbnail(path: Path) -> bytes:
    """A PNG of at most `_THUMBNAIL` pixels.

    Raises:
        OSError: it is no picture.
    """
    from PIL import Image

    stream = io.BytesIO()
    with Image.open(path) as image:
        image.thumbnail(_THUMBNAIL)
        image.save(stream, "png", optimize=True)
    return stream.getvalue()
