"""All observations of one patient: slices on the wall of the mesh, their pixels, and points in each pixel's prism."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deeprecon.data.doubts import Doubt
from deeprecon.data.mesh.mesh import Inside, Mesh, open_edges
from deeprecon.scar.observe.alignment import align
from deeprecon.scar.observe.blood import blood_doubts
from deeprecon.scar.observe.observations import Observations, Quadrature, observe, overlap_warnings, quadrature
from deeprecon.scar.observe.shares import observe_shares
from deeprecon.scar.observe.stacks import Stack
from deeprecon.scar.parameters import Alignment, ReconstructParameters
from deeprecon.scar.read.case import Case
from deeprecon.scar.read.mesh import HeartMesh

NOTABLE_SHIFT = 1.0
"""Shift of a slice in mm above which the user is warned."""


@dataclass(frozen=True, eq=False)
class ObservedSlices:
    """What the slices of one patient show, as arrays.

    Attributes:
        stacks: with shares of scar in each pixel and the shifts that align the slices with the mesh.
        observations: G groups, one per pixel with wall.
        quadrature: points in the prism of each group.
        inside: whether points lie in the wall of the mesh; None where the mesh is an open surface.
        warnings: sentences for the user.
        doubts: about the images.
    """

    stacks: tuple[Stack, ...]
    observations: Observations
    quadrature: Quadrature
    inside: Inside | None
    warnings: tuple[str, ...]
    doubts: tuple[Doubt, ...] = ()


def observe_slices(case: Case, heart: HeartMesh, parameters: ReconstructParameters) -> ObservedSlices:
    """From the images of a patient to observations of scar, aligned with the mesh.

    Raises:
        InputError: as `observe_shares` and `observe`.
    """
    stacks, warnings = observe_shares(case.stacks, parameters)
    inside = None if open_edges(heart.mesh) else Inside(heart.mesh)
    if inside is None:
        warnings.append(_open_surface_warning(heart.mesh))
    elif parameters.alignment is not Alignment.OFF and not heart.from_slices:
        stacks = align(stacks, inside)
        warnings += _shift_warnings(stacks)
    observations = observe(stacks)
    points = quadrature(observations, inside)
    warnings += overlap_warnings(observations, points)
    doubts = tuple(doubt for stack in stacks for doubt in stack.doubts)
    if inside is not None and not heart.from_slices:
        doubts += blood_doubts(heart.mesh, inside, case.stacks)
    return ObservedSlices(stacks, observations, points, inside, (*case.warnings, *warnings), doubts)


def _open_surface_warning(mesh: Mesh) -> str:
    return (
        f"The mesh {mesh.name} is an open surface and does not say where the wall is: "
        "whole pixels count as wall, and no segmentation is made."
    )


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
