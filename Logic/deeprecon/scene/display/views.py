"""Contents of the slice and 3D views; without views, as in batch mode, these functions do nothing."""

from __future__ import annotations

from typing import Any

import slicer
import slicer.util


def show_in_views(volume: Any = None, segmentation: Any = None, model: Any = None) -> None:
    """Set up slice and 3D views: background image, segments as outlines, 3D view filled by the model.

    Args:
        volume: background of the slice views, which rotate to its planes; None keeps the background.
        segmentation: shown as outlines, so that the image stays visible.
        model: centered in the slice views.
    """
    if segmentation is not None:
        show_as_outline(segmentation)
    manager = layout_manager()
    if manager is None:
        return
    if volume is not None:
        slicer.util.setSliceViewerLayers(background=volume, fit=True, rotateToVolumePlane=True)
    subject = model or segmentation
    if subject is not None:
        bounds = [0.0] * 6
        subject.GetRASBounds(bounds)
        if bounds[0] <= bounds[1]:
            center = [(low + high) / 2 for low, high in zip(bounds[::2], bounds[1::2], strict=True)]
            slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *center)
    fit_3d_views()


def show_as_outline(segmentation: Any) -> None:
    """Show segments as outlines in the slice views."""
    display = segmentation.GetDisplayNode()
    if display is not None:
        with slicer.util.NodeModify(display):
            display.SetVisibility2DFill(False)
            display.SetVisibility2DOutline(True)
            display.SetSliceIntersectionThickness(2)


def fit_3d_views() -> None:
    """Move the cameras of the 3D views, without turning them, so that what is shown fills the view."""
    manager = layout_manager()
    if manager is None:
        return
    for index in range(manager.threeDViewCount):
        view = manager.threeDWidget(index).threeDView()
        node = view.mrmlViewNode()
        shown = node.GetBoxVisible(), node.GetAxisLabelsVisible()
        node.SetBoxVisible(False)  # the box is that of all volumes, larger than an organ
        node.SetAxisLabelsVisible(False)
        low, high = view.renderWindow().GetRenderers().GetFirstRenderer().ComputeVisiblePropBounds()[:2]
        if low <= high:  # else nothing is shown
            view.resetCamera(False, True, True)
        node.SetBoxVisible(shown[0])
        node.SetAxisLabelsVisible(shown[1])


def layout_manager() -> Any:
    """Slicer's layout manager; None in batch mode or without an application."""
    application = getattr(slicer, "app", None)
    return None if application is None else application.layoutManager()
