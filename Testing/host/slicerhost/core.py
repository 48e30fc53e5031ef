"""The part of the host without Qt: one scene, the application logic and the module logics on slicer-core."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
import types
from collections.abc import Iterator
from typing import Any

import slicer
import slicer.util
import vtk

from . import pythonlayer

# Module name -> class of its C++ logic, in the order of creation.
MODULE_LOGICS = {
    "Colors": "vtkSlicerColorLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Models": "vtkSlicerModelsLogic",
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",  # its constructor registers the representation converters
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Plots": "vtkSlicerPlotsLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "VolumeRendering": "vtkSlicerVolumeRenderingLogic",
    "Units": "vtkSlicerUnitsLogic",
}

# Node classes that Slicer's Qt plugins put into the subject hierarchy by themselves.
HIERARCHY_CLASSES = (
    "vtkMRMLVolumeNode",
    "vtkMRMLModelNode",
    "vtkMRMLSegmentationNode",
    "vtkMRMLMarkupsNode",
    "vtkMRMLTransformNode",
    "vtkMRMLTableNode",
    "vtkMRMLTextNode",
    "vtkMRMLPlotChartNode",
    "vtkMRMLPlotSeriesNode",
    "vtkMRMLSequenceNode",
)


class CoreModule:
    """`slicer.modules.<name>` of a C++ module, of which slicer-core has the logic only."""

    def __init__(self, name: str, logic: Any) -> None:
        self.name = name
        self._logic = logic

    def logic(self) -> Any:
        return self._logic

    def widgetRepresentation(self) -> None:
        return None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without VTK's messages: color and terminology files are not in the wheel, and each is missed aloud."""
    verbosity, display = vtk.vtkLogger.GetCurrentVerbosityCutoff(), vtk.vtkObject.GetGlobalWarningDisplay()
    vtk.vtkLogger.SetStderrVerbosity(vtk.vtkLogger.VERBOSITY_OFF)
    vtk.vtkObject.SetGlobalWarningDisplay(0)
    try:
        yield
    finally:
        vtk.vtkLogger.SetStderrVerbosity(verbosity)
        vtk.vtkObject.SetGlobalWarningDisplay(display)


class Core:
    """Owner of the scene and the logics; comments state where the order of creation matters.

    Attributes:
        slicerPython: folder of Slicer's own Python layer; None where stand-ins are used.
    """

    def __init__(self) -> None:
        self.slicerPython = pythonlayer.folder()
        pythonlayer.use(self.slicerPython)
        window = vtk.vtkOutputWindow()  # VTK messages go to stderr, where tests can catch them
        window.SetDisplayModeToAlwaysStdErr()
        vtk.vtkOutputWindow.SetInstance(window)
        self.temporaryPath = tempfile.mkdtemp(prefix="slicerhost-")
        self.scene = slicer.mrmlScene = slicer.vtkMRMLScene()
        self.appLogic = slicer.vtkSlicerApplicationLogic()
        self.appLogic.SetTemporaryPath(self.temporaryPath)
        self.appLogic.SetHomeDirectory(os.path.dirname(self.temporaryPath))
        self.appLogic.SetShareDirectory(os.path.basename(self.temporaryPath))  # relative to the home directory
        self._makeRemoteIO()
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        self.scene.AddNode(crosshair)
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(self.scene, True)
        self.appLogic.SetMRMLScene(self.scene)
        self.appLogic.SetSliceLogics(vtk.vtkCollection())
        self.appLogic.SetViewLogics(vtk.vtkCollection())
        self.modules: dict[str, CoreModule] = {}
        slicer.modules = sys.modules["slicer.modules"] = types.ModuleType("slicer.modules")
        slicer.moduleNames = sys.modules["slicer.moduleNames"] = types.ModuleType("slicer.moduleNames")
        with _quiet():
            for name, className in MODULE_LOGICS.items():
                self._makeModule(name, getattr(slicer, className)())
        self._observers = [
            self.scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, self._onNodeAdded),
            self.scene.AddObserver(slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, self._onNodeAboutToBeRemoved),
        ]

    def _makeRemoteIO(self) -> None:
        """Without a cache directory the scene refuses to read .mrb files."""
        self.remoteIO = slicer.vtkMRMLRemoteIOLogic()
        self.remoteIO.SetMRMLScene(self.scene)
        self.remoteIO.GetCacheManager().SetRemoteCacheDirectory(self.temporaryPath)
        self.ioLogic = slicer.vtkDataIOManagerLogic()
        self.ioLogic.SetMRMLScene(self.scene)
        self.ioLogic.SetMRMLApplicationLogic(self.appLogic)
        self.ioLogic.SetAndObserveDataIOManager(self.remoteIO.GetDataIOManager())
        self.remoteIO.AddDataIOToScene()

    def _makeModule(self, name: str, logic: Any) -> None:
        if hasattr(logic, "SetMRMLApplicationLogic"):
            logic.SetMRMLApplicationLogic(self.appLogic)  # before the scene: the color logic needs it then
        if name == "Colors":
            self.appLogic.SetColorLogic(logic)
        logic.SetMRMLScene(self.scene)
        if name == "Colors":
            logic.AddDefaultColorNodes()
        if isinstance(logic, slicer.vtkMRMLAbstractLogic):
            self.appLogic.SetModuleLogic(name, logic)
        self.modules[name] = CoreModule(name, logic)
        setattr(slicer.modules, name.lower(), self.modules[name])
        setattr(slicer.moduleNames, name, name)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeAdded(self, caller: Any, event: str, node: Any) -> None:
        if self.scene.IsImporting() or node.GetHideFromEditors() or not any(map(node.IsA, HIERARCHY_CLASSES)):
            return
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(self.scene)
        if hierarchy is not None and not hierarchy.GetItemByDataNode(node):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeAboutToBeRemoved(self, caller: Any, event: str, node: Any) -> None:
        hierarchy = self.scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode")
        if hierarchy is not None and not self.scene.IsClosing():
            item = hierarchy.GetItemByDataNode(node)
            if item:
                hierarchy.RemoveItem(item, False, False)

    def clear(self) -> None:
        """Closes the scene as "Close scene" does, and removes the modules' parameter nodes too."""
        self.scene.Clear(0)
        for node in slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode"):
            self.scene.RemoveNode(node)

    def close(self) -> None:
        """Takes everything down in a fixed order, which keeps the process's exit quiet."""
        for tag in self._observers:
            self.scene.RemoveObserver(tag)
        self.scene.Clear(1)
        with _quiet():
            for module in reversed(list(self.modules.values())):
                module.logic().SetMRMLScene(None)
            self.appLogic.SetMRMLScene(None)
        shutil.rmtree(self.temporaryPath, ignore_errors=True)


_core: Core | None = None


def start() -> Core:
    """The process's one `Core`, made at the first call."""
    global _core
    if _core is None:
        _core = Core()
    return _core
