"""A scar reconstruction in the views: the mesh colored by an array, the segments as outlines on the slices."""

from __future__ import annotations

from typing import Any

from deeprecon.scene.common.results import nodes_of_run
from deeprecon.scene.display.colors import show_scalars
from deeprecon.scene.display.layouts import BESIDE_3D, set_layout
from deeprecon.scene.display.views import show_in_views
from deeprecon.scene.scar.inputs import stored_inputs

ARRAYS = {
    "scar_probability": "Scar probability",
    "scar_uncertainty": "Uncertainty",
    "scar_entropy": "Entropy (bits)",
    "scar_binary": "Scar or healthy",
    "core_probability": "Core probability",
    "border_zone_probability": "Border zone probability",
    "border_zone_uncertainty": "Border zone uncertainty",
    "scar_transmurality": "Transmurality",
    "scar_probability_agreed": "Scar probability that agrees with the pixels",
    "group_residual": "Mean of a pixel minus its observation",
}
"""Arrays at the nodes that a mesh can be colored by, and their names."""
COLOR_RANGES = {
    "scar_uncertainty": ("uncertainty", (0.0, 0.5)),  # a standard deviation of probabilities: 0.5 at most
    "border_zone_uncertainty": ("uncertainty", (0.0, 0.5)),
    "scar_entropy": ("uncertainty", (0.0, 1.0)),
    "group_residual": ("residual", (-0.5, 0.5)),
}
"""Color ramp and range of the arrays that are no probability of scar."""

MESH_OPACITY = 0.4
"""Opacity of a mesh with channels inside its wall."""


def color_result(mesh: Any, name: str) -> None:
    """Color a result mesh by one of `ARRAYS`, with a legend.

    A mesh with channels is half transparent, because they lie inside the wall.
    """
    ramp, value_range = COLOR_RANGES.get(name, ("scar", (0.0, 1.0)))
    show_scalars(mesh, name, ramp, value_range, ARRAYS[name])
    mesh.GetDisplayNode().SetOpacity(MESH_OPACITY if "channel_paths" in nodes_of_run(mesh) else 1.0)


def show_result(mesh: Any, name: str) -> None:
    """Show a result mesh colored by one of `ARRAYS` in 3D, beside the slices with the outlines of its segments."""
    set_layout(BESIDE_3D)
    color_result(mesh, name)
    show_in_views(stored_inputs(mesh).volume, nodes_of_run(mesh).get("segmentation"), mesh)
