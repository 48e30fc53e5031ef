"""The images of a scattering reconstruction in the scene."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import slicer.util

from deeprecon.data.doubts import Doubt
from deeprecon.data.tables import read_table
from deeprecon.scene.common.results import RunResult, load_results, read_result
from deeprecon.scene.display.charts import Curve, draw_chart


def load_outputs(folder: Path, node: Any, reuse: Mapping[str, Any] | None = None) -> RunResult:
    """Load the results of a finished reconstruction: all or none.

    Args:
        folder: of the reconstruction, with result.json.
        node: input of the simulation; None for other data.
        reuse: role -> node of an earlier run whose content is replaced.

    Returns:
        Volumes "contrast", "truth", "difference" and "speed" (m/s), and the table "table"; of measured fields also the
        volume "uncertainty", the tables "misfits" and "history", and "misfit chart", a vtkMRMLPlotChartNode.

    Raises:
        InputError: no result, or one that is damaged.
    """
    name = "Wave scattering" if node is None else f"{node.GetName()} scattering"
    made = load_results(folder, name, node, reuse)
    _same_window(made)
    if "misfits" in made:
        made["misfit chart"] = _misfit_chart(folder / "misfits.csv", name)
    result = read_result(folder)
    doubts = [str(Doubt(**entry)) for entry in result.get("doubts", ())]
    sentence = " ".join([*doubts, summary_sentence(result.get("metrics", {}))])
    return RunResult(made, sentence, folder / "report.html")


def _misfit_chart(path: Path, name: str) -> Any:
    """Misfit and noise of each frequency."""
    rows = read_table(path)
    gigahertz = np.array([float(row["hertz"]) for row in rows]) / 1e9
    curves = [
        Curve(kind, gigahertz, np.array([float(row[kind]) for row in rows]))
        for kind in ("misfit", "noise")
        if all(row[kind] for row in rows)
    ]
    return draw_chart(f"{name} misfit", curves, "frequency, GHz", "relative to the field")


def _same_window(nodes: Mapping[str, Any]) -> None:
    """Set the same window for truth and reconstruction, and a symmetric one for the difference."""
    shown = [nodes[role] for role in ("contrast", "truth") if role in nodes]
    arrays = [slicer.util.arrayFromVolume(node) for node in shown]
    low, high = min(float(array.min()) for array in arrays), max(float(array.max()) for array in arrays)
    limit = max(abs(low), abs(high), 1e-6)
    for node in shown:
        _window(node, low, max(high, low + 1e-6))
    if "difference" in nodes:
        _window(nodes["difference"], -limit, limit)


def _window(node: Any, low: float, high: float) -> None:
    display = node.GetDisplayNode()
    display.AutoWindowLevelOff()
    display.SetWindowLevelMinMax(low, high)


def summary_sentence(metrics: Mapping[str, Any]) -> str:
    error, count = metrics.get("relative_l2"), metrics.get("objects", 0)
    if "frequencies_used" in metrics:
        used, misfit = metrics["frequencies_used"], metrics["data_misfit"]
        return f"Reconstructed from {used} frequenc{'y' if used == 1 else 'ies'} with a data misfit of {misfit:.3f}."
    slices = f"{count} slice{'' if count == 1 else 's'}"
    if error is None:
        return f"{slices} reconstructed; there is no ground truth."
    return f"{slices} reconstructed with a relative error of {error:.3f} (an empty image has 1)."
