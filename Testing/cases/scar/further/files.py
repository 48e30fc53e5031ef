"""Meshes as other programs write them, by writers of their own, and runs on them."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from deeprecon.data.mesh.mesh import Mesh

from ..files import heart, run, scan

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Blocks = Sequence[tuple[int, npt.NDArray[Any]]]
"""Cells: their VTK type and (n, nodes) node numbers."""

VERTEX, LINE, POLYLINE, TRIANGLE, QUAD, TETRAHEDRON, HEXAHEDRON, WEDGE = 1, 3, 4, 5, 9, 10, 12, 13
CARP = {VERTEX: "Pt", LINE: "Ln", TRIANGLE: "Tr", QUAD: "Qd", TETRAHEDRON: "Tt", HEXAHEDRON: "Hx", WEDGE: "Pr"}
TO_LPS = np.array([-1.0, -1.0, 1.0])
QUICK = "--method", "interpolation", "--alignment", "off"


@cache
def tetrahedra() -> tuple[Floats, Integers]:
    """The phantom's heart in RAS mm: (N, 3) nodes and (n, 4) tetrahedra."""
    filtered = vtk.vtkDataSetTriangleFilter()
    filtered.SetInputData(heart().mesh.dataset)
    filtered.TetrahedraOnlyOn()
    filtered.Update()
    mesh = Mesh(filtered.GetOutput())
    return np.array(mesh.points), np.array(mesh.cells()[0]).reshape(-1, 4)


@cache
def surface() -> tuple[Floats, Integers]:
    """The closed surface of the heart in RAS mm: (N, 3) nodes and (n, 3) triangles of the tetrahedra's nodes."""
    points, cells = tetrahedra()
    faces = np.concatenate([cells[:, part] for part in ((0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2))])
    _, first, counts = np.unique(np.sort(faces, axis=1), axis=0, return_index=True, return_counts=True)
    return points, faces[first[counts == 1]]


def used(points: Floats, cells: Integers) -> tuple[Floats, Integers]:
    """Without the nodes that no cell uses."""
    numbers, inverse = np.unique(cells, return_inverse=True)
    return points[numbers], inverse.reshape(cells.shape)


def heights(points: Floats, cells: Integers) -> Floats:
    """(n,) mean height of each cell's nodes."""
    return np.asarray(points[cells].mean(1)[:, 2])


def write_vtu(path: Path, points: Floats, blocks: Blocks, nodes: Mapping[str, Any] = {}, **cells: Any) -> Path:
    """A binary .vtu; points as they shall stand in the file, `nodes` and `cells` its arrays by name."""
    grid = vtk.vtkUnstructuredGrid()
    place = vtk.vtkPoints()
    place.SetDataTypeToDouble()
    place.SetData(numpy_to_vtk(np.ascontiguousarray(points), deep=True))
    grid.SetPoints(place)
    for kind, block in blocks:
        for cell in block:
            grid.InsertNextCell(kind, len(cell), [int(node) for node in cell])
    for data, arrays in ((grid.GetPointData(), nodes), (grid.GetCellData(), cells)):
        for name, values in arrays.items():
            array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
            array.SetName(name)
            data.AddArray(array)
    writer = vtk.vtkXMLUnstructuredGridWriter()
    writer.SetInputData(grid)
    writer.SetFileName(str(path))
    writer.Write()
    return path


def write_legacy(path: Path, points: Floats, blocks: Blocks, attributes: Sequence[str] = ()) -> Path:
    """An ASCII .vtk of version 3.0; `attributes` are the lines after CELL_DATA."""
    total = sum(len(block) for _, block in blocks)
    numbers = sum(block.size + len(block) for _, block in blocks)
    lines = ["# vtk DataFile Version 3.0", "heart", "ASCII", "DATASET UNSTRUCTURED_GRID", f"POINTS {len(points)} float"]
    lines += [" ".join(f"{x:.4f}" for x in point) for point in points]
    lines.append(f"CELLS {total} {numbers}")
    lines += [" ".join(map(str, (len(cell), *cell))) for _, block in blocks for cell in block]
    lines.append(f"CELL_TYPES {total}")
    lines += [str(kind) for kind, block in blocks for _ in block]
    lines += [f"CELL_DATA {total}", *attributes] if attributes else []
    path.write_text("\n".join(lines) + "\n", encoding="ascii")
    return path


