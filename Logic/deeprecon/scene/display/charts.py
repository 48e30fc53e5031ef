"""Charts drawn from arrays; drawing a chart of the same title again reuses its nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from deeprecon.scene.display.plots import COLORS, find_or_add_node

AxisRange = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Curve:
    """One series of a chart.

    Attributes:
        name: for the legend.
        x, y: (N,) its points.
        line: drawn as a line, else as separate markers.
        color: red, green, blue; from the palette if left out.
    """

    name: str
    x: npt.NDArray[np.floating[Any]]
    y: npt.NDArray[np.floating[Any]]
    line: bool = True
    color: tuple[float, float, float] | None = None


def draw_chart(
    title: str,
    curves: Sequence[Curve],
    x_title: str,
    y_title: str,
    axis_ranges: tuple[AxisRange, AxisRange] | None = None,
) -> Any:
    """Draw curves in the chart of this title; returns the vtkMRMLPlotChartNode.

    Args:
        title: of the chart; nodes of an earlier chart with this title are reused.
        curves: its series.
        x_title, y_title: of the axes.
        axis_ranges: of the x-axis and of the y-axis; fitted to the data if left out.
    """
    chart = find_or_add_node("vtkMRMLPlotChartNode", title)
    table = find_or_add_node("vtkMRMLTableNode", f"{title} table")
    series = [chart.GetNthPlotSeriesNode(index) for index in range(chart.GetNumberOfPlotSeriesNodes())]
    if [node.GetName() for node in series] != [curve.name for curve in curves]:
        for node in series:
            slicer.mrmlScene.RemoveNode(node)
        chart.RemoveAllPlotSeriesNodeIDs()
        series = [slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", curve.name) for curve in curves]
        for node in series:
            chart.AddAndObservePlotSeriesNodeID(node.GetID())
    with slicer.util.NodeModify(table):
        _fill(table, curves)
    for number, (node, curve) in enumerate(zip(series, curves, strict=True)):
        _style(node, table, number, curve)
    with slicer.util.NodeModify(chart):
        chart.SetTitle(title)
        chart.SetXAxisTitle(x_title)
        chart.SetYAxisTitle(y_title)
        chart.SetXAxisRangeAuto(axis_ranges is None)
        chart.SetYAxisRangeAuto(axis_ranges is None)
        if axis_ranges is not None:
            chart.SetXAxisRange(*axis_ranges[0])
            chart.SetYAxisRange(*axis_ranges[1])
    return chart


def _fill(table: Any, curves: Sequence[Curve]) -> None:
    """Two columns a curve, padded with NaN, which plots ignore, to the length of the longest."""
    table.RemoveAllColumns()
    table.SetLocked(True)
    longest = max((len(curve.x) for curve in curves), default=0)
    for number, curve in enumerate(curves):
        for axis, values in (("x", curve.x), ("y", curve.y)):
            column = np.full(longest, np.nan)
            column[: len(values)] = values
            array = numpy_to_vtk(column, deep=True, array_type=vtk.VTK_DOUBLE)
            array.SetName(_column(number, axis))
            table.AddColumn(array)
    table.GetTable().Modified()


def _style(node: Any, table: Any, number: int, curve: Curve) -> None:
    kind = slicer.vtkMRMLPlotSeriesNode
    with slicer.util.NodeModify(node):
        node.SetAndObserveTableNodeID(table.GetID())
        node.SetXColumnName(_column(number, "x"))
        node.SetYColumnName(_column(number, "y"))
        node.SetPlotType(kind.PlotTypeScatter)
        node.SetLineStyle(kind.LineStyleSolid if curve.line else kind.LineStyleNone)
        node.SetMarkerStyle(kind.MarkerStyleNone if curve.line else kind.MarkerStyleCircle)
        node.SetLineWidth(2)
        node.SetMarkerSize(9)
        node.SetColor(*(curve.color or COLORS[number % len(COLORS)]))


def _column(number: int, axis: str) -> str:
    return f"{axis} {number}"
