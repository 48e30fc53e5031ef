"""The part of a mesh that counts: cells of the highest dimension, each once, and nodes at places of their own.

Files hold more than the wall: triangles, lines and vertices beside the volume elements (gmsh), nodes that no cell
uses, cells listed twice, and cells that share no nodes though they touch (STL, discontinuous finite elements). A `Part`
leaves out and joins these, once, so that areas, volumes, pieces and borders are those of the wall; results go back to
every node of the file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkGenericCell, vtkPolyData

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.mesh import Floats, Ints, Mesh, unstructured_grid, with_points

Bools = npt.NDArray[np.bool_]

_SAME_PLACE = 1e-6
"""Distance below which nodes are one, as a share of the mesh's diagonal: about 0.1 micrometers in a heart."""
_DIMENSIONS = {0: ("vertex", "vertices"), 1: ("line", "lines"), 2: ("face", "faces"), 3: ("element", "elements")}
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class Part:
    """Nodes and cells that count, by their numbers in the whole mesh; cells as `Mesh.cells` counts them.

    Attributes:
        nodes: (N,) number of each node of the whole mesh in the part, -1 where no cell of the part uses it.
        first: (P,) number in the whole mesh of each node of the part; of several at one place the first.
        cells: (C,) numbers of the part's cells.
        is_whole: whether the part is the mesh itself.
        left_out: what does not count, and what was joined, in words; empty where there is nothing to tell.
    """

    nodes: Ints
    first: Ints
    cells: Ints
    is_whole: bool
    left_out: tuple[str, ...] = ()

    def of(self, whole: Mesh) -> Mesh:
        """The part as a mesh without arrays, or `whole` itself where that is the part.

        Args:
            whole: the mesh that the part was found in, which may have been moved since.
        """
        if self.is_whole:
            return whole
        connectivity, offsets, types = _chosen(*whole.cells(), self.cells)
        return Mesh(_dataset(whole, whole.points[self.first], self.nodes[connectivity], offsets, types), whole.name)

    def spread(self, values: npt.ArrayLike, fill: float = 0) -> npt.NDArray[Any]:
        """(N, ...) values at the nodes of the whole mesh from (P, ...) of the part; `fill` at others."""
        spread: npt.NDArray[Any] = np.asarray(values)[self.nodes]
        spread[self.nodes < 0] = fill
        return spread


def find_part(mesh: Mesh, chosen: Bools | None = None) -> Part:
    """Find what counts in a mesh.

    Args:
        mesh: in any unit.
        chosen: (C,) cells among which to look, such as those of a region; all if left out. What else was left out is
            told only of these.

    Raises:
        InputError: no cell is chosen.
    """
    connectivity, offsets, types = mesh.cells()
    cells = np.arange(len(types)) if chosen is None else np.flatnonzero(chosen)
    if not len(cells):
        raise InputError(f"{mesh.name} has no cells to work on.", "Export the mesh again.")
    told = []
    connectivity, offsets, types = _chosen(connectivity, offsets, types, cells)
    dimensions = _dimensions(types)
    if lower := Counter(dimensions[dimensions < dimensions.max()].tolist()) + _beside_polygons(mesh):
        kinds = " and ".join(
            _counted(number, *_DIMENSIONS[kind]) for kind, number in sorted(lower.items(), reverse=True)
        )
        told.append(f"{kinds} beside {_DIMENSIONS[int(dimensions.max())][1]}")
        highest = np.flatnonzero(dimensions == dimensions.max())
        cells = cells[highest]
        connectivity, offsets, types = _chosen(connectivity, offsets, types, highest)
    is_used = np.zeros(mesh.n_points, bool)
    is_used[connectivity] = True
    used = np.flatnonzero(is_used)
    if (unused := mesh.n_points - len(used)) and chosen is None:
        cell = _DIMENSIONS[int(dimensions.max())][0]
        told.append(_counted(unused, f"node that no {cell} uses", f"nodes that no {cell} uses"))
    joined, first = _same_place(mesh.points[used])
    if len(first) < len(used):
        number = len(used) - len(first)
        told.append(_counted(number, "node at the place of another", "nodes at the place of another") + " (joined)")
    nodes = np.full(mesh.n_points, -1)
    nodes[used] = joined
    once = _listed_once(nodes[connectivity], offsets, types)
    if len(once) < len(cells):
        told.append(_counted(len(cells) - len(once), "cell listed twice", "cells listed twice"))
        cells = cells[once]
    is_whole = len(first) == mesh.n_points and len(cells) == mesh.n_cells
    return Part(nodes, used[first], cells, is_whole, tuple(told))


def with_cells(mesh: Mesh, cells: Ints) -> Mesh:
    """The mesh with all its nodes and their arrays, and some of its cells with theirs.

    Args:
        mesh: any.
        cells: (C,) numbers as `Mesh.cells` counts them.
    """
    if len(cells) == mesh.n_cells:
        return mesh
    dataset = _dataset(mesh, mesh.points, *_chosen(*mesh.cells(), cells))
    dataset.GetPointData().ShallowCopy(mesh.dataset.GetPointData())
    dataset.SetFieldData(mesh.dataset.GetFieldData())
    data = mesh.dataset.GetCellData()
    for index in range(data.GetNumberOfArrays()):
        array = data.GetArray(index)
        if array is not None:
            picked = numpy_to_vtk(np.ascontiguousarray(cell_values(mesh, array)[cells]), deep=True)
            picked.SetName(array.GetName())
            dataset.GetCellData().AddArray(picked)
    return Mesh(dataset, mesh.name)


