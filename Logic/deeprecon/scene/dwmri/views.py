"""Images before and after in the slice views: blended, or side by side in linked views of the same plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
import slicer.util
from vtk.util import numpy_support

from deeprecon.scene.common.results import put_beside
from deeprecon.scene.display.colors import color_table, show_legend
from deeprecon.scene.display.side_by_side import (
    set_side_by_side_layout,
    show_blended,
    show_in_separate_views,
    slice_nodes,
)
from deeprecon.scene.display.views import layout_manager
from deeprecon.scene.dwmri.result import images_of
from deeprecon.scene.dwmri.scan import SEQUENCE, count_volumes, gradients_of

_SIGMAS = 3.0
"""Noise levels at the ends of the residual's colors."""
_RANGES = {
    "fa": (0.0, 1.0),
    "md": (0.0, 3e-3),  # mm2/s, that of free water
    "fa_change": (-0.2, 0.2),
    "md_change": (-5e-4, 5e-4),
}
"""Fixed values at the ends of the colors."""
_RAMP_OF = {
    "fa_change": "residual",
    "md_change": "residual",
    "noise": "spread",
    "uncertainty": "spread",
}
"""Color ramps of maps; images are gray."""
LEGENDS = {
    "residual": ("Residual", "%.0f"),
    "fa": ("FA", "%.2f"),
    "md": ("MD [mm²/s]", "%.1e"),
    "fa_change": ("FA change", "%.2f"),
    "md_change": ("MD change", "%.1e"),
    "noise": ("Noise", "%.3g"),
    "uncertainty": ("Error", "%.3g"),
}
"""Title of a map's legend, and the format of its numbers."""
_LEGEND_PLACE = (0.97, 0.92)
_GRAY = "vtkMRMLColorTableNodeGrey"


@dataclass(frozen=True)
class Comparison:
    """A pair of images to compare, or a single one.

    Attributes:
        text: label for the user.
        before, after: roles of the run, "input" for the scan that was enhanced; `before` is empty for a single image.
        third: role shown next to the two in the side-by-side layout; empty for none.
        note: explanation of its colors.
    """

    text: str
    before: str
    after: str
    third: str = ""
    note: str = ""


_COLORS = "Red: left to right, green: front to back, blue: up and down; as bright as FA."
COMPARISONS = {
    "scan": Comparison("Scan before and after", "input", "dwi", "residual"),
    "residual": Comparison("Residual (before minus after)", "", "residual"),
    "fa": Comparison("FA before and after", "fa_before", "fa_after", "fa_change"),
    "color_fa": Comparison("Color FA before and after", "color_fa_before", "color_fa_after", "fa_change", _COLORS),
    "md": Comparison("MD before and after", "md_before", "md_after", "md_change"),
    "noise": Comparison("Noise level", "", "noise"),
    "uncertainty": Comparison("Uncertainty (standard error)", "", "uncertainty"),
}


def describe(scan: Any, name: str, number: int) -> str:
    """Description of what is shown: the volume of a series, else the note of the comparison.

    Args:
        scan: result of an enhancement.
        name: one of `COMPARISONS`.
        number: of the volume.
    """
    if not is_series(name) or number >= count_volumes(scan):
        return COMPARISONS[name].note
    table = gradients_of(scan)
    if table.b0[number]:
        return f"Volume {number}: b0"
    right, front, up = table.directions[number]
    return f"Volume {number}: b = {table.bvals[number]:.0f} s/mm², direction ({right:.2f}, {front:.2f}, {up:.2f}) RAS"


def is_series(name: str) -> bool:
    """Whether a comparison shows one volume of a series."""
    return COMPARISONS[name].after in ("dwi", "residual")


def available_comparisons(result_node: Any) -> list[str]:
    """Names of the comparisons whose images a result has."""
    roles = set(images_of(result_node))
    return [name for name, comparison in COMPARISONS.items() if {comparison.before, comparison.after} - {""} <= roles]


