"""Colors of models and volumes: color tables of our own, models colored by an array, and color legends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import slicer
import slicer.util
import vtk

from deeprecon.data.errors import InputError

Ramp = tuple[tuple[float, tuple[float, float, float]], ...]

RAMPS: dict[str, Ramp] = {
    "scar": ((0.0, (0.93, 0.91, 0.88)), (0.5, (0.95, 0.55, 0.33)), (1.0, (0.60, 0.0, 0.05))),
    "uncertainty": ((0.0, (0.93, 0.91, 0.88)), (0.5, (0.45, 0.66, 0.81)), (1.0, (0.03, 0.19, 0.42))),
    "spread": (
        (0.0, (0.11, 0.03, 0.35)),
        (0.35, (0.55, 0.13, 0.43)),
        (0.7, (0.94, 0.44, 0.18)),
        (1.0, (0.99, 0.96, 0.65)),
    ),
    "residual": (
        (0.0, (0.03, 0.19, 0.42)),
        (0.25, (0.45, 0.66, 0.81)),
        (0.5, (0.93, 0.91, 0.88)),
        (0.75, (0.95, 0.55, 0.33)),
        (1.0, (0.60, 0.0, 0.05)),
    ),
    "activation": (
        (0.0, (0.99, 0.96, 0.65)),
        (0.3, (0.94, 0.44, 0.18)),
        (0.65, (0.55, 0.13, 0.43)),
        (1.0, (0.11, 0.03, 0.35)),
    ),
}
"""Color ramps: (position, (red, green, blue)). Their lightness falls monotonically, also when printed in gray; that of
"residual" falls to both sides of its middle; that of "spread" rises, because it is shown over dark images."""

_RAMP_ATTRIBUTE = "DeepRecon.Ramp"
_STEPS = 256
_BANDS = {"activation": 10}
"""Ramps in a few colors, between which lines of equal value are seen."""
_NAN_COLOR = (0.6, 0.6, 0.6, 1.0)
_LEGEND_SIZE = (0.12, 0.34)
_LEGEND_FONT = 14
_LEGEND_PLACES = ((0.97, 0.85), (0.97, 0.10), (0.03, 0.85), (0.03, 0.10))
"""Positions of legends in a view, as fractions of its width and height; the first free one is taken."""


def show_scalars(
    node: Any, array_name: str, ramp: str = "scar", value_range: tuple[float, float] = (0.0, 1.0), title: str = ""
) -> Any:
    """Color a model by one of its arrays, in 3D and where slices cut it, with a legend in the 3D views.

    Args:
        node: vtkMRMLModelNode.
        array_name: of a point or cell array.
        ramp: one of `RAMPS`.
        value_range: values at the ends of the ramp; fixed, so that results can be compared.
        title: of the legend; the array's name if empty.

    Returns:
        vtkMRMLColorLegendDisplayNode.

    Raises:
        InputError: no such array.
    """
    mesh = node.GetMesh()
    if mesh is not None and mesh.GetPointData().HasArray(array_name):
        location = vtk.vtkAssignAttribute.POINT_DATA
    elif mesh is not None and mesh.GetCellData().HasArray(array_name):
        location = vtk.vtkAssignAttribute.CELL_DATA
    else:
        raise InputError(f"The model {node.GetName()} has no array {array_name}.", "Choose a result of DeepRecon.")
    display = node.GetDisplayNode()
    with slicer.util.NodeModify(display):
        display.SetActiveScalar(array_name, location)
        display.SetAndObserveColorNodeID(color_table(ramp).GetID())
        display.SetScalarRangeFlag(slicer.vtkMRMLDisplayNode.UseManualScalarRange)
        display.SetScalarRange(*value_range)
        display.SetScalarVisibility(True)
        display.SetBackfaceCulling(False)  # show the inside of an open or clipped wall too
        display.SetVisibility(True)
        display.SetVisibility2D(True)
        display.SetSliceIntersectionThickness(2)
        display.SetSliceIntersectionOpacity(0.45)  # a volume mesh fills its cross-section; keep the image visible
    return show_legend(node, title or array_name)


def color_table(ramp: str) -> Any:
    """The color table of a ramp, made on first use and saved with the scene: Slicer's own may be missing.

    What has no value (NaN) is gray.

    Raises:
        KeyError: no such ramp in `RAMPS`.
    """
    nodes = slicer.util.getNodesByClass("vtkMRMLColorTableNode")
    found = [node for node in nodes if node.GetAttribute(_RAMP_ATTRIBUTE) == ramp]
    node = found[0] if found else _new_color_table(ramp)
    node.GetLookupTable().SetNanColor(*_NAN_COLOR)  # a saved scene does not keep it
    return node


def _new_color_table(ramp: str) -> Any:
    function = vtk.vtkColorTransferFunction()
    for position, color in RAMPS[ramp]:
        function.AddRGBPoint(position, *color)
    node = slicer.vtkMRMLColorTableNode()
    node.SetName(f"DeepRecon {ramp}")
    node.SetTypeToUser()
    node.SetAttribute(_RAMP_ATTRIBUTE, ramp)
    node.SetHideFromEditors(False)  # hidden color nodes are not saved
    steps = _BANDS.get(ramp, _STEPS)
    node.SetNumberOfColors(steps)
    for index in range(steps):
        node.SetColor(index, f"{index / (steps - 1):.3f}", *function.GetColor(index / (steps - 1)), 1.0)
    return slicer.mrmlScene.AddNode(node)


def show_legend(node: Any, title: str, views: Sequence[Any] | None = None, label_format: str = "%.2f") -> Any:
    """Show the legend of a node's colors.

    Args:
        node: model or volume.
        title: of the legend.
        views: nodes of the views that show it; the 3D views if left out, because it hides part of a slice view.
        label_format: of the numbers, as printf takes it.

    Returns:
        vtkMRMLColorLegendDisplayNode.
    """
    logic = slicer.vtkSlicerColorLogic
    legend = logic.GetColorLegendDisplayNode(node)
    if legend is None:
        legend = logic.AddDefaultColorLegendDisplayNode(node)
        taken = [
            other.GetPosition()
            for other in slicer.util.getNodesByClass("vtkMRMLColorLegendDisplayNode")
            if other is not legend and other.GetVisibility()
        ]
        free = [place for place in _LEGEND_PLACES if place not in taken]
        legend.SetPosition(*(free or _LEGEND_PLACES)[0])
        legend.SetSize(*_LEGEND_SIZE)
        legend.SetLabelFormat(label_format)
        legend.SetNumberOfLabels(5)
        legend.GetTitleTextProperty().SetFontSize(_LEGEND_FONT)
        legend.GetLabelTextProperty().SetFontSize(_LEGEND_FONT)
        for view in slicer.util.getNodesByClass("vtkMRMLViewNode") if views is None else views:
            legend.AddViewNodeID(view.GetID())
    legend.SetTitleText(title)
    legend.SetVisibility(True)
    return legend
