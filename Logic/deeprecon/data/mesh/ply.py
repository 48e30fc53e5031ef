"""PLY surfaces, with values at the nodes and faces as properties.

Format: G. Turk, "The PLY polygon file format", Stanford 1994. VTK's own reader and writer leave the values out and
do not survive damaged files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkDataSetAttributes, vtkPolyData

from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path
from deeprecon.data.mesh.mesh import Mesh, with_points
from deeprecon.data.mesh.parts import cell_values

_TYPES = {
    "char": "i1",
    "int8": "i1",
    "uchar": "u1",
    "uint8": "u1",
    "short": "i2",
    "int16": "i2",
    "ushort": "u2",
    "uint16": "u2",
    "int": "i4",
    "int32": "i4",
    "uint": "u4",
    "uint32": "u4",
    "float": "f4",
    "float32": "f4",
    "double": "f8",
    "float64": "f8",
}
_WRITTEN = {"u1": "uchar", "i4": "int", "f4": "float"}
"""Types of properties in our files; others become float."""
_COMPONENTS = {3: ("x", "y", "z"), 9: tuple(f"{row}{column}" for row in "xyz" for column in "xyz")}
"""Names of the components of vectors and tensors: NAME_x and so on, which distinguish them from single values."""
_NORMALS = ("nx", "ny", "nz")
_CORNERS = ("vertex_indices", "vertex_index")
_ENDIAN = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}
_AGAIN = "Export the mesh again."

Array = npt.NDArray[Any]
Columns = dict[str, Array]
Lists = dict[str, tuple[Array, Array]]
"""Name -> number of entries of each list, and all entries one after the other."""


@dataclass(frozen=True)
class _Property:
    """A property: numpy types of its values and, for a list, of their number."""

    name: str
    kind: str
    counted: str | None = None


@dataclass
class _Element:
    name: str
    count: int
    properties: list[_Property] = field(default_factory=list)


class _Source(Protocol):
    """The data behind the header, read from `place` on; ValueError where they end too early."""

    place: int

    def numbers(self, kind: str, count: int) -> Array:
        """The next numbers."""

    def table(self, kinds: list[tuple[str, int]], count: int) -> list[Array]:
        """`count` rows of columns of a type and width each: (count, width) each."""


class _Text:
    def __init__(self, data: bytes) -> None:
        self.place, self._words = 0, data.split()

    def numbers(self, kind: str, count: int) -> Array:
        words = self._words[self.place : self.place + count]
        if len(words) < count:
            raise ValueError("cut off")
        self.place += count
        values: Array = np.array(words, np.float64).astype(kind)
        return values

    def table(self, kinds: list[tuple[str, int]], count: int) -> list[Array]:
        ends = np.cumsum([0] + [width for _, width in kinds])
        rows = self.numbers("f8", count * int(ends[-1])).reshape(count, ends[-1])
        return [rows[:, start:end].astype(kind) for (kind, _), (start, end) in zip(kinds, pairwise(ends), strict=True)]


class _Binary:
    def __init__(self, data: bytes, endian: str) -> None:
        self.place, self._data, self._endian = 0, data, endian

    def numbers(self, kind: str, count: int) -> Array:
        values: Array = np.frombuffer(self._data, self._endian + kind, count, self.place).astype(kind)
        self.place += values.nbytes
        return values

    def table(self, kinds: list[tuple[str, int]], count: int) -> list[Array]:
        record = np.dtype([(f"{place}", self._endian + kind, (width,)) for place, (kind, width) in enumerate(kinds)])
        rows = np.frombuffer(self._data, record, count, self.place)
        self.place += rows.nbytes
        return [rows[f"{place}"].astype(kind) for place, (kind, _) in enumerate(kinds)]


def read_ply(path: Path) -> vtkPolyData:
    """Read a PLY surface; properties of nodes beyond x, y, z and of faces beyond their corners become arrays.

    NAME_x, NAME_y and NAME_z become one vector, NAME_xx, ... NAME_zz one tensor, and nx, ny, nz the normals, where they
    are floating point. Lists other than the corners of faces (texture coordinates) and other elements (edges,
    materials) are passed over; so are faces of fewer than three corners.

    Raises:
        InputError: another kind of file, cut off or damaged, or triangle strips.
    """
    content = path.read_bytes()
    end = re.search(rb"[\r\n]end_header[ \t]*(\r\n|\n|\r)", content)
    if not content.startswith(b"ply") or end is None:
        raise InputError(f"{path} is not a PLY file, or its header is cut off.", _AGAIN)
    endian, elements = _header(path, content[: end.start()].decode("latin-1"))
    data = content[end.end() :]
    try:
        source = _Binary(data, endian) if endian else _Text(data)
        found = {element.name: _read_element(source, element) for element in elements}
        vertices, faces, lists = found["vertex"][0], *found.get("face", ({}, {}))
        points = np.column_stack([vertices.pop(axis) for axis in "xyz"])
    except (KeyError, ValueError, OverflowError, MemoryError) as error:
        raise InputError(f"{path} is cut off or damaged.", _AGAIN) from error
    sizes, corners = next((lists[name] for name in _CORNERS if name in lists), (np.zeros(0, int), np.zeros(0, int)))
    is_face = sizes >= 3
    cells = vtkCellArray()
    cells.SetData(
        numpy_to_vtkIdTypeArray(np.concatenate([[0], np.cumsum(sizes[is_face])]).astype(np.int64), deep=True),
        numpy_to_vtkIdTypeArray(corners[np.repeat(is_face, sizes)].astype(np.int64), deep=True),
    )
    dataset: vtkPolyData = with_points(vtkPolyData(), points)
    dataset.SetPolys(cells)
    _add_arrays(dataset.GetPointData(), vertices)
    _add_arrays(dataset.GetCellData(), {name: values[is_face] for name, values in faces.items()} if len(sizes) else {})
    return dataset


def _add_arrays(data: vtkDataSetAttributes, columns: Columns) -> None:
    for name, values in _joined(columns).items():
        array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
        array.SetName(name)
        if name == "Normals" and values.shape[1:] == (3,):
            data.SetNormals(array)
        else:
            data.AddArray(array)


def _joined(columns: Columns) -> Columns:
    """Columns of single values, the components of vectors and tensors side by side: (N,), (N, 3) or (N, 9)."""
    groups: dict[str, tuple[str, ...]] = {"Normals": _NORMALS}
    for name in columns:
        for endings in _COMPONENTS.values():
            if name.endswith(f"_{endings[0]}"):
                label = name.removesuffix(f"_{endings[0]}")
                groups[label] = tuple(f"{label}_{ending}" for ending in endings)
    joined = dict(columns)
    for label, names in groups.items():
        found = [columns[name] for name in names if name in columns and columns[name].dtype.kind == "f"]
        if len(found) == len(names) and label not in columns:
            joined = {name: values for name, values in joined.items() if name not in names}
            joined[label] = np.column_stack(found)
    return joined


def _header(path: Path, text: str) -> tuple[str, list[_Element]]:
    elements: list[_Element] = []
    endian = None
    for line in text.splitlines()[1:]:
        match line.split():
            case [] | ["comment" | "obj_info", *_]:
                pass
            case ["format", name, *_] if name in _ENDIAN:
                endian = _ENDIAN[name]
            case ["element", "tristrips", count] if count != "0":
                raise InputError(f"{path} holds triangle strips, which are not read.", "Save it with triangles.")
            case ["element", name, count] if count.isdecimal():
                elements.append(_Element(name, int(count)))
            case ["property", "list", counted, kind, name] if elements and {counted, kind} <= set(_TYPES):
                elements[-1].properties.append(_Property(name, _TYPES[kind], _TYPES[counted]))
            case ["property", kind, name] if elements and kind in _TYPES:
                elements[-1].properties.append(_Property(name, _TYPES[kind]))
            case _:
                raise InputError(f"{path}: the line {line.strip()[:60]!r} of its header is not known.", _AGAIN)
    if endian is None:
        raise InputError(f"{path}: its header does not say whether it is text or binary.", _AGAIN)
    return endian, elements


def _read_element(source: _Source, element: _Element) -> tuple[Columns, Lists]:
    """The properties of all rows of an element: single values and lists."""
    properties = element.properties
    if not element.count or not properties:
        return {}, {}
    start = source.place
    first = _read_row(source, properties)
    source.place = start
    widths: list[tuple[str, int]] = []
    for entry, values in zip(properties, first, strict=True):
        widths += [(entry.counted, 1)] if entry.counted else []
        widths.append((entry.kind, len(values)))
    try:
        tables = iter(source.table(widths, element.count))
    except ValueError:
        tables = iter(())
    columns: Columns = {}
    lists: Lists = {}
    for entry, values in zip(properties, first, strict=True):
        sizes = next(tables, None) if entry.counted else None
        table = next(tables, None)
        if table is None or (sizes is not None and (sizes != len(values)).any()):  # rows of different lengths
            source.place = start
            return _read_rows(source, element)
        if sizes is None:
            columns[entry.name] = table[:, 0]
        else:
            lists[entry.name] = sizes[:, 0].astype(np.int64), table.ravel()
    return columns, lists


def _read_rows(source: _Source, element: _Element) -> tuple[Columns, Lists]:
    """The same, row by row."""
    rows = [_read_row(source, element.properties) for _ in range(element.count)]
    columns: Columns = {}
    lists: Lists = {}
    for entry, values in zip(element.properties, zip(*rows, strict=True), strict=True):
        if entry.counted:
            lists[entry.name] = np.array([len(each) for each in values], np.int64), np.concatenate(values)
        else:
            columns[entry.name] = np.concatenate(values)
    return columns, lists


def _read_row(source: _Source, properties: list[_Property]) -> list[Array]:
    """One row: each property's values, of which a single one is an array of one."""
    values = []
    for entry in properties:
        size = int(source.numbers(entry.counted, 1)[0]) if entry.counted else 1
        if size < 0:
            raise ValueError("a list of negative length")
        values.append(source.numbers(entry.kind, size))
    return values


