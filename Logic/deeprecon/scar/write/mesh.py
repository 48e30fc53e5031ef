"""Mesh files of results, and the region tags of their elements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.files import write_mesh
from deeprecon.data.mesh.mesh import Mesh, cell_means
from deeprecon.scar.read.mesh import HeartMesh

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]

SCAR_TAG = 100
"""Tag of border zone; core, or scar without a core of its own, has the next one."""


def write_heart_mesh(folder: Path, heart: HeartMesh, mesh: Mesh) -> dict[str, Path]:
    """Write a mesh in the unit, axes and format of its file; returns where its files lie, by role."""
    path = folder / f"mesh{heart.suffix}"
    write_mesh(path, mesh, heart.unit.value, heart.frame.value)
    return {"mesh": path} | companion_files(path)


def companion_files(path: Path) -> dict[str, Path]:
    """The other files of a mesh that consists of several, as openCARP's do, by role."""
    files = sorted(file for file in path.parent.glob(f"{path.stem}.*") if file != path)
    return {file.name.replace(".", "_"): file for file in files}


def element_tags(
    mesh: Mesh,
    probability: Floats,
    cutoff: float = 0.5,
    base_tag: int | Integers = 1,
    scar_tag: int = SCAR_TAG,
    core: Floats | None = None,
    observed: Floats | None = None,
) -> Integers:
    """(M,) region tag of each element, as openCARP and similar simulators use them.

    Elements whose mean probability does not exceed the cutoff keep their tag. When the core has a probability of its
    own, from intensities or from drawn segments, scar elements whose mean of that exceeds the cutoff are core,
    `scar_tag` + 1, and the others border zone, `scar_tag`. Else all scar is `scar_tag` + 1: its uncertain edge is no
    tissue of its own. The mean over an element's nodes is that of probabilities, not of logits: nodes of exactly 0 or
    1 are common and would outweigh all others.

    Args:
        mesh: wall.
        probability: (N,) of scar at the nodes.
        cutoff: of scar and of core.
        base_tag: of healthy elements: one for all, or the (M,) tags they have.
        scar_tag: see above.
        core: (N,) probability of scar core at the nodes.
        observed: (N,) 0 at nodes that no slice shows; elements with such a node are unknown, `scar_tag` + 2.

    Raises:
        InputError: a healthy tag equals one of the scar tags.
    """
    mean = cell_means(mesh, probability)
    healthy = np.broadcast_to(np.asarray(base_tag, dtype=np.int64), mean.shape)
    if np.isin(healthy, [scar_tag, scar_tag + 1, scar_tag + 2]).any():
        raise InputError(
            f"The mesh {mesh.name} has elements tagged {scar_tag} to {scar_tag + 2}, the tags meant for scar and for "
            "wall that no slice shows.",
            "Choose another scar tag.",
        )
    inner = True if core is None else cell_means(mesh, core) > cutoff
    tags = np.where(mean > cutoff, scar_tag + inner, healthy)
    return tags if observed is None else np.where(cell_means(mesh, observed) < 1 - 1e-6, scar_tag + 2, tags)
