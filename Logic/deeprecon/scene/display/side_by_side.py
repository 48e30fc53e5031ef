"""Three linked slice views of the same plane side by side, each with its own image, or two images blended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import slicer
import slicer.util

from deeprecon.scene.display.layouts import (
    SIDE_BY_SIDE,
    SLICE_VIEWS,
    link_cursors,
    put_views_back,
    remember_views,
    set_layout,
)
from deeprecon.scene.display.views import layout_manager


def set_side_by_side_layout(enabled: bool) -> None:
    """Switch to the side-by-side layout with linked cursors, or back to the user's layout."""
    manager = layout_manager()
    if enabled and manager.layout != SIDE_BY_SIDE:
        set_layout(SIDE_BY_SIDE)
        link_cursors(True)
        for name in SLICE_VIEWS:
            manager.sliceWidget(name).mrmlSliceNode().SetOrientationToAxial()
    elif not enabled and manager.layout == SIDE_BY_SIDE:
        put_views_back()
        remember_views()


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
