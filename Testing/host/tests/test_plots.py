"""Plot views draw what Slicer's draw: VTK's own charts, with their ranges and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest


class Curve:
    """A plot view with a red line, and the rows of its table."""

    def __init__(self, rows: int) -> None:
        import slicer

        scene = slicer.mrmlScene
        self.table = scene.AddNewNodeByClass("vtkMRMLTableNode")
        self.chart = scene.AddNewNodeByClass("vtkMRMLPlotChartNode")
        slicer.util.updateTableFromArray(self.table, np.zeros((0, 2)), ["x", "y"])
        self.addRows(rows)
        series = scene.AddNewNodeByClass("vtkMRMLPlotSeriesNode")
        series.SetAndObserveTableNodeID(self.table.GetID())
        series.SetXColumnName("x")
        series.SetYColumnName("y")
        series.SetPlotType(series.PlotTypeScatter)
        series.SetMarkerStyle(series.MarkerStyleNone)
        series.SetColor(1, 0, 0)
        self.chart.AddAndObservePlotSeriesNodeID(series.GetID())
        self.chart.SetLegendVisibility(False)
        self.node = scene.AddNewNodeByClass("vtkMRMLPlotViewNode")
        self.node.SetPlotChartNodeID(self.chart.GetID())
        self.view = slicer.qMRMLPlotView()
        self.view.resize(300, 200)
        self.view.setMRMLPlotViewNode(self.node)

    def addRows(self, count: int) -> None:
        table = self.table.GetTable()
        for row in range(table.GetNumberOfRows(), table.GetNumberOfRows() + count):
            table.InsertNextBlankRow()
            table.GetColumnByName("x").SetValue(row, row)
            table.GetColumnByName("y").SetValue(row, 0.5 + row % 2)
        table.Modified()
        self.chart.Modified()

    def pixels(self) -> np.ndarray:
        """(height, width, 3) of the view."""
        image = self.view.grab().toImage()
        picture = image.convertToFormat(image.Format.Format_RGB888)
        rows = np.frombuffer(bytes(picture.constBits()), np.uint8).reshape(picture.height(), picture.bytesPerLine())
        return rows[:, : 3 * picture.width()].reshape(picture.height(), picture.width(), 3)

    def red(self) -> np.ndarray:
        """(columns,) red pixels in each column."""
        picture = self.pixels()
        return ((picture[..., 0] > 150) & (picture[..., 1:].max(-1) < 100)).sum(0)


def test_without_a_scene_a_view_stays_black(host: Any) -> None:
    import slicer

    curve = Curve(5)
    assert curve.pixels().max() == 0
    curve.view.setMRMLScene(slicer.mrmlScene)
    assert curve.pixels().max() == 255
    assert curve.red().sum() > 100


@pytest.mark.parametrize("fixed", [False, True])
def test_an_automatic_axis_does_not_follow_added_rows_and_a_fixed_one_can(host: Any, fixed: bool) -> None:
    import slicer

    curve = Curve(3)
    curve.view.setMRMLScene(slicer.mrmlScene)
    before = curve.red()
    curve.addRows(27)
    if fixed:
        curve.chart.SetXAxisRangeAuto(False)
        curve.chart.SetXAxisRange(0, 29)
    after = curve.red()
    assert before.sum() > 100
    assert bool(after.sum() > 2 * before.sum()) is fixed  # the line goes up and down ten times as often
    curve.view.fitToContent()
    assert curve.red().sum() > 2 * before.sum()


def test_a_line_of_one_point_is_an_error(host: Any) -> None:
    import slicer

    curve = Curve(1)
    curve.view.setMRMLScene(slicer.mrmlScene)
    curve.pixels()
    assert "line with <2 points" in host.slotErrors()[0][2]
    host.reset()
