"""The HTML report of an enhancement, and its pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.volume import Volume, axis_along, canonical
from deeprecon.dwmri.findings import Findings
from deeprecon.dwmri.fit.denoising import Enhancement
from deeprecon.dwmri.measure.tensor import TensorMaps
from deeprecon.dwmri.write.metric_table import metric_rows
from deeprecon.reporting.figures import curves, png, pyplot
from deeprecon.reporting.html import Report
from deeprecon.reporting.orientation import Orientation, orientation

Floats = npt.NDArray[np.floating[Any]]


def write_report(
    path: Path,
    content: Enhancement,
    before: TensorMaps | None,
    after: TensorMaps | None,
    findings: Findings,
    doubts: Sequence[Doubt],
    settings: Mapping[str, Any],
) -> list[Path]:
    """Write the page, and its pictures as PNG files in the same folder; returns the pictures' paths.

    Args:
        path: of the page.
        content: the scan before and after.
        before, after: maps of the tensor; None where the table does not determine one.
        findings: metrics and warnings.
        doubts: of the run.
        settings: everything needed to repeat the run.
    """
    report = Report("Diffusion scan enhancement", _summary(findings.metrics))
    pictures: list[Path] = []

    def add(name: str, picture: bytes, caption: str) -> None:
        file = path.with_name(f"{name}.png")
        file.write_bytes(picture)
        pictures.append(file)
        report.picture(picture, caption)

    for warning in (*map(str, doubts), *findings.warnings):
        report.warning(warning)
    report.heading("Before, after, residual")
    add("slices", _slices(content), "A b0 and a weighted volume. The residual should look like noise, without anatomy.")
    report.heading("Metrics")
    report.table(metric_rows(findings.metrics))
    if before is not None and after is not None:
        report.heading("Tensor")
        add("tensor", _tensor(content, before, after), "FA, directions times FA, and MD.")
    report.heading("Noise and uncertainty")
    add("noise", _noise(content), "Noise level, standard error, and the residual's root mean square over the volumes.")
    if content.history.get("step"):
        report.heading("Training")
        steps = [int(step) for step in content.history["step"]]
        series = {name: values for name, values in content.history.items() if name != "step"}
        add("curves", curves(series, steps, "squared error in noise units"), "Training and held-out crops.")
    report.heading("Settings")
    report.details("Everything needed to repeat this run", json.dumps(settings, indent=2, ensure_ascii=False))
    report.write(path)
    return pictures


def _summary(metrics: Mapping[str, Any]) -> str:
    """The result in one sentence."""
    kind, snr = ("weighted", "snr_dwi") if "snr_dwi" in metrics else ("b0", "snr_b0")
    return (
        f"{metrics['volumes']} volumes ({metrics['b0_volumes']} b0; {metrics['shells'] or 'none weighted'}), "
        f"noise {metrics['noise_level']:.4g}, {kind} signal {metrics[snr]:.1f} times the noise."
    )


@dataclass(frozen=True, eq=False)
class _Axial:
    """Pictures of the slice across the body axis that shows most of the mask, in radiological convention."""

    content: Enhancement

    @cached_property
    def _mask(self) -> Volume:
        return self._ordered(self.content.mask.astype(np.uint8))

    @cached_property
    def _slice(self) -> int:
        return int(self._mask.array.sum(axis=(1, 2)).argmax())

    @cached_property
    def view(self) -> Orientation:
        """How the slice is turned."""
        return orientation(self._mask.ijk_to_ras[:3, 1], self._mask.ijk_to_ras[:3, 0])

    def __call__(self, array: Floats) -> Floats:
        """The slice of (k, j, i) or (k, j, i, 3), as it is shown."""
        if array.ndim == 4:
            return np.stack([self(array[..., channel]) for channel in range(array.shape[-1])], axis=-1)
        return np.asarray(self.view.turned(self._ordered(array).array[self._slice]), np.float64)

    def _ordered(self, array: npt.NDArray[np.generic]) -> Volume:
        """Slices across the body axis along array axis 0."""
        volume = self.content.before.volume(array)
        return canonical(volume, axis_along(volume, np.array([0.0, 0.0, 1.0])))


def _panels(entries: Sequence[tuple[str, Floats, dict[str, Any]]], columns: int, view: Orientation) -> bytes:
    plt = pyplot()
    rows = -(-len(entries) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(3.2 * columns, 3.3 * rows), layout="constrained", squeeze=False)
    for axis, (title, image, options) in zip(axes.ravel(), entries, strict=True):
        drawn = axis.imshow(image, aspect=view.aspect, **options)
        axis.set_title(title, fontsize=10)
        axis.axis("off")
        view.draw_letters(axis)
        if options.get("cmap") not in ("gray", None):
            figure.colorbar(drawn, ax=axis, shrink=0.7)
    return png(figure)


def _slices(content: Enhancement) -> bytes:
    axial = _Axial(content)
    table = content.before.gradients
    chosen = [int(np.flatnonzero(which)[0]) for which in (table.b0, ~table.b0) if which.any()]
    entries: list[tuple[str, Floats, dict[str, Any]]] = []
    for volume in chosen:
        name = "b0" if table.b0[volume] else f"b = {table.bvals[volume]:.0f}"
        before = np.asarray(content.before.array[..., volume], np.float64)
        after = np.asarray(content.after.array[..., volume], np.float64)
        high = float(np.percentile(before[content.mask], 99.5))
        gray = {"cmap": "gray", "vmin": 0, "vmax": high}
        limit = 3 * float(np.median(content.sigma[content.mask]))
        residual = np.where(content.mask, before - after, 0)
        entries += [
            (f"{name}, before", axial(before), gray),
            (f"{name}, after", axial(after), gray),
            (f"{name}, residual", axial(residual), {"cmap": "RdBu", "vmin": -limit, "vmax": limit}),
        ]
    return _panels(entries, 3, axial.view)


def _tensor(content: Enhancement, before: TensorMaps, after: TensorMaps) -> bytes:
    axial = _Axial(content)
    entries: list[tuple[str, Floats, dict[str, Any]]] = []
    for name, maps in (("before", before), ("after", after)):
        entries += [
            (f"FA, {name}", axial(maps.fa), {"cmap": "gray", "vmin": 0, "vmax": 1}),
            (f"Directions, {name}", np.clip(axial(maps.color), 0, 1), {}),
            (f"MD, {name} (mm²/s)", axial(maps.md), {"cmap": "viridis", "vmin": 0, "vmax": 3e-3}),
        ]
    return _panels(entries, 3, axial.view)


def _noise(content: Enhancement) -> bytes:
    axial = _Axial(content)
    residual = np.asarray(content.before.array, np.float32) - np.asarray(content.after.array, np.float32)
    size = np.where(content.mask, np.sqrt(np.mean(residual**2, axis=-1)), 0)
    high = 1.5 * float(np.median(content.sigma[content.mask]))
    entries = [
        (title, axial(np.where(content.mask, image, 0)), {"cmap": "viridis", "vmin": 0, "vmax": high})
        for title, image in (("Noise", content.sigma), ("Standard error", content.uncertainty), ("Residual RMS", size))
    ]
    return _panels(entries, 3, axial.view)
