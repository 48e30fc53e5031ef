"""Mesh files that VTK reads and writes: legacy .vtk, XML .vtu and .vtp; .stl to write."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vtkmodules.vtkCommonCore import vtkIntArray, vtkLogger, vtkOutputWindow, vtkStringArray, vtkStringOutputWindow
from vtkmodules.vtkCommonDataModel import vtkFieldData, vtkPointSet, vtkPolyData, vtkUnstructuredGrid
from vtkmodules.vtkCommonMisc import vtkErrorCode
from vtkmodules.vtkFiltersCore import vtkTriangleFilter
from vtkmodules.vtkIOGeometry import vtkSTLWriter
from vtkmodules.vtkIOLegacy import vtkDataSetWriter, vtkGenericDataObjectReader
from vtkmodules.vtkIOXML import (
    vtkXMLPolyDataReader,
    vtkXMLPolyDataWriter,
    vtkXMLUnstructuredGridReader,
    vtkXMLUnstructuredGridWriter,
)

from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path

_AGAIN = "Export the mesh again."
_LEGACY_4_2 = 42
SPACE = "SPACE"


def read_legacy(path: Path) -> vtkPointSet:
    """Read a .vtk file with all its arrays."""
    reader = vtkGenericDataObjectReader()
    for kind in ("Scalars", "Vectors", "Normals", "Tensors", "ColorScalars", "TCoords", "Fields"):
        getattr(reader, f"ReadAll{kind}On")()
    return _read(reader, path)


def read_xml_grid(path: Path) -> vtkPointSet:
    """Read a .vtu file."""
    return _read(vtkXMLUnstructuredGridReader(), path)


def read_xml_surface(path: Path) -> vtkPointSet:
    """Read a .vtp file."""
    return _read(vtkXMLPolyDataReader(), path)


def write_legacy(path: Path, dataset: vtkPointSet, frame: str) -> None:
    """Write a binary .vtk file of version 4.2, with the axes in its header."""
    writer = vtkDataSetWriter()
    writer.SetFileVersion(_LEGACY_4_2)
    writer.SetFileTypeToBinary()
    writer.SetHeader(header(frame))
    _write(writer, path, dataset)


def write_xml(path: Path, dataset: vtkPointSet, frame: str) -> None:
    """Write a .vtp or .vtu file, with the axes in the field SPACE, a string, as Slicer does.

    Other programs, such as meshio, refuse files with strings. In LPS, which Slicer takes where nothing is stated, a
    number named SPACE=LPS stands for it.
    """
    writer: Any = vtkXMLPolyDataWriter() if isinstance(dataset, vtkPolyData) else vtkXMLUnstructuredGridWriter()
    writer.SetCompressionLevel(1)  # half the time of the standard for files hardly larger
    if frame != "lps":
        space: Any = vtkStringArray()
        space.SetName(SPACE)
        space.InsertNextValue(frame.upper())
    else:
        space = vtkIntArray()
        space.SetName(f"{SPACE}={frame.upper()}")
        space.InsertNextValue(1)
    dataset.GetFieldData().AddArray(space)
    _write(writer, path, dataset)


def write_stl(path: Path, dataset: vtkPointSet, frame: str) -> None:
    """Write a binary .stl file, with the axes in its header."""
    writer = vtkSTLWriter()
    writer.SetFileTypeToBinary()
    writer.SetHeader(header(frame))
    _write(writer, path, dataset)


def header(frame: str) -> str:
    """The comment that states the axes, as Slicer reads it."""
    return f"DeepRecon output. SPACE={frame.upper()}"


def noted_frame(dataset: vtkPointSet) -> str | None:
    """The axes that a dataset's fields state, "ras" or "lps", as Slicer and `write_xml` do it; None without such."""
    fields = dataset.GetFieldData()
    space = fields.GetAbstractArray(SPACE)
    text = space.GetValue(0) if isinstance(space, vtkStringArray) and space.GetNumberOfValues() else ""
    names = [str(fields.GetArrayName(index)) for index in range(fields.GetNumberOfArrays())]
    found = re.search(rf"^(?:{SPACE}=)?(LPS|RAS)$", "\n".join([text.strip(), *names]), re.IGNORECASE | re.MULTILINE)
    return found.group(1).lower() if found else None


def remove_noted_frame(dataset: vtkPointSet) -> None:
    """Remove what `noted_frame` reads, in fields of the dataset's own, which others may share."""
    fields = vtkFieldData()
    fields.ShallowCopy(dataset.GetFieldData())
    for name in (SPACE, f"{SPACE}=LPS", f"{SPACE}=RAS"):
        fields.RemoveArray(name)
    dataset.SetFieldData(fields)


def _read(reader: Any, path: Path) -> vtkPointSet:
    reader.SetFileName(str(path))
    with _errors(path):
        reader.Update()
    dataset: vtkPointSet | None = reader.GetOutput()
    if not isinstance(dataset, vtkPolyData | vtkUnstructuredGrid):
        kind = dataset.GetClassName() if dataset is not None else "no data"
        raise InputError(f"{path} does not hold a surface or volume mesh but {kind}.", "Give the mesh.")
    if isinstance(dataset, vtkPolyData) and dataset.GetNumberOfStrips():
        triangles = vtkTriangleFilter()
        triangles.SetInputData(dataset)
        triangles.Update()
        dataset = triangles.GetOutput()
    return dataset


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """Raise what VTK's readers only print as InputError; warnings too, where they report an error."""
    before = vtkOutputWindow.GetInstance()
    loud = vtkLogger.GetCurrentVerbosityCutoff()
    window = vtkStringOutputWindow()
    vtkOutputWindow.SetInstance(window)
    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)
    try:
        yield
    finally:
        vtkLogger.SetStderrVerbosity(loud)
        vtkOutputWindow.SetInstance(before)
    printed = window.GetOutput()
    text = printed.decode("utf-8", "replace") if isinstance(printed, bytes) else str(printed)
    if "error" in text.lower():
        found = re.search(r"\(0x[0-9a-f]+\):? *(.*)", text)
        reason = f" ({found.group(1).strip()[:160].rstrip('. ')})" if found and found.group(1).isprintable() else ""
        raise InputError(f"{path} is cut off or damaged{reason}.", _AGAIN)


def _write(writer: Any, path: Path, dataset: vtkPointSet) -> None:
    writer.SetInputData(dataset)
    with atomic_path(path) as part:
        writer.SetFileName(str(part))
        done = writer.Write()
        code = writer.GetErrorCode()
        if not done or code or not part.stat().st_size:
            full = code == vtkErrorCode.OutOfDiskSpaceError
            raise OSError(errno.ENOSPC if full else errno.EIO, vtkErrorCode.GetStringFromErrorCode(code), str(path))
