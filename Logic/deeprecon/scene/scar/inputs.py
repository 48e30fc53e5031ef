"""The inputs of a reconstruction: taken from the module's parameter node, stored on the result, restored from it."""

from __future__ import annotations

import enum
from dataclasses import replace
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.scar.parameters import Frame, Method, ReconstructParameters, Shell, Unit
from deeprecon.scene.common.stored_inputs import read_choices, restore_settings, stored_parameters, write_inputs
from deeprecon.scene.nodes.parameters import to_dataclass
from deeprecon.scene.scar.job import ScarNodes, ScarStack, fits_core
from deeprecon.scene.scar.segments import find_segments, segment_choices

REFERENCES = {
    "segmentation": "DeepRecon.Segmentation",
    "volume": "DeepRecon.Volume",
    "mesh": "DeepRecon.Mesh",
    "landmarks": "DeepRecon.Landmarks",
}
STACK_REFERENCES = {"segmentation": REFERENCES["segmentation"], "volume": REFERENCES["volume"]}
"""Node references of further stacks; the number of the stack, from 2, is appended."""
MAX_STACKS = 4
CHOICES = "DeepRecon.Choices"

SEGMENTS = {
    "myocardiumSegment": "myocardium",
    "scarSegment": "scar",
    "noReflowSegment": "no-reflow",
    "remoteSegment": "remote",
}
"""Parameters that hold segment IDs, and the segments' roles."""

OUTPUTS = {"outputMesh": "mesh", "outputSegmentation": "segmentation", "outputTable": "table", "outputSlices": "slices"}
"""Parameters that hold results, and their roles in result.json."""

STACKS = tuple((f"segmentation{number}", f"inputVolume{number}") for number in range(2, MAX_STACKS + 1))
"""Parameters that hold the segmentation and the volume of each further stack."""


_TYPICAL_SECONDS = {Method.FIELD: 20.0, Method.MLP: 60.0}
"""Training time of the default number of steps on two cores."""


class ScarSource(enum.Enum):
    """Source of the scar in the slices."""

    SEGMENT = "segment"
    INTENSITIES = "intensities"
    NONE = "none"


def choose_segments(node: Any) -> dict[str, str]:
    """Choose segments by their names where the segmentation of a parameter node has others than those known.

    Returns:
        What can be chosen: segment ID -> name.
    """
    segments = segment_choices(node.segmentation)
    known = list(node.knownSegments)
    if known != list(segments):
        node.knownSegments = list(segments)
        removed = set(known) - set(segments) if set(segments) < set(known) else set()
        for name, role in SEGMENTS.items():
            if (chosen := getattr(node, name)) in removed:  # never another one in place of it
                setattr(node, name, "")
            elif chosen not in segments:
                setattr(node, name, find_segments(node.segmentation).get(role, ""))
    return segments


def nodes_of(node: Any) -> ScarNodes:
    """The input nodes of a parameter node."""
    chosen = (ScarStack(*(getattr(node, name) for name in names)) for names in STACKS)
    return ScarNodes(
        segmentation=node.segmentation,
        segments={role: getattr(node, name) for name, role in SEGMENTS.items() if getattr(node, name)},
        volume=node.inputVolume,
        mesh=node.mesh,
        from_intensities=node.scarSource is ScarSource.INTENSITIES,
        no_scar=node.scarSource is ScarSource.NONE,
        mesh_unit=node.settings.mesh_unit,
        mesh_frame=node.settings.mesh_frame,
        landmarks=node.landmarks,
        stacks=tuple(stack for stack in chosen if stack != ScarStack()),
    )


def settings_of(node: Any) -> ReconstructParameters:
    """The settings of a parameter node, without those that its inputs have no use for.

    These are the core threshold where the scar comes from a segment, and those of a mesh where there is none.
    """
    settings: ReconstructParameters = to_dataclass(node.settings)
    if node.scarSource is not ScarSource.INTENSITIES:
        settings = replace(settings, core_threshold="")
    if node.mesh is None:
        settings = replace(settings, tag_array="", mesh_region=(), shell=Shell.AUTO)
    return replace(settings, no_scar=node.scarSource is ScarSource.NONE)


