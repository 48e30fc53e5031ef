"""Made-up meshes: shared by the tests of this folder."""

from __future__ import annotations

import numpy as np
import vtk

from deeprecon.data.mesh.mesh import Mesh, unstructured_grid


def sphere_shell(outer: float = 30.0, inner: float = 20.0, center=(-40.0, 25.0, 10.0), resolution: int = 48) -> Mesh:
    """A closed surface around a hollow wall, away from the origin, lower half wider than the upper."""
    append = vtk.vtkAppendPolyData()
    for radius in (outer, inner):
        source = vtk.vtkSphereSource()
        source.SetRadius(radius)
        source.SetThetaResolution(resolution)
        source.SetPhiResolution(resolution)
        source.SetCenter(*center)
        source.SetOutputPointsPrecision(vtk.vtkAlgorithm.DOUBLE_PRECISION)
        source.Update()
        append.AddInputData(source.GetOutput())
    append.SetOutputPointsPrecision(vtk.vtkAlgorithm.DOUBLE_PRECISION)
    append.Update()
    data = append.GetOutput()
    data.GetPointData().Initialize()
    return Mesh(data, "shell")


def shell_points(count: int = 4000, outer: float = 30.0, inner: float = 20.0, center=(-40.0, 25.0, 10.0)) -> np.ndarray:
    """Random places in the wall of `sphere_shell`, on three thick slices."""
    generator = np.random.default_rng(0)
    points = generator.uniform(-outer, outer, (count * 20, 3))
    radius = np.linalg.norm(points, axis=1)
    points = points[(radius < outer) & (radius > inner) & (np.abs(points[:, 2] % 20 - 10) < 2)]
    return points[:count] + center


def box(cells: str, size=(6.0, 4.0, 2.0), origin=(10.0, -20.0, 30.0)) -> Mesh:
    """A box of 3 x 2 x 2 hexahedra, or of other volume cells made from them; 48 mm^3."""
    counts = np.array([3, 2, 2])
    k, j, i = np.meshgrid(*[np.arange(count + 1) for count in counts[::-1]], indexing="ij")
    points = np.stack([i, j, k], -1).reshape(-1, 3) * (np.array(size) / counts) + origin
    stride = np.array([1, counts[0] + 1, (counts[0] + 1) * (counts[1] + 1)])
    square = [(0, 0), (1, 0), (1, 1), (0, 1)]
    corners = np.array([(i, j, k) for k in (0, 1) for i, j in square]) @ stride
    first = np.stack(np.meshgrid(*[np.arange(count) for count in counts], indexing="ij"), -1).reshape(-1, 3) @ stride
    hexahedra = first[:, None] + corners
    splits = {
        "hexahedron": (vtk.VTK_HEXAHEDRON, [[0, 1, 2, 3, 4, 5, 6, 7]]),
        "voxel": (vtk.VTK_VOXEL, [[0, 1, 3, 2, 4, 5, 7, 6]]),
        "wedge": (vtk.VTK_WEDGE, [[0, 2, 1, 4, 6, 5], [0, 3, 2, 4, 7, 6]]),
        "tetra": (vtk.VTK_TETRA, [[0, 1, 2, 6], [0, 2, 3, 6], [0, 3, 7, 6], [0, 7, 4, 6], [0, 4, 5, 6], [0, 5, 1, 6]]),
        "pyramid": (vtk.VTK_PYRAMID, [[0, 4, 5, 1, 6], [0, 1, 2, 3, 6], [0, 3, 7, 4, 6]]),
    }
    kind, split = splits["tetra" if cells == "quadratic tetra" else cells]
    nodes = hexahedra[:, split].reshape(-1, len(split[0]))
    if cells == "quadratic tetra":
        pairs = [(0, 1), (1, 2), (2, 0), (0, 3), (1, 3), (2, 3)]
        edges = np.sort(nodes[:, pairs], axis=-1).reshape(-1, 2)
        unique, place = np.unique(edges, axis=0, return_inverse=True)
        nodes = np.hstack([nodes, len(points) + place.reshape(-1, 6)])
        points = np.vstack([points, points[unique].mean(axis=1)])
        kind = vtk.VTK_QUADRATIC_TETRA
    grid = unstructured_grid(
        points, nodes.ravel(), np.arange(len(nodes) + 1) * nodes.shape[1], np.full(len(nodes), kind)
    )
    return Mesh(grid, cells)


VOLUME_CELLS = ("hexahedron", "voxel", "wedge", "tetra", "pyramid", "quadratic tetra")


def read_tetgen_surface(stem) -> Mesh:
    """The boundary faces of a TetGen mesh (.node and .face), in the file's unit."""
    nodes = np.loadtxt(f"{stem}.node", skiprows=1, comments="#")[:, 1:4]
    with open(f"{stem}.face", encoding="ascii") as file:
        rows = [line.split()[1:4] for line in file.readlines()[1:] if line.strip() and not line.startswith("#")]
    faces = np.array(rows, np.int64)
    used, place = np.unique(faces, return_inverse=True)
    source = unstructured_grid(
        nodes[used], place.ravel(), np.arange(len(faces) + 1) * 3, np.full(len(faces), vtk.VTK_TRIANGLE)
    )
    surface = vtk.vtkDataSetSurfaceFilter()
    surface.SetInputData(source)
    surface.Update()
    return Mesh(surface.GetOutput(), "tetgen")
