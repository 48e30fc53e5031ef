"""The word SYNTHETIC in every view that shows what a model made up, and so in every picture that is taken of it.

It is an actor of our own, since Slicer clears the views' own corner texts with every move of the mouse.
"""

from __future__ import annotations

from typing import Any, ClassVar

import slicer
import slicer.util
import vtk

from deeprecon.scene.display.views import layout_manager

TEXT = "SYNTHETIC - research only, not for diagnosis"
_ATTRIBUTE = "DeepRecon.Synthetic"
_COLOR = (1.0, 0.75, 0.2)
_FONT = 14


def set_synthetic(node: Any) -> None:
    """Note on a node that a model made it up; saved with the scene."""
    node.SetAttribute(_ATTRIBUTE, "1")


def is_synthetic(node: Any) -> bool:
    """Whether a model made up what a node shows."""
    return node is not None and node.GetAttribute(_ATTRIBUTE) == "1"


class SyntheticLabel:
    """Keeps the views of the application marked. There is one, which every scene and every module shares."""

    _one: ClassVar[SyntheticLabel | None] = None

    @classmethod
    def start(cls) -> None:
        """Begin to watch the scene; nothing happens where that was begun already."""
        if cls._one is None:
            cls._one = SyntheticLabel()

    @classmethod
    def stop(cls) -> None:
        """Take all marks away and watch no more."""
        if cls._one is not None:
            cls._one._close()
            cls._one = None

    def __init__(self) -> None:
        self._actors: dict[str, tuple[Any, Any]] = {}  # view node ID -> its renderer and the mark in it
        self._tags: list[tuple[Any, int]] = []
        self._watched: dict[str, Any] = {}  # node ID -> node
        scene = slicer.mrmlScene
        for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndImportEvent, scene.EndCloseEvent):
            self._observe(scene, event)
        self._manager = layout_manager()
        if self._manager is not None:
            self._manager.connect("layoutChanged(int)", self._onLayout)
        self.update()

    def _observe(self, subject: Any, event: Any) -> None:
        self._tags.append((subject, subject.AddObserver(event, self._onEvent)))

    def _onEvent(self, _caller: Any, _event: str) -> None:
        scene = slicer.mrmlScene
        if not (scene.IsImporting() or scene.IsClosing() or scene.IsBatchProcessing()):
            self.update()

    def _onLayout(self, _layout: int) -> None:
        self.update()

    def update(self) -> None:
        """Mark the views that show a synthetic volume, and no others."""
        manager = layout_manager()
        if manager is None:
            return
        shown = False
        for name in manager.sliceViewNames():
            widget = manager.sliceWidget(name)
            composite = widget.mrmlSliceCompositeNode()
            self._watch(composite)
            layers = (composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID())
            made_up = any(key and is_synthetic(slicer.mrmlScene.GetNodeByID(key)) for key in layers)
            self._set(widget.sliceView(), widget.mrmlSliceNode(), made_up)
            shown = shown or made_up
        renderings = slicer.util.getNodesByClass("vtkMRMLVolumeRenderingDisplayNode")
        for display in renderings:
            self._watch(display)
        rendered = any(each.GetVisibility() and is_synthetic(each.GetVolumeNode()) for each in renderings)
        for index in range(manager.threeDViewCount):
            view = manager.threeDWidget(index).threeDView()
            self._set(view, view.mrmlViewNode(), shown or rendered)

    def _watch(self, node: Any) -> None:
        if self._watched.get(node.GetID()) is not node:  # a later node may have the same ID
            self._watched[node.GetID()] = node
            self._observe(node, vtk.vtkCommand.ModifiedEvent)

    def _set(self, view: Any, node: Any, on: bool) -> None:
        key = node.GetID()
        if on and key not in self._actors:
            renderer = view.renderWindow().GetRenderers().GetFirstRenderer()
            actor = _actor()
            renderer.AddViewProp(actor)
            self._actors[key] = renderer, actor
            view.scheduleRender()
        elif not on and key in self._actors:
            renderer, actor = self._actors.pop(key)
            renderer.RemoveViewProp(actor)
            view.scheduleRender()

    def _close(self) -> None:
        for subject, tag in self._tags:
            subject.RemoveObserver(tag)
        if self._manager is not None:
            self._manager.disconnect("layoutChanged(int)", self._onLayout)
        for renderer, actor in self._actors.values():
            renderer.RemoveViewProp(actor)
        self._actors.clear()

    @property
    def marked(self) -> set[str]:
        """IDs of the nodes of the views that are marked."""
        return set(self._actors)


def labeled_views() -> set[str]:
    """IDs of the nodes of the views that are marked now."""
    return SyntheticLabel._one.marked if SyntheticLabel._one is not None else set()


def _actor() -> Any:
    actor = vtk.vtkCornerAnnotation()
    actor.SetText(vtk.vtkCornerAnnotation.LowerRight, TEXT)
    actor.SetMaximumFontSize(_FONT)
    actor.SetNonlinearFontScaleFactor(1)
    properties = actor.GetTextProperty()
    properties.SetColor(*_COLOR)
    properties.ShadowOn()
    properties.BoldOn()
    return actor
