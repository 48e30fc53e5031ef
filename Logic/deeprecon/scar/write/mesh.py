"""Mesh files of results, and the region tags of their elements."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.files import write_mesh
from deeprecon.data.mesh.mesh import Mesh, cell_means
from deeprecon.data.mesh.tags import TAG, with_tags
from deeprecon.scar.read.mesh import HeartMesh
from deeprecon.scar.tissue_tags import STANDARD_TAGS, TissueTags

Floats = npt.NDArray[np.floating]
Integers = npt.NDArray[np.int64]


def write_heart_mesh(folder: Path, heart: HeartMesh, mesh: Mesh) -> dict[str, Path]:
    """Write a mesh in the unit, axes and format of its file; returns where its files lie, by role."""
    path = folder / f"mesh{heart.suffix}"
    write_mesh(path, heart.result(mesh), heart.unit.value, heart.frame.value)
    return {"mesh": path} | companion_files(path)


def placement(heart: HeartMesh) -> dict[str, str]:
    """The figures of a run by which its mesh is read again: unit, axes, tags and regions of the wall."""
    tags = {} if heart.tags is None else {"tag_array": heart.tags.name}
    region = {"mesh_region": " ".join(map(str, heart.region))} if heart.region else {}
    return {"mesh_unit": heart.unit.value, "mesh_frame": heart.frame.value} | tags | region


def companion_files(path: Path) -> dict[str, Path]:
    """The other files of a mesh that consists of several, as openCARP's do, by role."""
    files = sorted(file for file in path.parent.glob(f"{path.stem}.*") if file != path)
    return {file.name.replace(".", "_"): file for file in files}


def element_tags(
    mesh: Mesh,
    probability: Floats,
    cutoff: float = 0.5,
    existing: Integers | None = None,
    tags: TissueTags = STANDARD_TAGS,
    core: Floats | None = None,
    observed: Floats | None = None,
    wall: npt.NDArray[np.bool_] | None = None,
    regions: tuple[Integers, npt.NDArray[np.bool_]] | None = None,
) -> Integers:
    """(M,) region tag of each element, as openCARP and similar simulators use them.

    Elements whose mean probability does not exceed the cutoff are healthy. When the core has a probability of its own,
    from intensities or from drawn segments, scar elements whose mean of that exceeds the cutoff are core, and the
    others border zone. Else all scar has the tag of core: its uncertain edge is no tissue of its own. The mean over an
    element's nodes is that of probabilities, not of logits: nodes of exactly 0 or 1 are common and would outweigh all
    others.

    Args:
        mesh: wall.
        probability: (N,) of scar at the nodes.
        cutoff: of scar and of core.
        existing: (M,) tags that the elements have, which healthy ones keep unless `tags` has one for them.
        tags: of each tissue.
        core: (N,) probability of scar core at the nodes.
        observed: (N,) 0 at nodes that no slice shows; elements with such a node are unknown.
        wall: (M,) false for elements of other regions, which keep their tags; None for all.
        regions: (M,) tags of regions of the healthy wall, and (M,) elements that lie in one; see `region_tags`.

    Raises:
        InputError: a tag that healthy elements keep is that of another tissue.
    """
    mean = cell_means(mesh, probability)
    wall = np.ones(len(mean), bool) if wall is None else wall
    unknown = np.zeros(len(mean), bool) if observed is None else wall & (cell_means(mesh, observed) < 1 - 1e-6)
    is_scar = wall & ~unknown & (mean > cutoff)
    inner = True if core is None else cell_means(mesh, core) > cutoff
    if existing is None or tags.healthy is not None:
        healthy = np.full(len(mean), 1 if tags.healthy is None else tags.healthy)
        healthy = healthy if existing is None else np.where(wall, healthy, existing)
    else:
        healthy = np.asarray(existing, np.int64)
    if regions is not None:
        healthy = np.where(wall & regions[1], regions[0], healthy)
    taken = {"border": tags.border, "core": tags.core} | ({"unknown": tags.unknown} if unknown.any() else {})
    _check_free(mesh.name, healthy[~unknown & ~is_scar], taken)
    scar = np.where(inner, tags.core, tags.border)
    return np.where(unknown, tags.unknown, np.where(is_scar, scar, healthy)).astype(np.int64)


def with_element_tags(heart: HeartMesh, tags: Integers) -> Mesh:
    """The mesh of a result's file with (M,) tags of the cells that count; others keep theirs, or get 0.

    They stand in the array in which the file has its tags, so that there is one array of tags.
    """
    existing = heart.tags
    values = np.zeros(len(heart.whole.cells()[2]), np.int64) if existing is None else existing.values.copy()
    values[heart.part.cells] = tags
    return with_tags(heart.whole, values, TAG if existing is None else existing.name)


def _check_free(name: str, healthy: Integers, taken: dict[str, int]) -> None:
    """Refuse tags of healthy elements that stand for other tissues."""
    kept = set(np.unique(healthy).tolist())
    if both := sorted(kept & set(taken.values())):
        free = next(tag for tag in itertools.count(200, 100) if kept.isdisjoint(range(tag, tag + 3)))
        words = " ".join(f"{tissue}={tag}" for tissue, tag in zip(("border", "core", "unknown"), itertools.count(free)))
        raise InputError(
            f"{name} has healthy elements tagged {' and '.join(map(str, both))}, which stands for other tissue.",
            f"Choose tags that are free, such as --tags {words}, or retag healthy elements with --tags healthy=1.",
        )
