"""The job of a scar reconstruction, written from nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.markups import write_markups
from deeprecon.data.mesh.files import FRAMES, SCALES, write_mesh
from deeprecon.data.mesh.mesh import Mesh, with_points
from deeprecon.data.segmentation import Segment, Segmentation, write_segmentation
from deeprecon.data.volume_io import write_volume
from deeprecon.jobs.job import Job
from deeprecon.jobs.parameters import to_json
from deeprecon.scar.parameters import Frame, ReconstructParameters, Unit
from deeprecon.scene.common.job import OUTPUT, check_settings
from deeprecon.scene.nodes.markups import points_from_node
from deeprecon.scene.nodes.models import mesh_from_node
from deeprecon.scene.nodes.segmentations import segment_names
from deeprecon.scene.nodes.volumes import volume_from_node
from deeprecon.scene.scar.segments import chosen_volume, find_segments, segment_choices
from deeprecon.steps import Apart, Steps, in_steps

COLORS = {
    "myocardium": (0.7, 0.35, 0.3),
    "scar": (0.95, 0.85, 0.2),
    "core": (0.75, 0.05, 0.1),
    "border-zone": (1.0, 0.62, 0.2),
    "no-reflow": (0.3, 0.3, 0.6),
    "remote": (0.3, 0.7, 0.4),
    "blood-pool": (0.85, 0.24, 0.24),
    "right-blood-pool": (0.27, 0.45, 0.8),
}
"""Roles whose segments go into a job, and their colors there."""

ROLES_BY_NAME = ("core", "border-zone", "blood-pool", "right-blood-pool")
"""Roles whose segments are recognized by their names; the user does not choose them."""


@dataclass(frozen=True)
class ScarStack:
    """Further slices besides the first stack, such as a long-axis view.

    Attributes:
        segmentation: vtkMRMLSegmentationNode with the wall; its segments are recognized by their names.
        volume: LGE vtkMRMLScalarVolumeNode or None.
    """

    segmentation: Any = None
    volume: Any = None


@dataclass(frozen=True)
class ScarNodes:
    """The nodes of one reconstruction.

    Attributes:
        segmentation: vtkMRMLSegmentationNode with the wall.
        segments: role ("myocardium", "scar", "no-reflow", "remote") -> segment ID, or several (see
            `deeprecon.scene.scar.segments`); other roles are missing, except those of `ROLES_BY_NAME`, which are
            recognized by the segments' names.
        volume: LGE vtkMRMLScalarVolumeNode or None.
        mesh: vtkMRMLModelNode or None.
        no_scar: the patient has none.
        from_intensities: take the scar from the volume's intensities instead of from the scar segment.
        mesh_unit, mesh_frame: of the mesh's coordinates, chosen by the user; `AUTO` is RAS and mm, as in the scene.
        landmarks: vtkMRMLMarkupsFiducialNode with points named apex and base and, for the 17 segments, anterior
            insertion and inferior insertion; None to use the blood pools instead.
        stacks: further stacks; segmentation and volume are the first one.
    """

    segmentation: Any
    segments: Mapping[str, str] = field(default_factory=dict)
    volume: Any = None
    mesh: Any = None
    from_intensities: bool = False
    no_scar: bool = False
    mesh_unit: Unit = Unit.AUTO
    mesh_frame: Frame = Frame.AUTO
    landmarks: Any = None
    stacks: tuple[ScarStack, ...] = ()

    @property
    def mesh_scale(self) -> npt.NDArray[np.float64]:
        """(3,) factors that bring the mesh's coordinates to RAS mm."""
        unit = Unit.MM if self.mesh_unit is Unit.AUTO else self.mesh_unit
        frame = Frame.RAS if self.mesh_frame is Frame.AUTO else self.mesh_frame
        return SCALES[unit.value] * FRAMES[frame.value]

    def missing(self) -> str:
        """Message about the first missing input; empty if a run can start."""
        if self.segmentation is None:
            return "Choose a segmentation that holds the myocardium."
        if not self.segments.get("myocardium"):
            return "Choose the segment of the myocardium."
        if self.from_intensities and self.volume is None:
            return "Choose the LGE volume, since the scar comes from its intensities."
        if not (self.from_intensities or self.no_scar or self.segments.get("scar") or self._has_parts):
            return "Choose the scar segment, say that there is no scar, or take the scar from intensities."
        for number, stack in enumerate(self.stacks, 2):
            if stack.segmentation is None:
                return f"Choose the segmentation of stack {number}."
            if "myocardium" not in _stack_segments(self, stack):
                return (
                    f"{stack.segmentation.GetName()} has no segment named as the myocardium: rename it as the "
                    "one of the first stack."
                )
            if (stack.volume is None) != (self.volume is None):
                without = "the first stack" if self.volume is None else f"stack {number}"
                return f"Choose the LGE volume of {without} too, or none for any stack."
        return ""

    @property
    def _has_parts(self) -> bool:
        """Whether core or border zone are drawn, which are scar without a segment of all scar."""
        return not {"core", "border-zone"}.isdisjoint(find_segments(self.segmentation))


