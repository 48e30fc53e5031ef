"""The page that an enhancement leaves behind, and its pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.volume import canonical
from deeprecon.dwmri.measure.tensor import TensorMaps
from deeprecon.reporting.figures import curves, png, pyplot
from deeprecon.reporting.html import Report

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Findings:
    """What an enhancement found.

    Attributes:
        before, after: the scan.
        mask: (k, j, i).
        sigma, uncertainty: (k, j, i) in units of the image.
        maps_before, maps_after: of the tensor; None where the table does not determine one.
        history: curve name -> values, with the steps under "step".
        figures: rows of the table of figures.
        settings: everything needed to run it again.
        warnings: what the user should know.
    """

    before: DwiScan
    after: DwiScan
    mask: npt.NDArray[np.bool_]
    sigma: Floats
    uncertainty: Floats
    maps_before: TensorMaps | None
    maps_after: TensorMaps | None
    history: Mapping[str, Sequence[float]]
    figures: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any]
    warnings: Sequence[str]


def write_report(path: Path, found: Findings, lead: str) -> list[Path]:
    """Write the page and, beside it, its pictures as PNG files; returns the pictures' paths."""
    report = Report("Diffusion scan enhancement", lead)
    pictures: list[Path] = []

    def add(name: str, picture: bytes, caption: str) -> None:
        file = path.with_name(f"{name}.png")
        file.write_bytes(picture)
        pictures.append(file)
        report.picture(picture, caption)

    for warning in found.warnings:
        report.warning(warning)
    report.heading("Before, after, residual")
    add("slices", _slices(found), "A b0 and a weighted volume. The residual should look like noise, without anatomy.")
    report.heading("Figures")
    report.table(found.figures)
    if found.maps_before is not None and found.maps_after is not None:
        report.heading("Tensor")
        add("tensor", _tensor(found, found.maps_before, found.maps_after), "FA, directions times FA, and MD.")
    report.heading("Noise and uncertainty")
    add("noise", _noise(found), "Noise level, standard error, and the residual's root mean square over the volumes.")
    if found.history.get("step"):
        report.heading("Training")
        steps = [int(step) for step in found.history["step"]]
        series = {name: values for name, values in found.history.items() if name != "step"}
        add("curves", curves(series, steps, "squared error in noise units"), "Training and held-out crops.")
    report.heading("Settings")
    report.details("Everything needed to run this again", json.dumps(found.settings, indent=2, ensure_ascii=False))
    report.write(path)
    return pictures


def _axial(found: Findings, array: Floats) -> Floats:
    """A slice across the body axis of (k, j, i) or (k, j, i, 3): front up, the patient's right on the left.

    It is the one that shows most of the mask.
    """
    if array.ndim == 4:
        return np.stack([_axial(found, array[..., channel]) for channel in range(array.shape[-1])], axis=-1)
    scan = found.before
    axis = 2 - int((np.abs(scan.ijk_to_ras[2, :3]) / scan.spacing).argmax())
    shown = canonical(scan.volume(found.mask.astype(np.uint8)), axis=axis).array.sum(axis=(1, 2)).argmax()
    return np.asarray(canonical(scan.volume(array), axis=axis).array[shown][::-1, ::-1], np.float64)


def _panels(entries: Sequence[tuple[str, Floats, dict[str, Any]]], columns: int, aspect: float) -> bytes:
    plt = pyplot()
    rows = -(-len(entries) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3.2 * columns, 3.3 * rows), layout="constrained", squeeze=False)
    for axis, (title, image, options) in zip(axes.ravel(), entries, strict=True):
        drawn = axis.imshow(image, aspect=aspect, **options)
        axis.set_title(title, fontsize=10)
        axis.axis("off")
        if options.get("cmap") not in ("gray", None):
            figure.colorbar(drawn, ax=axis, shrink=0.7)
    return png(figure)


def _aspect(scan: DwiScan) -> float:
    axes = np.abs(scan.ijk_to_ras[2, :3]) / scan.spacing
    i, j = (float(size) for number, size in enumerate(scan.spacing) if number != int(axes.argmax()))
    plane = [number for number in range(3) if number != int(axes.argmax())]
    across = np.abs(scan.ijk_to_ras[0, plane]) / scan.spacing[plane]
    return j / i if across[0] >= across[1] else i / j


def _slices(found: Findings) -> bytes:
    table = found.before.gradients
    chosen = [int(np.flatnonzero(which)[0]) for which in (table.b0, ~table.b0) if which.any()]
    entries: list[tuple[str, Floats, dict[str, Any]]] = []
    for volume in chosen:
        name = "b0" if table.b0[volume] else f"b = {table.bvals[volume]:.0f}"
        before = np.asarray(found.before.array[..., volume], np.float64)
        after = np.asarray(found.after.array[..., volume], np.float64)
        high = float(np.percentile(before[found.mask], 99.5))
        gray = {"cmap": "gray", "vmin": 0, "vmax": high}
        limit = 3 * float(np.median(found.sigma[found.mask]))
        residual = np.where(found.mask, before - after, 0)
        entries += [
            (f"{name}, before", _axial(found, before), gray),
            (f"{name}, after", _axial(found, after), gray),
            (f"{name}, residual", _axial(found, residual), {"cmap": "RdBu", "vmin": -limit, "vmax": limit}),
        ]
    return _panels(entries, 3, _aspect(found.before))


def _tensor(found: Findings, before: TensorMaps, after: TensorMaps) -> bytes:
    entries: list[tuple[str, Floats, dict[str, Any]]] = []
    for name, maps in (("before", before), ("after", after)):
        entries += [
            (f"FA, {name}", _axial(found, maps.fa), {"cmap": "gray", "vmin": 0, "vmax": 1}),
            (f"Directions, {name}", np.clip(_axial(found, maps.color), 0, 1), {}),
            (f"MD, {name} (mm²/s)", _axial(found, maps.md), {"cmap": "viridis", "vmin": 0, "vmax": 3e-3}),
        ]
    return _panels(entries, 3, _aspect(found.before))


def _noise(found: Findings) -> bytes:
    residual = np.asarray(found.before.array, np.float32) - np.asarray(found.after.array, np.float32)
    size = np.where(found.mask, np.sqrt(np.mean(residual**2, axis=-1)), 0)
    high = 1.5 * float(np.median(found.sigma[found.mask]))
    entries = [
        (title, _axial(found, np.where(found.mask, image, 0)), {"cmap": "viridis", "vmin": 0, "vmax": high})
        for title, image in (("Noise", found.sigma), ("Standard error", found.uncertainty), ("Residual RMS", size))
    ]
    return _panels(entries, 3, _aspect(found.before))
