"""Screenshots for the documentation: a full panel, and the application window with panel and views."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PySide6 import QtCore, QtGui, QtWidgets

from .layout import qSlicerLayoutManager
from .plots import qMRMLTableView
from .views import SliceView

PANEL_WIDTH = 480  # pixels
_TOOLBAR = 40
_VIEW_BAR = 20
_GAP = 3
ABOVE_PANEL = 31 + 22 + 40 + 28
"""Logical pixels above a module's panel: title bar, menu bar, tool bar, and the section of help."""
BELOW_PANEL = 110 + 22 + 40
"""Logical pixels below it: the data probe, the status bar, and the taskbar of the desktop."""
_BELOW_VIEWS = 22 + 40
_FRAME = QtGui.QColor(118, 118, 118)


def _gray(value: int) -> QtGui.QColor:
    return QtGui.QColor(value, value, value)


def setAppearance(app: QtWidgets.QApplication, dark: bool = False) -> None:
    """Qt's Fusion style in the neutral grays of Slicer's light or dark style, whatever the machine's own theme is."""
    app.setStyle("Fusion")
    font = QtGui.QFont("DejaVu Sans")
    font.setPixelSize(12)
    app.setFont(font)
    role, group = QtGui.QPalette.ColorRole, QtGui.QPalette.ColorGroup
    text, base, dim = (235, 30, 130) if dark else (20, 255, 150)
    button, window = (60, 45) if dark else (228, 240)
    palette = QtGui.QPalette(_gray(button), _gray(window))
    for each in (role.Text, role.WindowText, role.ButtonText, role.ToolTipText):
        palette.setColor(each, _gray(text))
        palette.setColor(group.Disabled, each, _gray(dim))
    palette.setColor(role.Base, _gray(base))
    palette.setColor(role.Highlight, QtGui.QColor(48, 116, 190))
    palette.setColor(role.PlaceholderText, _gray(130))
    app.setPalette(palette)


def panelPicture(panel: QtWidgets.QWidget, width: int = PANEL_WIDTH) -> QtGui.QPixmap:
    """The full panel at that width; the height follows from its contents."""
    window, layout = panel.window(), panel.layout()
    for _ in range(2):  # labels that wrap find their height only after the first pass
        window.resize(width, window.height)
        layout.activate()
        height = layout.totalHeightForWidth(width) if layout.hasHeightForWidth() else layout.totalSizeHint().height()
        window.resize(width, max(height, layout.totalMinimumSize().height()))
        QtCore.QCoreApplication.processEvents()
    return panel.grab()


def _toImage(pixels: np.ndarray) -> QtGui.QImage:
    height, width, _ = pixels.shape
    return QtGui.QImage(pixels.tobytes(), width, height, 3 * width, QtGui.QImage.Format.Format_RGB888).copy()


class _Painter:
    """Paints the views of a layout into rectangles of a picture."""

    def __init__(self, manager: qSlicerLayoutManager, painter: QtGui.QPainter, scale: float = 1.0) -> None:
        self.manager = manager
        self.painter = painter
        self.scale = scale

    def paint(self, rect: QtCore.QRect) -> None:
        """Paints the present layout."""
        for node, (x, y, width, height) in self.manager._h_rectangles(rect.width(), rect.height()):
            self._paintView(node, QtCore.QRect(rect.x() + x, rect.y() + y, width, height))

    def _paintView(self, node: Any, rect: QtCore.QRect) -> None:
        bar = QtCore.QRect(rect.x(), rect.y(), rect.width(), _VIEW_BAR)
        body = rect.adjusted(0, _VIEW_BAR, 0, 0)
        self.painter.fillRect(bar, QtGui.QColor.fromRgbF(*node.GetLayoutColor()))
        self.painter.setPen(QtGui.QColor(20, 20, 20))
        middle = QtCore.Qt.AlignmentFlag.AlignVCenter
        self.painter.drawText(bar.adjusted(8, 0, -8, 0), middle, node.GetLayoutLabel() or node.GetName())
        widget = self.manager._h_widgets[node.GetID()]
        if node.IsA("vtkMRMLPlotViewNode"):
            chart = widget.plotView()._h_chart
            self.painter.drawImage(body.topLeft(), chart.image(body.width(), body.height()))
        elif node.IsA("vtkMRMLTableViewNode"):
            table = qMRMLTableView()
            table.setMRMLTableNode(node.GetTableNode())
            table.resize(body.size())
            self.painter.drawPixmap(body.topLeft(), table.grab())
            table.delete()
        else:
            view = widget._h_view
            view.window.SetDPI(round(72 * self.scale))  # as Slicer sets it: words grow with the desktop
            view.resize(round(self.scale * body.width()), round(self.scale * body.height()))
            self.painter.drawImage(body, _toImage(view.image()))
            if isinstance(view, SliceView):
                offset = f"{node.GetOrientation()}: {view.logic.GetSliceOffset():.1f} mm"
                self.painter.drawText(bar.adjusted(8, 0, -8, 0), middle | QtCore.Qt.AlignmentFlag.AlignRight, offset)


