"""`slicer.app.layoutManager()`: Slicer's layout node and logic, with offscreen views for the views of a layout."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import slicer
import vtk
from PySide6 import QtCore

from .core import Core
from .mrmlwidgets import qMRMLWidget
from .plots import qMRMLPlotView, qMRMLTableView
from .pythonqt import cppClass
from .views import SliceView, ThreeDView


@cppClass()
class qMRMLSliceView(qMRMLWidget):
    def __init__(self, view: SliceView) -> None:
        super().__init__()
        self._h_view = view

    def mrmlSliceNode(self) -> Any:
        return self._h_view.node

    def renderWindow(self) -> Any:
        return self._h_view.window

    def scheduleRender(self) -> None:
        """Every screenshot is rendered again."""


@cppClass()
class qMRMLSliceWidget(qMRMLWidget):
    def __init__(self, view: SliceView) -> None:
        super().__init__()
        self._h_view = view
        self._h_sliceView = qMRMLSliceView(view)

    def sliceView(self) -> Any:
        return self._h_sliceView

    def mrmlSliceNode(self) -> Any:
        return self._h_view.node

    def mrmlSliceCompositeNode(self) -> Any:
        return self._h_view.compositeNode

    def sliceLogic(self) -> Any:
        return self._h_view.logic

    def fitSliceToBackground(self) -> None:
        self._h_view.fit()


@cppClass()
class qMRMLThreeDView(qMRMLWidget):
    def __init__(self, view: ThreeDView) -> None:
        super().__init__()
        self._h_view = view

    def mrmlViewNode(self) -> Any:
        return self._h_view.node

    def cameraNode(self) -> Any:
        return self._h_view.cameraNode()

    def resetFocalPoint(self) -> None:
        self._h_view.reset()

    def resetCamera(
        self, resetRotation: bool = True, resetTranslation: bool = True, resetDistance: bool = True
    ) -> None:
        view = self._h_view
        view.cameraNode().Reset(resetRotation, resetTranslation, resetDistance, view.renderer)

    def rotateToViewAxis(self, axis: int) -> None:
        """Looks from -X, +X, -Y, +Y, -Z or +Z (0 to 5)."""
        side = ("Left", "Right", "Posterior", "Anterior", "Inferior", "Superior")[axis]
        self._h_view.cameraNode().RotateTo(getattr(slicer.vtkMRMLCameraNode, side))

    def renderWindow(self) -> Any:
        return self._h_view.window

    def forceRender(self) -> None:
        self._h_view.window.Render()

    def scheduleRender(self) -> None:
        """Every screenshot is rendered again."""


@cppClass()
class qMRMLThreeDWidget(qMRMLWidget):
    def __init__(self, view: ThreeDView) -> None:
        super().__init__()
        self._h_view = view
        self._h_threeDView = qMRMLThreeDView(view)

    def mrmlViewNode(self) -> Any:
        return self._h_view.node

    def viewLogic(self) -> Any:
        return self._h_view.logic

    def threeDView(self) -> Any:
        return self._h_threeDView


@cppClass()
class qMRMLPlotWidget(qMRMLWidget):
    def __init__(self, node: Any) -> None:
        super().__init__()
        self._h_node = node
        self._h_plotView = qMRMLPlotView()
        self._h_plotView.setMRMLScene(node.GetScene())
        self._h_plotView.setMRMLPlotViewNode(node)

    def mrmlPlotViewNode(self) -> Any:
        return self._h_node

    def plotView(self) -> Any:
        return self._h_plotView


@cppClass()
class qMRMLTableWidget(qMRMLWidget):
    def __init__(self, node: Any) -> None:
        super().__init__()
        self._h_tableView = qMRMLTableView()
        self._h_tableView.setMRMLTableViewNode(node)

    def tableView(self) -> Any:
        return self._h_tableView


WINDOW = 960, 800
"""Pixels across and down that a layout has, outside of pictures."""
_GAP = 3
Rectangle = tuple[int, int, int, int]


def viewRectangles(element: ET.Element, area: Rectangle) -> Iterator[tuple[tuple[str, str], Rectangle]]:
    """(class, singleton tag) of each view of a <layout> or <view> element, and its place: x, y, width, height."""
    if element.tag == "view":
        yield (element.get("class", ""), element.get("singletontag", "")), area
        return
    items, kind = element.findall("item"), element.get("type")
    if kind == "tab":
        items = items[:1]
    weights = [float(item.get("splitSize", 0)) or 1.0 for item in items]
    start = 0.0
    for item, weight in zip(items, weights, strict=True):
        part = weight / sum(weights)
        if kind == "grid":
            rows = 1 + max(int(i.get("row", 0)) for i in items)
            columns = 1 + max(int(i.get("column", 0)) for i in items)
            box = int(item.get("column", 0)) / columns, int(item.get("row", 0)) / rows, 1 / columns, 1 / rows
        elif kind == "vertical":
            box = 0.0, start, 1.0, part
        else:
            box = start, 0.0, part, 1.0
        start += part
        yield from viewRectangles(next(iter(item)), _part(area, *box))


def _part(area: Rectangle, x: float, y: float, width: float, height: float) -> Rectangle:
    """The part of an area that is given in fractions, with a gap to its neighbors on the right and below."""
    left, top, whole, high = area
    x0, x1 = round(x * whole), round((x + width) * whole)
    y0, y1 = round(y * high), round((y + height) * high)
    gapX, gapY = _GAP if x + width < 0.999 else 0, _GAP if y + height < 0.999 else 0
    return left + x0, top + y0, x1 - x0 - gapX, y1 - y0 - gapY


@cppClass(layoutChanged="int")
class qSlicerLayoutManager(QtCore.QObject):
    """The layout is the layout node's; views are made when a layout first names them, and kept."""

    layoutChanged = QtCore.Signal(int)

    def __init__(self, core: Core) -> None:
        super().__init__()
        self._h_core = core
        self._h_sliceViews: dict[str, SliceView] = {}
        self._h_threeDViews: dict[str, ThreeDView] = {}
        self._h_widgets: dict[str, Any] = {}  # view node ID -> widget
        self._h_logic = slicer.vtkMRMLLayoutLogic()
        self._h_logic.SetMRMLApplicationLogic(core.appLogic)
        self._h_logic.SetMRMLScene(core.scene)
        self._h_layoutNode = self._h_logic.GetLayoutNode()
        self.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
        self._h_shown = self.layout
        self._h_makeViews()
        self._h_layoutNode.AddObserver(vtk.vtkCommand.ModifiedEvent, self._h_onModified)

    def _h_onModified(self, *_: Any) -> None:
        if self.layout != self._h_shown:
            self._h_shown = self.layout
            self._h_makeViews()
            QtCore.QTimer.singleShot(0, self._h_resizeViews)
            self.layoutChanged.emit(self._h_shown)

    def _h_resizeViews(self) -> None:
        """As Qt does: views of a new layout get their size in the event loop, not when it is set."""
        for node, (_x, _y, width, height) in self._h_rectangles(*WINDOW):
            widget = self._h_widgets[node.GetID()]
            if isinstance(widget, qMRMLSliceWidget | qMRMLThreeDWidget):
                widget._h_view.resize(width, height)

    def _h_rectangles(self, width: int, height: int) -> Iterator[tuple[Any, tuple[int, int, int, int]]]:
        """The view nodes of the layout, each with its place in an area of that size: x, y, width, height."""
        nodes = {(node.GetClassName(), node.GetSingletonTag()): node for node in self._h_viewNodes()}
        root = ET.fromstring(self._h_layoutNode.GetCurrentLayoutDescription())
        for key, rectangle in viewRectangles(root, (0, 0, width, height)):
            if key in nodes:
                yield nodes[key], rectangle

    def _h_makeViews(self) -> None:
        makers = {
            "vtkMRMLSliceNode": self._h_makeSliceWidget,
            "vtkMRMLViewNode": self._h_makeThreeDWidget,
            "vtkMRMLPlotViewNode": qMRMLPlotWidget,
            "vtkMRMLTableViewNode": qMRMLTableWidget,
        }
        shown = self._h_viewNodes()
        for node in shown:
            if node.GetID() not in self._h_widgets:
                self._h_widgets[node.GetID()] = makers[node.GetClassName()](node)
        for nodeID in self._h_widgets:
            node = self._h_core.scene.GetNodeByID(nodeID)
            node.SetMappedInLayout(int(node in shown))

    def _h_makeSliceWidget(self, node: Any) -> Any:
        view = self._h_sliceViews[node.GetLayoutName()] = SliceView(self._h_core, node)
        return qMRMLSliceWidget(view)

    def _h_makeThreeDWidget(self, node: Any) -> Any:
        view = self._h_threeDViews[node.GetID()] = ThreeDView(self._h_core, node)
        return qMRMLThreeDWidget(view)

    def _h_viewNodes(self) -> list[Any]:
        """The view nodes of the present layout."""
        nodes = self._h_logic.GetViewNodes()
        return [nodes.GetItemAsObject(i) for i in range(nodes.GetNumberOfItems())]

    def _h_close(self) -> None:
        for view in (*self._h_sliceViews.values(), *self._h_threeDViews.values()):
            view.close()
        self._h_logic.SetMRMLScene(None)

    def _h_ofKind(self, kind: type) -> list[Any]:
        return [widget for widget in self._h_widgets.values() if isinstance(widget, kind)]

    def _h_setLayout(self, number: int) -> None:
        self._h_layoutNode.SetViewArrangement(int(number))

    layout = property(lambda self: self._h_layoutNode.GetViewArrangement(), _h_setLayout)

    def setLayout(self, number: int) -> None:
        self._h_setLayout(number)

    def layoutLogic(self) -> Any:
        return self._h_logic

    def mrmlScene(self) -> Any:
        return self._h_core.scene

    def mrmlSliceLogics(self) -> Any:
        return self._h_core.appLogic.GetSliceLogics()

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(self._h_sliceViews)

    def sliceWidget(self, name: str) -> Any:
        view = self._h_sliceViews.get(name)
        return None if view is None else self._h_widgets[view.node.GetID()]

    def threeDWidget(self, index: int) -> Any:
        return self._h_ofKind(qMRMLThreeDWidget)[index]

    def plotWidget(self, index: int) -> Any:
        return self._h_ofKind(qMRMLPlotWidget)[index]

    def tableWidget(self, index: int) -> Any:
        return self._h_ofKind(qMRMLTableWidget)[index]

    threeDViewCount = property(lambda self: len(self._h_threeDViews))
    plotViewCount = property(lambda self: len(self._h_ofKind(qMRMLPlotWidget)))
    tableViewCount = property(lambda self: len(self._h_ofKind(qMRMLTableWidget)))

    def resetThreeDViews(self) -> None:
        for view in self._h_threeDViews.values():
            view.reset()

    def resetSliceViews(self) -> None:
        for view in self._h_sliceViews.values():
            view.fit()
