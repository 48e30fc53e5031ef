"""All observations of one patient: slices on the wall of the mesh, their pixels, and points in each pixel's prism."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.mesh.mesh import Inside, Mesh, open_edges
from deeprecon.scar.observe.alignment import align
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

NOTABLE_SHIFT = 1.0
"""Shift of a slice in mm above which the user is warned."""


@dataclass(frozen=True, eq=False)
class ObservedSlices:
    """What the slices of one patient show, as arrays.

    Attributes:
        stacks: with shares of scar in each pixel and the shifts that align the slices with the mesh.
        observations: G groups, one per pixel with wall.
        quadrature: points in the prism of each group.
        inside: whether points lie in the wall.
        warnings: sentences for the user.
        doubts: about images and mesh.
        shell: where the mesh is no wall but a surface beside it.
    """

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
    """From the images of a patient to observations of scar, aligned with the mesh.

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
            if parameters.alignment is not Alignment.OFF:
                stacks = align(stacks, inside)
                warnings += _shift_warnings(stacks)
    observations = observe(stacks)
    wall = heart.mesh if shell is None else shell.wall
    doubts += long_axis_doubts(case, stacks, wall, inside, heart.from_slices or shell is not None)
    points = quadrature(observations, inside)
    warnings += overlap_warnings(observations, points)
    return ObservedSlices(stacks, observations, points, inside, (*case.warnings, *warnings), doubts, shell)


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


def _shift_warnings(stacks: Sequence[Stack]) -> list[str]:
    warnings = []
    for number, stack in enumerate(stacks, 1):
        assert stack.shifts is not None
        shifts = np.linalg.norm(stack.shifts, axis=1)
        moved = np.flatnonzero(shifts > NOTABLE_SHIFT)
        if len(moved):
            warnings.append(
                f"Stack {number}: slices {', '.join(str(k + 1) for k in moved)} lay up to {shifts.max():.1f} mm away "
                "from the wall of the mesh and were moved."
            )
    return warnings
