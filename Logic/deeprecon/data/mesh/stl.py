"""STL surfaces, text and binary.

Format: 3D Systems, "Stereolithography Interface Specification", 1988. Programs write it in many ways: binary files
whose comment begins with "solid", text in capitals, with comments, or with several solids, and data after the end,
which VTK's own reader takes for another kind, reads in part or not at all. Corners at the same place are one node;
triangles with two corners at one place are left out.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
from vtkmodules.util.numpy_support import numpy_to_vtkIdTypeArray
from vtkmodules.vtkCommonDataModel import vtkCellArray, vtkPolyData
from vtkmodules.vtkFiltersCore import vtkCleanPolyData

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.mesh import with_points

_HEADER = 80
_BEGIN = _HEADER + 4
"""Of the first triangle of a binary solid, after its comment and its number of triangles."""
_RECORD = np.dtype([("normal", "<f4", (3,)), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
_VERTEX = re.compile(rb"\bvertex[ \t]+(\S+)[ \t]+(\S+)[ \t]+(\S+)", re.IGNORECASE)
_ENDFACET = re.compile(rb"\bend[ \t]*facet\b", re.IGNORECASE)
_SOLID_LINE = re.compile(rb"^[ \t]*(end)?[ \t]*solid\b[^\n]*", re.IGNORECASE | re.MULTILINE)
_AGAIN = "Export the mesh again."


def read_stl(path: Path) -> vtkPolyData:
    """Read a .stl file, text or binary; all its solids together.

    Raises:
        InputError: another kind of file, cut off or damaged.
    """
    content = path.read_bytes()
    is_text = len(content) != _end_of_solid(content) and _VERTEX.search(content) is not None
    corners = _read_text(path, content) if is_text else _read_binary(path, content)
    cells = vtkCellArray()
    cells.SetData(
        numpy_to_vtkIdTypeArray(np.arange(len(corners) + 1) * 3, deep=True),
        numpy_to_vtkIdTypeArray(np.arange(len(corners) * 3), deep=True),
    )
    soup = with_points(vtkPolyData(), corners.reshape(-1, 3))
    soup.SetPolys(cells)
    joined = vtkCleanPolyData()
    joined.SetInputData(soup)
    joined.SetTolerance(0.0)
    joined.ConvertPolysToLinesOff()
    joined.Update()
    dataset: vtkPolyData = joined.GetOutput()
    return dataset


def _end_of_solid(content: bytes, start: int = 0) -> int:
    """Where a binary solid ends by its number of triangles."""
    count = int.from_bytes(content[start + _HEADER : start + _BEGIN], "little")
    return start + _BEGIN + _RECORD.itemsize * count


def _read_binary(path: Path, content: bytes) -> npt.NDArray[np.float64]:
    """(F, 3, 3) corners of the triangles of all solids; what follows them is no solid and is passed over."""
    solids, start = [], 0
    while len(content) >= max(start + _BEGIN, end := _end_of_solid(content, start)):
        solids.append(np.frombuffer(content[start + _BEGIN : end], _RECORD)["corners"])
        start = end
    if not solids:
        begins = content[:5].lower() == b"solid"
        reason = "no endsolid" if begins else f"{len(content)} bytes are too few for its triangles"
        raise InputError(f"{path} is cut off or damaged ({reason}).", _AGAIN)
    return np.concatenate(solids).astype(np.float64)


def _read_text(path: Path, content: bytes) -> npt.NDArray[np.float64]:
    """(F, 3, 3) corners of the triangles."""
    content = content.replace(b"\r", b"\n")
    solids = [*_SOLID_LINE.finditer(content)]
    text = _SOLID_LINE.sub(lambda line: b" " * len(line.group()), content)  # names of solids may be any words
    facets = [facet.start() for facet in _ENDFACET.finditer(text)]
    if not (facets and solids and solids[-1].group(1)) or solids[-1].start() < facets[-1]:
        raise InputError(f"{path} is cut off or damaged (no endsolid).", _AGAIN)
    vertices = _VERTEX.findall(text)
    if len(vertices) != 3 * len(facets):
        raise InputError(f"{path} has facets that are no triangles.", "Save it with triangles.")
    try:
        return np.array(vertices).astype(np.float64).reshape(-1, 3, 3)
    except ValueError as error:
        raise InputError(f"{path} has coordinates that are no numbers.", _AGAIN) from error
