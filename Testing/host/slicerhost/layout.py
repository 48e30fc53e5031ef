"""`slicer.app.layoutManager()`: Slicer's layout node and logic, with offscreen views for the views of a layout."""

from __future__ import annotations

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

    def resetCamera(self) -> None:
        self._h_view.reset()

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
            self.layoutChanged.emit(self._h_shown)

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
