"""Volume or area that each node of a mesh represents, and connected pieces of nodes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkPolyData
from vtkmodules.vtkFiltersCore import vtkExtractEdges
from vtkmodules.vtkFiltersVerdict import vtkCellSizeFilter

from deeprecon.data.mesh.mesh import Mesh, node_volumes

Integers = npt.NDArray[np.int64]


def node_sizes(mesh: Mesh) -> npt.NDArray[np.float64]:
    """(N,) what each node represents: its share of its cells' volume in mm3, or of their area in mm2 on a surface."""
    if mesh.is_volume:
        return node_volumes(mesh)
    sizes = vtkCellSizeFilter()
    sizes.SetInputData(mesh.dataset)
    sizes.Update()
    area = vtk_to_numpy(sizes.GetOutput().GetCellData().GetArray("Area"))
    connectivity, offsets, _ = mesh.cells()
    counts = np.diff(offsets)
    first = 0  # vtkPolyData counts its vertices and lines before the polygons
    if isinstance(mesh.dataset, vtkPolyData):
        first = mesh.dataset.GetNumberOfVerts() + mesh.dataset.GetNumberOfLines()
    share = np.repeat(area[first : first + len(counts)] / np.maximum(counts, 1), counts)
    return np.bincount(connectivity, weights=share, minlength=mesh.n_points).astype(np.float64)


def mesh_edges(mesh: Mesh) -> Integers:
    """(E, 2) nodes at both ends of each edge; curved edges come in straight pieces."""
    extract = vtkExtractEdges()
    extract.SetInputData(mesh.dataset)
    extract.UseAllPointsOn()
    extract.Update()
    lines = extract.GetOutput().GetLines()
    if not lines.GetNumberOfCells():
        return np.empty((0, 2), dtype=np.int64)
    edges: Integers = vtk_to_numpy(lines.GetConnectivityArray()).reshape(-1, 2).astype(np.int64)
    return edges


def connected_pieces(edges: Integers, mask: npt.NDArray[np.bool_]) -> Integers:
    """(N,) number of the connected piece of each node of a (N,) mask, in the order of their first nodes; -1 outside.

    Args:
        edges: (E, 2) of the mesh, see `mesh_edges`.
        mask: which nodes are joined.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = edges[mask[edges].all(axis=1)].T
    graph = coo_array((np.ones(len(first), bool), (first, second)), shape=(len(mask), len(mask)))
    _, label = connected_components(graph, directed=False)
    result = np.full(len(mask), -1, dtype=np.int64)
    result[mask] = np.unique(label[mask], return_inverse=True)[1]
    return result
