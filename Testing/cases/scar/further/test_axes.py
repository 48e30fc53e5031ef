"""Vectors of a mesh follow its axes, whatever they are called and wherever they stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from .files import CARP, TETRAHEDRON, TO_LPS, exported, reconstructed, tetrahedra, write_carp, write_legacy, write_vtu


def along(points: Any, cells: Any, first: int, second: int) -> Any:
    """(n, 3) unit vectors from one node of each cell to another."""
    edges = points[cells[:, second]] - points[cells[:, first]]
    return edges / np.linalg.norm(edges, axis=1)[:, None]


def cosines(vectors: Any, others: Any) -> Any:
    return (vectors * others).sum(1)


def carp(path: Path) -> tuple[Any, Any, Any]:
    """Points, tetrahedra and rows of .lon."""
    rows = path.with_suffix(".elem").read_text().splitlines()[1:]
    assert all(row.startswith(CARP[TETRAHEDRON]) for row in rows)
    cells = np.array([list(map(int, row.split()[1:5])) for row in rows])
    return np.loadtxt(path, skiprows=1), cells, np.loadtxt(path.with_suffix(".lon"), skiprows=1)


def read(path: Path) -> Any:
    reader = vtk.vtkXMLUnstructuredGridReader() if path.suffix == ".vtu" else vtk.vtkUnstructuredGridReader()
    reader.SetFileName(str(path))
    if path.suffix == ".vtk":
        reader.ReadAllVectorsOn()
        reader.ReadAllFieldsOn()
    reader.Update()
    return reader.GetOutput()


@pytest.mark.parametrize(("axes", "frame"), [("ras", "auto"), ("ras", "lps"), ("lps", "ras"), ("ras", "ras")])
def test_fibers_and_sheets_of_opencarp(tmp_path: Path, axes: str, frame: str) -> None:
    points, cells = tetrahedra()
    points = points * 1000 * (1 if axes == "ras" else TO_LPS)
    fibers = np.hstack([along(points, cells, 0, 1), along(points, cells, 0, 2)])
    mesh = write_carp(tmp_path / "heart.pts", points, [(TETRAHEDRON, cells)], [7] * len(cells), fibers)
    assert reconstructed(tmp_path, mesh)[0] == 0
    assert exported(tmp_path, "--frame", frame)[0] == 0
    for path in (tmp_path / "out" / "mesh.pts", tmp_path / "x" / "mesh.pts"):
        points, cells, vectors = carp(path)
        assert vectors.shape[1] == 6
        assert cosines(vectors[:, :3], along(points, cells, 0, 1)) == pytest.approx(1, abs=1e-3)
        assert cosines(vectors[:, 3:], along(points, cells, 0, 2)) == pytest.approx(1, abs=1e-3)


def test_vectors_of_any_name_at_cells_and_nodes(tmp_path: Path) -> None:
    points, cells = tetrahedra()
    lean = np.tile([0.6, 0.0, 0.8], (len(points), 1))
    arrays = {"f0": along(points, cells, 0, 1), "Sheets": along(points, cells, 0, 3).astype(np.float32)}
    mesh = write_vtu(tmp_path / "heart.vtu", points, [(TETRAHEDRON, cells)], {"long_axis": lean}, **arrays)
    assert reconstructed(tmp_path, mesh)[0] == 0
    assert exported(tmp_path, "--format", "vtu")[0] == 0
    grid = read(tmp_path / "x" / "mesh.vtu")
    moved = vtk_to_numpy(grid.GetPoints().GetData())
    assert moved == pytest.approx(points * TO_LPS, abs=1e-3)
    data = grid.GetCellData()
    assert cosines(vtk_to_numpy(data.GetArray("f0")), along(moved, cells, 0, 1)) == pytest.approx(1, abs=1e-3)
    assert cosines(vtk_to_numpy(data.GetArray("Sheets")), along(moved, cells, 0, 3)) == pytest.approx(1, abs=1e-3)
    assert vtk_to_numpy(grid.GetPointData().GetArray("long_axis"))[0] == pytest.approx([-0.6, 0, 0.8])


def test_colors_are_no_vectors(tmp_path: Path) -> None:
    points, cells = tetrahedra()
    colors = np.tile(np.array([200, 100, 50], np.uint8), (len(cells), 1))
    mesh = write_vtu(tmp_path / "heart.vtu", points, [(TETRAHEDRON, cells)], Colors=colors)
    assert reconstructed(tmp_path, mesh)[0] == 0
    assert exported(tmp_path, "--format", "vtu")[0] == 0
    kept = vtk_to_numpy(read(tmp_path / "x" / "mesh.vtu").GetCellData().GetArray("Colors"))
    assert kept[0].tolist() == [200, 100, 50]


def test_vectors_of_a_legacy_file(tmp_path: Path) -> None:
    points, cells = tetrahedra()
    fibers = along(points, cells, 0, 1)
    lines = ["VECTORS fibre float", *(" ".join(f"{x:.6f}" for x in row) for row in fibers)]
    mesh = write_legacy(tmp_path / "heart.vtk", points, [(TETRAHEDRON, cells)], lines)
    assert reconstructed(tmp_path, mesh)[0] == 0
    assert exported(tmp_path, "--format", "vtk")[0] == 0
    grid = read(tmp_path / "x" / "mesh.vtk")
    moved = vtk_to_numpy(grid.GetPoints().GetData())
    kept = vtk_to_numpy(grid.GetCellData().GetArray("fibre"))
    assert cosines(kept, along(moved, cells, 0, 1)) == pytest.approx(1, abs=1e-3)
