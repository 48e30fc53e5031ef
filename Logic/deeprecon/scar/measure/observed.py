"""Which wall the slices show: what lies farther from every slice than their spacing is unknown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from deeprecon.data.mesh.mesh import Mesh, unstructured_grid
from deeprecon.scar.measure.sizes import mesh_edges
from deeprecon.scar.observe.slices import ObservedSlices
from deeprecon.scar.observe.stacks import Stack
from deeprecon.scar.read.training_data import NodeGroups

Bools = npt.NDArray[np.bool_]


def default_reach(stacks: Sequence[Stack]) -> float:
    """The spacing of the slices in mm, the largest of all stacks; of a single slice its thickness."""
    spacings = (abs(float(stack.ijk_to_ras[:3, 2] @ stack.normal)) for stack in stacks)
    return max(
        max(spacing, stack.thickness) if len(stack.wall) > 1 else stack.thickness
        for spacing, stack in zip(spacings, stacks, strict=True)
    )


def observed_nodes(mesh: Mesh, slices: ObservedSlices, groups: NodeGroups, reach: float) -> Bools:
    """(N,) whether each node lies within `reach` mm of a pixel with wall, measured along the edges of the mesh.

    The way starts at the nodes in the prisms of the pixels, and at the node nearest to each pixel that meets the mesh.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import dijkstra
    from scipy.spatial import cKDTree

    points, source = mesh.points, mesh.n_points
    assert groups.nodes is not None
    distance, nearest = cKDTree(points).query(slices.observations.centers[slices.quadrature.met])
    starts = np.concatenate([groups.nodes, nearest])
    lengths = np.concatenate([np.zeros(len(groups.nodes)), distance])
    order = np.argsort(lengths, kind="stable")
    starts, first = np.unique(starts[order], return_index=True)
    lengths = lengths[order][first] + 1e-9  # an edge of length 0 would be none
    edges = mesh_edges(mesh)
    between = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1) + 1e-9
    rows = np.concatenate([edges[:, 0], np.full(len(starts), source)])
    columns = np.concatenate([edges[:, 1], starts])
    graph = coo_array((np.concatenate([between, lengths]), (rows, columns)), shape=(source + 1, source + 1)).tocsr()
    found = dijkstra(graph, directed=False, indices=source, limit=reach + 1e-6)
    return np.asarray(np.isfinite(found[:source]))


def nearest_values(mesh: Mesh, values: Bools, points: npt.NDArray[np.float64]) -> Bools:
    """(M,) the value of the node nearest to each of (M, 3) points."""
    from scipy.spatial import cKDTree

    if values.all():
        return np.ones(len(points), bool)
    near: Bools = values[cKDTree(mesh.points).query(points)[1]]
    return near


def observed_part(mesh: Mesh, observed: Bools) -> Mesh:
    """The cells of a volume mesh whose nodes are all observed; all nodes stay, without their arrays."""
    connectivity, offsets, types = mesh.cells()
    counts = np.diff(offsets)
    kept = np.minimum.reduceat(observed[connectivity].astype(np.int8), offsets[:-1]) > 0
    ends = np.concatenate([[0], np.cumsum(counts[kept])])
    chosen = connectivity[np.repeat(kept, counts)]
    return Mesh(unstructured_grid(mesh.points, chosen, ends, types[kept]), mesh.name)
