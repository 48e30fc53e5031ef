"""Stand-ins of the table and plot views: a Qt table, and the real plot nodes in VTK's charts, as in Slicer."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from .mrmlwidgets import Observing
from .pythonqt import customWidget, slotErrors
from .views import windowPixels

Signal = QtCore.Signal
BARS = ("PlotTypeBar", "PlotTypeScatterBar")
LINES = {
    "LineStyleNone": vtk.vtkPen.NO_PEN,
    "LineStyleSolid": vtk.vtkPen.SOLID_LINE,
    "LineStyleDash": vtk.vtkPen.DASH_LINE,
    "LineStyleDot": vtk.vtkPen.DOT_LINE,
    "LineStyleDashDot": vtk.vtkPen.DASH_DOT_LINE,
    "LineStyleDashDotDot": vtk.vtkPen.DASH_DOT_DOT_LINE,
}
MARKERS = {
    "MarkerStyleNone": vtk.vtkPlotPoints.NONE,
    "MarkerStyleCross": vtk.vtkPlotPoints.CROSS,
    "MarkerStylePlus": vtk.vtkPlotPoints.PLUS,
    "MarkerStyleSquare": vtk.vtkPlotPoints.SQUARE,
    "MarkerStyleCircle": vtk.vtkPlotPoints.CIRCLE,
    "MarkerStyleDiamond": vtk.vtkPlotPoints.DIAMOND,
}


def _among(names: dict[str, int], value: int) -> int:
    """VTK's number for one of the series node's."""
    return next(number for name, number in names.items() if getattr(slicer.vtkMRMLPlotSeriesNode, name) == value)


class Chart:
    """A chart node in a vtkChartXY; as in Slicer an automatic axis takes its range when a series is added, no later."""

    def __init__(self) -> None:
        self._view = vtk.vtkContextView()
        self._window = self._view.GetRenderWindow()
        self._window.SetOffScreenRendering(1)
        self._window.SetMultiSamples(0)
        self._chart = vtk.vtkChartXY()
        self._chart.GetBackgroundBrush().SetColor(255, 255, 255, 255)  # of a chart without series nothing is drawn
        self._view.GetScene().AddItem(self._chart)
        self._plots: dict[str, Any] = {}  # ID of the series node -> its vtkPlot

    def update(self, node: Any) -> None:
        """Follows the chart node; without one it is empty."""
        series = (
            [] if node is None else [node.GetNthPlotSeriesNode(i) for i in range(node.GetNumberOfPlotSeriesNodes())]
        )
        drawn = {each.GetID(): each for each in series if _hasColumns(each)}
        for key in set(self._plots) - set(drawn):
            self._chart.RemovePlotInstance(self._plots.pop(key))
        for key, each in drawn.items():
            if key in self._plots:
                _style(self._plots[key], each)
                continue
            isBar = each.GetPlotType() in [getattr(each, name) for name in BARS]
            self._plots[key] = plot = vtk.vtkPlotBar() if isBar else vtk.vtkPlotLine()
            _style(plot, each)
            self._chart.AddPlot(plot)
        if node is not None:
            self._setTexts(node)
            for position in (vtk.vtkAxis.BOTTOM, vtk.vtkAxis.TOP):
                self._setAxis(position, "X", node)
            for position in (vtk.vtkAxis.LEFT, vtk.vtkAxis.RIGHT):
                self._setAxis(position, "Y", node)

    def _setTexts(self, node: Any) -> None:
        self._chart.SetTitle(node.GetTitle() or "" if node.GetTitleVisibility() else "")
        self._chart.GetTitleProperties().SetFontSize(node.GetTitleFontSize())
        self._chart.SetShowLegend(bool(node.GetLegendVisibility()))
        self._chart.GetLegend().SetLabelSize(node.GetLegendFontSize())

    def _setAxis(self, position: int, name: str, node: Any) -> None:
        def of(what: str) -> Any:
            return getattr(node, f"Get{name}Axis{what}")()

        axis = self._chart.GetAxis(position)
        axis.SetTitle(of("Title") or "" if of("TitleVisibility") else "")
        axis.SetLogScale(bool(of("LogScale")))
        axis.SetBehavior(vtk.vtkAxis.AUTO if of("RangeAuto") else vtk.vtkAxis.FIXED)
        if not of("RangeAuto"):
            axis.SetUnscaledRange(*of("Range"))
        axis.SetGridVisible(bool(node.GetGridVisibility()))
        axis.GetTitleProperties().SetFontSize(node.GetAxisTitleFontSize())
        axis.GetLabelProperties().SetFontSize(node.GetAxisLabelFontSize())

    def fit(self) -> None:
        """Fits all axes to the series, fixed ones too."""
        axes = [self._chart.GetAxis(position) for position in range(4)]
        behaviors = [axis.GetBehavior() for axis in axes]
        for axis in axes:
            axis.SetBehavior(vtk.vtkAxis.AUTO)
        self._chart.RecalculateBounds()
        for axis, behavior in zip(axes, behaviors, strict=True):
            axis.SetBehavior(behavior)

    def image(self, width: int, height: int) -> QtGui.QImage:
        """The chart as a picture; an error of VTK's meanwhile counts as an exception in a slot."""
        errors: list[str] = []

        @vtk.calldata_type(vtk.VTK_STRING)
        def note(caller: Any, event: str, text: str) -> None:
            errors.append(f"plot view: {text}")

        output = vtk.vtkOutputWindow.GetInstance()
        tag = output.AddObserver(vtk.vtkCommand.ErrorEvent, note)
        self._window.SetSize(max(width, 1), max(height, 1))
        self._view.GetScene().SetDirty(True)
        pixels = windowPixels(self._window)
        output.RemoveObserver(tag)
        slotErrors.extend((RuntimeError, RuntimeError(text), text) for text in errors)
        rows, columns, _ = pixels.shape
        return QtGui.QImage(pixels.tobytes(), columns, rows, 3 * columns, QtGui.QImage.Format.Format_RGB888).copy()


