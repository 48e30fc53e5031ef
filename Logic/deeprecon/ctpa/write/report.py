"""The report of a synthesis as an HTML page, and its pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.measure.projection_check import ProjectionCheck
from deeprecon.ctpa.measure.quality import QualityLevel, Reason
from deeprecon.ctpa.measure.summary import VolumeSummary
from deeprecon.reporting.figures import png, pyplot
from deeprecon.reporting.html import Report
from deeprecon.reporting.orientation import Orientation, orientation

Pixels = npt.NDArray[np.floating[Any]] | npt.NDArray[np.int16]

BACKGROUND, INK, FAINT = "#0d1117", "#e6edf3", "#8b98a8"
COLORS = {QualityLevel.GREEN: "#3fb950", QualityLevel.AMBER: "#e3a008", QualityLevel.RED: "#f85149"}
WORDS = {
    QualityLevel.GREEN: "nothing speaks against it",
    QualityLevel.AMBER: "look at the reasons before you use it",
    QualityLevel.RED: "do not use it",
}
WINDOWS = {"mediastinum and vessels": (100.0, 700.0), "lung": (-600.0, 1500.0)}
"""Center and width in HU of the windows that slices are shown in."""
MARK = "SYNTHETIC – research only, not for diagnosis"


@dataclass(frozen=True, eq=False)
class Findings:
    """The content of a report.

    Attributes:
        mean: slices of the mean of the samples.
        spread: slices of their standard deviation; None for one sample.
        check: the projection check.
        level, reasons: see `quality.assess_quality`.
        statements: doubts of the run and limitations of every result.
        figures: rows of the table of figures.
        settings: all that is needed to repeat the run.
    """

    mean: VolumeSummary
    spread: VolumeSummary | None
    check: ProjectionCheck
    level: QualityLevel
    reasons: Sequence[Reason]
    statements: Sequence[str]
    figures: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any]


def write_report(path: Path, found: Findings, lead: str) -> dict[str, Path]:
    """Write the page and its pictures as PNG files in the same folder; returns the pictures' paths by role."""
    report = Report("Synthetic CT from a chest X-ray", lead)
    for statement in found.statements:
        report.warning(statement)
    report.heading(f"How far to trust it: {found.level.value} – {WORDS[found.level]}")
    report.table([{"light": reason.level.value, "reason": reason.text} for reason in found.reasons])
    report.heading("Comparison with the X-ray")
    pictures = {"projection": projection_picture(found.check, found.mean.coarse_grid, found.level)}
    report.picture(
        pictures["projection"],
        "The X-ray as the model saw it, the synthetic CT projected with its geometry, and the difference. What the "
        "X-ray shows must be in the projection; what the CT shows beyond that is made up.",
    )
    report.heading("Slices")
    pictures["slices"] = slices_picture(found.mean, found.spread)
    caption = "Axial, coronal and sagittal slice near the middle."
    if found.spread is not None:
        caption += " The spread shows where the samples disagree; where they agree they may still all be wrong."
    report.picture(pictures["slices"], caption)
    report.heading("Figures")
    report.table(found.figures)
    report.details("Settings", json.dumps(found.settings, indent=2, ensure_ascii=False))
    report.write(path)
    files = {role: path.with_name(f"{role}.png") for role in pictures}
    for role, file in files.items():
        file.write_bytes(pictures[role])
    return files


