"""Seizure detections in the scene: tables of probabilities and alarms, and a chart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import slicer
import slicer.util
from vtkmodules.util.numpy_support import vtk_to_numpy

from deeprecon.data.errors import InputError
from deeprecon.scene.common.results import discard, load_results
from deeprecon.scene.nodes.tables import node_from_rows
from deeprecon.scene.seizure.recording import TIME, column_numbers
from deeprecon.seizure.fit.detection import Detection
from deeprecon.seizure.measure.alarms import alarm_rows
from deeprecon.seizure.write.probability_table import detection_from_columns

PROBABILITY, THRESHOLD = "probability", "threshold"
RESEARCH_ONLY = "research only, no alarm device"
_COLORS = {PROBABILITY: (0.0, 0.45, 0.70), THRESHOLD: (0.3, 0.3, 0.3), "osd_state": (0.0, 0.62, 0.45)}
_TITLES = {PROBABILITY: "seizure probability", THRESHOLD: "threshold", "osd_state": "OpenSeizureDetector, 2 is alarm"}


@dataclass(frozen=True)
class SeizureResult:
    """The nodes of one detection.

    Attributes:
        probability: vtkMRMLTableNode, a row for each window.
        events: vtkMRMLTableNode, a row for each alarm.
        chart: vtkMRMLPlotChartNode of the probability, the threshold and the baseline over time.
    """

    probability: Any
    events: Any
    chart: Any


def load_outputs(folder: Path | str, name: str = "") -> SeizureResult:
    """Load the result folder of `seizure detect` or `seizure rescore`.

    Args:
        folder: with result.json.
        name: of the run; prefix of the node names.

    Raises:
        InputError: see `load_results`; or it is another method's result.
    """
    nodes = load_results(folder, name)
    if not {"probability", "events"} <= set(nodes):
        discard(nodes.values())
        raise InputError(f"{folder} is no result of seizure detect.", "Choose another folder.")
    probability, events = nodes["probability"], nodes["events"]
    return SeizureResult(probability, events, _chart(probability, name or probability.GetName()))


def rescore(nodes: SeizureResult, quantile: float, threshold: float, merge: float = 150.0) -> None:
    """Change quantile and threshold in place: probability column, threshold line and events; no network runs.

    Args:
        nodes: of `load_outputs`.
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
    """The outputs of networks and baseline, from a probability table.

    Raises:
        InputError: columns are missing.
    """
    table = node.GetTable()
    columns = {
        table.GetColumnName(index): column_numbers(node, table.GetColumn(index))
        for index in range(table.GetNumberOfColumns())
    }
    return detection_from_columns(columns, f"The table {node.GetName()}", "Load the result again.")


def _blind_windows(table: Any) -> str:
    """The share of windows that are not monitored, where there are any, for the title of the chart."""
    column = table.GetTable().GetColumnByName("monitored")
    if column is None or (share := 1 - column_numbers(table, column).mean()) == 0:  # tables of earlier versions
        return ""
    return f"{100 * share:.1f} % not monitored; "


def _chart(table: Any, name: str) -> Any:
    chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", f"{name} chart")
    chart.SetTitle(f"{name}: {_blind_windows(table)}{RESEARCH_ONLY}")
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