def write_carp(path: Path, points: Floats, blocks: Blocks, tags: Sequence[int], fibers: Floats | None = None) -> Path:
    """NAME.pts, NAME.elem and NAME.lon (fibers of (n, 3), or (n, 6) with sheets); points in um."""
    rows = [" ".join(f"{x:.2f}" for x in point) for point in points]
    path.write_text("\n".join([str(len(rows)), *rows]) + "\n", encoding="ascii")
    cells = [(CARP[kind], *cell) for kind, block in blocks for cell in block]
    rows = [" ".join(map(str, (*cell, tag))) for cell, tag in zip(cells, tags, strict=True)]
    path.with_suffix(".elem").write_text("\n".join([str(len(rows)), *rows]) + "\n", encoding="ascii")
    if fibers is not None:
        rows = [" ".join(f"{x:.6f}" for x in row) for row in fibers]
        header = str(fibers.shape[1] // 3)
        path.with_suffix(".lon").write_text("\n".join([header, *rows]) + "\n", encoding="ascii")
    return path


def write_ply(path: Path, points: Floats, triangles: Integers) -> Path:
    """An ASCII .ply."""
    header = ["ply", "format ascii 1.0", f"element vertex {len(points)}", *(f"property float {x}" for x in "xyz")]
    header += [f"element face {len(triangles)}", "property list uchar int vertex_indices", "end_header"]
    rows = [" ".join(f"{x:.4f}" for x in point) for point in points]
    rows += [" ".join(map(str, (3, *triangle))) for triangle in triangles]
    path.write_text("\n".join(header + rows) + "\n", encoding="ascii")
    return path


def write_stl(path: Path, points: Floats, triangles: Integers) -> Path:
    """A binary .stl without normals."""
    facets = np.zeros(len(triangles), np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("rest", "<u2")]))
    facets["corners"] = points[triangles]
    path.write_bytes(b"heart".ljust(80) + np.uint32(len(triangles)).tobytes() + facets.tobytes())
    return path


def elements(path: Path) -> tuple[list[str], list[int]]:
    """Kinds and tags of the elements of a .elem file."""
    rows = [line.split() for line in path.read_text(encoding="ascii").splitlines()[1:]]
    return [row[0] for row in rows], [int(row[-1]) for row in rows]


def write_wall(folder: Path, **masks: Any) -> Path:
    """The drawn wall and scar, or other segments."""
    return scan().write_segments(
        folder / "drawn.seg.nrrd", **(masks or {"Myocardium": scan().wall, "Scar": scan().scar})
    )


def reconstructed(folder: Path, mesh: Path, *options: str, drawn: Path | None = None) -> tuple[int, dict[str, Any]]:
    """Interpolation of the phantom's scar onto a mesh, into folder/out."""
    file = drawn or write_wall(folder)
    return run("reconstruct", folder / "out", *QUICK, *options, scar=file, myocardium=file, mesh=mesh)


def exported(folder: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Export of folder/out's mesh into folder/x."""
    (mesh,) = (path for path in (folder / "out").glob("mesh.*") if path.suffix in (".vtu", ".vtk", ".pts", ".ply"))
    return run("export", folder / "x", *options, mesh=mesh)


def table(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def told(result: Mapping[str, Any], capsys: Any) -> str:
    """All that a run says: its doubts, and what it printed."""
    printed = capsys.readouterr()
    doubts = " ".join(f"{doubt['code']} {doubt['text']}" for doubt in result.get("doubts", ()))
    return f"{doubts} {printed.out} {printed.err}"
