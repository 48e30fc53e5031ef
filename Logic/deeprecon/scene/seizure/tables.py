"""Wrist recordings and seizure detections in the scene: tables and a chart. A signal, with no place in the body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import slicer.util
import vtk
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path
from deeprecon.scene.common.results import discard, load_results
from deeprecon.scene.nodes.tables import node_from_rows
from deeprecon.seizure.configuration import SAMPLE_RATE
from deeprecon.seizure.fit.detection import Detection
from deeprecon.seizure.measure.alarms import alarm_rows
from deeprecon.seizure.observe.recordings import load_single_recording
from deeprecon.seizure.parameters import Unit
from deeprecon.seizure.write.probability_table import detection_from_columns

TIME, PROBABILITY, THRESHOLD = "time_s", "probability", "threshold"
RESEARCH_ONLY = "research only, no alarm device"

_NOTES = "DeepRecon.Notes"
_COLUMNS = (
    (TIME, "magnitude_g"),
    ("t", "magnitude"),
    ("time", "magnitude"),
    ("t", "x", "y", "z"),
    ("time", "x", "y", "z"),
)
"""Columns of a table that is a recording, in small letters."""
_COLORS = {PROBABILITY: (0.0, 0.45, 0.70), THRESHOLD: (0.3, 0.3, 0.3), "osd_state": (0.0, 0.62, 0.45)}
_TITLES = {PROBABILITY: "seizure probability", THRESHOLD: "threshold", "osd_state": "OpenSeizureDetector, 2 is alarm"}


@dataclass(frozen=True)
class SeizureNodes:
    """The nodes of one detection.

    Attributes:
        probability: vtkMRMLTableNode, a row for each window.
        events: vtkMRMLTableNode, a row for each alarm.
        chart: vtkMRMLPlotChartNode of the probability, the threshold and the baseline over time.
    """

    probability: Any
    events: Any
    chart: Any


def load_recording(path: Path | str, unit: Unit = Unit.AUTO) -> Any:
    """A recording as a table node with columns `time_s` and `magnitude_g`, 25 rows a second, NaN in gaps.

    What was done to the data, the unit that was found included, stands in the node's attribute "DeepRecon.Notes".

    Args:
        path: plain recording (.csv), or OSDB event file with one event.
        unit: of a plain recording.

    Raises:
        InputError: the file cannot be read, or holds several events.
    """
    recording = load_single_recording(Path(path), unit)
    magnitude = np.where(recording.valid, recording.magnitude, np.nan)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", f"{recording.name} accelerometer")
    _set_columns(node, {TIME: np.arange(len(magnitude)) / SAMPLE_RATE, "magnitude_g": magnitude.astype(np.float64)})
    node.SetAttribute(_NOTES, "; ".join(recording.notes))
    return node


def write_recording(node: Any, path: Path) -> None:
    """Write a table node as a plain recording (.csv), rows without numbers left out: they are gaps.

    Args:
        node: vtkMRMLTableNode of `load_recording`, or one with columns t,x,y,z or t,magnitude.
        path: of the file.

    Raises:
        InputError: it has other columns, or text in them.
    """
    table = node.GetTable()
    names = {table.GetColumnName(index).strip().lower(): index for index in range(table.GetNumberOfColumns())}
    for wanted in _COLUMNS:
        if all(name in names for name in wanted):
            break
    else:
        raise InputError(
            f"The table {node.GetName()} has the columns {', '.join(names)}.", "Expected are t,x,y,z or t,magnitude."
        )
    columns = [_numbers(node, table.GetColumn(names[name])) for name in wanted]
    rows = np.column_stack(columns)
    header = "t,magnitude" if len(columns) == 2 else "t,x,y,z"
    with atomic_path(path) as part:
        np.savetxt(part, rows[np.isfinite(rows).all(axis=1)], "%.9g", delimiter=",", header=header, comments="")


def load_detection(folder: Path | str, name: str = "") -> SeizureNodes:
    """Load the result folder of `seizure detect` or `seizure rescore`.

    Args:
        folder: with result.json.
        name: of the run; the nodes are called after it.

    Raises:
        InputError: see `load_results`; or it is another method's result.
    """
    nodes = load_results(folder, name)
    if not {"probability", "events"} <= set(nodes):
        discard(nodes.values())
        raise InputError(f"{folder} is no result of seizure detect.", "Choose another folder.")
    probability, events = nodes["probability"], nodes["events"]
    return SeizureNodes(probability, events, _chart(probability, name or probability.GetName()))


def rescore(nodes: SeizureNodes, quantile: float, threshold: float, merge: float = 150.0) -> None:
    """Change quantile and threshold in place: probability column, threshold line and events. No network is run.

    Args:
        nodes: of `load_detection`.
        quantile: 0 to 1, of the networks' probabilities.
        threshold: 0 to 1.
        merge: s; alarms closer than this are one event.

    Raises:
        InputError: a value out of range, or the table was changed.
    """
    for text, value in (("quantile", quantile), ("threshold", threshold)):
        if not 0 <= value <= 1:
            raise InputError(f"The {text} is {value:g}, expected 0 to 1.")
    detection = detection_from_node(nodes.probability)
    table = nodes.probability.GetTable()
    with slicer.util.NodeModify(nodes.probability):
        vtk_to_numpy(table.GetColumnByName(PROBABILITY))[:] = detection.probability(quantile)
        vtk_to_numpy(table.GetColumnByName(THRESHOLD))[:] = threshold
        table.GetColumnByName(PROBABILITY).Modified()
    table.Modified()
    node_from_rows(alarm_rows(detection, quantile, threshold, merge), nodes.events.GetName(), nodes.events)


def detection_from_node(node: Any) -> Detection:
    """What the networks and the baseline said, out of a probability table.

    Raises:
        InputError: columns are missing.
    """
    table = node.GetTable()
    columns = {
        table.GetColumnName(index): _numbers(node, table.GetColumn(index))
        for index in range(table.GetNumberOfColumns())
    }
    return detection_from_columns(columns, f"The table {node.GetName()}", "Load the result again.")


def _chart(table: Any, name: str) -> Any:
    chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", f"{name} chart")
    chart.SetTitle(f"{name}: {RESEARCH_ONLY}")
    chart.SetXAxisTitle("time, s")
    chart.SetYAxisTitle("probability")
    for column, title in _TITLES.items():
        series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", title)
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetXColumnName(TIME)
        series.SetYColumnName(column)
        series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
        series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
        series.SetLineWidth(2 if column == PROBABILITY else 1)
        series.SetColor(*_COLORS[column])
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
    return chart


def _set_columns(node: Any, columns: Mapping[str, npt.NDArray[np.float64]]) -> None:
    with slicer.util.NodeModify(node):
        node.RemoveAllColumns()
        for name, values in columns.items():
            array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
            array.SetName(name)
            node.AddColumn(array)
            node.SetColumnType(name, vtk.VTK_DOUBLE)
        node.SetUseColumnTitleAsColumnHeader(True)
        node.SetLocked(True)
    node.GetTable().Modified()


def _numbers(node: Any, array: Any) -> npt.NDArray[np.float64]:
    """The column as numbers; text is read as numbers, empty as NaN."""
    if array.IsA("vtkDataArray"):
        return np.asarray(vtk_to_numpy(array), np.float64)
    texts = [array.GetValue(row).strip() for row in range(array.GetNumberOfValues())]
    try:
        return np.array([float(text or "nan") for text in texts], np.float64)
    except ValueError:
        raise InputError(f"The column {array.GetName()} of {node.GetName()} holds what is no number.") from None
