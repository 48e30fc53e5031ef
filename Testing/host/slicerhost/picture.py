"""Screenshots for the documentation: a full panel, and the application window with panel and views."""

from __future__ import annotations

import xml.etree.ElementTree as ET
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
_FRAME = QtGui.QColor(118, 118, 118)


def setAppearance(app: QtWidgets.QApplication) -> None:
    """Qt's Fusion style in the neutral light gray of Slicer's light theme, whatever the machine's own theme is."""
    app.setStyle("Fusion")
    font = QtGui.QFont("DejaVu Sans")
    font.setPixelSize(12)
    app.setFont(font)
    role, group = QtGui.QPalette.ColorRole, QtGui.QPalette.ColorGroup
    palette = QtGui.QPalette(QtGui.QColor(228, 228, 228), QtGui.QColor(240, 240, 240))
    palette.setColor(role.Base, QtGui.QColor(255, 255, 255))
    palette.setColor(role.Text, QtGui.QColor(20, 20, 20))
    palette.setColor(role.WindowText, QtGui.QColor(20, 20, 20))
    palette.setColor(role.ButtonText, QtGui.QColor(20, 20, 20))
    palette.setColor(role.Highlight, QtGui.QColor(48, 116, 190))
    palette.setColor(role.PlaceholderText, QtGui.QColor(130, 130, 130))
    for each in (role.Text, role.WindowText, role.ButtonText):
        palette.setColor(group.Disabled, each, QtGui.QColor(150, 150, 150))
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

    def __init__(self, manager: qSlicerLayoutManager, painter: QtGui.QPainter) -> None:
        self.manager = manager
        self.painter = painter
        self.nodes = {(n.GetClassName(), n.GetSingletonTag()): n for n in manager._h_viewNodes()}

    def paint(self, element: ET.Element, rect: QtCore.QRect) -> None:
        """Paints a <layout> or <view> element of Slicer's layout description."""
        if element.tag == "view":
            node = self.nodes.get((element.get("class"), element.get("singletontag")))
            if node is not None:
                self._paintView(node, rect)
            return
        items = element.findall("item")
        kind = element.get("type")
        if kind == "tab":
            items = items[:1]
        weights = [float(item.get("splitSize", 0)) or 1.0 for item in items]
        start = 0.0
        for item, weight in zip(items, weights, strict=True):
            part = weight / sum(weights)
            if kind == "grid":
                rows = 1 + max(int(i.get("row", 0)) for i in items)
                columns = 1 + max(int(i.get("column", 0)) for i in items)
                box = (int(item.get("column", 0)) / columns, int(item.get("row", 0)) / rows, 1 / columns, 1 / rows)
            elif kind == "vertical":
                box = (0.0, start, 1.0, part)
            else:
                box = (start, 0.0, part, 1.0)
            start += part
            self.paint(next(iter(item)), self._part(rect, *box))

    @staticmethod
    def _part(rect: QtCore.QRect, x: float, y: float, width: float, height: float) -> QtCore.QRect:
        """The part of the rectangle given in fractions, with a gap to its neighbors on the right and below."""
        left, right = round(x * rect.width()), round((x + width) * rect.width())
        top, bottom = round(y * rect.height()), round((y + height) * rect.height())
        gapX, gapY = _GAP if x + width < 0.999 else 0, _GAP if y + height < 0.999 else 0
        return QtCore.QRect(rect.x() + left, rect.y() + top, right - left - gapX, bottom - top - gapY)

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
            view.resize(body.width(), body.height())
            self.painter.drawImage(body.topLeft(), _toImage(view.image()))
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
    root = ET.fromstring(manager._h_layoutNode.GetCurrentLayoutDescription())
    _Painter(manager, painter).paint(root, area.adjusted(_GAP, 0, 0, 0))
    painter.end()
    image.save(str(path))
