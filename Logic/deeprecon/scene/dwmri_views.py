"""Before and after in the slice views: faded into each other, or side by side in linked views of the same plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import slicer.util
from vtk.util import numpy_support

from deeprecon.scene.dwmri_nodes import SEQUENCE
from deeprecon.scene.dwmri_result import recall
from deeprecon.scene.models import color_node
from deeprecon.scene.results import run_of
from deeprecon.scene.views import layout_manager

BESIDE = 5201
"""Number of the layout of three slice views beside each other; Slicer leaves numbers above 500 to modules."""
_EARLIER_LAYOUT = "DeepRecon.EarlierLayout"
"""Attribute of the layout node: what the user had before the views were put side by side."""
SLICES = ("Red", "Yellow", "Green")
_SIGMAS = 3.0
"""Noise levels at the ends of the residual's colors."""
_FA = (0.0, 1.0)
_MD = (0.0, 3e-3)  # mm2/s, that of free water
_GRAY = "vtkMRMLColorTableNodeGrey"


@dataclass(frozen=True)
class Picture:
    """What can be compared.

    Attributes:
        text: for the user.
        before, after: roles of the run, "input" for the scan that was enhanced; `before` is empty where there is none.
        third: role shown beside the two where views are side by side; empty for none.
    """

    text: str
    before: str
    after: str
    third: str = ""


PICTURES = {
    "scan": Picture("Scan before and after", "input", "dwi", "residual"),
    "residual": Picture("Residual (before minus after)", "", "residual"),
    "fa": Picture("FA before and after", "fa_before", "fa_after"),
    "color_fa": Picture("Color FA before and after", "color_fa_before", "color_fa_after"),
    "md": Picture("MD before and after", "md_before", "md_after"),
    "noise": Picture("Noise level", "", "noise"),
    "uncertainty": Picture("Uncertainty (standard error)", "", "uncertainty"),
}


def offered(result_node: Any) -> list[str]:
    """Names of the pictures that a result has all images for."""
    roles = set(_images(result_node))
    return [name for name, picture in PICTURES.items() if {picture.before, picture.after} - {""} <= roles]


def show_picture(result_node: Any, name: str, fade: float = 1.0, beside: bool = False, volume: int = 0) -> None:
    """Set up images and slice views.

    Args:
        result_node: scan that an enhancement gave.
        name: one of `PICTURES`.
        fade: 0 shows before, 1 after.
        beside: before, after and residual in three linked views of the same plane.
        volume: of the scans and the residual.
    """
    picture, images = PICTURES[name], _images(result_node)
    before, after = images.get(picture.before), images[picture.after]
    third = images.get(picture.third)
    _set_windows(picture, images)
    select_volume(result_node, volume)
    shown = [_shown(node) for node in (before, after, third) if node is not None]
    if layout_manager() is None:
        return
    _lay_out(beside and len(shown) > 1)
    if beside and len(shown) > 1:
        _side_by_side(shown)
    else:
        _one_upon_other(shown[0] if before is not None else None, shown[1] if before is not None else shown[0], fade)


def show_scan(node: Any) -> None:
    """Show a scan by itself."""
    if layout_manager() is not None:
        _lay_out(False)
        _one_upon_other(None, _shown(node), 1.0)


def fade_to(fade: float) -> None:
    """Blend the slice views from before (0) to after (1)."""
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        if composite.GetBackgroundVolumeID() is not None:
            composite.SetForegroundOpacity(fade)


def select_volume(result_node: Any, volume: int) -> None:
    """Show this volume of the scan before and after, and of the residual."""
    images = _images(result_node)
    for node in (images.get("input"), images.get("dwi"), images.get("residual")):
        if node is None:
            continue
        if node.IsA(SEQUENCE):
            browser = _browser(node)
            browser.SetSelectedItemNumber(min(volume, node.GetNumberOfDataNodes() - 1))
            slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
        elif node.GetDisplayNode() is not None:
            node.GetDisplayNode().SetDiffusionComponent(min(volume, node.GetNumberOfGradients() - 1))
    _set_scan_windows(images, volume)


def _images(result_node: Any) -> dict[str, Any]:
    """Role -> node of the run's images, and "input"."""
    images = dict(run_of(result_node))
    source = recall(result_node).dwi
    return {**images, "input": source} if source is not None else images


