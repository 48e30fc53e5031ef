"""openCARP meshes: text files NAME.pts (micrometres), NAME.elem, NAME.lon, and NAME.ARRAY.dat with a value per node.

Format: https://opencarp.org/manual/opencarp-manual-latest.pdf, "File formats". The elements' corners are numbered
like VTK's but for hexahedra and prisms, whose upper face runs the other way round. Programs differ in that, so a
mesh is read the way in which its elements are not twisted and written back as it came.
"""

from __future__ import annotations

import re
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
from vtkmodules.vtkCommonDataModel import (
    VTK_HEXAHEDRON,
    VTK_LINE,
    VTK_PYRAMID,
    VTK_QUAD,
    VTK_TETRA,
    VTK_TRIANGLE,
    VTK_WEDGE,
    vtkPointSet,
    vtkUnstructuredGrid,
)

from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path
from deeprecon.data.mesh.mesh import Mesh, unstructured_grid
from deeprecon.data.mesh.tags import TAG, find_tags

_KINDS = {
    "Ln": VTK_LINE,
    "Tr": VTK_TRIANGLE,
    "Qd": VTK_QUAD,
    "Tt": VTK_TETRA,
    "Py": VTK_PYRAMID,
    "Pr": VTK_WEDGE,
    "Hx": VTK_HEXAHEDRON,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}
_CORNERS = {"Ln": 2, "Tr": 3, "Qd": 4, "Tt": 4, "Py": 5, "Pr": 6, "Hx": 8}
_TURNED = {"Hx": [0, 1, 2, 3, 4, 7, 6, 5], "Pr": [0, 1, 2, 3, 5, 4]}
"""openCARP's order of corners out of VTK's, and back: each is its own inverse."""

FIBER, SHEET = "fiber", "sheet"
_AS_VTK = "openCARP_corners_as_VTK"


def read_opencarp(path: Path) -> vtkUnstructuredGrid:
    """Read NAME.pts and NAME.elem, with NAME.lon where there is one; coordinates as in the file.

    The grid has the cell arrays "tag" and, from the .lon file, "fiber" and "sheet".

    Raises:
        InputError: a missing, cut-off or inconsistent file.
    """
    points_path = path.with_suffix(".pts")
    points = _table(points_path, _counted(points_path), 3)
    connectivity, offsets, types, tags, as_vtk = _read_elements(path.with_suffix(".elem"), points)
    grid = unstructured_grid(points, connectivity, offsets, types)
    _add(grid.GetCellData(), TAG, tags)
    if as_vtk:
        _add(grid.GetFieldData(), _AS_VTK, np.ones(1, np.int32))
    fibers = path.with_suffix(".lon")
    if fibers.exists():
        axes = _read_fibers(fibers, len(types))
        _add(grid.GetCellData(), FIBER, axes[:, :3])
        if axes.shape[1] == 6:
            _add(grid.GetCellData(), SHEET, axes[:, 3:])
    return grid


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(
            f"Cannot read {path}: {error.strerror}.", "openCARP meshes need NAME.pts and NAME.elem."
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not a text file.", "openCARP's binary meshes must be converted to text."
        ) from error
    return [line for line in lines if line.strip()]


def _counted(path: Path) -> list[str]:
    """The lines after the first, which states their number."""
    lines = _lines(path)
    try:
        count = int(lines[0].split()[0])
    except (IndexError, ValueError) as error:
        raise InputError(f"{path}: the first line must be a count.", "Export the mesh again.") from error
    if count < 1 or len(lines) - 1 != count:
        raise InputError(
            f"{path} is cut off or damaged: it announces {count} lines and has {len(lines) - 1}.",
            "Export the mesh again.",
        )
    return lines[1:]


def _table(path: Path, lines: list[str], width: int) -> npt.NDArray[np.float64]:
    try:
        if any(len(line.split()) != width for line in lines):
            raise ValueError("a line is short or long")
        return _parse(lines, np.float64).reshape(len(lines), width)
    except ValueError as error:
        raise InputError(f"{path} is damaged: expected {width} numbers a line.", "Export the mesh again.") from error


