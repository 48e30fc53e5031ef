"""Mesh files: raw coordinates first, then their place in the patient, which a file seldom states."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from vtkmodules.vtkCommonCore import vtkLogger, vtkOutputWindow, vtkStringArray, vtkStringOutputWindow
from vtkmodules.vtkCommonDataModel import (
    vtkFieldData,
    vtkPointSet,
    vtkPolyData,
    vtkStaticPointLocator,
    vtkUnstructuredGrid,
)
from vtkmodules.vtkCommonMisc import vtkErrorCode
from vtkmodules.vtkFiltersCore import vtkTriangleFilter
from vtkmodules.vtkIOGeometry import vtkSTLReader, vtkSTLWriter
from vtkmodules.vtkIOLegacy import vtkDataSetWriter, vtkGenericDataObjectReader
from vtkmodules.vtkIOXML import (
    vtkXMLPolyDataReader,
    vtkXMLPolyDataWriter,
    vtkXMLUnstructuredGridReader,
    vtkXMLUnstructuredGridWriter,
)

from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path
from deeprecon.data.mesh.mesh import Inside, Mesh, open_edges, with_points
from deeprecon.data.mesh.opencarp import read_opencarp, write_opencarp
from deeprecon.data.mesh.ply import read_ply, write_ply
from deeprecon.data.mesh.vectors import turn_vectors

SCALES = {"mm": 1.0, "cm": 10.0, "m": 1000.0, "um": 1e-3}
"""Length units of mesh files, in mm."""
FRAMES = {"ras": np.array([1.0, 1.0, 1.0]), "lps": np.array([-1.0, -1.0, 1.0])}
"""Patient axes of mesh files, and the signs that turn them into RAS."""

Placement = tuple[str, str]

CLEAR_SHARE = 0.5
"""Share of the wall that the best unit and axes must cover to be taken without asking,"""
CLEAR_LEAD = 0.2
"""and by how much that share must exceed the second best one's."""
STATED_SHARE = 0.25
"""Share of the wall that stated unit and axes must cover: below it the mesh is somewhere else."""

_MAX_POINTS = 20_000
_SIZE_RATIO = 4.0
_OPEN_REACH = 5.0


_OPENCARP = (".pts", ".elem")
SUFFIXES = (".vtk", ".vtu", ".vtp", ".ply", ".stl", *_OPENCARP)
_AGAIN = "Export the mesh again."
_LEGACY_4_2 = 42


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


def read_mesh(path: Path | str) -> MeshFile:
    """Read .vtk, .vtu, .vtp, .ply, .stl or openCARP (.pts with .elem and .lon); nodes keep their order.

    Raises:
        InputError: missing, cut-off, random or inconsistent file, another kind of data, no cells, coordinates that are
            not finite.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path} is not a mesh file of a known kind.", f"Give one of {', '.join(SUFFIXES)}.")
    if not path.is_file():
        raise InputError(f"There is no file {path}.", "Check the path.")
    if suffix in _OPENCARP:
        dataset: vtkPointSet = read_opencarp(path)
    else:
        dataset = read_ply(path) if suffix == ".ply" else _read_vtk(path, suffix)
    mesh = Mesh(dataset, path.name)
    connectivity, _offsets, types = mesh.cells()
    if mesh.n_points == 0 or len(types) == 0:
        raise InputError(f"{path} holds no mesh ({mesh.n_points} nodes, {len(types)} cells).", _AGAIN)
    if connectivity.min() < 0 or connectivity.max() >= mesh.n_points:
        raise InputError(f"{path} is damaged: its cells name nodes that it does not have.", _AGAIN)
    if not np.isfinite(mesh.points).all():
        raise InputError(f"{path} has coordinates that are not finite numbers.", _AGAIN)
    return MeshFile(path, dataset, "um" if suffix in _OPENCARP else None, _declared_frame(path, dataset))


def read_lines(path: Path | str) -> MeshFile:
    """Read lines, such as paths, from a .vtp file; `read_mesh` refuses them, for they are no mesh.

    Raises:
        InputError: missing or damaged file, no lines.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"There is no file {path}.", "Check the path.")
    dataset = _read_vtk(path, ".vtp")
    if not isinstance(dataset, vtkPolyData) or dataset.GetNumberOfLines() == 0:
        raise InputError(f"{path} holds no lines.", _AGAIN)
    return MeshFile(path, dataset, None, _declared_frame(path, dataset))