def _lay_out(beside: bool) -> None:
    """Three slice views of one plane beside each other, or the views as they were."""
    manager = layout_manager()
    node = manager.layoutLogic().GetLayoutNode()
    if not node.IsLayoutDescription(BESIDE):
        node.AddLayoutDescription(BESIDE, _description())
    if beside and manager.layout != BESIDE:
        node.SetAttribute(_EARLIER_LAYOUT, str(manager.layout))
        manager.setLayout(BESIDE)
        for name in SLICES:
            manager.sliceWidget(name).mrmlSliceNode().SetOrientationToAxial()
    elif not beside and manager.layout == BESIDE:
        manager.setLayout(int(node.GetAttribute(_EARLIER_LAYOUT) or slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView))
        for name in SLICES:
            manager.sliceWidget(name).mrmlSliceNode().SetOrientationToDefault()


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


def _side_by_side(shown: list[Any]) -> None:
    manager = layout_manager()
    for index, name in enumerate(SLICES):
        widget = manager.sliceWidget(name)
        composite = widget.mrmlSliceCompositeNode()
        composite.SetLinkedControl(False)  # each view has an image of its own
        image = shown[index] if index < len(shown) else None
        composite.SetBackgroundVolumeID(None if image is None else image.GetID())
        composite.SetForegroundVolumeID(None)
        composite.SetLabelVolumeID(None)
        widget.mrmlSliceNode().RotateToVolumePlane(shown[0])
    for name in SLICES:
        manager.sliceWidget(name).mrmlSliceCompositeNode().SetLinkedControl(True)  # they move together
    slicer.util.resetSliceViews()


def _one_upon_other(before: Any, after: Any, fade: float) -> None:
    background, foreground = (after, None) if before is None else (before, after)
    slicer.util.setSliceViewerLayers(
        background=background, foreground=foreground, foregroundOpacity=fade, label=None, fit=True,
        rotateToVolumePlane=True,
    )  # fmt: skip
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        composite.SetLinkedControl(True)


def _shown(node: Any) -> Any:
    """The node that views can show: of a sequence, the volume that its browser has selected."""
    if not node.IsA(SEQUENCE):
        return node
    browser = _browser(node)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    return browser.GetProxyNode(node)


def _browser(sequence: Any) -> Any:
    for browser in slicer.util.getNodesByClass("vtkMRMLSequenceBrowserNode"):
        if browser.IsSynchronizedSequenceNode(sequence, True):
            return browser
    browser = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{sequence.GetName()} browser")
    browser.AddSynchronizedSequenceNode(sequence)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    return browser


def _set_windows(picture: Picture, images: dict[str, Any]) -> None:
    """The same window before and after, so that what differs is the image."""
    for role in (picture.before, picture.after):
        node = images.get(role)
        if node is None or role in ("input", "dwi", "residual") or role.startswith("color"):
            continue
        ends = _FA if role.startswith("fa") else _MD if role.startswith("md") else (0.0, _top(node))
        _window(node.GetDisplayNode(), *ends, _GRAY)


def _set_scan_windows(images: dict[str, Any], volume: int) -> None:
    reference = images.get("dwi")
    if reference is None:
        return
    top = _top(_shown(reference), volume)
    for role in ("input", "dwi"):
        if images.get(role) is not None:
            _window(_shown(images[role]).GetDisplayNode(), 0.0, top, _GRAY)
    if images.get("residual") is not None and images.get("noise") is not None:
        limit = _SIGMAS * float(np.median(_inside(images["noise"])))
        _window(_shown(images["residual"]).GetDisplayNode(), -limit, limit, color_node("residual").GetID())


def _window(display: Any, low: float, high: float, color: str) -> None:
    if display is None:
        return
    with slicer.util.NodeModify(display):
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(high - low, (high + low) / 2)
        if slicer.mrmlScene.GetNodeByID(color) is not None:
            display.SetAndObserveColorNodeID(color)


def _top(node: Any, volume: int = 0) -> float:
    """Just below the brightest value of an image, or of one volume of a scan."""
    values = numpy_support.vtk_to_numpy(node.GetImageData().GetPointData().GetScalars())
    if values.ndim > 1:
        values = values[:, min(volume, values.shape[1] - 1)]
    return max(float(np.percentile(values, 99.7)), 1e-9)


def _inside(node: Any) -> Any:
    values = numpy_support.vtk_to_numpy(node.GetImageData().GetPointData().GetScalars())
    return values[values > 0] if (values > 0).any() else values
