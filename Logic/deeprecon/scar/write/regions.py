"""Regions of the healthy wall in exports: segments of the AHA, layers, drawn segments."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.mesh import Mesh, cell_means
from deeprecon.data.segmentation import Segmentation
from deeprecon.data.volume import Volume
from deeprecon.scar.tissue_tags import LAYERS, TissueTags, aha_number, plain_name

Integers = npt.NDArray[np.int64]

_DEPTH = "transmural_depth", "transmural"
"""Arrays of the depth at the nodes: of `scar reconstruct`, else of `scar fibers`."""


def region_tags(
    mesh: Mesh, tags: TissueTags, segmentation: Segmentation | None
) -> tuple[Integers, npt.NDArray[np.bool_]]:
    """(M,) tags of the elements that lie in a region, and (M,) whether they do.

    Of several regions in which an element lies a drawn segment comes before a segment of the AHA, and that before a
    layer; of several drawn ones the last that is named. An element lies in the segment of the AHA of most of its nodes,
    in the layer of their mean depth, and in a drawn segment by its middle.

    Raises:
        InputError: the mesh lacks the arrays that say where segments of the AHA and layers are.
    """
    count = len(mesh.cells()[2])
    found, within = np.zeros(count, np.int64), np.zeros(count, bool)
    layers = [(name, tag) for name, tag in tags.regions if name in LAYERS]
    ahas = [(name, tag) for name, tag in tags.regions if aha_number(name)]
    drawn = [entry for entry in tags.regions if entry not in layers and entry not in ahas]
    for name, tag in [*layers, *ahas, *drawn]:
        if name in LAYERS:
            low, high = LAYERS[name]
            depth = cell_means(mesh, _depth(mesh))
            here = (depth >= low) & ((depth < high) | (high == 1))
        elif number := aha_number(name):
            here = _most(mesh) == number
        else:
            here = _in_segment(mesh, segmentation, name)
        found[here], within[here] = tag, True
    return found, within


def _depth(mesh: Mesh) -> npt.NDArray[np.float64]:
    name = next((name for name in _DEPTH if name in mesh.array_names), None)
    if name is None:
        raise InputError(
            f"{mesh.name} does not say how deep in the wall its nodes lie, as tags of layers need.",
            "Reconstruct with landmarks or blood pools, or export what scar fibers has written.",
        )
    return np.asarray(mesh.point_array(name), np.float64)


def _most(mesh: Mesh) -> Integers:
    """(M,) segment of the AHA that most nodes of each element lie in, the lowest of equally many."""
    if "aha_segment" not in mesh.array_names:
        raise InputError(
            f"{mesh.name} does not say which of the 17 segments its nodes lie in.",
            "Reconstruct with landmarks named anterior and inferior insertion too, or with both blood pools.",
        )
    segment = np.rint(np.nan_to_num(np.asarray(mesh.point_array("aha_segment"), np.float64))).astype(np.int64)
    share = np.stack([cell_means(mesh, segment == number) for number in range(18)])
    most: Integers = share.argmax(axis=0)
    return most


def _in_segment(mesh: Mesh, segmentation: Segmentation | None, name: str) -> npt.NDArray[np.bool_]:
    """(M,) elements whose middle lies in a segment."""
    assert segmentation is not None, "names of segments are known from it"
    segment = next(each for each in segmentation.segments if plain_name(each.name) == name)
    middle = np.stack([cell_means(mesh, mesh.points[:, axis]) for axis in range(3)], axis=1)
    i, j, k = np.rint(Volume(segment.mask, segmentation.ijk_to_ras).to_ijk(middle)).astype(np.int64).T
    depth, rows, columns = segment.mask.shape
    inside = (i >= 0) & (j >= 0) & (k >= 0) & (i < columns) & (j < rows) & (k < depth)
    result = np.zeros(len(middle), bool)
    result[inside] = segment.mask[k[inside], j[inside], i[inside]]
    return result
