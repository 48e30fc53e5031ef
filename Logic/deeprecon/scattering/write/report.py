"""HTML reports of training and reconstruction, and their pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.reporting.figures import curves, png, pyplot
from deeprecon.reporting.html import Report
from deeprecon.scattering.physics.image_grids import pixel_centers, to_square

Floats = npt.NDArray[np.floating[Any]]

MAX_EXAMPLES = 6
"""Objects shown in a picture."""
_SIDE = 128


def comparison_png(images: Floats, truth: Floats | None, titles: Sequence[str], label: str = "reconstruction") -> bytes:
    """PNG of (S, angles, rings) images: a row each of truth, result and difference, in one color scale.

    Args:
        images: contrast, at most `MAX_EXAMPLES` objects.
        truth: None if not known.
        titles: of the columns.
        label: of the row of `images`.
    """
    plt = pyplot()
    axis = pixel_centers(_SIDE)
    rows = {label: to_square(images, axis)}
    if truth is not None:
        known = to_square(truth, axis)
        rows = {"truth": known, **rows, "difference": rows[label] - known}
    main = np.concatenate([values for name, values in rows.items() if name != "difference"])
    limit = max(float(np.abs(main).max()), 1e-6)
    size = (1.9 * len(images) + 1.2, 1.9 * len(rows) + 0.3)
    figure, axes = plt.subplots(len(rows), len(images), figsize=size, layout="compressed", squeeze=False)
    outside = np.hypot(*np.meshgrid(axis, axis)) > 1
    for line, (name, squares) in zip(axes, rows.items(), strict=True):
        for part, image, title in zip(line, squares, titles, strict=True):
            shown = part.imshow(
                np.where(outside, np.nan, image), cmap="RdBu_r", vmin=-limit, vmax=limit, origin="lower"
            )
            part.set(xticks=[], yticks=[])
            part.set_frame_on(False)
            if name == next(iter(rows)):
                part.set_title(title, fontsize=9)
        line[0].set_ylabel(name)
    figure.colorbar(shown, ax=axes, shrink=0.7, label="contrast n^2 - 1")
    return png(figure)


def write_report(
    path: Path,
    title: str,
    lead: str,
    image: bytes,
    caption: str,
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
    warnings: Sequence[str],
    settings: Mapping[str, Any],
    doubts: Sequence[Doubt] = (),
    history: Sequence[Mapping[str, float]] = (),
) -> list[Path]:
    """Write a page, which begins with the doubts, and its pictures as PNG files in the same folder.

    Returns:
        The paths of the pictures.
    """
    report, pictures = Report(title, " ".join([*map(str, doubts), lead])), []

    def add(name: str, content: bytes, text: str) -> None:
        file = path.with_name(f"{name}.png")
        file.write_bytes(content)
        pictures.append(file)
        report.picture(content, text)

    for warning in warnings:
        report.warning(warning)
    add("images", image, caption)
    for heading, rows in tables.items():
        report.heading(heading)
        report.table(rows)
    if history:
        report.heading("Training")
        series = {name: [entry[name] for entry in history] for name in ("training_loss", "validation")}
        add("curves", curves(series, [int(entry["epoch"]) for entry in history], "relative error"), "Relative error.")
    report.heading("Settings")
    report.details("Everything needed to run this again", json.dumps(settings, indent=2, ensure_ascii=False))
    report.write(path)
    return pictures
