"""Three linked slice views of the same plane side by side, each with its own image, or two images blended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import slicer
import slicer.util

from deeprecon.scene.display.views import layout_manager

SIDE_BY_SIDE_LAYOUT = 5201
"""ID of the layout of three slice views in a row; Slicer reserves IDs above 500 for modules."""
_EARLIER_LAYOUT = "DeepRecon.EarlierLayout"
"""Attribute of the layout node: the user's layout before the side-by-side one."""
SLICE_VIEWS = ("Red", "Yellow", "Green")


def set_side_by_side_layout(enabled: bool) -> None:
    """Switch to the side-by-side layout, or back to the user's layout."""
    manager = layout_manager()
    node = manager.layoutLogic().GetLayoutNode()
    if not node.IsLayoutDescription(SIDE_BY_SIDE_LAYOUT):
        node.AddLayoutDescription(SIDE_BY_SIDE_LAYOUT, _description())
    if enabled and manager.layout != SIDE_BY_SIDE_LAYOUT:
        node.SetAttribute(_EARLIER_LAYOUT, str(manager.layout))
        manager.setLayout(SIDE_BY_SIDE_LAYOUT)
        for name in SLICE_VIEWS:
            manager.sliceWidget(name).mrmlSliceNode().SetOrientationToAxial()
    elif not enabled and manager.layout == SIDE_BY_SIDE_LAYOUT:
        manager.setLayout(int(node.GetAttribute(_EARLIER_LAYOUT) or slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView))
        for name in SLICE_VIEWS:
            manager.sliceWidget(name).mrmlSliceNode().SetOrientationToDefault()


def show_in_separate_views(images: Sequence[Any]) -> None:
    """Show one volume node in each view, from left to right; the views are linked."""
    manager = layout_manager()
    for index, name in enumerate(SLICE_VIEWS):
        widget = manager.sliceWidget(name)
        composite = widget.mrmlSliceCompositeNode()
        composite.SetLinkedControl(False)  # each view has an image of its own
        image = images[index] if index < len(images) else None
        composite.SetBackgroundVolumeID(None if image is None else image.GetID())
        composite.SetForegroundVolumeID(None)
        composite.SetLabelVolumeID(None)
        widget.mrmlSliceNode().RotateToVolumePlane(images[0])
    for name in SLICE_VIEWS:
        manager.sliceWidget(name).mrmlSliceCompositeNode().SetLinkedControl(True)  # they move together
    slicer.util.resetSliceViews()


def show_blended(background: Any, foreground: Any, opacity: float) -> None:
    """Show one or two volume nodes in all slice views, the second over the first; the views are linked."""
    slicer.util.setSliceViewerLayers(
        background=background, foreground=foreground, foregroundOpacity=opacity, label=None, fit=True,
        rotateToVolumePlane=True,
    )  # fmt: skip
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        composite.SetLinkedControl(True)


def slice_nodes() -> list[Any]:
    """The slice nodes of the three views, from left to right."""
    manager = layout_manager()
    return [manager.sliceWidget(name).mrmlSliceNode() for name in SLICE_VIEWS]


def _description() -> str:
    colors = {"Red": "#F34A33", "Yellow": "#EDD54C", "Green": "#6EB04B"}
    views = "".join(
        f'<item><view class="vtkMRMLSliceNode" singletontag="{name}">'
        '<property name="orientation" action="default">Axial</property>'
        f'<property name="viewlabel" action="default">{name[0]}</property>'
        f'<property name="viewcolor" action="default">{color}</property></view></item>'
        for name, color in colors.items()
    )
    return f'<layout type="horizontal">{views}</layout>'
