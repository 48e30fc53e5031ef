"""Whether a mesh that is taken for the wall also holds the blood that the slices show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deeprecon.data.doubts import Doubt
from deeprecon.data.mesh.mesh import Inside, Mesh
from deeprecon.scar.read.case import StackImages

_MOST = 0.5
"""Share of a cavity above which the mesh holds it; less of it may be drawn into a wall that lies a little aside."""


def blood_doubts(mesh: Mesh, inside: Inside, stacks: Sequence[StackImages]) -> tuple[Doubt, ...]:
    """A contradiction where most of a cavity lies within the mesh.

    Args:
        mesh: for the message.
        inside: whether points lie in the mesh.
        stacks: of which the one with most slices is looked at.
    """
    images = max(stacks, key=lambda one: np.count_nonzero(np.asarray(one.wall.array).any(axis=(1, 2))))
    voxel = abs(float(np.linalg.det(images.wall.ijk_to_ras[:3, :3]))) / 1000
    held = [inside(images.wall.to_ras(np.argwhere(blood)[:, ::-1])) for blood in images.bloods if blood.any()]
    if not any(cavity.mean() > _MOST for cavity in held):
        return ()
    volume = voxel * sum(int(cavity.sum()) for cavity in held)
    if mesh.is_volume:
        way_out = "Give the wall alone, or name its regions with --mesh-region where the mesh has region tags."
    else:
        way_out = (
            "Give a surface around the wall alone, or say with --shell that it is the wall's inner or outer surface."
        )
    text = f"{volume:.0f} ml of the mesh lie where the slices show blood, so that it holds more than the wall."
    return (Doubt("mesh-holds-blood", mesh.name, text, way_out),)