def write_ply(path: Path, mesh: Mesh, points: npt.NDArray[np.float64], comment: str) -> None:
    """Write binary PLY, one property per array (and component) of the nodes and of the faces.

    Components are named so that `read_ply` joins those of vectors and tensors again.

    Args:
        path: of the file.
        mesh: a surface.
        points: (N, 3), which replace the mesh's.
        comment: one line.
    """
    columns: Columns = {axis: points[:, place].astype(np.float32) for place, axis in enumerate("xyz")}
    for name in mesh.array_names:
        columns |= _split(name, mesh.point_array(name))
    data = mesh.dataset.GetCellData()
    of_faces: Columns = {}
    for index in range(data.GetNumberOfArrays()):
        if data.GetArray(index) is not None and data.GetArrayName(index):
            of_faces |= _split(data.GetArrayName(index), cell_values(mesh, data.GetArray(index)))
    connectivity, offsets, _types = mesh.cells()
    sizes = np.diff(offsets)
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment {comment}",
        f"element vertex {mesh.n_points}",
        *_declared(columns),
        f"element face {len(sizes)}",
        "property list int int vertex_indices",
        *_declared(of_faces),
        "end_header",
    ]
    values = _records(of_faces, len(sizes))
    if (sizes == sizes[0]).all():
        table = np.zeros(len(sizes), [("size", "<i4"), ("nodes", "<i4", (int(sizes[0]),)), ("values", values.dtype)])
        table["size"], table["nodes"], table["values"] = sizes, connectivity.reshape(len(sizes), -1), values
        faces = table.tobytes()
    else:
        counts, nodes = sizes.astype("<i4"), connectivity.astype("<i4")
        faces = b"".join(
            counts[face].tobytes() + nodes[start:end].tobytes() + values[face].tobytes()
            for face, (start, end) in enumerate(pairwise(offsets.tolist()))
        )
    with atomic_path(path) as part:
        part.write_bytes(("\n".join(header) + "\n").encode() + _records(columns, mesh.n_points).tobytes() + faces)