def show_comparison(
    result_node: Any, name: str, fade: float = 1.0, side_by_side: bool = False, volume: int = 0
) -> None:
    """Show a comparison in the slice views.

    Args:
        result_node: scan that an enhancement gave.
        name: one of `COMPARISONS`.
        fade: 0 shows before, 1 after.
        side_by_side: before, after and the change in three linked views of the same plane.
        volume: of the scans and the residual.
    """
    comparison, images = COMPARISONS[name], images_of(result_node)
    roles = [role for role in (comparison.before, comparison.after, comparison.third) if images.get(role) is not None]
    _set_windows(images)
    select_volume(result_node, volume)
    if layout_manager() is None:
        return
    side_by_side = side_by_side and bool(comparison.before)
    set_side_by_side_layout(side_by_side)
    views = slice_nodes()
    if side_by_side:
        show_in_separate_views([_shown(images[role]) for role in roles])
        # no legend in the first view: it has the same colors as the second
        _show_legends(images, dict(zip(roles[1:], views[1:], strict=False)))
        return
    pair = [_shown(images[role]) for role in roles if role != comparison.third]
    show_blended(pair[0], pair[1] if len(pair) > 1 else None, fade)
    _show_legends(images, {comparison.after: views[0]})


def show_scan(node: Any) -> None:
    """Show a scan, or any volume, alone."""
    if layout_manager() is not None:
        set_side_by_side_layout(False)
        show_blended(_shown(node), None, 1.0)
        for legend in slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode"):
            if legend.GetDisplayableNode() is not None and legend.GetDisplayableNode().IsA("vtkMRMLVolumeNode"):
                legend.SetVisibility(False)


def set_foreground_opacity(fade: float) -> None:
    """Blend the slice views from before (0) to after (1)."""
    for composite in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
        if composite.GetBackgroundVolumeID() is not None:
            composite.SetForegroundOpacity(fade)


def select_volume(result_node: Any, volume: int) -> None:
    """Show this volume of the scan before and after, and of the residual."""
    images = images_of(result_node)
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


def _shown(node: Any) -> Any:
    """The node for the views: of a sequence, the proxy of the selected volume."""
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
    for node in (browser, browser.GetProxyNode(sequence)):
        put_beside(node, sequence)
    return browser


def _set_windows(images: dict[str, Any]) -> None:
    """Set the same fixed window and colors for the maps before and after."""
    for role, node in images.items():
        if role in ("input", "dwi", "residual", "mask") or role.startswith("color"):
            continue
        name = role.removesuffix("_before").removesuffix("_after")
        value_range = _RANGES.get(name) or (0.0, _top(node))
        _window(node.GetDisplayNode(), *value_range, _color(_RAMP_OF.get(name)))


def _color(ramp: str | None) -> str:
    return _GRAY if ramp is None else str(color_table(ramp).GetID())


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
        _window(_shown(images["residual"]).GetDisplayNode(), -limit, limit, _GRAY)  # no difference is mid-gray


def _window(display: Any, low: float, high: float, color: str) -> None:
    if display is None:
        return
    with slicer.util.NodeModify(display):
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(high - low, (high + low) / 2)
        display.SetInterpolate(True)
        if slicer.mrmlScene.GetNodeByID(color) is not None:
            display.SetAndObserveColorNodeID(color)


def _show_legends(images: dict[str, Any], shown: dict[str, Any]) -> None:
    """Show a legend for each map in its view, and hide the others.

    Args:
        images: role -> node of the run.
        shown: role -> slice node of the view with its legend.
    """
    logic = slicer.vtkSlicerColorLogic
    for role, node in images.items():
        if role == "mask":
            continue
        node = _shown(node)
        legend = logic.GetColorLegendDisplayNode(node)
        name = role.removesuffix("_before").removesuffix("_after")
        if role in shown and name in LEGENDS:
            title, number_format = LEGENDS[name]
            legend = show_legend(node, title, [shown[role]], number_format)
            legend.RemoveAllViewNodeIDs()
            legend.AddViewNodeID(shown[role].GetID())
            legend.SetPosition(*_LEGEND_PLACE)  # only one legend in each view
        elif legend is not None:
            legend.SetVisibility(False)


def _top(node: Any, volume: int = 0) -> float:
    """The 99.7th percentile of an image, or of one volume of a scan."""
    values = numpy_support.vtk_to_numpy(node.GetImageData().GetPointData().GetScalars())
    if values.ndim > 1:
        values = values[:, min(volume, values.shape[1] - 1)]
    return max(float(np.percentile(values, 99.7)), 1e-9)


def _inside(node: Any) -> Any:
    values = numpy_support.vtk_to_numpy(node.GetImageData().GetPointData().GetScalars())
    return values[values > 0] if (values > 0).any() else values
