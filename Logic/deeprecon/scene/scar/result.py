"""A scar reconstruction's results in the scene: loaded, put into words, shown, and what they were made from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.scar.parameters import Frame, Unit
from deeprecon.scene.common.results import load_results, read_result, run_of
from deeprecon.scene.display.views import show_in_views
from deeprecon.scene.nodes.models import show_scalars
from deeprecon.scene.scar.job import OUTPUT, ScarNodes, ScarStack

REFERENCES = {
    "segmentation": "DeepRecon.Segmentation",
    "volume": "DeepRecon.Volume",
    "mesh": "DeepRecon.Mesh",
    "landmarks": "DeepRecon.Landmarks",
}
STACK_REFERENCES = {"segmentation": REFERENCES["segmentation"], "volume": REFERENCES["volume"]}
"""The same of further stacks; their numbers, from 2, stand behind."""
MOST_STACKS = 4
CHOICES = "DeepRecon.Choices"
SEE_THROUGH = 0.4
"""Opacity of a mesh that has something inside."""

TITLES = {
    "volume_ml": "ml",
    "area_cm2": "cm²",
    "mass_g": "g",
    "percent_of_wall": "% of wall",
    "low_ml": "from ml",
    "high_ml": "to ml",
    "low_cm2": "from cm²",
    "high_cm2": "to cm²",
    "largest_piece_ml": "largest ml",
    "largest_piece_cm2": "largest cm²",
    "interface_cm2": "border cm²",
    "wall_ml": "wall ml",
    "scar_ml": "scar ml",
    "scar_g": "scar g",
    "scar_percent": "scar %",
    "mean_transmurality_percent": "transmurality %",
    "transmural_share_percent": "transmural area %",
    "transmurality_percent": "transmurality %",
    "length_mm": "length mm",
    "width_mm": "narrowest mm",
    "scar_probability": "scar probability",
    "open_probability": "probability to be open",
    "dice": "Dice",
    "rms": "RMS error",
    "observed_scar_cm2": "observed cm²",
    "predicted_scar_cm2": "predicted cm²",
}
"""Columns of the tables and their titles in the panel."""

SHOWN = {
    "scar_probability": "Scar probability",
    "scar_uncertainty": "Uncertainty",
    "scar_entropy": "Entropy (bits)",
    "scar_binary": "Scar or healthy",
    "core_probability": "Core probability",
    "scar_transmurality": "Transmurality",
    "group_residual": "Mean of a pixel minus its observation",
}
"""Arrays at the nodes that a mesh can be colored by, and their names."""
SCALES = {
    "scar_uncertainty": ("uncertainty", (0.0, 0.5)),  # a standard deviation of probabilities: 0.5 at most
    "scar_entropy": ("uncertainty", (0.0, 1.0)),
    "group_residual": ("residual", (-0.5, 0.5)),
}
"""Ramps and ranges of those that are no share of scar."""


@dataclass(frozen=True)
class ScarResult:
    """What a run found.

    Attributes:
        nodes: result nodes by role: "mesh", "table", "slices" and, where the mesh is closed, "segmentation"; where they
            were found, the tables "aha", "transmurality" and "channels" and the lines "channel_paths".
        sentence: about the scar.
        report: page with pictures.
    """

    nodes: Mapping[str, Any]
    sentence: str
    report: Path


def load_outputs(folder: Path, nodes: ScarNodes, reuse: Mapping[str, Any] | None = None) -> ScarResult:
    """Load what a finished job folder holds: all of it or nothing.

    Args:
        folder: the job folder.
        nodes: what the result was made from; it is noted on the result's mesh.
        reuse: role -> node of an earlier run whose content is replaced.

    Raises:
        InputError: no result, or one that is damaged.
    """
    source = nodes.volume if nodes.volume is not None else nodes.segmentation
    made = load_results(folder / OUTPUT, f"{source.GetName()} scar", source, reuse)
    remember(made["mesh"], nodes)
    name_columns(made)
    sentence = _sentence(read_result(folder / OUTPUT).get("metrics", {}))
    return ScarResult(made, sentence, folder / OUTPUT / "report.html")


def name_columns(nodes: Mapping[str, Any]) -> None:
    """Give the columns of all tables the titles that the panel shows."""
    for node in nodes.values():
        if node.IsA("vtkMRMLTableNode"):
            for column, title in TITLES.items():
                if node.GetTable().GetColumnByName(column):
                    node.SetColumnTitle(column, title)


def _sentence(metrics: Mapping[str, Any]) -> str:
    measure, unit = ("volume", "ml") if "volume_ml" in metrics else ("area", "cm2")
    size = metrics.get(f"{measure}_{unit}")
    if size is None:
        return "Done."
    if size == 0:
        return "No scar was found. If the images show some, check the scar segment or lower the threshold."
    low, high = metrics.get(f"low_{unit}"), metrics.get(f"high_{unit}")
    interval = "" if low is None or high is None else f" (95 % interval {low:.1f} to {high:.1f})"
    share = metrics["percent_of_wall"]
    return f"Scar {measure}: {size:.1f} {unit.replace('2', '²')}{interval}, {share:.0f} % of the wall."


def remember(result_node: Any, nodes: ScarNodes) -> None:
    """Note on a result node what it was made from, so that it can be repeated also from a saved scene."""
    references = {role: getattr(nodes, name) for name, role in REFERENCES.items()}
    for number in range(2, MOST_STACKS + 1):
        stack = nodes.stacks[number - 2] if number - 2 < len(nodes.stacks) else ScarStack()
        references |= {f"{role}{number}": getattr(stack, name) for name, role in STACK_REFERENCES.items()}
    for role, node in references.items():
        result_node.SetNodeReferenceID(role, None if node is None else node.GetID())
    choices = {
        "segments": dict(nodes.segments),
        "from_intensities": nodes.from_intensities,
        "mesh_unit": nodes.mesh_unit.value,
        "mesh_frame": nodes.mesh_frame.value,
        "stacks": len(nodes.stacks),
    }
    result_node.SetAttribute(CHOICES, json.dumps(choices))


def recall(result_node: Any) -> ScarNodes:
    """What a result node was made from; inputs that were removed from the scene are None.

    Raises:
        InputError: the node is no result of a scar reconstruction.
    """
    text = result_node.GetAttribute(CHOICES)
    if not text:
        raise InputError(
            f"{result_node.GetName()} is not a result of Scar Reconstruction.", "Choose one under Results."
        )
    choices = json.loads(text)
    nodes = {name: result_node.GetNodeReference(role) for name, role in REFERENCES.items()}
    unit, frame = Unit(choices.pop("mesh_unit")), Frame(choices.pop("mesh_frame"))
    stacks = tuple(
        ScarStack(**{name: result_node.GetNodeReference(f"{role}{number}") for name, role in STACK_REFERENCES.items()})
        for number in range(2, choices.pop("stacks") + 2)
    )
    return ScarNodes(**nodes, **choices, mesh_unit=unit, mesh_frame=frame, stacks=stacks)


def is_result(node: Any) -> bool:
    """Whether a node is a result of a scar reconstruction."""
    return bool(node.GetAttribute(CHOICES))


def show_result(mesh: Any, name: str) -> None:
    """Color a result mesh by one of `SHOWN`, with a legend, and set up the views: the wall's outlines on the slices.

    Where channels were found, the mesh is half transparent, for they lie inside the wall.
    """
    ramp, ends = SCALES.get(name, ("scar", (0.0, 1.0)))
    show_scalars(mesh, name, ramp, ends, SHOWN[name])
    run = run_of(mesh)
    mesh.GetDisplayNode().SetOpacity(SEE_THROUGH if "channel_paths" in run else 1.0)
    show_in_views(recall(mesh).volume, run.get("segmentation"), mesh)
