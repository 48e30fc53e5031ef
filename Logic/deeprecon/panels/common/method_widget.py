"""Base of the panels of all methods: scene events, parameter node, device panel and run panel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import slicer
import vtk
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleWidget
from slicer.util import VTKObservationMixin

from deeprecon.panels.common.run_callbacks import RunCallbacks, SecondaryRun
from deeprecon.panels.common.run_panel import RunPanel
from deeprecon.panels.common.training_panel import TrainingPanel
from deeprecon.panels.computer.device_panel import DevicePanel
from deeprecon.panels.screen.keyboard import prepareKeyboard
from deeprecon.panels.screen.panel_height import PanelHeight
from deeprecon.panels.screen.result_views import putViewsBack, showInViews
from deeprecon.panels.screen.stepper import ButtonWork
from deeprecon.scene.common.results import is_part_of_result, show_hidden_inputs
from deeprecon.scene.nodes.removal import clear_choices

FIRST, LAST = 100.0, -100.0
"""Priorities of observers of the scene; those of node selectors and of Slicer's modules are in between."""


def controlLabels(widgets: Mapping[str, Any], others: Mapping[str, str]) -> dict[str, str]:
    """Option of the command line -> label of its control.

    Args:
        widgets: name -> widget of a panel; the label of a widget is called as it, with "Label" behind.
        others: option -> name of its control, for those that have no link to a parameter with the name of the option.
    """
    links = ((str(widget.property("SlicerParameterName") or ""), name) for name, widget in widgets.items())
    names = {link.rpartition(".")[2].replace("_", "-"): name for link, name in links if link} | dict(others)
    labels = {option: widgets.get(f"{name}Label", widgets[name]) for option, name in names.items()}
    return {option: widget.text.rstrip(":") for option, widget in labels.items() if hasattr(widget, "text")}


class MethodWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):  # type: ignore[misc]
    """Base of a module's Widget, in the manner of Slicer's template.

    A module defines how its panel is updated from the parameter node (`update`), writes a job (`prepare`), loads its
    results (`load`) and restores the settings of a result (`repeat`). Its .ui file has a `deviceCollapsibleButton` and
    a `runCollapsibleButton`, whose layouts take the shared panels.

    Attributes:
        title: of the training curves.
        labels: combo box -> name of its enum's member -> text.
        controls: option of the command line -> name of its control, for those that no parameter link tells.
        logicClass: the module's Logic.
        trainingPanels: made by the module in `connectWidgets`; connected with the same parameter node.
        works: made by the module in `connectWidgets`; stopped when the scene or the module closes.
    """

    title: ClassVar[str]
    labels: ClassVar[dict[str, dict[str, str]]]
    controls: ClassVar[dict[str, str]] = {}
    logicClass: ClassVar[type]

    def __init__(self, parent: Any = None) -> None:
        self.logic: Any = None
        self.ui: Any = None
        self.devicePanel: DevicePanel | None = None
        self.runPanel: RunPanel | None = None
        self.trainingPanels: list[TrainingPanel] = []
        self.works: list[ButtonWork] = []
        self._parameterNode: Any = None
        self._guiTag: int | None = None
        self._updating = False
        self._outdated = False  # until the node that is being removed has left the scene
        self._importing = False  # until the choices that are loaded with a scene point to the loaded nodes
        self._toShow: Callable[[], None] | None = None
        self._panelHeight: PanelHeight | None = None
        VTKObservationMixin.__init__(self)
        ScriptedLoadableModuleWidget.__init__(self, parent)  # last: without a parent it calls setup

    def setup(self) -> None:
        """Build the panel. It is fast and needs no main window."""
        ScriptedLoadableModuleWidget.setup(self)
        widget = slicer.util.loadUI(self.resourcePath(f"UI/{self.moduleName}.ui"))
        self.layout.addWidget(widget)
        self._panelHeight = PanelHeight(self.parent)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.logic = self.logicClass()
        self.devicePanel = DevicePanel(
            self.ui.deviceCollapsibleButton.layout(), self.onChanged, self.ui.deviceCollapsibleButton
        )
        callbacks = RunCallbacks(
            self.prepare,
            self.load,
            self.repeat,
            self.onChanged,
            self.secondaryRun(),
            controls=controlLabels(vars(self.ui), self.controls),
        )
        self.runPanel = RunPanel(self.ui.runCollapsibleButton.layout(), callbacks, self.devicePanel, self.title)
        self._observeScene(slicer.mrmlScene)
        self.connectWidgets()
        prepareKeyboard(widget)
        self.initializeParameterNode()

    # -- defined by the module

    def connectWidgets(self) -> None:
        """Connect buttons and other widgets without a parameter link."""

    def update(self, parameterNode: Any) -> str:
        """Update the panel and return why a run cannot start; empty if it can."""
        raise NotImplementedError

    def prepare(self) -> Path:
        """Write a job folder."""
        raise NotImplementedError

    def load(self, folder: Path) -> str:
        """Load the results in a folder and return a sentence about them."""
        raise NotImplementedError

    def repeat(self) -> None:
        """Restore inputs and settings of the selected result."""
        raise NotImplementedError

    def secondaryRun(self) -> SecondaryRun | None:
        """A second kind of run; None if the module has none."""
        return None

    # -- scene and parameter node

    def _observeScene(self, scene: Any) -> None:
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEnd)
        self.addObserver(scene, scene.StartImportEvent, self.onSceneStartImport, priority=FIRST)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEnd, priority=LAST)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self.onNodeAboutToBeRemoved, priority=FIRST)
        self.addObserver(scene, scene.NodeRemovedEvent, self.onNodeRemoved, priority=LAST)

    def cleanup(self) -> None:
        """The module is closed or reloaded: no child process survives."""
        if self.runPanel is not None:
            self.runPanel.cleanup()
        for panel in self.trainingPanels:
            panel.cleanup()
        if self._panelHeight is not None:
            self._panelHeight.remove()
        for work in self.works:
            work.stop()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self) -> None:
        """The user opened the module: a result of a run that ended meanwhile is shown now."""
        self.initializeParameterNode()
        show, self._toShow = self._toShow, None
        if show is not None:
            showInViews(show)

    def exit(self) -> None:
        """The user left the module; a run continues, and the views are as they were."""
        self._disconnect()
        putViewsBack()

    def showResults(self, show: Callable[[], None]) -> None:
        """Show something in the views; where the module is not open, once the user opens it: the views are not ours."""
        if self.parent.isEntered:
            showInViews(show)
        else:
            self._toShow = show

    def onSceneStartClose(self, caller: Any, event: Any) -> None:
        """The scene closes: its run ends."""
        self._toShow = None
        if self.runPanel is not None:
            self.runPanel.abort()
        for panel in self.trainingPanels:
            panel.sceneClosing()
        for work in self.works:
            work.stop()
        self.setParameterNode(None)

    def onSceneStartImport(self, caller: Any, event: Any) -> None:
        """Nodes are loaded: until all are, the loaded choices point to nothing or to other nodes. A run continues."""
        self._importing = True
        self._disconnect()

    def onSceneEnd(self, caller: Any, event: Any) -> None:
        """The scene was closed, or all nodes are loaded; show its choices if the panel is open."""
        self._importing = False
        if self.parent.isEntered:
            self.initializeParameterNode()
        elif self._parameterNode is not None:  # its run takes the loaded choices; the loaded node may lack some
            self._parameterNode = self.logic.getParameterNode()

    @vtk.calldata_type(vtk.VTK_OBJECT)  # type: ignore[untyped-decorator]
    def onNodeAboutToBeRemoved(self, caller: Any, event: Any, removed: Any) -> None:
        """A node goes: choices of it become empty, and what was hidden for it visible."""
        if self._parameterNode is None or self._importing or slicer.mrmlScene.IsClosing():
            return
        updating, self._updating = self._updating, True  # the node is still in the scene
        try:
            chosen = clear_choices(self._parameterNode, removed)
        finally:
            self._updating = updating
        show_hidden_inputs(removed)
        self._outdated = self._outdated or chosen or is_part_of_result(removed)

    def onNodeRemoved(self, caller: Any, event: Any) -> None:
        """A node is gone."""
        if self._outdated:
            self._outdated = False
            self.onChanged()

    def initializeParameterNode(self) -> None:
        """Show the scene's parameter node."""
        self.setParameterNode(self.logic.getParameterNode())

    def setParameterNode(self, node: Any) -> None:
        """Connect the panel with a parameter node, or with none."""
        self._disconnect()
        self._parameterNode = node
        if node:
            self._guiTag = node.connectGui(self.ui)
            for name, texts in self.labels.items():  # the connection shows the names of the enum members
                combo = getattr(self.ui, name)
                for index in range(combo.count):
                    combo.setItemText(index, texts.get(combo.itemText(index), combo.itemText(index)))
            for panel in self.trainingPanels:
                panel.setParameterNode(node)
            self.addObserver(node, vtk.vtkCommand.ModifiedEvent, self.onChanged)
        self.onChanged()

    def _disconnect(self) -> None:
        if self._parameterNode and self._guiTag is not None:
            self._parameterNode.disconnectGui(self._guiTag)
            self._guiTag = None
            for panel in self.trainingPanels:
                panel.setParameterNode(None)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self.onChanged)

    def onChanged(self, caller: Any = None, event: Any = None) -> None:
        """Update the panel after any change; not recursively, and not while nodes are loaded."""
        if self._parameterNode is None or self.runPanel is None or self._updating or self._importing:
            return
        self._updating = True
        try:
            problem = self.update(self._parameterNode)
        finally:
            self._updating = False
        self.runPanel.setReady(not problem, problem)
        for panel in self.trainingPanels:
            panel.update()
