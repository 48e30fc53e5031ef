"""Meshes in RAS millimetres, around VTK datasets."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray, vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkPoints, vtkUnsignedCharArray, vtkVersion
from vtkmodules.vtkCommonDataModel import (
    VTK_HEXAHEDRON,
    VTK_POLYGON,
    VTK_QUAD,
    VTK_TRIANGLE,
    vtkCellArray,
    vtkGenericCell,
    vtkImageData,
    vtkPointSet,
    vtkPolyData,
    vtkUnstructuredGrid,
)
from vtkmodules.vtkFiltersCore import vtkCleanPolyData, vtkFeatureEdges, vtkTriangleFilter
from vtkmodules.vtkFiltersExtraction import vtkExtractCellsByType
from vtkmodules.vtkFiltersGeometry import vtkDataSetSurfaceFilter
from vtkmodules.vtkFiltersVerdict import vtkCellSizeFilter
from vtkmodules.vtkImagingGeneral import vtkImageEuclideanDistance
from vtkmodules.vtkImagingStencil import vtkImageStencilToImage, vtkPolyDataToImageStencil

from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume, canonical

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
            raise InputError(f"{self.name} has no array {name!r} at its nodes.",
                             f"It has: {', '.join(self.array_names) or 'none'}.")
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


def unstructured_grid(points: npt.ArrayLike, connectivity: npt.ArrayLike, offsets: npt.ArrayLike,
                      types: npt.ArrayLike) -> vtkUnstructuredGrid:
    """A VTK grid out of (N, 3) points and cells as `Mesh.cells` gives them."""
    grid = vtkUnstructuredGrid()
    grid.SetPoints(_vtk_points(points))
    cells = vtkCellArray()
    cells.SetData(numpy_to_vtkIdTypeArray(np.ascontiguousarray(offsets, np.int64), deep=True),
                  numpy_to_vtkIdTypeArray(np.ascontiguousarray(connectivity, np.int64), deep=True))
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
    new = (vtkVersion.GetVTKMajorVersion(), vtkVersion.GetVTKMinorVersion()) >= (9, 6)
    array = vtkUnsignedCharArray()
    array.DeepCopy(grid.GetCellTypes() if new else grid.GetCellTypesArray())  # the old name is deprecated in the new
    types: npt.NDArray[np.uint8] = vtk_to_numpy(array).copy()
    return types


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


def node_volumes(mesh: Mesh) -> Floats:
    """(N,) volume in mm^3 that belongs to each node: every cell's volume is shared equally by its nodes.

    The sum over all nodes is the volume of the mesh; quadratic cells are measured by linear pieces.

    Raises:
        InputError: the mesh is a surface.
    """
    if not mesh.is_volume:
        raise InputError(f"{mesh.name} is a surface: its nodes have no volume.", "Give a volume mesh.")
    size = vtkCellSizeFilter()
    size.SetInputData(mesh.dataset)
    size.ComputeVertexCountOff()
    size.ComputeLengthOff()
    size.ComputeAreaOff()
    size.ComputeVolumeOn()
    size.SetVolumeArrayName("volume")
    size.Update()
    volumes = np.abs(vtk_to_numpy(size.GetOutput().GetCellData().GetArray("volume")))
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


def sample_inside(mesh: Mesh, points: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """(M,) whether (M, 3) RAS points lie in the wall; keep an `Inside` for more than one question."""
    return Inside(mesh)(points)


def open_edges(mesh: Mesh) -> int:
    """Number of edges that belong to one triangle only: 0 for a closed surface."""
    return _count_open_edges(_triangles(mesh))


def _triangles(mesh: Mesh) -> vtkPolyData:
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
    triangles = _triangles(mesh)
    if triangles.GetNumberOfPolys() == 0:
        raise InputError(f"{mesh.name} has no faces.", "Give a closed surface or a volume mesh.")
    count = _count_open_edges(triangles)
    if count:
        raise InputError(f"{mesh.name} is an open surface: {count} open edges.",
                         "Close its holes, or give a volume mesh: the wall must have an inside.")
    return triangles


def voxel_mesh(mask: Volume, spacing: float, thickness: float | None = None) -> Mesh:
    """A mesh of hexahedra that fills the wall segmented in a stack of slices.

    Between the slices the wall is interpolated by shape: the signed in-plane distance to the wall's edge, linear
    along the slices (Raya & Udupa 1990, doi 10.1109/42.52980). The hexahedra lie along the axes of the stack and are
    as near to `spacing` as whole numbers of them fit the wall's extent.

    Args:
        mask: the wall: bool, label (not 0), or share of each voxel (above one half).
        spacing: edge length wanted, mm.
        thickness: of the imaged slab, mm; the mesh ends half of it beyond the outermost slices that show wall.
            `mask.slice_thickness`, or else the slice spacing, when left out.

    Raises:
        InputError: no wall in any slice, or hexahedra so large that none fits.
    """
    stack = canonical(mask)
    wall = np.greater(stack.array, 0.5 if stack.array.dtype.kind == "f" else 0)  # type: ignore[arg-type]
    used = np.argwhere(wall)
    if used.size == 0:
        raise InputError(f"{mask.name} shows no wall in any slice.", "Choose the segment of the myocardium.")
    first, last = used.min(axis=0), used.max(axis=0)
    wall = wall[tuple(slice(low, high + 1) for low, high in zip(first, last, strict=True))]
    size = stack.spacing[::-1]  # along k, j, i
    thickness = thickness or stack.slice_thickness or float(size[0])

    # Edges of the hexahedra in mm from the centre of the first voxel of the box around the wall.
    beyond = (thickness / 2, size[1] / 2, size[2] / 2)
    edges = []
    for axis in range(3):
        length = (wall.shape[axis] - 1) * size[axis] + 2 * beyond[axis]
        edges.append(np.linspace(-beyond[axis], length - beyond[axis], max(1, round(length / spacing)) + 1))
    distance = _signed_distance(wall, size)
    for axis, edge in enumerate(edges):
        distance = _resample(distance, (edge[1:] + edge[:-1]) / 2 / size[axis], axis)
    cells = np.argwhere(distance > 0)
    if cells.size == 0:
        raise InputError(f"No element of {spacing:g} mm fits the wall of {mask.name}.", "Choose smaller elements.")

    corners = np.array([(0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 0), (1, 0, 0), (1, 0, 1), (1, 1, 1), (1, 1, 0)])
    shape = tuple(edge.size for edge in edges)
    nodes = np.ravel_multi_index(tuple((cells[:, None] + corners).reshape(-1, 3).T), shape)
    ids, connectivity = np.unique(nodes, return_inverse=True)
    kji = np.stack([edges[axis][place] / size[axis] for axis, place in enumerate(np.unravel_index(ids, shape))], axis=1)
    points = stack.to_ras((kji + first)[:, ::-1])
    grid = unstructured_grid(points, connectivity.ravel(), np.arange(len(cells) + 1) * 8,
                             np.full(len(cells), VTK_HEXAHEDRON))
    return Mesh(grid, f"mesh of {mask.name}")


def _signed_distance(wall: npt.NDArray[np.bool_], size: Floats) -> Floats:
    """(k, j, i) in-plane distance of each pixel centre to the wall's edge in mm, positive inside."""
    padded = np.pad(wall, ((0, 0), (1, 1), (1, 1)))
    half = size[1:].min() / 2
    signed = np.where(padded, _distance_to_false(padded, size) - half, half - _distance_to_false(~padded, size))
    # A slice without wall between two others: the wall ends halfway towards it at the latest.
    empty = ~wall.any(axis=(1, 2))
    signed[empty] = -size[0]
    trimmed: Floats = signed[:, 1:-1, 1:-1]
    return trimmed


def _distance_to_false(mask: npt.NDArray[np.bool_], size: Floats) -> Floats:
    image = vtkImageData()
    image.SetDimensions(*mask.shape[::-1])
    image.SetSpacing(*size[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(mask.astype(np.float64).ravel(), deep=True))
    distance = vtkImageEuclideanDistance()
    distance.SetInputData(image)
    distance.SetDimensionality(2)
    distance.ConsiderAnisotropyOn()
    distance.Update()
    squared = vtk_to_numpy(distance.GetOutput().GetPointData().GetScalars())
    root: Floats = np.sqrt(squared.reshape(mask.shape))
    return root


def _resample(values: Floats, places: Floats, axis: int) -> Floats:
    """Linear interpolation along one axis at fractional indices; constant beyond the ends."""
    places = np.clip(places, 0, values.shape[axis] - 1)
    low = np.floor(places).astype(int)
    high = np.minimum(low + 1, values.shape[axis] - 1)
    weight = (places - low).reshape([-1 if entry == axis else 1 for entry in range(3)])
    result: Floats = values.take(low, axis) * (1 - weight) + values.take(high, axis) * weight
    return result