def _hasColumns(series: Any) -> bool:
    table = None if series is None or series.GetTableNode() is None else series.GetTableNode().GetTable()
    names = (
        [series.GetYColumnName(), *([series.GetXColumnName()] if series.IsXColumnRequired() else [])] if table else []
    )
    return bool(names) and all(name and table.GetColumnByName(name) is not None for name in names)


def _style(plot: Any, series: Any) -> None:
    """Data and looks of a series."""
    y = series.GetYColumnName()
    plot.SetUseIndexForXSeries(not series.IsXColumnRequired())
    plot.SetInputData(series.GetTableNode().GetTable(), series.GetXColumnName() if series.IsXColumnRequired() else y, y)
    plot.SetLabel(series.GetName() or y)
    plot.SetWidth(series.GetLineWidth())
    plot.GetPen().SetColorF(*series.GetColor())
    plot.GetBrush().SetColorF(*series.GetColor())
    if isinstance(plot, vtk.vtkPlotLine):
        plot.GetPen().SetLineType(_among(LINES, series.GetLineStyle()))
        plot.SetMarkerStyle(_among(MARKERS, series.GetMarkerStyle()))
        plot.SetMarkerSize(series.GetMarkerSize())


@customWidget(mrmlSceneChanged="vtkMRMLScene*")
class qMRMLPlotView(QtWidgets.QWidget, Observing):
    """Shows the chart of a plot view node. It finds the chart in its scene: without one it stays black."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._h_scene: Any = None
        self._h_viewNode: Any = None
        self._h_chart = Chart()
        self.setMinimumHeight(120)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Expanding)

    def setMRMLScene(self, scene: Any) -> None:
        if scene is self._h_scene:
            return
        self._h_scene = scene
        if self._h_viewNode is not None and self._h_viewNode.GetScene() is not scene:
            self._h_viewNode = None
        self._h_refresh()
        self.mrmlSceneChanged.emit(scene)

    def setMRMLPlotViewNode(self, node: Any) -> None:
        self._h_viewNode = node
        self._h_refresh()

    def _h_refresh(self, *_: Any) -> None:
        """Observes view node and chart, and follows the chart."""
        node, chart = self._h_viewNode, None
        if self._h_scene is not None and node is not None and node.GetPlotChartNodeID():
            chart = self._h_scene.GetNodeByID(node.GetPlotChartNodeID())
        modified = vtk.vtkCommand.ModifiedEvent
        self._h_observe((node, modified, self._h_refresh), (chart, modified, self._h_refresh))
        if self._h_scene is not None and node is not None:
            self._h_chart.update(chart)
        self.update()

    def fitToContent(self) -> None:
        self._h_chart.fit()
        self.update()

    def sizeHint(self) -> QtCore.QSize:
        return QtCore.QSize(320, 220)

    def paintEvent(self, event: Any) -> None:
        painter = QtGui.QPainter(self)
        if self._h_scene is None:
            painter.fillRect(self.rect, QtCore.Qt.GlobalColor.black)
        else:
            painter.drawImage(self.rect, self._h_chart.image(self.width, self.height))
        painter.end()


@customWidget(mrmlSceneChanged="vtkMRMLScene*")
class qMRMLTableView(QtWidgets.QTableView, Observing):
    """Shows a table node; editing is not supported."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._h_table: Any = None
        self._h_viewNode: Any = None
        self.setModel(QtGui.QStandardItemModel(self))
        self.setEditTriggers(QtWidgets.QAbstractItemView.EditTrigger.NoEditTriggers)
        self.verticalHeader().setDefaultSectionSize(22)

    def setMRMLScene(self, scene: Any) -> None:
        self.mrmlSceneChanged.emit(scene)

    def mrmlTableNode(self) -> Any:
        return self._h_table

    def setMRMLTableNode(self, node: Any) -> None:
        self._h_table = node
        self._h_observe(
            (self._h_viewNode, vtk.vtkCommand.ModifiedEvent, self._h_onViewNode),
            (node, vtk.vtkCommand.ModifiedEvent, self._h_fill),
        )
        self._h_fill()

    def setMRMLTableViewNode(self, node: Any) -> None:
        self._h_viewNode = node
        self.setMRMLTableNode(None if node is None else node.GetTableNode())

    def _h_onViewNode(self, *_: Any) -> None:
        if self._h_viewNode.GetTableNode() is not self._h_table:
            self.setMRMLTableNode(self._h_viewNode.GetTableNode())

    def mrmlTableViewNode(self) -> Any:
        return self._h_viewNode

    def setFirstRowLocked(self, locked: bool) -> None:
        """Slicer keeps the first row visible while scrolling; this view does not scroll."""

    def setFirstColumnLocked(self, locked: bool) -> None:
        """As `setFirstRowLocked`."""

    def _h_fill(self, *_: Any) -> None:
        model = self.model()
        model.clear()
        table = self._h_table.GetTable() if self._h_table is not None else None
        if table is None:
            return
        columns, rows = table.GetNumberOfColumns(), table.GetNumberOfRows()
        model.setRowCount(rows)
        model.setColumnCount(columns)
        names = [table.GetColumnName(c) or "" for c in range(columns)]
        if self._h_table.GetUseColumnTitleAsColumnHeader():
            names = [self._h_table.GetColumnTitle(name) or name for name in names]
        model.setHorizontalHeaderLabels(names)
        for c in range(columns):
            for r in range(rows):
                value = table.GetValue(r, c)
                text = f"{value.ToDouble():.6g}" if value.IsFloat() or value.IsDouble() else value.ToString()
                model.setItem(r, c, QtGui.QStandardItem(text))
        self.resizeColumnsToContents()
