"""Mesh files of every format: raw coordinates first, then their place in the patient, which a file seldom states."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
from vtkmodules.vtkCommonDataModel import VTK_NUMBER_OF_CELL_TYPES, vtkPointSet, vtkPolyData

from deeprecon.data.errors import InputError, names_damage
from deeprecon.data.mesh.mesh import Mesh, with_points
from deeprecon.data.mesh.opencarp import read_opencarp, write_opencarp
from deeprecon.data.mesh.parts import Part, find_part
from deeprecon.data.mesh.ply import read_ply, write_ply
from deeprecon.data.mesh.stl import read_stl
from deeprecon.data.mesh.vectors import turn_vectors
from deeprecon.data.mesh.vtk_files import (
    header,
    noted_frame,
    read_legacy,
    read_xml_grid,
    read_xml_surface,
    remove_noted_frame,
    write_legacy,
    write_stl,
    write_xml,
)

SCALES = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 1e-3}
"""Length units of mesh files, in mm."""
FRAMES = {"ras": np.array([1.0, 1.0, 1.0]), "lps": np.array([-1.0, -1.0, 1.0])}
"""Patient axes of mesh files, and the signs that turn them into RAS."""

_AGAIN = "Export the mesh again."


def _write_ply(path: Path, dataset: vtkPointSet, frame: str) -> None:
    mesh = Mesh(dataset, path.name)
    write_ply(path, mesh, mesh.points, header(frame))


def _write_opencarp(path: Path, dataset: vtkPointSet, frame: str) -> None:
    write_opencarp(path, dataset, Mesh(dataset).points)


@dataclass(frozen=True)
class MeshFileFormat:
    """A file format of meshes.

    Attributes:
        endings: of the file names.
        read: path -> vtkPolyData or vtkUnstructuredGrid.
        write: (path, dataset in the file's unit and axes, "ras" or "lps").
        surfaces, volumes: whether it holds vtkPolyData and vtkUnstructuredGrid.
        values: whether it holds values at the nodes.
        value_files: whether these are in files of their own, NAME.ARRAY.dat.
        unit: that the format prescribes; None where it leaves the unit open.
        header_bytes: at the start of the file, in which a comment SPACE=LPS or SPACE=RAS may state the axes.
    """

    endings: tuple[str, ...]
    read: Callable[[Path], vtkPointSet]
    write: Callable[[Path, vtkPointSet, str], None]
    surfaces: bool = True
    volumes: bool = True
    values: bool = True
    value_files: bool = False
    unit: str | None = None
    header_bytes: int = 0


FORMATS = (
    MeshFileFormat((".vtk",), read_legacy, write_legacy, header_bytes=1024),
    MeshFileFormat((".vtu",), read_xml_grid, write_xml, surfaces=False),
    MeshFileFormat((".vtp",), read_xml_surface, write_xml, volumes=False),
    MeshFileFormat((".ply",), read_ply, _write_ply, volumes=False, header_bytes=1024),
    MeshFileFormat((".stl",), read_stl, write_stl, volumes=False, values=False, header_bytes=80),
    MeshFileFormat((".pts", ".elem"), read_opencarp, _write_opencarp, value_files=True, unit="um"),
)
CELL_NODES = {1: 1, 3: 2, 5: 3, 8: 4, 9: 4, 10: 4, 11: 8, 12: 8, 13: 6, 14: 5}
"""Nodes of a cell by VTK's type, where all cells of the type have as many (vtkCellType.h)."""
MESH_ENDINGS = tuple(ending for kind in FORMATS for ending in kind.endings)


def format_of(path: Path) -> MeshFileFormat | None:
    """The format of a file by its ending, None for an unknown one."""
    return next((kind for kind in FORMATS if path.suffix.lower() in kind.endings), None)


@dataclass(frozen=True, eq=False)
class MeshFile:
    """A mesh as its file has it.

    Attributes:
        path: the file.
        dataset: vtkPolyData or vtkUnstructuredGrid in the file's own unit and axes.
        unit: "mm", "cm", "m" or "um" where the format states it (openCARP: um), else None.
        frame: "ras" or "lps" where the file states it (SPACE, as Slicer writes it), else None.
    """

    path: Path
    dataset: vtkPointSet
    unit: str | None
    frame: str | None

    @property
    def points(self) -> npt.NDArray[np.float64]:
        """(N, 3) raw coordinates, a copy."""
        return Mesh(self.dataset).points

    @cached_property
    def part(self) -> Part:
        """What counts of it."""
        return find_part(Mesh(self.dataset, self.path.name))


@names_damage
def read_mesh(path: Path | str) -> MeshFile:
    """Read .vtk, .vtu, .vtp, .ply, .stl or openCARP (.pts with .elem and .lon); nodes keep their order.

    Raises:
        InputError: missing, cut-off, random or inconsistent file, another kind of data, no cells, coordinates that are
            not finite.
    """
    path = Path(path)
    kind = format_of(path)
    if kind is None:
        raise InputError(f"{path} is not a mesh file of a known kind.", f"Give one of {', '.join(MESH_ENDINGS)}.")
    if not path.is_file():
        raise InputError(f"There is no file {path}.", "Check the path.")
    dataset = kind.read(path)
    mesh = Mesh(dataset, path.name)
    _check_cells(path, mesh)
    if not np.isfinite(mesh.points).all():
        raise InputError(f"{path} has coordinates that are not finite numbers.", _AGAIN)
    return MeshFile(path, dataset, kind.unit, _declared_frame(path, dataset, kind.header_bytes))


def _check_cells(path: Path, mesh: Mesh) -> None:
    """Compare the cells' nodes, lengths and types with each other: VTK's filters crash on what does not agree."""
    connectivity, offsets, types = mesh.cells()
    if mesh.n_points == 0 or len(types) == 0:
        raise InputError(f"{path} holds no mesh ({mesh.n_points} nodes, {len(types)} cells).", _AGAIN)
    sizes = np.diff(offsets)
    if len(sizes) != len(types) or offsets[0] != 0 or offsets[-1] != len(connectivity) or sizes.min() < 0:
        raise InputError(f"{path} is damaged: the lengths of its cells do not fit its list of nodes.", _AGAIN)
    for kind in np.unique(types):
        own, expected = sizes[types == kind], CELL_NODES.get(int(kind))
        if kind >= VTK_NUMBER_OF_CELL_TYPES:
            raise InputError(f"{path} is damaged: there is no cell type {kind}.", _AGAIN)
        if expected is not None and (own != expected).any():
            raise InputError(
                f"{path} is damaged: cells of type {kind} have {own[own != expected][0]} nodes, not {expected}.", _AGAIN
            )
    if len(connectivity) and (connectivity.min() < 0 or connectivity.max() >= mesh.n_points):
        raise InputError(f"{path} is damaged: its cells name nodes that it does not have.", _AGAIN)


@names_damage
def read_lines(path: Path | str) -> MeshFile:
    """Read lines, such as paths, from a .vtp file; `read_mesh` refuses them, for they are no mesh.

    Raises:
        InputError: missing or damaged file, no lines.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no file {path}.", "Check the path.")
    dataset = read_xml_surface(path)
    if not isinstance(dataset, vtkPolyData) or dataset.GetNumberOfLines() == 0:
        raise InputError(f"{path} holds no lines.", _AGAIN)
    return MeshFile(path, dataset, None, _declared_frame(path, dataset, 0))


def _declared_frame(path: Path, dataset: vtkPointSet, header_bytes: int) -> str | None:
    """The axes that a file states in the comment at its start, else in its fields, which may come from another file."""
    with open(path, "rb") as file:
        head = file.read(header_bytes)
    found = re.search(r"SPACE=(LPS|RAS)\b", head.decode("latin-1"), re.IGNORECASE)
    return found.group(1).lower() if found else noted_frame(dataset)


def place(file: MeshFile, unit: str, frame: str) -> Mesh:
    """The mesh in RAS mm; vectors and tensors of the file are in its axes and turn with the points.

    See `vector_arrays` for these arrays (floats of 3 or 9 components at nodes or cells, such as "fiber" and
    "sheet"). They are directions, so the unit leaves them alone. Slicer's own files in LPS have only the active vectors
    and the normals turned; other vectors in such a file must be made the active ones before saving.

    Args:
        file: raw mesh, left as it is.
        unit: "mm", "cm", "m" or "um".
        frame: "ras" or "lps".
    """
    return Mesh(_moved(file.dataset, file.points * (SCALES[unit] * FRAMES[frame]), frame), file.path.name)


def _moved(dataset: vtkPointSet, points: npt.NDArray[np.float64], frame: str) -> vtkPointSet:
    """A copy with points (N, 3) that were moved between RAS and `frame`, in either direction, and its vectors too."""
    moved = with_points(dataset, points)
    if (FRAMES[frame] < 0).any():
        turn_vectors(moved, np.diag(FRAMES[frame]), np.diag(FRAMES[frame]))
    return moved


def write_mesh(
    path: Path | str, mesh: Mesh, unit: str = "mm", frame: str = "ras", element_tags: npt.ArrayLike | None = None
) -> None:
    """Write a mesh in the class of the path's ending, in a unit and axes of its own; order and number of nodes stay.

    The axes are noted as SPACE where the format has room (all but openCARP), as Slicer does. Vectors and tensors at
    nodes and cells (see `vector_arrays`) turn into the file's axes; being directions, they do not take its unit.

    Args:
        path: .vtk, .vtu, .vtp, .ply, .stl or openCARP's .pts (see `read_opencarp` for its other files).
        mesh: in RAS mm, left as it is.
        unit, frame: of the file; openCARP itself expects "um".
        element_tags: (C,) region tags, openCARP only.

    Raises:
        InputError: an ending that cannot hold this mesh: volume cells in a surface format, arrays in STL.
    """
    path = Path(path)
    kind = format_of(path)
    is_surface = isinstance(mesh.dataset, vtkPolyData)
    if kind is None or not (kind.surfaces if is_surface else kind.volumes):
        raise InputError(
            f"Cannot write {mesh.name} as {path.name}.", f"Use the ending {'.vtp' if is_surface else '.vtu'}."
        )
    if not kind.values and mesh.array_names:
        raise InputError(
            f"Cannot write {path.name}: {path.suffix[1:].upper()} cannot hold values at the nodes.",
            "Use the ending .vtp.",
        )
    points = mesh.points / (SCALES[unit] * FRAMES[frame])
    dataset = _moved(mesh.dataset, points, frame)
    remove_noted_frame(dataset)  # it may be that of another file
    if element_tags is not None and kind.value_files:
        write_opencarp(path, dataset, points, element_tags)
    else:
        kind.write(path, dataset, frame)
