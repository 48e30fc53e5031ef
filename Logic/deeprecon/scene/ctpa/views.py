"""A synthetic CT in the views: windows, samples, the spread over the mean, volume rendering, the projection check."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util import numpy_support

from deeprecon.ctpa.observe.lung_fields import lung_fields
from deeprecon.scene.common.results import nodes_of_run
from deeprecon.scene.ctpa.inputs import stored_inputs
from deeprecon.scene.ctpa.label_maps import COLORS
from deeprecon.scene.display.colors import color_table, show_legend
from deeprecon.scene.display.layouts import FILM, FILM_AND_CT, FILM_VIEW, set_layout, show_film
from deeprecon.scene.display.pictures import Pixels, colored, draw_outline, gray, join_horizontally
from deeprecon.scene.display.views import fit_3d_views, layout_manager

WINDOWS = {"ctpa": (700.0, 100.0), "lung": (1500.0, -600.0), "mediastinum": (350.0, 50.0), "pe": (1000.0, 400.0)}
"""Width and level in HU; "pe" is that in which emboli are read."""
PRESETS = ("CT-Chest-Contrast-Enhanced", "CT-Pulmonary-Arteries")
"""Volume rendering presets of Slicer."""
MAX_SAMPLES = 16
IMAGES = {
    "ct": "Synthetic CT",
    "labels": "Organs over the CT",
    "origin": "What the X-ray shows of the CT",
    **{f"sample_{number:02d}": f"Sample {number}" for number in range(1, MAX_SAMPLES + 1)},
    "spread": "Spread of the samples over their mean",
}
"""Images for the slice views, and their labels."""
_GRAY = "vtkMRMLColorTableNodeGrey"
_MIN_SPREAD = 20.0
"""HU; a smaller spread is transparent."""
_OPACITY = 0.55
OUTLINES = ((255, 200, 60), (70, 190, 255))
"""Colors (yellow, blue) of the outlines of the lung fields: those of the X-ray, and of the projected CT."""
_PIXEL = 4.0
"""Of the picture of an atlas, in mm."""
_WIDTH = 128
"""Maximum width in pixels of each picture of the projection check."""


def available_images(ct: Any) -> list[str]:
    """Names of the images that a result has."""
    roles = nodes_of_run(ct)
    return [name for name in IMAGES if name in roles]


def show_image(ct: Any, name: str, window: str = "ctpa", fade: float = 0.0) -> None:
    """Set up windows and slice views.

    Args:
        ct: volume node that a synthesis gave.
        name: one of `IMAGES`.
        window: one of `WINDOWS`.
        fade: see `fade_film`.
    """
    nodes = nodes_of_run(ct)
    set_window(ct, window)
    spread = nodes.get("spread")
    if spread is not None:
        _color_spread(spread)
    if layout_manager() is not None:
        background = nodes[name] if _is_ct(name) else ct
        slicer.util.setSliceViewerLayers(
            background=background,
            foreground=spread if name == "spread" else None,
            foregroundOpacity=_OPACITY if name == "spread" else 0.0,
            label=nodes[name] if name in COLORS else None,
            labelOpacity=_OPACITY,
            fit=_needs_fit(background),
        )
        show_film(nodes.get("xray") or stored_inputs(ct).xray)
        fade_film(ct, fade)
    if spread is not None:  # after the layers are set: a legend is drawn only in views that show its volume
        _show_legend(spread, on=name == "spread")


def set_window(ct: Any, name: str) -> None:
    """Set the same window for the mean and all samples."""
    width, level = WINDOWS[name]
    for role, node in nodes_of_run(ct).items():
        display = node.GetDisplayNode() if _is_ct(role) else None
        if display is not None:
            with slicer.util.NodeModify(display):
                display.SetAutoWindowLevel(False)
                display.SetWindowLevel(width, level)
                if slicer.mrmlScene.GetNodeByID(_GRAY) is not None:
                    display.SetAndObserveColorNodeID(_GRAY)


def show_xray(node: Any) -> None:
    """Show an X-ray alone, in its own plane."""
    set_layout(FILM)
    show_film(node)


def show_result(ct: Any, name: str, window: str = "ctpa", fade: float = 0.0) -> None:
    """Show a synthetic CT beside its X-ray; arguments as `show_image`."""
    set_layout(FILM_AND_CT)
    show_image(ct, name, window, fade)


def presets() -> list[str]:
    """The volume rendering presets of `PRESETS` that this application has."""
    logic = slicer.modules.volumerendering.logic()
    return [name for name in PRESETS if logic.GetPresetByName(name) is not None]


def rendering(ct: Any) -> str:
    """Name of the volume rendering preset of a CT; empty if it is not rendered."""
    display = slicer.modules.volumerendering.logic().GetFirstVolumeRenderingDisplayNode(ct)
    if display is None or not display.GetVisibility() or display.GetVolumePropertyNode() is None:
        return ""
    return str(display.GetVolumePropertyNode().GetName())


def render(ct: Any, preset: str) -> None:
    """Show a CT in the 3D views with a preset, or hide it there with an empty one."""
    logic = slicer.modules.volumerendering.logic()
    display = logic.GetFirstVolumeRenderingDisplayNode(ct)
    if not preset:
        if display is not None:
            display.SetVisibility(False)
        return
    if display is None:
        display = logic.CreateDefaultVolumeRenderingNodes(ct)
    display.GetVolumePropertyNode().Copy(logic.GetPresetByName(preset))
    display.SetVisibility(True)
    manager = layout_manager()
    if manager is not None:
        fit_3d_views()


def projection_check_image(ct: Any, outlines: bool = False) -> Pixels | None:
    """X-ray, projected CT and their difference in one row; None if the run does not have all three.

    Args:
        ct: volume node that a synthesis gave.
        outlines: draw the lung fields of the X-ray and of the projection into both; see `OUTLINES`.
    """
    nodes = nodes_of_run(ct)
    if not {"xray", "projected", "difference"} <= set(nodes):
        return None
    xray, projected, difference = (_upright(nodes[role]) for role in ("xray", "projected", "difference"))
    low, high = np.percentile(xray, (1, 99))
    limit = 0.5 * float(high - low)
    films = [gray(xray, low, high), gray(projected, low, high)]
    if outlines:
        for image, color in zip((xray, projected), OUTLINES, strict=True):
            fields = lung_fields(image)
            for film in films:
                draw_outline(film, fields, color)
    return join_horizontally([*films, colored(difference, -limit, limit, "residual")])


def fade_film(ct: Any, share: float) -> None:
    """Blend the X-ray of a synthetic CT with the CT's projection, in the view of the X-ray.

    Args:
        ct: volume node that a synthesis gave.
        share: of the projection, 0 to 1.
    """
    manager, nodes = layout_manager(), nodes_of_run(ct)
    widget = None if manager is None else manager.sliceWidget(FILM_VIEW)
    xray, projected = nodes.get("xray"), nodes.get("projected")
    if widget is None or xray is None or projected is None:
        return
    shown, display = xray.GetDisplayNode(), projected.GetDisplayNode()
    with slicer.util.NodeModify(display):  # both have the X-ray's gray values
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(shown.GetWindow(), shown.GetLevel())
    composite = widget.mrmlSliceCompositeNode()
    composite.SetForegroundVolumeID(projected.GetID() if share > 0 else None)
    composite.SetForegroundOpacity(share)


def atlas_pictures(atlases: Sequence[Any]) -> Pixels | None:
    """The middle coronal slice of each volume node in one row, head up and the right on the left; None without any."""
    pictures = []
    for atlas in atlases:
        slices = _middle_coronal(atlas)
        if slices is not None:
            pictures.append(gray(slices, -1000.0, 400.0))
    if not pictures:
        return None
    height = max(picture.shape[0] for picture in pictures)
    framed = [np.pad(each, ((0, height - each.shape[0]), (0, 0), (0, 0))) for each in pictures]
    return join_horizontally(framed)


def _middle_coronal(node: Any) -> Any:
    """(rows, columns) of a volume at about `_PIXEL` mm, by its nearest voxels; None without an image."""
    if node.GetImageData() is None:
        return None
    array = slicer.util.arrayFromVolume(node)
    bounds, matrix = [0.0] * 6, vtk.vtkMatrix4x4()
    node.GetRASBounds(bounds)
    node.GetRASToIJKMatrix(matrix)
    x, z = (np.arange(low, high, _PIXEL) + 0.5 * _PIXEL for low, high in (bounds[:2], bounds[4:]))
    rows, columns = np.meshgrid(z[::-1], x[::-1], indexing="ij")
    points = np.stack([columns, np.full_like(rows, 0.5 * (bounds[2] + bounds[3])), rows, np.ones_like(rows)])
    index = np.rint(np.tensordot(slicer.util.arrayFromVTKMatrix(matrix), points, 1)[:3]).astype(int)
    i, j, k = (np.clip(each, 0, count - 1) for each, count in zip(index, array.shape[::-1], strict=True))
    return array[k, j, i]


def _needs_fit(background: Any) -> bool:
    """Whether to fit the slice views: not if they already show a CT of this run, so that the position is kept."""
    shown = {each.GetBackgroundVolumeID() for each in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode")}
    return shown.isdisjoint({node.GetID() for role, node in nodes_of_run(background).items() if _is_ct(role)})


def _is_ct(role: str) -> bool:
    return role == "ct" or role.startswith("sample_")


def _color_spread(spread: Any) -> None:
    display = spread.GetDisplayNode()
    top = max(100.0, float(np.percentile(_voxels(spread), 99.5)))
    with slicer.util.NodeModify(display):
        display.SetAutoWindowLevel(False)
        display.SetWindowLevel(top, top / 2)
        display.SetAndObserveColorNodeID(color_table("spread").GetID())
        display.SetThreshold(_MIN_SPREAD, 65535)
        display.SetApplyThreshold(True)


def _show_legend(spread: Any, on: bool) -> None:
    if on:
        show_legend(spread, "Spread [HU]", slicer.util.getNodesByClass("vtkMRMLSliceNode")[:1], "%.0f")
    elif (legend := slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(spread)) is not None:
        legend.SetVisibility(False)


def _voxels(node: Any) -> Any:
    """Every 16th voxel of a volume, for percentiles."""
    return numpy_support.vtk_to_numpy(node.GetImageData().GetPointData().GetScalars())[::16]


def _upright(node: Any) -> Any:
    """A coronal slice as (rows from head to foot, columns), at most `_WIDTH` pixels across."""
    array = np.asarray(slicer.util.arrayFromVolume(node), float)[::-1, 0, :]
    step = -(-array.shape[1] // _WIDTH)
    rows, columns = (count // step * step for count in array.shape)
    return array[:rows, :columns].reshape(rows // step, step, columns // step, step).mean(axis=(1, 3))
