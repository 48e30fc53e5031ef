"""Stand-ins of the table and plot views: a Qt table, and the real plot nodes drawn with matplotlib."""

from __future__ import annotations

from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets
from vtk.util.numpy_support import vtk_to_numpy

from .mrmlwidgets import Observing
from .pythonqt import customWidget

Signal = QtCore.Signal
DPI = 100


def _column(table: Any, name: str) -> list[float]:
    array = table.GetColumnByName(name) if name else None
    return [] if array is None else list(vtk_to_numpy(array))


def _style(series: Any) -> dict[str, Any]:
    """matplotlib's arguments for line, marker and color of the series; scatter plots without a marker get dots."""
    node = slicer.vtkMRMLPlotSeriesNode
    lines = {node.LineStyleNone: "", node.LineStyleDash: "--", node.LineStyleDot: ":", node.LineStyleDashDot: "-."}
    markers = {
        node.MarkerStyleNone: "",
        node.MarkerStyleCross: "x",
        node.MarkerStylePlus: "+",
        node.MarkerStyleSquare: "s",
        node.MarkerStyleCircle: "o",
        node.MarkerStyleDiamond: "D",
    }
    return {
        "color": series.GetColor(),
        "linestyle": lines.get(series.GetLineStyle(), "-"),
        "linewidth": series.GetLineWidth(),
        "marker": markers.get(series.GetMarkerStyle(), ""),
        "markersize": series.GetMarkerSize() * 0.6,
        "label": series.GetName(),
    }


def drawChart(chart: Any, width: int, height: int) -> QtGui.QImage:
    """The chart node (None: an empty page) as a picture of width x height pixels."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(max(width, 80) / DPI, max(height, 60) / DPI), dpi=DPI, layout="tight")
    canvas = FigureCanvasAgg(figure)
    if chart is not None:
        axes = figure.add_subplot()
        for i in range(chart.GetNumberOfPlotSeriesNodes()):
            series = chart.GetNthPlotSeriesNode(i)
            table = None if series is None or series.GetTableNode() is None else series.GetTableNode().GetTable()
            if table is None:
                continue
            y = _column(table, series.GetYColumnName())
            isScatter = series.GetPlotType() in (series.PlotTypeScatter, series.PlotTypeScatterBar)
            x = _column(table, series.GetXColumnName()) if isScatter else []
            if series.GetPlotType() in (series.PlotTypeBar, series.PlotTypeScatterBar):
                axes.bar(x or range(len(y)), y, color=series.GetColor(), label=series.GetName())
            else:
                axes.plot(x or range(len(y)), y, **_style(series))
        axes.set_title(chart.GetTitle() or "" if chart.GetTitleVisibility() else "", fontsize=10)
        axes.set_xlabel(chart.GetXAxisTitle() or "" if chart.GetXAxisTitleVisibility() else "", fontsize=9)
        axes.set_ylabel(chart.GetYAxisTitle() or "" if chart.GetYAxisTitleVisibility() else "", fontsize=9)
        axes.tick_params(labelsize=8)
        axes.grid(bool(chart.GetGridVisibility()), color="0.9")
        if chart.GetXAxisLogScale():
            axes.set_xscale("log")
        if chart.GetYAxisLogScale():
            axes.set_yscale("log")
        if not chart.GetXAxisRangeAuto():
            axes.set_xlim(chart.GetXAxisRange())
        if not chart.GetYAxisRangeAuto():
            axes.set_ylim(chart.GetYAxisRange())
        if chart.GetLegendVisibility() and axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize=8)
    canvas.draw()
    pixels = canvas.buffer_rgba()
    columns, rows = canvas.get_width_height()
    return QtGui.QImage(bytes(pixels), columns, rows, QtGui.QImage.Format.Format_RGBA8888).copy()


@customWidget(mrmlSceneChanged="vtkMRMLScene*")
class qMRMLPlotView(QtWidgets.QWidget, Observing):
    """Draws the chart of a plot view node afresh at every paint."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._h_viewNode: Any = None
        self.setMinimumHeight(120)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Expanding)

    def setMRMLScene(self, scene: Any) -> None:
        self.mrmlSceneChanged.emit(scene)

    def setMRMLPlotViewNode(self, node: Any) -> None:
        self._h_viewNode = node
        self._h_observe((node, vtk.vtkCommand.ModifiedEvent, lambda *_: self.update()))
        self.update()

    def fitToContent(self) -> None:
        """The chart is always drawn in full."""

    def sizeHint(self) -> QtCore.QSize:
        return QtCore.QSize(320, 220)

    def paintEvent(self, event: Any) -> None:
        chart = self._h_viewNode.GetPlotChartNode() if self._h_viewNode is not None else None
        painter = QtGui.QPainter(self)
        painter.drawImage(self.rect, drawChart(chart, self.width, self.height))
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