@in_steps
def write_job(
    folder: Path,
    nodes: ScarNodes,
    parameters: ReconstructParameters,
    device: str = "auto",
    seed: int = 0,
    verb: str = "reconstruct",
) -> Steps[dict[str, str]]:
    """Write nodes as files with neutral names and job.json into `folder`.

    Args:
        folder: of the job.
        nodes: the inputs.
        parameters: the settings.
        device: "auto", "cpu", "cuda:0", ...
        seed: of every random number.
        verb: "reconstruct", or another one with the same inputs and settings.

    Returns:
        File name -> name of the node, for messages.

    Raises:
        InputError: something is missing, the settings contradict themselves, or a node cannot be used.
    """
    check_settings(parameters, nodes.missing())
    (folder / "inputs").mkdir(parents=True, exist_ok=True)
    images, drawn = [], []
    made: dict[str, Any] = {}
    for number, (stack, segments) in enumerate(_stacks(nodes), 1):
        suffix = "" if number == 1 else str(number)
        if stack.volume is not None:
            images.append(f"inputs/lge{suffix}.nrrd")
            volume = yield from volume_from_node.steps(stack.volume)
            yield Apart("Writing the images…", partial(write_volume, folder / images[-1], volume))
            made[f"lge{suffix}.nrrd"] = stack.volume
        drawn.append(f"inputs/segmentation{suffix}.seg.nrrd")
        yield "Reading the segments…"
        segmentation = _segmentation(stack, segments)
        yield Apart("Writing the segments…", partial(write_segmentation, folder / drawn[-1], segmentation))
        made[f"segmentation{suffix}.seg.nrrd"] = stack.segmentation
    inputs: dict[str, Any] = {"myocardium": drawn}
    if images:
        inputs["lge"] = images
    if not (nodes.from_intensities or nodes.no_scar):
        inputs["scar"] = drawn
    if nodes.mesh is not None:
        yield "Reading the mesh…"
        mesh = mesh_from_node(nodes.mesh)
        inputs["mesh"] = "inputs/mesh.vtu" if mesh.is_volume else "inputs/mesh.vtp"
        yield Apart("Writing the mesh…", partial(_write_mesh, folder / inputs["mesh"], mesh, nodes.mesh_scale))
        made[Path(inputs["mesh"]).name] = nodes.mesh
    if nodes.landmarks is not None:
        inputs["landmarks"] = "inputs/landmarks.mrk.json"
        write_markups(folder / inputs["landmarks"], points_from_node(nodes.landmarks))
        made["landmarks.mrk.json"] = nodes.landmarks
    no_scar = nodes.no_scar or parameters.no_scar
    parameters = replace(parameters, mesh_unit=Unit.MM, mesh_frame=Frame.LPS, no_scar=no_scar)
    Job("scar", verb, inputs, to_json(parameters), output=OUTPUT, device=device, seed=seed).save(folder)
    return {name: node.GetName() for name, node in made.items()}


def _write_mesh(path: Path, mesh: Mesh, scale: npt.NDArray[np.float64]) -> None:
    placed = Mesh(with_points(mesh.dataset, mesh.points * scale), "mesh")
    write_mesh(path, placed, "mm", "lps")  # the axes that Slicer itself writes