def outputs_of(node: Any) -> dict[str, Any]:
    """The result nodes of a parameter node, by role in result.json."""
    return {role: getattr(node, name) for name, role in OUTPUTS.items()}


def is_result(node: Any) -> bool:
    """Whether a node, or None, is the mesh of a scar reconstruction."""
    return node is not None and bool(node.GetAttribute(CHOICES))


def store_inputs(result_node: Any, nodes: ScarNodes) -> None:
    """Store the inputs of a run on its result mesh."""
    references = {role: getattr(nodes, name) for name, role in REFERENCES.items()}
    for number in range(2, MAX_STACKS + 1):
        stack = nodes.stacks[number - 2] if number - 2 < len(nodes.stacks) else ScarStack()
        references |= {f"{role}{number}": getattr(stack, name) for name, role in STACK_REFERENCES.items()}
    choices = {
        "segments": dict(nodes.segments),
        "from_intensities": nodes.from_intensities,
        "no_scar": nodes.no_scar,
        "mesh_unit": nodes.mesh_unit.value,
        "mesh_frame": nodes.mesh_frame.value,
        "stacks": len(nodes.stacks),
    }
    write_inputs(result_node, CHOICES, references, choices)


def stored_inputs(result_node: Any) -> ScarNodes:
    """The inputs of a result mesh; those that were removed from the scene are None.

    Raises:
        InputError: the node is None, or no result of a scar reconstruction.
    """
    choices = read_choices(result_node, CHOICES, "Scar Reconstruction")
    nodes = {name: result_node.GetNodeReference(role) for name, role in REFERENCES.items()}
    unit, frame = Unit(choices.pop("mesh_unit")), Frame(choices.pop("mesh_frame"))
    stacks = tuple(
        ScarStack(**{name: result_node.GetNodeReference(f"{role}{number}") for name, role in STACK_REFERENCES.items()})
        for number in range(2, choices.pop("stacks") + 2)
    )
    return ScarNodes(**nodes, **choices, mesh_unit=unit, mesh_frame=frame, stacks=stacks)


def restore_inputs(parameter_node: Any, result_mesh: Any) -> None:
    """Set a parameter node to the inputs and settings of a result mesh.

    Raises:
        InputError: there is no result, or one of its stacks is not in the scene any more; nothing is changed then.
    """
    nodes = stored_inputs(result_mesh)
    for number, stack in enumerate(nodes.stacks, 2):
        if stack.segmentation is None:
            raise InputError(
                f"Stack {number} of this result is not in the scene any more.", "Load and choose it again."
            )
    settings = stored_parameters(result_mesh, ReconstructParameters)
    node = parameter_node
    node.inputVolume, node.segmentation, node.mesh = nodes.volume, nodes.segmentation, nodes.mesh
    node.landmarks = nodes.landmarks
    for names, stack in zip(STACKS, (*nodes.stacks, *[ScarStack()] * len(STACKS)), strict=False):
        for name, chosen in zip(names, (stack.segmentation, stack.volume), strict=True):
            setattr(node, name, chosen)
    for name, role in SEGMENTS.items():
        setattr(node, name, nodes.segments.get(role, ""))
    drawn = ScarSource.NONE if nodes.no_scar else ScarSource.SEGMENT
    node.scarSource = ScarSource.INTENSITIES if nodes.from_intensities else drawn
    settings = replace(settings, mesh_unit=nodes.mesh_unit, mesh_frame=nodes.mesh_frame)
    restore_settings(node, result_mesh, settings)


def training_seconds(settings: ReconstructParameters, nodes: ScarNodes) -> float | None:
    """Training time in seconds, a typical one without a budget; None if the settings give a number of steps."""
    if settings.method is Method.INTERPOLATION:
        return 0.0
    fits = 2 if fits_core(nodes, settings) else 1
    return None if settings.steps else fits * (settings.budget or _TYPICAL_SECONDS[settings.method])