def cell_values(mesh: Mesh, array: Any) -> npt.NDArray[Any]:
    """(C,) or (C, K) values of a VTK array at the cells, as `Mesh.cells` counts them."""
    values: npt.NDArray[Any] = vtk_to_numpy(array)[polygons_after(mesh) :]
    return values


def with_cell_arrays(mesh: Mesh, arrays: Mapping[str, npt.NDArray[Any]]) -> Mesh:
    """The mesh with arrays of (C,) or (C, K) values at its cells, as `Mesh.cells` counts them, stored as float32.

    They replace arrays of the same names. Vertices and lines of a surface get 0.
    """
    dataset = mesh.dataset.NewInstance()
    dataset.ShallowCopy(mesh.dataset)
    for name, values in arrays.items():
        stored = np.zeros((mesh.n_cells, *values.shape[1:]), np.float32)
        stored[polygons_after(mesh) :][: len(values)] = values
        array = numpy_to_vtk(stored, deep=True)
        array.SetName(name)
        dataset.GetCellData().AddArray(array)
    return Mesh(dataset, mesh.name)


def polygons_after(mesh: Mesh) -> int:
    """Number of vertices and lines, which vtkPolyData counts before the polygons; 0 for other meshes."""
    if not isinstance(mesh.dataset, vtkPolyData):
        return 0
    return int(mesh.dataset.GetNumberOfVerts() + mesh.dataset.GetNumberOfLines())


def _chosen(
    connectivity: Ints, offsets: Ints, types: npt.NDArray[np.uint8], cells: Ints
) -> tuple[Ints, Ints, npt.NDArray[np.uint8]]:
    """Some of the cells, in the form of `Mesh.cells`."""
    if len(cells) == len(types):
        return connectivity, offsets, types
    counts = np.diff(offsets)[cells]
    ends = np.concatenate([[0], np.cumsum(counts)])
    place = np.arange(ends[-1]) + np.repeat(offsets[:-1][cells] - ends[:-1], counts)
    return connectivity[place], ends, types[cells]


def _dataset(like: Mesh, points: Floats, connectivity: Ints, offsets: Ints, types: npt.NDArray[np.uint8]) -> Any:
    """A dataset of the class of another mesh."""
    if not isinstance(like.dataset, vtkPolyData):
        return unstructured_grid(points, connectivity, offsets, types)
    polygons = vtkCellArray()
    polygons.SetData(numpy_to_vtkIdTypeArray(offsets, deep=True), numpy_to_vtkIdTypeArray(connectivity, deep=True))
    surface = with_points(vtkPolyData(), points)
    surface.SetPolys(polygons)
    return surface


def _dimensions(types: npt.NDArray[np.uint8]) -> Ints:
    """(C,) dimension of each cell, 0 to 3."""
    cell, table = vtkGenericCell(), np.zeros(256, np.int64)
    for kind in np.unique(types).tolist():
        cell.SetCellType(kind)
        table[kind] = cell.GetCellDimension()
    return table[types]


def _beside_polygons(mesh: Mesh) -> Counter[int]:
    """Number of vertices and lines of a surface, by dimension."""
    if not isinstance(mesh.dataset, vtkPolyData):
        return Counter()
    return +Counter({0: mesh.dataset.GetNumberOfVerts(), 1: mesh.dataset.GetNumberOfLines()})


def _same_place(points: Floats) -> tuple[Ints, Ints]:
    """(M,) number of the place of each of (M, 3) points, and (P,) the first point at each place."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    label = _distinct(points)
    first = np.unique(label, return_index=True)[1]
    middle = np.percentile(points, (1, 99), axis=0)  # a single node far away does not make others one
    reach = _SAME_PLACE * float(np.linalg.norm(np.ptp(middle, axis=0)))
    tree = cKDTree(points[first], balanced_tree=False, compact_nodes=False)
    pairs = tree.query_pairs(reach, output_type="ndarray")
    if len(pairs):
        graph = coo_array((np.ones(len(pairs), bool), pairs.T), shape=(len(first), len(first)))
        label = connected_components(graph, directed=False)[1][label]
        first = np.unique(label, return_index=True)[1]
    order = np.argsort(first)  # places in the order of their first points
    number = np.empty_like(order)
    number[order] = np.arange(len(order))
    return number[label], first[order]


def _distinct(points: Floats) -> Ints:
    """(M,) number of each of (M, 3) points, the same for those that are exactly equal."""
    order = np.lexsort(points.T)
    differs = (points[order][1:] != points[order][:-1]).any(axis=1)
    number = np.empty_like(order)
    number[order] = np.concatenate([[0], np.cumsum(differs)])
    return number


def _listed_once(connectivity: Ints, offsets: Ints, types: npt.NDArray[np.uint8]) -> Ints:
    """Numbers of the cells without those that have the type and the nodes of an earlier one."""
    sizes = np.diff(offsets)
    repeated = np.zeros(len(types), bool)
    for size in np.unique(sizes).tolist():
        where = np.flatnonzero(sizes == size)
        rows = np.sort(connectivity[offsets[where][:, None] + np.arange(size)], axis=1)
        rows = np.column_stack([types[where], rows])
        hashes = np.zeros(len(rows), np.uint64)
        for column in rows.T.astype(np.uint64):
            hashes = (hashes ^ column) * _MIX
            hashes ^= hashes >> np.uint64(29)
        order = np.argsort(hashes, kind="stable")
        same = hashes[order][1:] == hashes[order][:-1]
        if same.any():
            suspects = np.sort(order[np.append(same, False) | np.append(False, same)])
            _, first = np.unique(rows[suspects], axis=0, return_index=True)
            repeated[np.delete(where[suspects], first)] = True
    return np.flatnonzero(~repeated)


def _counted(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"
