"""Stand-ins for the qMRML widgets that choose nodes and segments, on the real scene."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtWidgets

from .ctkwidgets import row, stored
from .pythonqt import customWidget

Signal = QtCore.Signal


class Observing:
    """Mixin of widgets that observe VTK objects; the observers go with the widget."""

    def _h_observe(self, *observations: tuple[Any, int, Callable[..., None], float]) -> None:
        """Observes these (object or None, event, callback, perhaps a priority) instead of the previous ones."""
        if "_h_tags" not in self.__dict__:
            self.__dict__["_h_tags"] = tags = []
            self.destroyed.connect(lambda: _removeObservers(tags))
        tags = self.__dict__["_h_tags"]
        _removeObservers(tags)
        tags += [(o, o.AddObserver(*how)) for o, *how in observations if o is not None]


def _removeObservers(tags: list[tuple[Any, int]]) -> None:
    for caller, tag in tags:
        caller.RemoveObserver(tag)
    tags.clear()


@customWidget(mrmlSceneChanged="vtkMRMLScene*")
class qMRMLWidget(QtWidgets.QWidget):
    mrmlSceneChanged = Signal(object)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._h_scene: Any = None

    def mrmlScene(self) -> Any:
        return self._h_scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._h_scene:
            self._h_scene = scene
            self.mrmlSceneChanged.emit(scene)


@customWidget()
class qSlicerWidget(qMRMLWidget):
    pass


def typeLabel(className: str) -> str:
    """The word for a node class in "Create new ...": vtkMRMLModelNode -> Model."""
    return className.removeprefix("vtkMRML").removesuffix("Node")


@customWidget(
    currentNodeChanged="vtkMRMLNode*",
    currentNodeIDChanged="QString",
    nodeActivated="vtkMRMLNode*",
    nodeAdded="vtkMRMLNode*",
    nodeAddedByUser="vtkMRMLNode*",
    nodeAboutToBeRemoved="vtkMRMLNode*",
)
class qMRMLNodeComboBox(QtWidgets.QWidget, Observing):
    """Selects a node of some classes. Without a scene it is disabled.

    There is no automatic selection of a first node. But when the current node is removed from the scene, a neighbor in
    the list becomes current: QComboBox selects it when the row goes, which is before the node has left the scene.
    """

    currentNodeChanged = Signal(object)
    currentNodeIDChanged = Signal(str)
    nodeActivated = Signal(object)
    nodeAdded = Signal(object)
    nodeAddedByUser = Signal(object)
    nodeAboutToBeRemoved = Signal(object)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._h_scene: Any = None
        self._h_node: Any = None
        self._h_requested: Any = None  # a node (or ID) requested before the scene was set
        self._h_types: list[str] = []
        self._h_attributes: list[tuple[str, str, Any]] = []
        self._h_filling = False
        self._h_combo = QtWidgets.QComboBox()
        self._h_combo.setSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Fixed)
        row(self, self._h_combo)
        self._h_combo.currentIndexChanged.connect(self._h_onIndexChanged)
        self._h_combo.activated.connect(self._h_onActivated)
        self._h_refresh()

    def _h_refresh(self, *_: Any) -> None:
        """Fills the list again; a current node that went with the whole scene leaves none."""
        nodes = self._h_nodes()
        node = next((n for n in nodes if n is self._h_node), None)
        self._h_filling = True
        self._h_combo.clear()
        if self.noneEnabled:
            self._h_combo.addItem(self.noneDisplay, "")
        for each in nodes:
            self._h_combo.addItem(each.GetName(), each.GetID())
        if self._h_scene is not None:
            if self._h_node is not None and self.renameEnabled:
                self._h_combo.addItem("Rename current " + self._h_types[0], "#rename")
            if self._h_node is not None and self.removeEnabled:
                self._h_combo.addItem("Delete current " + typeLabel(self._h_types[0]), "#delete")
            if self.addEnabled:
                for name in self._h_types:
                    self._h_combo.addItem(f"Create new {typeLabel(name)}", "#add " + name)
        self._h_combo.currentIndex = self._h_index(node)
        self._h_filling = False
        self._h_set(node)

    noneEnabled = stored("noneEnabled", False, bool, _h_refresh)
    noneDisplay = stored("noneDisplay", "None", str, _h_refresh)
    addEnabled = stored("addEnabled", True, bool, _h_refresh)
    removeEnabled = stored("removeEnabled", True, bool, _h_refresh)
    renameEnabled = stored("renameEnabled", False, bool, _h_refresh)
    editEnabled = stored("editEnabled", False, bool)
    showHidden = stored("showHidden", False, bool, _h_refresh)
    showChildNodeTypes = stored("showChildNodeTypes", True, bool, _h_refresh)
    hideChildNodeTypes = stored("hideChildNodeTypes", (), tuple, _h_refresh)
    selectNodeUponCreation = stored("selectNodeUponCreation", True, bool)
    baseName = stored("baseName", "", str)

    def _h_setTypes(self, names: Any) -> None:
        if isinstance(names, str):
            raise AttributeError("nodeTypes expects a list of strings")
        self._h_types = list(names)
        self._h_refresh()

    nodeTypes = property(lambda self: tuple(self._h_types), _h_setTypes)  # PythonQt gives a QStringList as a tuple

    def mrmlScene(self) -> Any:
        return self._h_scene

    def setMRMLScene(self, scene: Any) -> None:
        events = slicer.vtkMRMLScene
        self._h_scene = scene
        self._h_observe(
            (scene, events.NodeAddedEvent, self._h_onNodeAdded),
            (scene, events.NodeAboutToBeRemovedEvent, self._h_onNodeAboutToBeRemoved, -10.0),  # as qMRMLSceneModel
            (scene, events.NodeRemovedEvent, self._h_onNodeRemoved),
            (scene, events.EndCloseEvent, self._h_refresh),
            (scene, events.EndImportEvent, self._h_refresh),
            (scene, events.EndBatchProcessEvent, self._h_refresh),
        )
        self.enabled = scene is not None
        self._h_refresh()
        requested, self._h_requested = self._h_requested, None
        if scene is not None and requested:
            self.setCurrentNode(requested)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _h_onNodeAdded(self, caller: Any, event: str, node: Any) -> None:
        if self._h_matches(node):
            self._h_refresh()
            self.nodeAdded.emit(node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _h_onNodeAboutToBeRemoved(self, caller: Any, event: str, node: Any) -> None:
        row = self._h_combo.findData(node.GetID())
        if row >= 0 and not self._h_scene.IsClosing():
            self.nodeAboutToBeRemoved.emit(node)
            self._h_combo.removeItem(row)
            if (self._h_combo.currentData or "").startswith("#"):  # no node: Slicer takes the last one instead
                others = [other for other in self._h_nodes() if other is not node]
                self.setCurrentNode(others[-1] if others else None)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _h_onNodeRemoved(self, caller: Any, event: str, node: Any) -> None:
        if self._h_matches(node) and not self._h_scene.IsClosing():
            self._h_refresh()

    def addAttribute(self, nodeType: str, name: str, value: Any = None) -> None:
        self._h_attributes.append((nodeType, name, value))
        self._h_refresh()

    def removeAttribute(self, nodeType: str, name: str) -> None:
        self._h_attributes = [a for a in self._h_attributes if a[:2] != (nodeType, name)]
        self._h_refresh()

    def currentNode(self) -> Any:
        return self._h_node

    def setCurrentNode(self, node: Any) -> None:
        if self._h_scene is None:
            self._h_requested = node
            return
        if isinstance(node, str):
            node = self._h_scene.GetNodeByID(node)
        node = next((n for n in self._h_nodes() if n is node), None)
        self._h_filling = True
        self._h_combo.currentIndex = self._h_index(node)
        self._h_filling = False
        self._h_set(node)

    def setCurrentNodeID(self, nodeID: str) -> None:
        self.setCurrentNode(nodeID or None)

    currentNodeID = property(lambda self: self._h_node.GetID() if self._h_node else "", setCurrentNodeID)

    def setCurrentNodeIndex(self, index: int) -> None:
        self.setCurrentNode(self.nodeFromIndex(index))

    def nodeCount(self) -> int:
        return len(self._h_nodes())

    def nodeFromIndex(self, index: int) -> Any:
        nodes = self._h_nodes()
        return nodes[index] if 0 <= index < len(nodes) else None

    def addNode(self, nodeType: str | None = None) -> Any:
        nodeType = nodeType or self._h_types[0]
        node = self._h_scene.CreateNodeByClass(nodeType)
        node.UnRegister(None)
        node.SetName(self._h_scene.GenerateUniqueName(self.baseName or typeLabel(nodeType)))
        for kind, name, value in self._h_attributes:
            if node.IsA(kind):
                node.SetAttribute(name, "" if value is None else str(value))
        self._h_scene.AddNode(node)
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self) -> None:
        if self._h_node is not None:
            self._h_scene.RemoveNode(self._h_node)

    def _h_matches(self, node: Any) -> bool:
        className = node.GetClassName()
        if not any(node.IsA(t) if self.showChildNodeTypes else className == t for t in self._h_types):
            return False
        if any(node.IsA(t) for t in self.hideChildNodeTypes) or (node.GetHideFromEditors() and not self.showHidden):
            return False
        for kind, name, value in self._h_attributes:
            have = node.GetAttribute(name)
            if node.IsA(kind) and (have is None or (value is not None and have != str(value))):
                return False
        return True

    def _h_nodes(self) -> list[Any]:
        if self._h_scene is None:
            return []
        nodes = (self._h_scene.GetNthNode(i) for i in range(self._h_scene.GetNumberOfNodes()))
        return [node for node in nodes if self._h_matches(node)]

    def _h_index(self, node: Any) -> int:
        if node is None:
            return 0 if self.noneEnabled else -1
        return self._h_combo.findData(node.GetID())

    def _h_set(self, node: Any) -> None:
        if node is not self._h_node:
            self._h_node = node
            self.currentNodeChanged.emit(node)
            self.currentNodeIDChanged.emit(node.GetID() if node else "")

    def _h_onIndexChanged(self, index: int) -> None:
        data = self._h_combo.itemData(index) or ""
        if not self._h_filling and not data.startswith("#"):
            self._h_set(self._h_scene.GetNodeByID(data) if data else None)

    def _h_onActivated(self, index: int) -> None:
        data = self._h_combo.itemData(index) or ""
        if data.startswith("#add "):
            self.addNode(data.removeprefix("#add "))
        elif data == "#delete":
            self.removeCurrentNode()
        self.nodeActivated.emit(self._h_node)


@customWidget(currentNodeChanged="vtkMRMLNode*", currentSegmentChanged="QString")
class qMRMLSegmentSelectorWidget(qMRMLWidget, Observing):
    """Chooses a segmentation and one of its segments."""

    currentNodeChanged = Signal(object)
    currentSegmentChanged = Signal(str)

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._h_nodes = qMRMLNodeComboBox()
        self._h_nodes.addEnabled = self._h_nodes.removeEnabled = False
        self._h_nodes.nodeTypes = ["vtkMRMLSegmentationNode"]
        self._h_segments = QtWidgets.QComboBox()
        row(self, self._h_nodes, self._h_segments)
        self.mrmlSceneChanged.connect(self._h_nodes.setMRMLScene)
        self._h_nodes.currentNodeChanged.connect(self._h_onNode)
        self._h_segments.currentIndexChanged.connect(self._h_onSegment)

    def _h_onNode(self, node: Any) -> None:
        events = slicer.vtkSegmentation
        changes = (events.SegmentAdded, events.SegmentRemoved, events.SegmentModified)
        segmentation = None if node is None else node.GetSegmentation()
        self._h_observe(*((segmentation, event, self._h_fill) for event in changes))
        self._h_fill()
        self.currentNodeChanged.emit(node)

    def _h_fill(self, *_: Any) -> None:
        """Lists the node's segments, keeping the current one where it is still there."""
        node, current = self.currentNode(), self.currentSegmentID()
        blocked = self._h_segments.blockSignals(True)
        self._h_segments.clear()
        if self.noneEnabled:
            self._h_segments.addItem("None", "")
        if node is not None:
            segmentation = node.GetSegmentation()
            for segmentID in segmentation.GetSegmentIDs():
                self._h_segments.addItem(segmentation.GetSegment(segmentID).GetName(), segmentID)
        self._h_segments.currentIndex = max(self._h_segments.findData(current), 0 if self._h_segments.count else -1)
        self._h_segments.blockSignals(blocked)
        if self.currentSegmentID() != current:
            self._h_onSegment()

    def _h_onSegment(self, *_: Any) -> None:
        self.currentSegmentChanged.emit(self.currentSegmentID())

    def _h_setNoneEnabled(self, on: bool) -> None:
        self._h_nodes.noneEnabled = on
        self._h_fill()

    noneEnabled = property(lambda self: self._h_nodes.noneEnabled, _h_setNoneEnabled)
    segmentationNodeSelectorVisible = property(
        lambda self: not self._h_nodes.isHidden(), lambda self, on: self._h_nodes.setVisible(bool(on))
    )

    def currentNode(self) -> Any:
        return self._h_nodes.currentNode()

    def currentNodeID(self) -> str:
        return self._h_nodes.currentNodeID

    def setCurrentNode(self, node: Any) -> None:
        self._h_nodes.setCurrentNode(node)

    def setCurrentNodeID(self, nodeID: str) -> None:
        self._h_nodes.setCurrentNodeID(nodeID)

    def currentSegmentID(self) -> str:
        return self._h_segments.currentData or ""

    def setCurrentSegmentID(self, segmentID: str) -> None:
        self._h_segments.currentIndex = self._h_segments.findData(segmentID)


@customWidget()
class qMRMLSegmentationShow3DButton(QtWidgets.QPushButton):
    """Makes and removes the surfaces of a segmentation."""

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._h_node: Any = None
        self.text = "Show 3D"
        self.checkable = True
        self.enabled = False
        self.toggled.connect(self._h_onToggled)

    def segmentationNode(self) -> Any:
        return self._h_node

    def setSegmentationNode(self, node: Any) -> None:
        self._h_node = node
        self.enabled = node is not None
        blocked = self.blockSignals(True)
        self.checked = node is not None and node.GetSegmentation().ContainsRepresentation("Closed surface")
        self.blockSignals(blocked)

    def _h_onToggled(self, on: bool) -> None:
        if on:
            self._h_node.CreateClosedSurfaceRepresentation()
        else:
            self._h_node.RemoveClosedSurfaceRepresentation()
