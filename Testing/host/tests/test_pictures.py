"""Offscreen views, layouts and the pictures of panel and window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

TEMPLATE = Path(__file__).parent / "template" / "Threshold.py"


def pixels(path: Path) -> np.ndarray:
    from PySide6 import QtGui

    image = QtGui.QImage(str(path)).convertToFormat(QtGui.QImage.Format.Format_RGB888)
    rows = np.frombuffer(image.constBits(), "uint8").reshape(image.height(), image.bytesPerLine())
    return rows[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).astype(int)


def addBall() -> Any:
    """A bright ball of 10 mm radius around the origin."""
    import slicer

    k, j, i = np.mgrid[-15:16, -15:16, -15:16]
    ball = np.where(k**2 + j**2 + i**2 < 100, 200, 0).astype("int16")
    matrix = np.eye(4)
    matrix[:3, 3] = -15
    volume = slicer.util.addVolumeFromArray(ball, ijkToRAS=slicer.util.vtkMatrixFromArray(matrix), name="Ball")
    volume.CreateDefaultDisplayNodes()
    return volume


def test_a_slice_shows_the_volume(host: Any) -> None:
    import slicer

    slicer.util.setSliceViewerLayers(background=addBall(), fit=True)
    manager = slicer.app.layoutManager()
    image = manager._h_sliceViews["Red"].image()
    middle = image.shape[0] // 2, image.shape[1] // 2
    assert image[middle].min() > 150  # inside of the ball
    assert image[:, :40].max() < 30
    manager.sliceWidget("Red").sliceLogic().SetSliceOffset(12)  # beyond the ball
    assert manager._h_sliceViews["Red"].image()[middle].max() < 30


def test_a_3d_view_shows_a_model_in_its_color(host: Any) -> None:
    import slicer
    import vtk

    sphere = vtk.vtkSphereSource()
    sphere.SetRadius(50)
    sphere.Update()
    model = slicer.modules.models.logic().AddModel(sphere.GetOutput())
    model.GetDisplayNode().SetColor(1, 0, 0)
    view = slicer.app.layoutManager().threeDWidget(0).threeDView()
    view.resetFocalPoint()
    red, green, blue = slicer.app.layoutManager()._h_threeDViews[view.mrmlViewNode().GetID()].image()[200, 240]
    assert red > 100
    assert max(green, blue) < red / 2
    view.rotateToViewAxis(3)
    assert view.cameraNode().GetPosition()[1] > 50  # from anterior


def test_a_color_legend_is_shown(host: Any) -> None:
    import slicer
    import vtk

    cone = vtk.vtkConeSource()
    cone.Update()
    mesh = cone.GetOutput()
    scalars = vtk.vtkFloatArray()
    scalars.SetName("probability")
    for i in range(mesh.GetNumberOfPoints()):
        scalars.InsertNextValue(i / 10)
    mesh.GetPointData().AddArray(scalars)
    model = slicer.modules.models.logic().AddModel(mesh)
    model.GetDisplayNode().SetActiveScalarName("probability")
    model.GetDisplayNode().SetScalarVisibility(True)
    model.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeRainbow")
    view = next(iter(slicer.app.layoutManager()._h_threeDViews.values()))
    before = view.image().astype(int)
    slicer.modules.colors.logic().AddDefaultColorLegendDisplayNode(model)
    changed = np.abs(view.image() - before).sum(-1) > 0
    assert changed[:, 400:].sum() > 500


def test_the_layout_number_is_stored_signaled_and_reset(host: Any) -> None:
    import slicer

    manager = slicer.app.layoutManager()
    changes: list[int] = []
    manager.connect("layoutChanged(int)", changes.append)
    node = slicer.vtkMRMLLayoutNode
    assert manager.layout == node.SlicerLayoutFourUpView
    manager.setLayout(node.SlicerLayoutFourUpPlotView)
    assert (manager.layout, manager.plotViewCount) == (node.SlicerLayoutFourUpPlotView, 1)
    slicer.mrmlScene.Clear(0)
    assert manager.layout == node.SlicerLayoutFourUpPlotView
    host.reset()
    assert (changes[0], changes[-1]) == (node.SlicerLayoutFourUpPlotView, node.SlicerLayoutFourUpView)
    assert manager.sliceWidget("Red").mrmlSliceNode().IsMappedInLayout()
    assert set(manager.sliceViewNames()) >= {"Red", "Green", "Yellow"}  # and those of layouts of modules
    assert manager.sliceWidget("Blue") is None


def addChart() -> Any:
    import slicer

    table = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTableNode", "Curve")
    slicer.util.updateTableFromArray(table, np.stack([np.arange(20.0), np.arange(20.0) ** 2], 1), ["step", "loss"])
    series = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotSeriesNode", "loss")
    series.SetAndObserveTableNodeID(table.GetID())
    series.SetXColumnName("step")
    series.SetYColumnName("loss")
    series.SetPlotType(series.PlotTypeScatter)
    series.SetColor(1, 0, 0)
    chart = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotChartNode", "Chart")
    chart.AddAndObservePlotSeriesNodeID(series.GetID())
    chart.SetTitle("Training")
    return chart


def test_a_shown_chart_is_drawn_in_a_layout_with_a_plot(host: Any, tmp_path: Path) -> None:
    import slicer

    host.loadModule(TEMPLATE)
    slicer.modules.plots.logic().ShowChartInLayout(addChart())
    manager = slicer.app.layoutManager()
    assert manager.plotViewCount == 1
    assert manager.plotWidget(0).mrmlPlotViewNode().GetPlotChartNode().GetTitle() == "Training"
    host.desktop(tmp_path / "window.png")
    picture = pixels(tmp_path / "window.png")
    red = (picture[..., 0] > 200) & (picture[..., 1:].max(-1) < 60)
    assert red.sum() > 200  # the curve


def test_plot_and_table_widgets_show_their_nodes_as_they_change(host: Any) -> None:
    import slicer

    chart = addChart()
    view = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLPlotViewNode")
    plot = slicer.qMRMLPlotView()
    plot.resize(300, 200)
    plot.setMRMLScene(slicer.mrmlScene)
    plot.setMRMLPlotViewNode(view)
    empty = plot.grab().toImage()
    view.SetPlotChartNodeID(chart.GetID())
    assert plot.grab().toImage() != empty
    table = slicer.qMRMLTableView()
    node = slicer.util.getNode("Curve")
    table.setMRMLTableNode(node)
    model = table.model()
    assert (model.rowCount(), model.columnCount(), model.item(3, 1).text()) == (20, 2, "9")
    node.AddEmptyRow()
    node.Modified()
    assert table.model().rowCount() == 21


@pytest.mark.parametrize("layout", ["FourUpPlotTableView", "3DTableView", "OneUpRedSliceView", "ThreeOverThreeView"])
def test_screenshot_of_the_window_in_any_layout(host: Any, tmp_path: Path, layout: str) -> None:
    import slicer

    host.loadModule(TEMPLATE)
    slicer.util.setSliceViewerLayers(background=addBall(), fit=True)
    slicer.app.layoutManager().setLayout(getattr(slicer.vtkMRMLLayoutNode, "SlicerLayout" + layout))
    host.desktop(tmp_path / "window.png", (1100, 640))
    picture = pixels(tmp_path / "window.png")
    assert picture.shape == (640, 1100, 3)
    assert len(np.unique(picture[:, 490:].reshape(-1, 3), axis=0)) > 20


def test_screenshot_of_the_full_panel(host: Any, tmp_path: Path) -> None:
    import qt

    widget = host.loadModule(TEMPLATE)
    label = qt.QLabel("word " * 300)
    label.wordWrap = True
    label.setStyleSheet("background: rgb(0, 0, 255)")
    widget.layout.addWidget(label)
    end = qt.QLabel("end")
    end.setStyleSheet("background: rgb(255, 0, 0)")
    widget.layout.addWidget(end)
    assert host.screenshot(tmp_path / "panel.png")[0] == 480
    picture = pixels(tmp_path / "panel.png")
    blue = (picture == (0, 0, 255)).all(-1).any(1)
    red = (picture == (255, 0, 0)).all(-1).any(1)
    assert blue.sum() > 150  # the wrapped text has its lines
    assert red.sum() >= 12
    assert np.flatnonzero(red).max() > len(picture) - 20
