"""Training curves: metrics in a plot chart, extended while a run reports them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import vtk_to_numpy

_MIN_POINTS = 12
"""With fewer points the y-axis shows all of them."""
_MAX_DISTANCE = 3.0
"""Distance of the ends of the y-axis from the quartiles, in interquartile ranges."""
_ATTRIBUTE = "DeepRecon.CurvePlot"

# The palette of Okabe and Ito, which color-blind people can distinguish.
COLORS = (
    (0.0, 0.45, 0.70),
    (0.84, 0.37, 0.0),
    (0.0, 0.62, 0.45),
    (0.80, 0.47, 0.65),
    (0.90, 0.62, 0.0),
    (0.34, 0.71, 0.91),
)


class CurvePlot:
    """One chart with a curve for each metric that has two points; a later chart with the same title reuses its nodes.

    The table has two columns a curve, its steps and its values, since curves may be reported at different steps;
    shorter columns are padded with NaN, which plots ignore.

    Attributes:
        chart: vtkMRMLPlotChartNode.
        table: vtkMRMLTableNode.
    """

    def __init__(self, title: str, log: bool = False, x_title: str = "step") -> None:
        self._series: dict[str, Any] = {}
        self._counts: dict[str, int] = {}
        self._x_title = x_title
        self.chart = find_or_add_node("vtkMRMLPlotChartNode", title)
        self.table = find_or_add_node("vtkMRMLTableNode", f"{title} table")
        for index in reversed(range(self.chart.GetNumberOfPlotSeriesNodes())):
            slicer.mrmlScene.RemoveNode(self.chart.GetNthPlotSeriesNode(index))
        self.chart.RemoveAllPlotSeriesNodeIDs()
        self.table.RemoveAllColumns()
        self.table.SetLocked(True)
        self.chart.SetTitle(title)
        self.chart.SetXAxisTitle(x_title)
        self.chart.SetYAxisTitleVisibility(False)
        self.chart.SetYAxisLogScale(log)
        self.chart.SetXAxisRangeAuto(True)
        self.chart.SetYAxisRangeAuto(True)

    def add(self, step: float, **values: float) -> None:
        """One point of each named curve; values that are not finite numbers are left out."""
        with slicer.util.NodeModify(self.table):
            for name, value in values.items():
                if math.isfinite(value):
                    self._add_point(name, step, value)
        self.table.GetTable().Modified()  # the node does not observe its arrays

    def fit_range(self) -> None:
        """Fit the axes to the points, since plot views do not when a table grows.

        The y-axis is fitted to the quartiles of many values, so that outliers of the first steps are cut off.
        """
        if not self._series:
            return
        steps, values = self._points()
        low, high = values.min(), values.max()
        if len(values) >= _MIN_POINTS:
            quarter, three = np.percentile(values, (25, 75))
            distance = _MAX_DISTANCE * (three - quarter)
            low, high = max(low, quarter - distance), min(high, three + distance)
        margin = 0.05 * (high - low) or 1e-9
        last = max(float(steps.max()), float(steps.min()) + 1.0)
        with slicer.util.NodeModify(self.chart):
            self.chart.SetXAxisRangeAuto(False)
            self.chart.SetXAxisRange(float(steps.min()), last)
            self.chart.SetYAxisRangeAuto(False)
            self.chart.SetYAxisRange(float(low - margin), float(high + margin))

    def _points(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Steps and values of all drawn points."""
        table = self.table.GetTable()
        steps, values = (
            [vtk_to_numpy(table.GetColumnByName(column(name)))[: self._counts[name]] for name in self._series]
            for column in (self._step_column, str)
        )
        return np.concatenate(steps), np.concatenate(values)

    def _add_point(self, name: str, step: float, value: float) -> None:
        if name not in self._counts:
            self._add_columns(name)
            self._counts[name] = 0
        table = self.table.GetTable()
        row = self._counts[name]
        if row == table.GetNumberOfRows():
            table.InsertNextBlankRow(math.nan)
        table.GetColumnByName(self._step_column(name)).SetValue(row, step)
        table.GetColumnByName(name).SetValue(row, value)
        self._counts[name] = row + 1
        if row == 1:  # VTK cannot draw a line of one point
            self._series[name] = self._new_series(name)

    def _add_columns(self, name: str) -> None:
        for column in (self._step_column(name), name):
            array = vtk.vtkDoubleArray()
            array.SetName(column)
            array.SetNumberOfValues(self.table.GetTable().GetNumberOfRows())
            array.Fill(math.nan)
            self.table.AddColumn(array)

    def _new_series(self, name: str) -> Any:
        series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", name)
        series.SetAndObserveTableNodeID(self.table.GetID())
        series.SetXColumnName(self._step_column(name))
        series.SetYColumnName(name)
        series.SetPlotType(slicer.vtkMRMLPlotSeriesNode.PlotTypeScatter)
        series.SetMarkerStyle(slicer.vtkMRMLPlotSeriesNode.MarkerStyleNone)
        series.SetLineWidth(2)
        series.SetColor(*COLORS[list(self._counts).index(name) % len(COLORS)])
        self.chart.AddAndObservePlotSeriesNodeID(series.GetID())
        return series

    def _step_column(self, name: str) -> str:
        return f"{name} ({self._x_title})"


def find_or_add_node(class_name: str, title: str) -> Any:
    """The node of an earlier chart with this title, or a new one."""
    for node in slicer.util.getNodesByClass(class_name):
        if node.GetAttribute(_ATTRIBUTE) == title:
            return node
    node = slicer.mrmlScene.AddNewNodeByClass(class_name, title)
    node.SetAttribute(_ATTRIBUTE, title)
    return node
