"""Training curves: each metric a curve, in one chart that the next run uses again."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import slicer

from deeprecon.scene.display.plots import CurvePlot


def curve(plot: CurvePlot, name: str) -> list[tuple[float, float]]:
    """The points of a curve as the plot view takes them from the table."""
    series = next(
        plot.chart.GetNthPlotSeriesNode(i)
        for i in range(plot.chart.GetNumberOfPlotSeriesNodes())
        if plot.chart.GetNthPlotSeriesNode(i).GetName() == name
    )
    table = series.GetTableNode().GetTable()
    x, y = (table.GetColumnByName(column) for column in (series.GetXColumnName(), series.GetYColumnName()))
    points = [(x.GetValue(row), y.GetValue(row)) for row in range(table.GetNumberOfRows())]
    return [point for point in points if not math.isnan(point[1])]


def test_points_appear_in_their_curves(scene: Any) -> None:
    plot = CurvePlot("Training")
    for step in range(5):
        plot.add(step, loss=1.0 / (step + 1))
    assert curve(plot, "loss") == [(step, 1.0 / (step + 1)) for step in range(5)]
    assert plot.chart.GetTitle() == "Training"


def test_curves_may_have_points_at_different_steps(scene: Any) -> None:
    plot = CurvePlot("Training")
    for step in range(10):
        plot.add(step, loss=step)
        if step % 4 == 3:
            plot.add(step, dice=0.1 * step)
    np.testing.assert_allclose(curve(plot, "dice"), [(3, 0.3), (7, 0.7)])
    assert curve(plot, "loss") == [(step, step) for step in range(10)]


def test_the_points_of_a_curve_are_contiguous_so_that_its_line_is_drawn(scene: Any) -> None:
    plot = CurvePlot("Training")
    plot.add(1, loss=1.0)
    plot.add(2, loss=0.5)
    plot.add(2, dice=0.5)
    plot.add(3, dice=0.6)
    values = [plot.table.GetTable().GetColumnByName("dice").GetValue(row) for row in range(2)]
    assert values == [0.5, 0.6]


def test_values_that_are_no_numbers_leave_no_point(scene: Any) -> None:
    plot = CurvePlot("Training")
    plot.add(1, loss=math.nan, dice=math.inf)
    plot.add(2, loss=0.5)
    plot.add(3, loss=0.4)
    assert curve(plot, "loss") == [(2, 0.5), (3, 0.4)]
    assert plot.chart.GetNumberOfPlotSeriesNodes() == 1


def test_each_point_updates_the_views(scene: Any) -> None:
    plot = CurvePlot("Training")
    plot.add(1, loss=1.0)
    heard: list[str] = []
    plot.table.AddObserver("ModifiedEvent", lambda caller, event: heard.append(event))
    plot.add(2, loss=0.5)
    assert heard


def test_the_next_run_uses_the_nodes_again(scene: Any) -> None:
    first = CurvePlot("Training")
    first.add(1, loss=1.0, dice=0.5)
    first.add(2, loss=1.0, dice=0.5)
    second = CurvePlot("Training")
    assert (second.chart, second.table) == (first.chart, first.table)
    assert second.chart.GetNumberOfPlotSeriesNodes() == 0
    second.add(5, loss=3.0)
    second.add(6, loss=2.0)
    assert curve(second, "loss") == [(5, 3.0), (6, 2.0)]
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLPlotSeriesNode") == 1
    other = CurvePlot("Another")
    assert other.chart is not first.chart


def test_the_value_axis_may_be_logarithmic(scene: Any) -> None:
    assert CurvePlot("a", log=True).chart.GetYAxisLogScale()
    assert not CurvePlot("b").chart.GetYAxisLogScale()


def test_curves_of_one_chart_have_colors_of_their_own(scene: Any) -> None:
    plot = CurvePlot("Training")
    for step in range(2):
        plot.add(step, a=1.0, b=1.0, c=1.0)
    colors = {plot.chart.GetNthPlotSeriesNode(index).GetColor() for index in range(3)}
    assert len(colors) == 3


def test_curves_survive_saving_the_scene_and_are_found_again(scene: Any, tmp_path: Path) -> None:
    plot = CurvePlot("Training")
    plot.add(1, loss=1.0)
    plot.add(2, loss=0.5)
    assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
    scene.Clear(0)
    assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"))
    series = slicer.util.getNode("loss")
    assert series.GetTableNode().GetTable().GetColumnByName("loss").GetVariantValue(1).ToDouble() == 0.5
    again = CurvePlot("Training")
    again.add(1, loss=9.0)
    again.add(2, loss=8.0)
    assert curve(again, "loss") == [(1, 9.0), (2, 8.0)]
    assert scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 1


def test_a_first_value_far_off_does_not_squash_the_curves(scene: Any) -> None:
    plot = CurvePlot("Training")
    plot.add(0, loss=500.0)
    plot.fit_range()
    assert plot.chart.GetYAxisRangeAuto()
    plot.add(1, loss=2.0)
    plot.fit_range()
    assert plot.chart.GetYAxisRange()[1] > 500
    for step in range(2, 40):
        plot.add(step, loss=1.0 + 1.0 / step)
    plot.fit_range()
    assert not plot.chart.GetYAxisRangeAuto()
    low, high = plot.chart.GetYAxisRange()
    assert 0.9 < low < 1.1
    assert 1.1 < high < 2.5
    assert CurvePlot("Training").chart.GetYAxisRangeAuto()


def test_the_step_axis_grows_with_the_curves(scene: Any) -> None:
    plot = CurvePlot("Training")
    for step in range(5):
        plot.add(10 * step, loss=1.0)
        plot.fit_range()
    assert not plot.chart.GetXAxisRangeAuto()
    assert plot.chart.GetXAxisRange() == (0.0, 40.0)
    assert CurvePlot("Training").chart.GetXAxisRangeAuto()


def test_a_curve_of_one_point_is_no_line(scene: Any) -> None:
    plot = CurvePlot("Training")
    plot.add(0, loss=1.0, dice=0.5)
    plot.fit_range()
    assert plot.chart.GetNumberOfPlotSeriesNodes() == 0
    plot.add(1, loss=0.9)
    assert plot.chart.GetNumberOfPlotSeriesNodes() == 1


def test_equal_values_have_a_range(scene: Any) -> None:
    plot = CurvePlot("Training")
    for step in range(20):
        plot.add(step, loss=1.0)
    plot.fit_range()
    low, high = plot.chart.GetYAxisRange()
    assert low < 1.0 < high