def desktopPicture(
    path: str | Path, title: str, panel: QtWidgets.QWidget, manager: qSlicerLayoutManager, minimumSize: tuple[int, int]
) -> None:
    """Writes a PNG that is arranged like Slicer's window: module title, panel on the left, the layout's views."""
    picture = panelPicture(panel)
    width = max(minimumSize[0], PANEL_WIDTH + 600)
    height = max(minimumSize[1], _TOOLBAR + picture.height())
    image = QtGui.QImage(width, height, QtGui.QImage.Format.Format_RGB888)
    image.fill(panel.palette.color(QtGui.QPalette.ColorRole.Window))
    painter = QtGui.QPainter(image)
    painter.setFont(panel.font)
    bold = QtGui.QFont(panel.font)
    bold.setBold(True)
    middle = QtCore.Qt.AlignmentFlag.AlignVCenter
    painter.drawText(QtCore.QRect(12, 0, 70, _TOOLBAR), middle, "Modules:")
    box = QtCore.QRect(78, 7, PANEL_WIDTH - 90, _TOOLBAR - 14)
    painter.fillRect(box, QtGui.QColor(255, 255, 255))
    painter.setPen(_FRAME)
    painter.drawRect(box)
    painter.setPen(QtGui.QColor(20, 20, 20))
    painter.setFont(bold)
    painter.drawText(box.adjusted(8, 0, 0, 0), middle, title)
    painter.setFont(panel.font)
    painter.drawPixmap(0, _TOOLBAR, picture)
    area = QtCore.QRect(PANEL_WIDTH, 0, width - PANEL_WIDTH, height)
    painter.fillRect(area, _FRAME)
    _Painter(manager, painter).paint(area.adjusted(_GAP, 0, 0, 0))
    painter.end()
    image.save(str(path))


def windowPicture(
    path: str | Path,
    title: str,
    panel: QtWidgets.QWidget,
    manager: qSlicerLayoutManager,
    screen: tuple[int, int],
    scale: float,
    scroll: int,
) -> None:
    """Writes a PNG of Slicer's window as it fills a screen: as much of the panel as it shows there, and the views.

    Args:
        path: the file.
        title: of the module.
        panel: of the module.
        manager: has the views.
        screen: width and height in pixels.
        scale: of the desktop: 1.5 for 150 %.
        scroll: how far the panel is scrolled down, in logical pixels.
    """
    width, height = round(screen[0] / scale), round(screen[1] / scale)
    image = QtGui.QImage(*screen, QtGui.QImage.Format.Format_RGB888)
    image.setDevicePixelRatio(scale)
    image.fill(panel.palette.color(QtGui.QPalette.ColorRole.Window))
    painter = QtGui.QPainter(image)
    painter.setFont(panel.font)
    painter.setPen(panel.palette.color(QtGui.QPalette.ColorRole.WindowText))
    middle = QtCore.Qt.AlignmentFlag.AlignVCenter
    top = ABOVE_PANEL
    painter.fillRect(QtCore.QRect(0, 0, width, 31), _FRAME)
    painter.drawText(QtCore.QRect(12, 0, PANEL_WIDTH, 31), middle, "3D Slicer")
    painter.drawText(QtCore.QRect(12, 31, PANEL_WIDTH, 22), middle, "File    Edit    View    Help")
    painter.fillRect(QtCore.QRect(0, height - 40, width, 40), _FRAME)
    painter.drawText(QtCore.QRect(12, top - 68, PANEL_WIDTH, _TOOLBAR), middle, f"Modules:  {title}")
    painter.drawText(QtCore.QRect(12, top - 28, PANEL_WIDTH, 28), middle, "Help and Acknowledgement")
    shown = panelHeight(height)
    panelPicture(panel)
    part = QtGui.QImage(round(PANEL_WIDTH * scale), round(shown * scale), QtGui.QImage.Format.Format_RGB888)
    part.setDevicePixelRatio(scale)
    part.fill(panel.palette.color(QtGui.QPalette.ColorRole.Window))
    panel.render(part, QtCore.QPoint(0, 0), QtGui.QRegion(0, scroll, PANEL_WIDTH, shown))
    painter.drawImage(QtCore.QPoint(0, top), part)
    painter.drawText(QtCore.QRect(12, top + shown, PANEL_WIDTH, 28), middle, "Data Probe")
    area = QtCore.QRect(PANEL_WIDTH, top - 28, width - PANEL_WIDTH, height - top + 28 - _BELOW_VIEWS)
    painter.fillRect(area, _FRAME)
    _Painter(manager, painter, scale).paint(area.adjusted(_GAP, 0, 0, 0))
    painter.end()
    image.save(str(path))


def panelHeight(height: int) -> int:
    """Logical pixels of a panel that Slicer shows without scrolling on a screen of that height."""
    return height - ABOVE_PANEL - BELOW_PANEL
