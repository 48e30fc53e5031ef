"""A page about the results of many patients."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np

from deeprecon.reporting.html import Report
from deeprecon.scar.read.group import Patient

_THUMBNAIL = 420, 260
"""Largest width and height of a picture in pixels."""


def write_group_page(
    path: Path, patients: list[Patient], rows: list[dict[str, Any]], known: list[float], problems: list[str]
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
