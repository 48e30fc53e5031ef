"""All observations of one patient: slices on the wall of the mesh, their pixels, and points in each pixel's prism."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.mesh.mesh import Inside, Mesh, open_edges
from deeprecon.scar.observe.alignment.rows import alignment_warnings
from deeprecon.scar.observe.alignment.to_each_other import align_to_each_other, main_stack, mesh_of_stack
from deeprecon.scar.observe.alignment.to_mesh import align
from deeprecon.scar.observe.blood import blood_doubts
from deeprecon.scar.observe.long_axis_alone import CODE as LONG_AXIS_ALONE
from deeprecon.scar.observe.long_axis_alone import long_axis_doubts
from deeprecon.scar.observe.observations import Observations, Quadrature, observe, overlap_warnings, quadrature
from deeprecon.scar.observe.shares import observe_shares
from deeprecon.scar.observe.shell import Shell, find_shell
from deeprecon.scar.observe.stacks import Stack
from deeprecon.scar.parameters import Alignment, ReconstructParameters, ReportValues
from deeprecon.scar.parameters import Shell as ShellValues
from deeprecon.scar.read.case import Case
from deeprecon.scar.read.mesh import HeartMesh, wall_of_slices


@dataclass(frozen=True, eq=False)
class ObservedSlices:
    """What the slices of one patient show, as arrays.

    Attributes:
        heart: the mesh, made anew where it was made of slices that moved.
        stacks: with shares of scar in each pixel and the motions that bring the slices to where they were.
        observations: G groups, one per pixel with wall.
        quadrature: points in the prism of each group.
        inside: whether points lie in the wall.
        warnings: sentences for the user.
        doubts: about images and mesh.
        shell: where the mesh is no wall but a surface beside it.
    """

    heart: HeartMesh
    stacks: tuple[Stack, ...]
    observations: Observations
    quadrature: Quadrature
    inside: Inside
    warnings: tuple[str, ...]
    doubts: tuple[Doubt, ...] = ()
    shell: Shell | None = None

    @property
    def give_volume(self) -> bool:
        """Whether the slices show enough of the wall for volumes, masses and percentages of scar."""
        return all(doubt.code != LONG_AXIS_ALONE for doubt in self.doubts)


def observe_slices(case: Case, heart: HeartMesh, parameters: ReconstructParameters) -> ObservedSlices:
    """From the images of a patient to observations of scar, each slice where it was in the heart.

    A mesh that was made of the slices is made anew of the aligned ones.

    Raises:
        InputError: as `observe_shares` and `observe`.
    """
    stacks, warnings = observe_shares(case.stacks, parameters)
    doubts = tuple(doubt for stack in stacks for doubt in stack.doubts)
    shell = None
    if is_shell(heart.mesh, parameters):
        if parameters.report_values is ReportValues.AGREED:
            raise InputError(
                f"{heart.mesh.name} is a shell: its nodes are not those of the pixels, and no values agree with them.",
                "Report the estimate.",
            )
        wall = wall_of_slices(case, parameters.node_spacing)
        inside = Inside(wall)
        shell = find_shell(heart.mesh, wall, inside, parameters.shell is ShellValues.MEAN)
        doubts += _shell_doubts(heart.mesh, parameters)
    else:
        inside = Inside(heart.mesh)
        if not heart.from_slices:
            doubts += blood_doubts(heart.mesh, inside, case.stacks)
        stacks = _aligned(case, heart, stacks, inside, parameters.alignment)
        warnings += alignment_warnings(stacks)
        if heart.from_slices and stacks[main_stack(stacks)].moved.any():
            heart = heart.made_of(mesh_of_stack(stacks[main_stack(stacks)], parameters.node_spacing))
            inside = Inside(heart.mesh)
    observations = observe(stacks)
    wall = heart.mesh if shell is None else shell.wall
    doubts += long_axis_doubts(case, stacks, wall, inside, heart.from_slices or shell is not None)
    points = quadrature(observations, inside)
    warnings += overlap_warnings(observations, points)
    return ObservedSlices(heart, stacks, observations, points, inside, (*case.warnings, *warnings), doubts, shell)


def _aligned(
    case: Case, heart: HeartMesh, stacks: tuple[Stack, ...], inside: Inside, how: Alignment
) -> tuple[Stack, ...]:
    """The stacks with their motion, by a mesh from other images, else by each other."""
    if how is Alignment.OFF or (heart.from_slices and how is Alignment.SHIFT):
        return stacks
    if heart.from_slices:
        right = [None if (blood := images.cavities[1]) is None else np.asarray(blood.array) for images in case.stacks]
        return align_to_each_other(stacks, right)
    return align(stacks, inside, how is Alignment.RIGID)


def is_shell(mesh: Mesh, parameters: ReconstructParameters) -> bool:
    """Whether a mesh is a surface beside the wall, as stated, else by its open edges.

    Raises:
        InputError: a volume mesh is stated to be one.
    """
    if parameters.shell is ShellValues.AUTO:
        return not mesh.is_volume and open_edges(mesh) > 0
    if mesh.is_volume:
        raise InputError(f"{mesh.name} is a volume mesh, which --shell is not meant for.", "Leave out --shell.")
    return True


def _shell_doubts(mesh: Mesh, parameters: ReconstructParameters) -> tuple[Doubt, ...]:
    if parameters.shell is not ShellValues.AUTO:
        return ()
    text = (
        "An open surface is taken for a shell: each node shows the highest probability of scar in the wall beneath it, "
        "along the normal."
    )
    way_out = "Choose with --shell max or --shell mean; give a closed surface or a volume mesh of the wall for volumes."
    return (Doubt("shell-assumed", mesh.name, text, way_out, assumed=True),)