def _split(name: str, values: Array) -> Columns:
    """An array as columns of single values."""
    label = re.sub(r"\s+", "_", name)
    if values.dtype.kind in "iu" and values.dtype.itemsize > 1 and (np.abs(values.astype(np.int64)) < 2**31).all():
        values = values.astype(np.int32)
    if f"{values.dtype.kind}{values.dtype.itemsize}" not in _WRITTEN:
        values = values.astype(np.float32)
    if values.ndim == 1:
        return {label: values}
    width = values.shape[1]
    names = [f"{label}_{component}" for component in range(width)]
    if values.dtype.kind == "f" and width in _COMPONENTS:
        is_normals = label == "Normals" and width == len(_NORMALS)
        names = list(_NORMALS) if is_normals else [f"{label}_{ending}" for ending in _COMPONENTS[width]]
    return {name: values[:, component] for component, name in enumerate(names)}


def _declared(columns: Columns) -> list[str]:
    """Lines of the header."""
    kinds = {name: f"{values.dtype.kind}{values.dtype.itemsize}" for name, values in columns.items()}
    return [f"property {_WRITTEN[kind]} {name}" for name, kind in kinds.items()]


def _records(columns: Columns, count: int) -> Array:
    """The columns side by side."""
    records = np.zeros(count, [(name, values.dtype.newbyteorder("<")) for name, values in columns.items()])
    for name, values in columns.items():
        records[name] = values
    return records