def projection_picture(check: ProjectionCheck, grid: Grid, level: QualityLevel) -> bytes:
    """PNG of X-ray, projected CT and their difference, with the figures."""
    plt = pyplot()
    rows, columns = check.xray.shape
    height = 4.3 * rows * grid.spacing[2] / (columns * grid.spacing[0])
    figure, axes = plt.subplots(1, 3, figsize=(13.6, height + 0.85), facecolor=BACKGROUND, layout="constrained")
    low, high = np.percentile(check.xray, (1, 99.5))
    gray = {"cmap": "gray", "vmin": low, "vmax": max(high, low + 1e-6)}
    limit = max(0.5 * float(high - low), 1e-6)
    panels = (
        ("Input X-ray", "as the model saw it", check.xray, gray),
        ("Synthetic CT, projected", f"correlation {check.ncc:.3f} · SSIM {check.ssim:.2f}", check.projected, gray),
        (
            "Difference",
            f"error {check.nrmse:.2f} of the X-ray's contrast",
            check.difference,
            {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit},
        ),
    )
    coronal = _views(grid)["coronal"]
    for axis, (title, line, image, look) in zip(axes, panels, strict=True):
        shown = axis.imshow(coronal.turned(image), aspect=coronal.aspect, **look)
        axis.set_title(title, color=INK, fontsize=13, fontweight="bold", loc="left", pad=20)
        axis.text(0, 1.012, line, color=FAINT, fontsize=10.5, transform=axis.transAxes, va="bottom")
        _bare(axis)
        coronal.draw_letters(axis, color=INK)
    bar = figure.colorbar(shown, ax=axes[2], shrink=0.62, pad=0.015, ticks=[-limit, 0, limit])
    bar.ax.set_yticklabels(["CT absorbs less", "equal", "CT absorbs more"], color=FAINT, fontsize=9)
    bar.outline.set_visible(False)
    bar.ax.tick_params(color=FAINT, length=0)
    figure.supxlabel(
        f"● {level.value} – {WORDS[level]}    ",
        x=0.008,
        ha="left",
        color=COLORS[level],
        fontsize=11.5,
        fontweight="bold",
    )
    figure.text(0.992, 0.012, MARK, ha="right", va="bottom", color=FAINT, fontsize=10)
    return png(figure)


def slices_picture(mean: VolumeSummary, spread: VolumeSummary | None) -> bytes:
    """PNG of three slices in each window, and of the spread."""
    plt = pyplot()
    rows = [(name, mean, center - width / 2, center + width / 2, "gray") for name, (center, width) in WINDOWS.items()]
    if spread is not None:
        top = max(50.0, float(np.percentile(spread.coronal, 99.5)))
        rows.append(("spread of the samples", spread, 0.0, top, "magma"))
    oriented = _views(mean.grid)
    extents = [(mean.grid.field[0], mean.grid.field[1]), (mean.grid.field[0], mean.grid.field[2])]
    widths = [extents[0][0], extents[1][0], mean.grid.field[1]]
    figure, axes = plt.subplots(
        len(rows), 3, figsize=(12.6, 4.35 * len(rows) + 0.3), facecolor=BACKGROUND, layout="constrained", squeeze=False,
        gridspec_kw={"width_ratios": widths},
    )  # fmt: skip
    for line, (name, summary, low, high, colors) in zip(axes, rows, strict=True):
        images: tuple[Pixels, ...] = (summary.axial, summary.coronal, summary.sagittal)
        for axis, (plane, view), image in zip(line, oriented.items(), images, strict=True):
            shown = axis.imshow(view.turned(image), cmap=colors, vmin=low, vmax=high, aspect=view.aspect)
            axis.set_title(f"{plane}, {name}", color=INK, fontsize=11, loc="left")
            _bare(axis)
            view.draw_letters(axis, color=INK)
            if summary is mean:
                dark = {"facecolor": "black", "alpha": 0.5, "linewidth": 0, "pad": 1.5}
                axis.text(0.02, 0.02, "SYNTHETIC", color="#ffd23f", fontsize=8.5, bbox=dark, transform=axis.transAxes)
        bar = figure.colorbar(shown, ax=line, shrink=0.8, pad=0.01)
        bar.set_label("HU", color=FAINT)
        bar.ax.tick_params(color=FAINT, labelcolor=FAINT, labelsize=9)
        bar.outline.set_visible(False)
    return png(figure)


def _bare(axis: Any) -> None:
    axis.set(xticks=[], yticks=[])
    for spine in axis.spines.values():
        spine.set_visible(False)


def _views(grid: Grid) -> dict[str, Orientation]:
    """How the three planes of a grid are turned, by name; their arrays are (j, i), (k, i) and (k, j)."""
    i, j, k = grid.affine()[:3, :3].T
    return {"axial": orientation(j, i), "coronal": orientation(k, i), "sagittal": orientation(k, j)}
