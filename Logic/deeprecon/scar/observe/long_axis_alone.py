"""Whether the slices run along the heart's long axis alone, which is too little for a volume of scar."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.mesh.mesh import Inside, Mesh, node_volumes
from deeprecon.scar.anatomy.axes import axes_from_landmarks
from deeprecon.scar.anatomy.long_axis import long_axis
from deeprecon.scar.observe.node_groups import group_nodes
from deeprecon.scar.observe.stacks import Stack
from deeprecon.scar.read.case import Case

Floats = npt.NDArray[np.float64]

CODE = "long-axis-alone"
"""Of the doubt that goes with a result without volumes."""
_OFF_AXIS = 45.0
"""Angle in degrees between a slice's normal and the long axis, above which it is a long-axis slice."""
_MOST = 0.5
"""Share of the wall within the slices, from which on they give a volume in any direction, as 3D scans do."""
_WAY_OUT = "Add slices across the long axis (short-axis slices), each stack with files of its own."


def long_axis_doubts(
    case: Case, stacks: Sequence[Stack], mesh: Mesh, inside: Inside, from_slices: bool
) -> tuple[Doubt, ...]:
    """An assumption where all slices run along the long axis and show less than half of the wall.

    The axis is that of the landmarks, else that of the wall (`long_axis`). A wall that was made from the slices says
    nothing about what they do not show: it is whole where it encloses a cavity.

    Args:
        case: for names and landmarks.
        stacks: aligned with the wall.
        mesh: of the wall, RAS mm.
        inside: whether points lie in it.
        from_slices: it was made from the slices.
    """
    shown = _share_shown(mesh, stacks)
    if shown >= _MOST and not from_slices:
        return ()
    normals = np.stack([stack.normal for stack in stacks])
    of_wall = long_axis(inside, mesh.points, normals)
    axis = axes_from_landmarks(case.landmarks).direction if case.landmarks else of_wall
    where = ", ".join(dict.fromkeys(images.wall.name for images in case.stacks))
    missing = "their scar beyond the slices is a guess, so that no volume, mass or percentage of scar is given."
    if axis is None:
        if not from_slices:
            return ()
        text = f"The wall in the slices encloses no cavity, as in long-axis slices alone: {missing}"
        return (Doubt(CODE, where, text, _WAY_OUT, assumed=True),)
    off = np.degrees(np.arccos(np.minimum(np.abs(normals @ axis), 1)))
    if off.min() <= _OFF_AXIS or (from_slices and of_wall is not None):
        return ()
    text = (
        f"All slices are long-axis slices (their normals lie {off.min():.0f} degrees or more off the long axis)"
        f"{'' if from_slices else f' and hold {shown:.0%} of the wall'}: {missing}"
    )
    return (Doubt(CODE, where, text, _WAY_OUT, assumed=True),)


def _share_shown(mesh: Mesh, stacks: Sequence[Stack]) -> float:
    """Share of the wall that lies within the pixels of the slices."""
    nodes = group_nodes(mesh.points, stacks).nodes
    assert nodes is not None
    sizes = node_volumes(mesh) if mesh.is_volume else np.ones(mesh.n_points)
    return float(sizes[np.unique(nodes)].sum() / sizes.sum())
