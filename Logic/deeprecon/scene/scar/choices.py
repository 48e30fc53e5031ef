"""What the user chose in the scar panel: from the module's parameter node to nodes and settings, and back."""

from __future__ import annotations

import enum
from dataclasses import replace
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.jobs.parameters import from_json
from deeprecon.scar.parameters import Method, ReconstructParameters
from deeprecon.scene.common.provenance import provenance_of
from deeprecon.scene.nodes.parameters import from_dataclass, to_dataclass
from deeprecon.scene.scar.job import ScarNodes, ScarStack, tells_core
from deeprecon.scene.scar.result import MOST_STACKS, recall

SEGMENTS = {
    "myocardiumSegment": "myocardium",
    "scarSegment": "scar",
    "noReflowSegment": "no-reflow",
    "remoteSegment": "remote",
}
"""Parameters that hold segment IDs, and the segments' roles."""

OUTPUTS = {"outputMesh": "mesh", "outputSegmentation": "segmentation", "outputTable": "table", "outputSlices": "slices"}
"""Parameters that hold results, and their roles in result.json."""

STACKS = tuple((f"segmentation{number}", f"inputVolume{number}") for number in range(2, MOST_STACKS + 1))
"""Parameters that hold the segmentation and the volume of each further stack."""


class ScarSource(enum.Enum):
    """What the slices say about the scar."""

    SEGMENT = "segment"
    INTENSITIES = "intensities"


def nodes_of(node: Any) -> ScarNodes:
    """The nodes that a parameter node names."""
    chosen = (ScarStack(*(getattr(node, name) for name in names)) for names in STACKS)
    return ScarNodes(
        segmentation=node.segmentation,
        segments={role: getattr(node, name) for name, role in SEGMENTS.items() if getattr(node, name)},
        volume=node.inputVolume,
        mesh=node.mesh,
        from_intensities=node.scarSource is ScarSource.INTENSITIES,
        mesh_unit=node.settings.mesh_unit,
        mesh_frame=node.settings.mesh_frame,
        landmarks=node.landmarks,
        stacks=tuple(stack for stack in chosen if stack != ScarStack()),
    )


def settings_of(node: Any) -> ReconstructParameters:
    """The settings that a parameter node names; a scar that was drawn has no intensities for a core threshold."""
    settings: ReconstructParameters = to_dataclass(node.settings)
    return settings if node.scarSource is ScarSource.INTENSITIES else replace(settings, core_threshold="")


def outputs_of(node: Any) -> dict[str, Any]:
    """The result nodes that a parameter node names, by role in result.json."""
    return {role: getattr(node, name) for name, role in OUTPUTS.items()}


def restore(node: Any, result_mesh: Any) -> None:
    """Set a parameter node to what a result was made from and with.

    Raises:
        InputError: there is no result, or one of its stacks is not in the scene any more; nothing is changed then.
    """
    if result_mesh is None:
        raise InputError("No result is selected.", "Choose one under Results.")
    nodes, provenance = recall(result_mesh), provenance_of(result_mesh)
    for number, stack in enumerate(nodes.stacks, 2):
        if stack.segmentation is None:
            raise InputError(
                f"Stack {number} of this result is not in the scene any more.", "Load and choose it again."
            )
    node.inputVolume, node.segmentation, node.mesh = nodes.volume, nodes.segmentation, nodes.mesh
    node.landmarks = nodes.landmarks
    for names, stack in zip(STACKS, (*nodes.stacks, *[ScarStack()] * len(STACKS)), strict=False):
        for name, chosen in zip(names, (stack.segmentation, stack.volume), strict=True):
            setattr(node, name, chosen)
    for name, role in SEGMENTS.items():
        setattr(node, name, nodes.segments.get(role, ""))
    node.scarSource = ScarSource.INTENSITIES if nodes.from_intensities else ScarSource.SEGMENT
    node.seed = provenance.get("seed", 0)
    settings = from_json(ReconstructParameters, provenance["parameters"])
    from_dataclass(node.settings, replace(settings, mesh_unit=nodes.mesh_unit, mesh_frame=nodes.mesh_frame))


def training_seconds(settings: ReconstructParameters, nodes: ScarNodes) -> float | None:
    """Seconds that the settings give to training; None where steps are given instead."""
    if settings.method is Method.INTERPOLATION:
        return 0.0
    fits = 2 if tells_core(nodes, settings) else 1
    return None if settings.steps else fits * settings.budget