def _segmentation(stack: ScarStack, segments: Mapping[str, str]) -> Segmentation:
    """The segments of a stack, named by their roles, on the grid of its volume if it has one.

    Raises:
        InputError: there is no wall.
    """
    volumes = {role: chosen_volume(stack.segmentation, choice, stack.volume) for role, choice in segments.items()}
    wall = volumes["myocardium"]
    if not np.asarray(wall.array).any():
        name = segment_choices(stack.segmentation)[segments["myocardium"]]
        raise InputError(f"The segment {name} of the myocardium is empty.", "Draw it, or choose another segment.")
    names = segment_names(stack.segmentation)
    sources = {role: choice.split("\n") for role, choice in segments.items()}
    parts = tuple(
        Segment(role, np.asarray(volume.array) > 0, COLORS[role], sources=tuple(names[key] for key in sources[role]))
        for role, volume in volumes.items()
    )
    taken = {key for keys in sources.values() for key in keys}
    left_out = tuple(name for key, name in names.items() if key not in taken)
    return Segmentation(parts, wall.ijk_to_ras, "segmentation", wall.slice_thickness, left_out=left_out)


def _stacks(nodes: ScarNodes) -> Iterator[tuple[ScarStack, dict[str, str]]]:
    """All stacks, the first one included, each with role -> segment ID of the segments that go into a job."""
    yield ScarStack(nodes.segmentation, nodes.volume), _first_stack_segments(nodes)
    for stack in nodes.stacks:
        yield stack, _stack_segments(nodes, stack)


def fits_core(nodes: ScarNodes, parameters: ReconstructParameters) -> bool:
    """Whether a run fits the scar core separately, after the scar."""
    if nodes.no_scar:
        return False
    if nodes.from_intensities or nodes.segmentation is None:
        return bool(parameters.core_threshold)
    return not {"core", "border-zone"}.isdisjoint(_first_stack_segments(nodes))


def _first_stack_segments(nodes: ScarNodes) -> dict[str, str]:
    """Role -> segment ID of the first stack's segments that go into a job; no segment has two roles."""
    chosen = {role: segment_id for role, segment_id in nodes.segments.items() if segment_id}
    named = {
        role: segment_id for role, segment_id in find_segments(nodes.segmentation).items() if role in ROLES_BY_NAME
    }
    return _needed(nodes, named, chosen)


def _stack_segments(nodes: ScarNodes, stack: ScarStack) -> dict[str, str]:
    """The same for another stack: segments with the names of those chosen in the first one, else recognized by name.

    A role that was not chosen in the first stack is left out, except those of `ROLES_BY_NAME`.
    """
    names = segment_names(nodes.segmentation)
    keys: dict[str, str] = {}
    for key, name in segment_names(stack.segmentation).items():
        keys.setdefault(name, key)
    chosen = {
        role: [names[key] for key in choice.split("\n") if key in names] for role, choice in nodes.segments.items()
    }
    same = {
        role: "\n".join(keys[name] for name in wanted if name in keys)
        for role, wanted in chosen.items()
        if not keys.keys().isdisjoint(wanted)
    }
    named = {
        role: key
        for role, key in find_segments(stack.segmentation).items()
        if chosen.get(role) or role in ROLES_BY_NAME
    }
    return _needed(nodes, named, same)


def _needed(nodes: ScarNodes, named: Mapping[str, str], chosen: Mapping[str, str]) -> dict[str, str]:
    """Role -> segment ID, chosen segments first; without drawn scar if the scar comes from intensities."""
    drawn_roles = {"scar", "core", "border-zone", "no-reflow"}
    left_out = {"remote"} if not nodes.from_intensities else drawn_roles
    if nodes.no_scar:
        left_out = {"remote", *drawn_roles}
    taken = {key for choice in chosen.values() for key in choice.split("\n")}
    others = {role: [key for key in choice.split("\n") if key not in taken] for role, choice in named.items()}
    found = {role: "\n".join(keys) for role, keys in others.items() if keys} | dict(chosen)
    return {role: found[role] for role in COLORS if role in found and role not in left_out}
