"""PLY surfaces, with values at the nodes as float properties.

Format: G. Turk, "The PLY polygon file format", Stanford 1994. VTK's own reader and writer leave the values out and
do not survive damaged files.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import numpy_to_vtk, numpy_to_vtkIdTypeArray
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData

from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path
from deeprecon.data.mesh.mesh import Mesh, with_points

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
_COMPONENTS = {3: ("x", "y", "z"), 9: tuple(f"{row}{column}" for row in "xyz" for column in "xyz")}
"""Names of the components of vectors and tensors: NAME_x and so on, which distinguish them from single values."""
_NORMALS = ("nx", "ny", "nz")
_ENDIAN = {"binary_little_endian": "<", "binary_big_endian": ">", "ascii": ""}


Columns = dict[str, npt.NDArray[np.generic]]
Faces = list[npt.NDArray[np.int64]] | npt.NDArray[np.int64]


@dataclass
class _Element:
    name: str
    count: int
    scalars: list[tuple[str, str]] = field(default_factory=list)  # name, numpy type
    listed: tuple[str, str] | None = None  # numpy types of count and entries


def read_ply(path: Path) -> vtkPolyData:
    """Read a PLY surface; the nodes' properties beyond x, y, z become point arrays.

    Floats NAME_x, NAME_y and NAME_z become one vector, NAME_xx, ... NAME_zz one tensor, and nx, ny, nz the normals.

    Raises:
        InputError: another kind of file, cut off or damaged.
    """
    content = path.read_bytes()
    end = re.search(rb"\nend_header\r?\n", content)
    if not content.startswith(b"ply") or end is None:
        raise InputError(f"{path} is not a PLY file, or its header is cut off.", "Export the mesh again.")
    try:
        endian, elements = _header(path, content[: end.start()].decode("latin-1"))
        vertices, faces = _body(content[end.end() :], endian, elements)
        points = np.column_stack([vertices.pop(axis) for axis in "xyz"])
    except InputError:
        raise
    except (KeyError, IndexError, ValueError) as error:
        raise InputError(f"{path} is cut off or damaged.", "Export the mesh again.") from error
    sizes = np.array([len(face) for face in faces], np.int64)
    cells = vtkCellArray()
    cells.SetData(
        numpy_to_vtkIdTypeArray(np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64), deep=True),
        numpy_to_vtkIdTypeArray(
            np.concatenate(faces).astype(np.int64) if len(faces) else np.zeros(0, np.int64), deep=True
        ),
    )
    dataset: vtkPolyData = with_points(vtkPolyData(), points)
    dataset.SetPolys(cells)
    for name, values in _joined(vertices).items():
        array = numpy_to_vtk(np.ascontiguousarray(values), deep=True)
        array.SetName(name)
        if name == "Normals" and values.shape[1:] == (3,):
            dataset.GetPointData().SetNormals(array)
        else:
            dataset.GetPointData().AddArray(array)
    return dataset


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
        words = line.split()
        if not words or words[0] in ("comment", "obj_info"):
            continue
        if words[0] == "format":
            endian = _ENDIAN[words[1]]
        elif words[0] == "element":
            elements.append(_Element(words[1], int(words[2])))
        elif words[0] == "property" and words[1] == "list":
            elements[-1].listed = (_TYPES[words[2]], _TYPES[words[3]])
        elif words[0] == "property":
            elements[-1].scalars.append((words[2], _TYPES[words[1]]))
        else:
            raise ValueError(line)
        if elements and elements[-1].listed and elements[-1].scalars:
            raise InputError(f"{path} has values at its faces, which are not supported.", "Save it as .vtp.")
    if endian is None:
        raise ValueError("no format")
    return endian, elements


def _body(data: bytes, endian: str, elements: list[_Element]) -> tuple[Columns, Faces]:
    vertices: Columns = {}
    faces: Faces = []
    tokens = data.split() if endian == "" else []
    place = 0
    for element in elements:
        columns: Columns = {}
        lists: Faces = []
        if endian == "" and element.listed is None:
            width = len(element.scalars)
            table = np.array(tokens[place : place + element.count * width], np.float64).reshape(element.count, width)
            place += element.count * width
            columns = {name: table[:, index].astype(kind) for index, (name, kind) in enumerate(element.scalars)}
        elif endian == "":
            lists = []
            for _ in range(element.count):
                size = int(tokens[place])
                lists.append(np.array(tokens[place + 1 : place + 1 + size], np.int64))
                place += 1 + size
            if place > len(tokens):
                raise ValueError("cut off")
        elif element.listed is None:
            record = np.dtype([(name, endian + kind) for name, kind in element.scalars])
            records = np.frombuffer(data, record, element.count, place)
            place += records.nbytes
            columns = {name: records[name].astype(kind) for name, kind in element.scalars}
        else:
            lists, place = _binary_lists(
                data, place, element.count, endian + element.listed[0], endian + element.listed[1]
            )
        if element.name == "vertex":
            vertices = columns
        elif element.name == "face":
            faces = lists
    return vertices, faces


def _binary_lists(data: bytes, place: int, count: int, size_type: str, entry_type: str) -> tuple[Faces, int]:
    if count == 0:
        return [], place
    size = int(np.frombuffer(data, size_type, 1, place)[0])
    record = np.dtype([("size", size_type), ("entries", entry_type, (size,))])
    if len(data) - place >= count * record.itemsize:
        table = np.frombuffer(data, record, count, place)
        if (table["size"] == size).all():  # as good as always: triangles only
            return table["entries"].astype(np.int64), place + table.nbytes
    lists = []
    for _ in range(count):
        size = int(np.frombuffer(data, size_type, 1, place)[0])
        place += np.dtype(size_type).itemsize
        lists.append(np.frombuffer(data, entry_type, size, place).astype(np.int64))
        place += lists[-1].size * np.dtype(entry_type).itemsize
    return lists, place


def write_ply(path: Path, mesh: Mesh, points: npt.NDArray[np.float64], comment: str) -> None:
    """Write binary PLY, one float property per node array (and component); `points` (N, 3) replace the mesh's.

    Components are named so that `read_ply` joins those of vectors and tensors again.
    """
    columns: Columns = {axis: points[:, place] for place, axis in enumerate("xyz")}
    for name in mesh.array_names:
        values = mesh.point_array(name)
        label = re.sub(r"\s+", "_", name)
        if values.ndim == 1:
            columns[label] = values
        else:
            width = values.shape[1]
            names = [f"{label}_{component}" for component in range(width)]
            if values.dtype.kind == "f" and width in _COMPONENTS:
                is_normals = label == "Normals" and width == len(_NORMALS)
                names = list(_NORMALS) if is_normals else [f"{label}_{ending}" for ending in _COMPONENTS[width]]
            columns |= {name: values[:, component] for component, name in enumerate(names)}
    vertices = np.zeros(mesh.n_points, [(name, "<f4") for name in columns])
    for name, column in columns.items():
        vertices[name] = column
    connectivity, offsets, _types = mesh.cells()
    sizes = np.diff(offsets)
    if (sizes == 3).all():
        table = np.zeros(len(sizes), [("size", "u1"), ("nodes", "<i4", (3,))])
        table["size"], table["nodes"] = 3, connectivity.reshape(-1, 3)
        faces = table.tobytes()
    else:
        faces = b"".join(
            bytes([end - start]) + connectivity[start:end].astype("<i4").tobytes()
            for start, end in pairwise(offsets.tolist())
        )
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"comment {comment}",
        f"element vertex {mesh.n_points}",
        *(f"property float {name}" for name in columns),
        f"element face {len(sizes)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    with atomic_path(path) as part:
        part.write_bytes(("\n".join(header) + "\n").encode() + vertices.tobytes() + faces)