def _read_vtk(path: Path, suffix: str) -> vtkPointSet:
    reader: Any = {
        ".vtk": vtkGenericDataObjectReader,
        ".vtu": vtkXMLUnstructuredGridReader,
        ".vtp": vtkXMLPolyDataReader,
        ".stl": vtkSTLReader,
    }[suffix]()
    if suffix == ".vtk":
        for kind in ("Scalars", "Vectors", "Normals", "Tensors", "ColorScalars", "TCoords", "Fields"):
            getattr(reader, f"ReadAll{kind}On")()
    if suffix == ".stl":
        _check_stl(path)
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


def _check_stl(path: Path) -> None:
    """VTK reads what there is of a binary STL without a word."""
    with open(path, "rb") as file:
        head = file.read(84)
    size = path.stat().st_size
    if head[:5].lower() == b"solid" and size != 84 + 50 * int.from_bytes(head[80:84], "little"):
        if b"endsolid" not in path.read_bytes()[-200:].lower():
            raise InputError(f"{path} is cut off or damaged (no endsolid).", _AGAIN)
    elif len(head) < 84 or size < 84 + 50 * int.from_bytes(head[80:84], "little"):
        raise InputError(f"{path} is cut off or damaged ({size} bytes are too few for its triangles).", _AGAIN)


def _declared_frame(path: Path, dataset: vtkPointSet) -> str | None:
    space = dataset.GetFieldData().GetAbstractArray("SPACE")
    if isinstance(space, vtkStringArray) and space.GetNumberOfValues():
        found = re.fullmatch(r"(LPS|RAS)", space.GetValue(0).strip(), re.IGNORECASE)
    elif path.suffix.lower() in (".vtk", ".ply", ".stl"):
        with open(path, "rb") as file:
            head = file.read(1024)
        head = head[:80] if path.suffix.lower() == ".stl" else head
        found = re.search(r"SPACE=(LPS|RAS)\b", head.decode("latin-1"), re.IGNORECASE)
    else:
        found = None
    return found.group(1).lower() if found else None


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


