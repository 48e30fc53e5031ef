"""Meshes in RAS millimetres, around VTK datasets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkPoints, vtkUnsignedCharArray
from vtkmodules.vtkCommonDataModel import (
    VTK_POLYGON,
    VTK_QUAD,
    VTK_TETRA,
    VTK_TRIANGLE,
    vtkCellArray,
    vtkGenericCell,
    vtkPointSet,
    vtkPolyData,
    vtkUnstructuredGrid,
)
from vtkmodules.vtkFiltersCore import vtkCleanPolyData, vtkFeatureEdges, vtkTriangleFilter
from vtkmodules.vtkFiltersExtraction import vtkExtractCellsByType
from vtkmodules.vtkFiltersGeometry import vtkDataSetSurfaceFilter
from vtkmodules.vtkFiltersVerdict import vtkCellSizeFilter
from vtkmodules.vtkImagingStencil import vtkImageStencilToImage, vtkPolyDataToImageStencil

from deeprecon.data.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_GRID_LIMIT = 40_000_000
"""Voxels of the inside-the-wall grid; a larger mesh gets a coarser grid."""


@dataclass(frozen=True, eq=False)
class Mesh:
    """A surface or volume mesh in RAS mm. The dataset is shared, never changed.

    Attributes:
        dataset: vtkPolyData or vtkUnstructuredGrid.
        name: file or node it came from, for messages.
    """

    dataset: vtkPointSet
    name: str = "mesh"

    @classmethod
    def from_arrays(cls, points: npt.ArrayLike, cells: npt.ArrayLike, name: str = "mesh") -> Mesh:
        """A surface of triangles or a volume mesh of tetrahedra.

        Args:
            points: (N, 3) in RAS mm.
            cells: (C, 3) or (C, 4) numbers of the nodes of each cell, counted from 0.
            name: for messages.

        Raises:
            InputError: other shapes, or cells that name nodes that there are not.
        """
        nodes, corners = np.asarray(points, np.float64), np.asarray(cells)
        if nodes.ndim != 2 or nodes.shape[1] != 3 or corners.ndim != 2 or corners.shape[1] not in (3, 4):
            raise InputError(
                f"{name}: points are {nodes.shape} and cells {corners.shape}.", "Give (N, 3), and (C, 3) or (C, 4)."
            )
        if corners.dtype.kind not in "iu" or corners.size == 0 or corners.min() < 0 or corners.max() >= len(nodes):
            raise InputError(f"{name}: cells name nodes that are not among the {len(nodes)} points.", "Count from 0.")
        count, size = corners.shape
        kind = VTK_TRIANGLE if size == 3 else VTK_TETRA
        offsets = np.arange(0, size * count + 1, size)
        grid = unstructured_grid(nodes, corners.ravel(), offsets, np.full(count, kind))
        if size == 4:
            return cls(grid, name)
        surface = vtkPolyData()
        surface.SetPoints(grid.GetPoints())
        surface.SetPolys(grid.GetCells())
        return cls(surface, name)

    @property
    def n_points(self) -> int:
        """Number of nodes."""
        return int(self.dataset.GetNumberOfPoints())

    @property
    def n_cells(self) -> int:
        """Number of cells of every kind."""
        return int(self.dataset.GetNumberOfCells())

    @property
    def points(self) -> Floats:
        """(N, 3) float64 copy of the node positions in RAS mm."""
        if self.n_points == 0:
            return np.zeros((0, 3))
        points: Floats = vtk_to_numpy(self.dataset.GetPoints().GetData()).astype(np.float64)
        return points

    @property
    def is_volume(self) -> bool:
        """True when the mesh has cells with a volume (tetrahedra, hexahedra, ...)."""
        return bool(_volume_types(self.dataset))

    @property
    def array_names(self) -> tuple[str, ...]:
        """Names of the arrays of numbers at the nodes."""
        data = self.dataset.GetPointData()
        arrays = [data.GetArray(index) for index in range(data.GetNumberOfArrays())]
        return tuple(array.GetName() for array in arrays if array is not None and array.GetName())

    def point_array(self, name: str) -> npt.NDArray[np.generic]:
        """(N,) or (N, C) copy of the array `name` at the nodes.

        Raises:
            InputError: there is none of that name; lists those there are.
        """
        array = self.dataset.GetPointData().GetArray(name)
        if array is None:
            raise InputError(
                f"{self.name} has no array {name!r} at its nodes.", f"It has: {', '.join(self.array_names) or 'none'}."
            )
        values: npt.NDArray[np.generic] = vtk_to_numpy(array).copy()
        return values

    def with_point_arrays(self, arrays: Mapping[str, npt.ArrayLike]) -> Mesh:
        """A mesh of the same nodes and cells with arrays of one value (or one row) per node added, stored as float32.

        The first of them becomes the active scalars. Points, cells and the arrays there were are shared, not copied.
        """
        dataset = self.dataset.NewInstance()
        dataset.ShallowCopy(self.dataset)
        for name, values in arrays.items():
            array = np.ascontiguousarray(values, dtype=np.float32)
            if array.shape[0] != self.n_points:
                raise ValueError(f"{name} has {array.shape[0]} values for {self.n_points} nodes")
            vtk_array = numpy_to_vtk(array, deep=True)
            vtk_array.SetName(name)
            dataset.GetPointData().AddArray(vtk_array)
        if arrays:
            dataset.GetPointData().SetActiveScalars(next(iter(arrays)))
        return Mesh(dataset, self.name)

    def cells(self) -> tuple[Ints, Ints, npt.NDArray[np.uint8]]:
        """Node ids of the cells one after the other, (C + 1,) where each cell starts and ends, (C,) VTK cell types.

        Of a vtkPolyData these are the polygons; its vertices and lines are left out.
        """
        source = self.dataset.GetPolys() if isinstance(self.dataset, vtkPolyData) else self.dataset.GetCells()
        if source is None or source.GetNumberOfCells() == 0:
            return np.zeros(0, np.int64), np.zeros(1, np.int64), np.zeros(0, np.uint8)
        copy = vtkCellArray()
        copy.DeepCopy(source)
        copy.ConvertTo64BitStorage()
        connectivity = vtk_to_numpy(copy.GetConnectivityArray()).astype(np.int64)
        offsets = vtk_to_numpy(copy.GetOffsetsArray()).astype(np.int64)
        if isinstance(self.dataset, vtkPolyData):
            sizes = np.diff(offsets)
            types = np.where(sizes == 3, VTK_TRIANGLE, np.where(sizes == 4, VTK_QUAD, VTK_POLYGON)).astype(np.uint8)
        else:
            types = _cell_types(self.dataset)
        return connectivity, offsets, types


def unstructured_grid(
    points: npt.ArrayLike, connectivity: npt.ArrayLike, offsets: npt.ArrayLike, types: npt.ArrayLike
) -> vtkUnstructuredGrid:
    """A VTK grid out of (N, 3) points and cells as `Mesh.cells` gives them."""
    grid = vtkUnstructuredGrid()
    grid.SetPoints(_vtk_points(points))
    cells = vtkCellArray()
    cells.SetData(
        numpy_to_vtkIdTypeArray(np.ascontiguousarray(offsets, np.int64), deep=True),
        numpy_to_vtkIdTypeArray(np.ascontiguousarray(connectivity, np.int64), deep=True),
    )
    grid.SetCells(numpy_to_vtk(np.ascontiguousarray(types, np.uint8), deep=True), cells)
    return grid


def with_points(dataset: vtkPointSet, points: npt.ArrayLike) -> vtkPointSet:
    """A copy of a dataset, cells and arrays shared, with other node positions in float64."""
    moved = dataset.NewInstance()
    moved.ShallowCopy(dataset)
    moved.SetPoints(_vtk_points(points))
    return moved


def _vtk_points(points: npt.ArrayLike) -> vtkPoints:
    array = vtkPoints()
    array.SetDataTypeToDouble()
    array.SetData(numpy_to_vtk(np.ascontiguousarray(points, np.float64), deep=True))
    return array


def _cell_types(grid: vtkUnstructuredGrid) -> npt.NDArray[np.uint8]:
    """(C,) VTK cell type of each cell."""
    try:
        types = grid.GetCellTypes()
    except TypeError:  # before VTK 9.6 this name wants an argument; since then the other one is deprecated
        types = grid.GetCellTypesArray()
    array = vtkUnsignedCharArray()
    array.DeepCopy(types)
    values: npt.NDArray[np.uint8] = vtk_to_numpy(array).copy()
    return values


def _volume_types(dataset: vtkPointSet) -> list[int]:
    """VTK types of the cells that have a volume."""
    if not isinstance(dataset, vtkUnstructuredGrid) or dataset.GetNumberOfCells() == 0:
        return []
    cell = vtkGenericCell()
    found = []
    for kind in np.unique(_cell_types(dataset)).tolist():
        cell.SetCellType(kind)
        if cell.GetCellDimension() == 3:
            found.append(kind)
    return found


def cell_volumes(mesh: Mesh) -> Floats:
    """(C,) volume of each cell in mm^3, cells as `Mesh.cells` counts them; quadratic ones by linear pieces.

    Raises:
        InputError: the mesh is a surface.
    """
    if not mesh.is_volume:
        raise InputError(f"{mesh.name} is a surface, which has no volume.", "Give a volume mesh.")
    size = vtkCellSizeFilter()
    size.SetInputData(mesh.dataset)
    size.ComputeVertexCountOff()
    size.ComputeLengthOff()
    size.ComputeAreaOff()
    size.ComputeVolumeOn()
    size.SetVolumeArrayName("volume")
    size.Update()
    volumes: Floats = np.abs(vtk_to_numpy(size.GetOutput().GetCellData().GetArray("volume")))
    return volumes


def node_volumes(mesh: Mesh) -> Floats:
    """(N,) volume in mm^3 that belongs to each node: every cell's volume is shared equally by its nodes.

    The sum over all nodes is the volume of the mesh.

    Raises:
        InputError: the mesh is a surface.
    """
    volumes = cell_volumes(mesh)
    connectivity, offsets, _types = mesh.cells()
    counts = np.diff(offsets)
    shares = np.repeat(volumes / np.maximum(counts, 1), counts)
    return np.bincount(connectivity, weights=shares, minlength=mesh.n_points).astype(np.float64)


def cell_means(mesh: Mesh, values: npt.ArrayLike) -> Floats:
    """(C,) mean over the nodes of each cell of (N,) values at the nodes; cells as `Mesh.cells` counts them."""
    connectivity, offsets, _types = mesh.cells()
    counts = np.diff(offsets)
    cell = np.repeat(np.arange(counts.size), counts)
    sums = np.bincount(cell, weights=np.asarray(values, np.float64)[connectivity], minlength=counts.size)
    means: Floats = sums / np.maximum(counts, 1)
    return means


def surface(mesh: Mesh) -> vtkPolyData:
    """The boundary of a volume mesh, with the arrays at its nodes; a surface mesh's own dataset.

    The point array "vtkOriginalPointIds" leads back to the nodes of a volume mesh.
    """
    if isinstance(mesh.dataset, vtkPolyData):
        return mesh.dataset
    source = mesh.dataset
    kinds = _volume_types(source)
    if kinds and len(kinds) < len(np.unique(_cell_types(source))):
        # Surface cells lying on the volume's boundary would come out twice.
        only = vtkExtractCellsByType()
        only.SetInputData(source)
        for kind in kinds:
            only.AddCellType(kind)
        only.Update()
        source = only.GetOutput()
    boundary = vtkDataSetSurfaceFilter()
    boundary.SetInputData(source)
    boundary.PassThroughPointIdsOn()
    boundary.Update()
    output: vtkPolyData = boundary.GetOutput()
    return output


class Inside:
    """Tells points in the wall from points outside: the closed surface, or the boundary of the volume mesh, is
    rasterized once on a fine grid and looked up.

    Args:
        mesh: a volume mesh or a closed surface.
        spacing: of the grid in mm; coarser where the mesh is so large that the grid would not fit the memory.

    Raises:
        InputError: the surface is open; names the number of open edges.
    """

    def __init__(self, mesh: Mesh, spacing: float = 0.5) -> None:
        triangles = _closed_triangles(mesh)
        low, high = np.array(triangles.GetBounds()).reshape(3, 2).T
        self.spacing = max(spacing, float((np.prod(high - low + spacing) / _GRID_LIMIT) ** (1 / 3)))
        # Off the round numbers on which the faces of made-up meshes lie.
        self._origin = low - 1.4142 * self.spacing
        counts = np.ceil((high - self._origin) / self.spacing).astype(int) + 2

        stencil = vtkPolyDataToImageStencil()
        stencil.SetInputData(triangles)
        stencil.SetOutputOrigin(*self._origin)
        stencil.SetOutputSpacing(self.spacing, self.spacing, self.spacing)
        stencil.SetOutputWholeExtent(0, int(counts[0]) - 1, 0, int(counts[1]) - 1, 0, int(counts[2]) - 1)
        image = vtkImageStencilToImage()
        image.SetInputConnection(stencil.GetOutputPort())
        image.SetOutputScalarTypeToUnsignedChar()
        image.SetInsideValue(1)
        image.SetOutsideValue(0)
        image.Update()
        values = vtk_to_numpy(image.GetOutput().GetPointData().GetScalars())
        self._grid = values.reshape(counts[::-1]).astype(bool)

    def __call__(self, points: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """(M,) bool for (M, 3) points in RAS mm; right up to half the grid spacing."""
        index = np.rint((np.asarray(points, np.float64) - self._origin) / self.spacing)
        counts = np.array(self._grid.shape[::-1])
        known = ((index >= 0) & (index < counts)).all(axis=1)
        i, j, k = index[known].astype(np.int64).T
        result = np.zeros(index.shape[0], bool)
        result[known] = self._grid[k, j, i]
        return result


def open_edges(mesh: Mesh) -> int:
    """Number of edges that belong to one triangle only: 0 for a closed surface."""
    return _count_open_edges(triangles_of(mesh))


def triangles_of(mesh: Mesh) -> vtkPolyData:
    """The surface of a mesh in triangles, nodes at one place joined."""
    clean = vtkCleanPolyData()  # files such as VTU may hold a node once for each of its triangles
    clean.SetInputData(surface(mesh))
    clean.ToleranceIsAbsoluteOn()
    clean.SetAbsoluteTolerance(0.0)
    triangles = vtkTriangleFilter()
    triangles.SetInputConnection(clean.GetOutputPort())
    triangles.PassLinesOff()
    triangles.PassVertsOff()
    triangles.Update()
    output: vtkPolyData = triangles.GetOutput()
    return output


def _count_open_edges(triangles: vtkPolyData) -> int:
    edges = vtkFeatureEdges()
    edges.SetInputData(triangles)
    edges.BoundaryEdgesOn()
    edges.FeatureEdgesOff()
    edges.NonManifoldEdgesOff()
    edges.ManifoldEdgesOff()
    edges.ColoringOff()
    edges.Update()
    return int(edges.GetOutput().GetNumberOfLines())


def _closed_triangles(mesh: Mesh) -> vtkPolyData:
    triangles = triangles_of(mesh)
    if triangles.GetNumberOfPolys() == 0:
        raise InputError(f"{mesh.name} has no faces.", "Give a closed surface or a volume mesh.")
    count = _count_open_edges(triangles)
    if count:
        raise InputError(
            f"{mesh.name} is an open surface: {count} open edges.",
            "Close its holes, or give a volume mesh: the wall must have an inside.",
        )
    return triangles