def _parse(lines: list[str], dtype: type) -> npt.NDArray[Any]:
    """All numbers of some lines; ValueError where there is anything else."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)  # numpy warns where it stops before the end
        try:
            return np.fromstring(" ".join(lines), dtype, sep=" ")
        except DeprecationWarning as error:
            raise ValueError(str(error)) from error


def _read_elements(
    path: Path, points: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.uint8], npt.NDArray[np.int32], bool]:
    lines = _counted(path)
    names = np.array([line.split(maxsplit=1)[0] for line in lines])
    unknown = sorted(set(names.tolist()) - set(_KINDS))
    if unknown:
        raise InputError(
            f"{path} has elements of an unknown kind: {', '.join(unknown[:5])}.", f"Known are {', '.join(_KINDS)}."
        )
    sizes = np.zeros(len(lines), np.int64)
    for name, corners in _CORNERS.items():
        sizes[names == name] = corners
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    connectivity = np.zeros(offsets[-1], np.int64)
    tags = np.zeros(len(lines), np.int32)
    turned = True
    for name in sorted(set(names.tolist())):
        where = np.flatnonzero(names == name)
        corners = _CORNERS[name]
        rows = [lines[index].lstrip()[len(name) :] for index in where]
        try:
            if len({len(row.split()) for row in rows}) != 1:
                raise ValueError("a line is short or long")
            table = _parse(rows, np.int64).reshape(len(where), -1)
        except ValueError as error:
            raise InputError(
                f"{path}: the lines of {name} elements do not all hold {corners} node numbers and a tag.",
                "Export the mesh again.",
            ) from error
        if (
            table.shape[1] not in (corners, corners + 1)
            or table[:, :corners].min() < 0
            or (table[:, :corners].max() >= len(points))
        ):
            raise InputError(
                f"{path}: {name} elements need {corners} node numbers from 0 to {len(points) - 1} and a tag.",
                "The .pts and .elem files may belong to different meshes.",
            )
        if table.shape[1] > corners:
            tags[where] = table[:, corners]
        nodes = table[:, :corners]
        if name in _TURNED:
            turned = _is_turned(points, nodes, _TURNED[name])
            nodes = nodes[:, _TURNED[name]] if turned else nodes
        connectivity[offsets[where][:, None] + np.arange(corners)] = nodes
    types = np.array([_KINDS[name] for name in names.tolist()], np.uint8)
    return connectivity, offsets, types, tags, not turned


def _is_turned(points: npt.NDArray[np.float64], nodes: npt.NDArray[np.int64], order: list[int]) -> bool:
    """True where the edges between lower and upper face are shorter with the upper face turned than in VTK's order."""
    half = nodes.shape[1] // 2

    def length(corners: npt.NDArray[np.int64]) -> float:
        return float(np.linalg.norm(points[corners[:, half:]] - points[corners[:, :half]], axis=-1).sum())

    return length(nodes[:, order]) < length(nodes)


def _read_fibers(path: Path, count: int) -> npt.NDArray[np.float64]:
    lines = _lines(path)
    if not lines or lines[0].strip() not in ("1", "2"):
        raise InputError(
            f"{path}: the first line must be 1 (fibers) or 2 (fibers and sheets).", "Export the mesh again."
        )
    if len(lines) - 1 != count:
        raise InputError(
            f"{path} is cut off or damaged: {len(lines) - 1} lines for {count} elements.", "Export the mesh again."
        )
    return _table(path, lines[1:], 3 * int(lines[0]))


def write_opencarp(
    path: Path, dataset: vtkPointSet, points: npt.NDArray[np.float64], element_tags: npt.ArrayLike | None = None
) -> None:
    """Write NAME.pts and NAME.elem, NAME.lon where the cells have "fiber", and NAME.ARRAY.dat for each node array.

    Args:
        path: NAME.pts.
        dataset: cells and arrays.
        points: (N, 3) in the file's unit.
        element_tags: (C,) whole numbers; those that `find_tags` finds, or else 0, when left out.

    Raises:
        InputError: cells of a kind that openCARP has not.
    """
    mesh = Mesh(dataset, path.name)
    connectivity, offsets, types = mesh.cells()
    unknown = set(np.unique(types).tolist()) - set(_NAMES)
    if unknown or len(types) != mesh.n_cells:
        raise InputError(
            f"Cannot write {path.name}: openCARP has no cells of VTK type {sorted(unknown) or 'vertex'}.",
            "Write .vtu instead.",
        )
    cell_data = dataset.GetCellData()
    if element_tags is not None:
        tags = np.asarray(element_tags, np.int64)
    else:
        found = find_tags(mesh)
        tags = np.zeros(len(types), np.int64) if found is None else found.values
    if tags.shape != (len(types),):
        raise ValueError(f"{tags.size} tags for {len(types)} elements")
    as_vtk = dataset.GetFieldData().HasArray(_AS_VTK)

    lines = np.empty(len(types), object)
    for kind in np.unique(types).tolist():
        name = _NAMES[kind]
        where = np.flatnonzero(types == kind)
        nodes = connectivity[offsets[where][:, None] + np.arange(_CORNERS[name])]
        nodes = nodes[:, _TURNED[name]] if name in _TURNED and not as_vtk else nodes
        lines[where] = _rows(np.column_stack([nodes, tags[where]]), "%d", f"{name} ")
    files = {".pts": [str(len(points)), *_rows(points, "%.12g")], ".elem": [str(len(types)), *lines.tolist()]}
    if cell_data.GetArray(FIBER) is not None:
        axes = [vtk_to_numpy(cell_data.GetArray(name)) for name in (FIBER, SHEET) if cell_data.GetArray(name)]
        files[".lon"] = [str(len(axes)), *_rows(np.hstack(axes), "%.9g")]
    for name in mesh.array_names:
        values = mesh.point_array(name)
        label = re.sub(r"[^\w-]+", "_", name)
        files[f".{label}.dat"] = _rows(values.reshape(len(values), -1), "%.9g")
    with ExitStack() as renames:  # all of them are written before the first gets its name
        for suffix, rows in files.items():
            part = renames.enter_context(atomic_path(path.with_suffix(suffix)))
            part.write_text("\n".join(rows) + "\n", encoding="utf-8", newline="\n")


def _rows(values: npt.NDArray[np.generic], number: str, start: str = "") -> list[str]:
    """The rows of a table as lines; one formatting for all, since there may be millions."""
    line = start + " ".join([number] * values.shape[1]) + "\n"
    return (line * len(values) % tuple(values.ravel().tolist())).splitlines()


def _add(data: object, name: str, values: npt.NDArray[np.generic]) -> None:
    array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
    array.SetName(name)
    data.AddArray(array)  # type: ignore[attr-defined]
