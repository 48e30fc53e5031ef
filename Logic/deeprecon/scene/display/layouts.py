"""Layouts that show results, and the user's own views, which are put back when a module is left."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import slicer
import slicer.util

from deeprecon.scene.display.views import fit_3d_views, layout_manager

SIDE_BY_SIDE, BESIDE_3D, FILM, FILM_AND_CT = 5201, 5202, 5203, 5204
"""IDs of three slice views in a row, a large 3D view beside them, an X-ray alone, and an X-ray with a CT; Slicer
reserves IDs above 500 for modules."""
SLICE_VIEWS = ("Red", "Yellow", "Green")
FILM_VIEW = "DeepReconFilm"
"""Name of the slice view of an X-ray; it is not linked with the others."""
_EARLIER = "DeepRecon.EarlierViews"
"""Attribute of the layout node: layout, orientation and links of the views before a module changed them."""

_COLORS = {"Red": "#F34A33", "Yellow": "#EDD54C", "Green": "#6EB04B"}
_PLANES = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}


def _slice(name: str, plane: str = "") -> str:
    return (
        f'<view class="vtkMRMLSliceNode" singletontag="{name}">'
        f'<property name="orientation" action="default">{plane or _PLANES[name]}</property>'
        f'<property name="viewlabel" action="default">{name[0]}</property>'
        f'<property name="viewcolor" action="default">{_COLORS[name]}</property></view>'
    )


_FILM = (
    f'<view class="vtkMRMLSliceNode" singletontag="{FILM_VIEW}">'
    '<property name="orientation" action="default">Coronal</property>'
    '<property name="viewlabel" action="default">X-ray</property>'
    '<property name="viewcolor" action="default">#C0C0C0</property>'
    '<property name="viewgroup" action="default">1</property></view>'
)
_3D = '<view class="vtkMRMLViewNode" singletontag="1"><property name="viewlabel" action="default">1</property></view>'


def _row(kind: str, *parts: str) -> str:
    return f'<layout type="{kind}">{"".join(f"<item>{part}</item>" for part in parts)}</layout>'


LAYOUTS = {
    SIDE_BY_SIDE: _row("horizontal", *(_slice(name, "Axial") for name in SLICE_VIEWS)),
    BESIDE_3D: '<layout type="horizontal" split="true">'
    f'<item splitSize="600">{_3D}</item>'
    f'<item splitSize="400">{_row("vertical", *(_slice(name) for name in ("Red", "Green", "Yellow")))}</item></layout>',
    FILM: _row("horizontal", _FILM),
    FILM_AND_CT: _row("vertical", _row("horizontal", _FILM, _slice("Green")),
                      _row("horizontal", _slice("Red"), _slice("Yellow"), _3D)),
}  # fmt: skip
"""ID -> description of each layout."""


def register_layouts() -> None:
    """Make `LAYOUTS` known to the application, also for scenes that were saved with one of them."""
    manager = layout_manager()
    if manager is not None:
        node = manager.layoutLogic().GetLayoutNode()
        for number, description in LAYOUTS.items():
            if not node.IsLayoutDescription(number):
                node.AddLayoutDescription(number, description)


def set_layout(number: int) -> None:
    """Switch to one of `LAYOUTS`; without views, as in batch mode, nothing is done."""
    manager = layout_manager()
    if manager is not None and manager.layout != number:
        register_layouts()
        manager.setLayout(number)


def remember_views() -> None:
    """Keep the user's layout, and orientations, links and crosshair as they were before a module changed them."""
    manager = layout_manager()
    if manager is None or manager.layout in LAYOUTS:
        return
    node = manager.layoutLogic().GetLayoutNode()
    text = node.GetAttribute(_EARLIER)
    if text is None:
        slices = {name: manager.sliceWidget(name) for name in SLICE_VIEWS}
        earlier: dict[str, Any] = {
            "slices": {name: _stored(widget) for name, widget in slices.items() if widget is not None},
            "crosshair": _crosshair().GetCrosshairMode(),
        }
    else:
        earlier = json.loads(text)
    node.SetAttribute(_EARLIER, json.dumps({**earlier, "layout": manager.layout}))


def put_views_back() -> None:
    """Put back what `remember_views` has kept; a layout that the user chose since then stays."""
    manager = layout_manager()
    if manager is None:
        return
    node = manager.layoutLogic().GetLayoutNode()
    text = node.GetAttribute(_EARLIER)
    if text is None and manager.layout not in LAYOUTS:
        return
    usual = {"layout": slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView, "slices": {}, "crosshair": 0}
    earlier = json.loads(text) if text else usual
    node.RemoveAttribute(_EARLIER)
    if manager.layout == SIDE_BY_SIDE:
        _show_everywhere("Yellow")
    if manager.layout in LAYOUTS:
        manager.setLayout(earlier["layout"])
    for name in SLICE_VIEWS:
        widget = manager.sliceWidget(name)
        if widget is not None:
            _restore(widget, earlier["slices"].get(name))
    _crosshair().SetCrosshairMode(earlier["crosshair"])


def link_cursors(on: bool) -> None:
    """Show one crosshair at the same place in all slice views; it follows the mouse while Shift is held."""
    node = _crosshair()
    node.SetCrosshairMode(node.ShowSmallBasic if on else node.NoCrosshair)


def show_film(node: Any) -> None:
    """Show a volume of a single slice in the view of the X-ray, if the layout has one."""
    manager = layout_manager()
    widget = None if manager is None else manager.sliceWidget(FILM_VIEW)
    if widget is not None:
        composite = widget.mrmlSliceCompositeNode()
        composite.SetBackgroundVolumeID(None if node is None else node.GetID())
        composite.SetForegroundVolumeID(None)
        composite.SetLabelVolumeID(None)
        if node is not None:
            widget.mrmlSliceNode().RotateToVolumePlane(node)
            widget.fitSliceToBackground()


def fit_views() -> None:
    """Fit all slice views and 3D views to what they show."""
    manager = layout_manager()
    if manager is not None:
        manager.resetSliceViews()
        fit_3d_views()


def _stored(widget: Any) -> dict[str, Any]:
    matrix = slicer.util.arrayFromVTKMatrix(widget.mrmlSliceNode().GetSliceToRAS())
    return {"matrix": matrix.tolist(), "linked": bool(widget.mrmlSliceCompositeNode().GetLinkedControl())}


def _restore(widget: Any, stored: dict[str, Any] | None) -> None:
    node = widget.mrmlSliceNode()
    widget.mrmlSliceCompositeNode().SetLinkedControl(bool(stored and stored["linked"]))
    if stored is None:
        node.SetOrientationToDefault()
        return
    node.GetSliceToRAS().DeepCopy(slicer.util.vtkMatrixFromArray(np.array(stored["matrix"])))
    node.UpdateMatrices()


def _show_everywhere(name: str) -> None:
    """Show the image of one slice view in all three."""
    composites = {each: layout_manager().sliceWidget(each).mrmlSliceCompositeNode() for each in SLICE_VIEWS}
    for composite in composites.values():
        composite.SetLinkedControl(False)
        composite.SetBackgroundVolumeID(composites[name].GetBackgroundVolumeID())


def _crosshair() -> Any:
    return slicer.vtkMRMLCrosshairDisplayableManager.FindCrosshairNode(slicer.mrmlScene)