def placement_scores(file: MeshFile, wall_points: npt.ArrayLike) -> dict[Placement, float]:
    """Share of the wall's points that lie in the mesh, for each unit and frame; 0 where the sizes do not match.

    Of an open surface, which has no inside, the points within 5 mm of a node are counted. Sizes match when the
    diagonals of both bounding boxes differ by less than a factor of 4.

    Args:
        file: raw mesh.
        wall_points: (M, 3) RAS mm, centres of the pixels that show wall.
    """
    wall = np.asarray(wall_points, np.float64)
    if wall.ndim != 2 or len(wall) == 0:
        raise InputError("There is no wall in the images to lay the mesh on.", "Choose the segment of the myocardium.")
    wall = wall[:: -(-len(wall) // _MAX_POINTS)]
    raw = file.points
    diagonal = float(np.linalg.norm(np.ptp(raw, axis=0)))
    wall_diagonal = float(np.linalg.norm(np.ptp(wall, axis=0)))
    if diagonal == 0:
        raise InputError(f"{file.path} has no extent: all its nodes lie at one place.", "Export the mesh again.")
    # Work on a mesh of 100 mm, whatever its unit, so that one grid serves all.
    unify = 100.0 / diagonal
    mesh = Mesh(with_points(file.dataset, raw * unify), file.path.name)
    closed = mesh.is_volume or open_edges(mesh) == 0
    inside = Inside(mesh) if closed else None
    scores = {}
    for unit, scale in SCALES.items():
        ratio = diagonal * scale / max(wall_diagonal, 1e-9)
        for frame, signs in FRAMES.items():
            share = 0.0
            if 1 / _SIZE_RATIO < ratio < _SIZE_RATIO:
                points = wall / (scale * signs) * unify
                covered = inside(points) if inside is not None else _near(mesh, points, _OPEN_REACH / scale * unify)
                share = float(covered.mean())
            scores[unit, frame] = share
    return scores


def find_placement(file: MeshFile, wall_points: npt.ArrayLike, unit: str = "auto", frame: str = "auto") -> Placement:
    """The unit and frame that lay the mesh onto the wall: as the caller or the file states, else the clear winner.

    Args:
        file: raw mesh.
        wall_points: (M, 3) RAS mm, centres of the pixels that show wall.
        unit: "mm", "cm", "m", "um", or "auto".
        frame: "ras", "lps", or "auto".

    Returns:
        (unit, frame) for `place`.

    Raises:
        InputError: nothing fits, two fit alike, or what was stated does not lie on the wall; lists the scores.
    """
    units = [unit] if unit != "auto" else [file.unit] if file.unit else list(SCALES)
    frames = [frame] if frame != "auto" else [file.frame] if file.frame else list(FRAMES)
    if not set(units) <= set(SCALES) or not set(frames) <= set(FRAMES):
        raise InputError(f"Unknown unit or axes of a mesh: {unit}, {frame}.", "Units: mm, cm, m, um; axes: ras, lps.")
    scores = placement_scores(file, wall_points)
    ranked = sorted(((scores[u, f], (u, f)) for u in units for f in frames), key=lambda entry: -entry[0])
    best, winner = ranked[0]
    stated = len(ranked) == 1
    if best >= (STATED_SHARE if stated else CLEAR_SHARE) and (stated or best - ranked[1][0] >= CLEAR_LEAD):
        return winner
    listing = ", ".join(f"{u}/{f} {100 * share:.0f} %" for (u, f), share in sorted(scores.items(), key=lambda e: -e[1]))
    if stated:
        problem = f"read as {winner[0]}/{winner[1]}, it covers only {100 * best:.0f} % of the wall seen in the images"
    elif best < CLEAR_SHARE:
        problem = "no unit and axes lay it onto the wall seen in the images"
    else:
        problem = "more than one choice of unit and axes lays it onto the wall seen in the images"
    raise InputError(
        f"{file.path}: {problem}. Share of the wall in the mesh: {listing}.",
        "State the right ones with --mesh-unit and --mesh-frame, or check that both belong together.",
    )


def _near(mesh: Mesh, points: npt.NDArray[np.float64], reach: float) -> npt.NDArray[np.bool_]:
    locator = vtkStaticPointLocator()
    locator.SetDataSet(mesh.dataset)
    locator.BuildLocator()
    points = points[:: max(1, len(points) // 2000)]
    nearest = mesh.points[[locator.FindClosestPoint(*point) for point in points]]
    near: npt.NDArray[np.bool_] = np.linalg.norm(nearest - points, axis=1) <= reach
    return near


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
    suffix = path.suffix.lower()
    points = mesh.points / (SCALES[unit] * FRAMES[frame])
    dataset = _moved(mesh.dataset, points, frame)
    if suffix in _OPENCARP:
        write_opencarp(path, dataset, points, element_tags)
        return
    comment = f"DeepRecon output. SPACE={frame.upper()}"
    is_surface = isinstance(mesh.dataset, vtkPolyData)
    if (
        suffix not in SUFFIXES
        or (suffix in (".vtp", ".ply", ".stl") and not is_surface)
        or (suffix == ".vtu" and is_surface)
    ):
        raise InputError(
            f"Cannot write {mesh.name} as {path.name}.", f"Use the ending {'.vtp' if is_surface else '.vtu'}."
        )
    if suffix == ".stl" and mesh.array_names:
        raise InputError(f"Cannot write {path.name}: STL cannot hold values at the nodes.", "Use the ending .vtp.")
    if suffix == ".ply":
        write_ply(path, Mesh(dataset, mesh.name), points, comment)
        return
    if suffix in (".vtu", ".vtp"):
        writer: Any = vtkXMLPolyDataWriter() if suffix == ".vtp" else vtkXMLUnstructuredGridWriter()
        writer.SetCompressionLevel(1)  # half the time of the standard for files hardly larger
        _note_space(dataset, frame)
    elif suffix == ".vtk":
        writer = vtkDataSetWriter()
        writer.SetFileVersion(_LEGACY_4_2)
        writer.SetFileTypeToBinary()
        writer.SetHeader(comment)
    else:
        writer = vtkSTLWriter()
        writer.SetFileTypeToBinary()
        writer.SetHeader(comment)
    writer.SetInputData(dataset)
    with atomic_path(path) as part:
        writer.SetFileName(str(part))
        done = writer.Write()
        code = writer.GetErrorCode()
        if not done or code or not part.exists():
            full = code == vtkErrorCode.OutOfDiskSpaceError
            raise OSError(errno.ENOSPC if full else errno.EIO, vtkErrorCode.GetStringFromErrorCode(code), str(path))


def _note_space(dataset: vtkPointSet, frame: str) -> None:
    fields = vtkFieldData()
    fields.ShallowCopy(dataset.GetFieldData())
    space = vtkStringArray()
    space.SetName("SPACE")
    space.InsertNextValue(frame.upper())
    fields.RemoveArray("SPACE")
    fields.AddArray(space)
    dataset.SetFieldData(fields)
