"""Heart meshes: read, and placed in the patient by what is known about the heart's position."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.files import FRAMES, SCALES, MeshFile, format_of, place, read_mesh
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.data.mesh.placement import CLEAR_LEAD, CLEAR_SHARE, find_placement
from deeprecon.data.mesh.voxels import voxel_mesh
from deeprecon.scar.parameters import Frame, Unit
from deeprecon.scar.read.case import Case

HEART_SIZES = (10.0, 1000.0)
"""Diagonal in mm of the box around a heart: from less than a mouse's to far more than any human's."""

_MAX_SIZE_RATIO = 3.0
"""By how much a mesh may be larger or smaller than the box that a network was trained in."""


@dataclass(frozen=True, eq=False)
class HeartMesh:
    """A mesh of the wall and how it is written back.

    Attributes:
        mesh: RAS mm.
        unit, frame: of its file.
        suffix: of the file that results are written to.
        from_slices: whether it was made from the slices themselves, which therefore lie on it wherever they are.
    """

    mesh: Mesh
    unit: Unit = Unit.MM
    frame: Frame = Frame.LPS
    suffix: str = ".vtu"
    from_slices: bool = False


def read_heart_mesh(
    path: Path | None, case: Case, unit: Unit = Unit.AUTO, frame: Frame = Frame.AUTO, node_spacing: float = 1.5
) -> HeartMesh:
    """The mesh of a case, placed where the wall of its images is; without a file, made from the contoured wall.

    Args:
        path: mesh file.
        unit, frame: as stated by the user; AUTO finds the only ones that fit.
        node_spacing: in mm, of the mesh that is made.

    Raises:
        InputError: as `read_mesh` and `find_placement`.
    """
    if path is None:
        walls = (stack.wall for stack in case.stacks)
        short_axis = max(walls, key=lambda wall: np.count_nonzero(wall.array.any(axis=(1, 2))))
        return HeartMesh(voxel_mesh(short_axis, node_spacing), from_slices=True)
    file = read_mesh(path)
    found_unit, found_frame = find_placement(file, case.wall_points, unit=unit.value, frame=frame.value)
    return _heart_mesh(file, found_unit, found_frame)


def read_mesh_in_box(
    path: Path, box: npt.NDArray[np.float64], unit: Unit = Unit.AUTO, frame: Frame = Frame.AUTO
) -> HeartMesh:
    """A mesh that lies in the box in which a network was trained.

    Args:
        path: mesh file.
        box: (2, 3) lowest and highest corner in mm.
        unit, frame: as stated by the user; AUTO finds the only ones that fit.

    Raises:
        InputError: as `read_mesh` and `find_in_box`.
    """
    file = read_mesh(path)
    return _heart_mesh(file, *find_in_box(file, box, unit.value, frame.value))


def _heart_mesh(file: MeshFile, unit: str, frame: str) -> HeartMesh:
    kind = format_of(file.path)
    suffix = file.path.suffix.lower() if kind is not None and kind.values else ".vtp"
    return HeartMesh(place(file, unit, frame), Unit(unit), Frame(frame), suffix)


def find_in_box(
    file: MeshFile, box: npt.NDArray[np.float64], unit: str = "auto", frame: str = "auto"
) -> tuple[str, str]:
    """The unit and axes in which a mesh lies in a box, as stated, else the only ones that fit.

    Args:
        file: raw mesh.
        box: (2, 3) lowest and highest corner in mm.
        unit: "mm", "cm", "m", "um", or "auto".
        frame: "ras", "lps", or "auto".

    Raises:
        InputError: nothing fits, or both axes fit equally well.
    """
    units = [unit] if unit != "auto" else [file.unit] if file.unit else list(SCALES)
    frames = [frame] if frame != "auto" else [file.frame] if file.frame else list(FRAMES)
    margin = 0.05 * (box[1] - box[0])
    raw = file.points
    scores = {}
    for u in units:
        for f in frames:
            points = raw * (SCALES[u] * FRAMES[f])
            ratio = np.ptp(points, axis=0).max() / (box[1] - box[0]).max()
            within = ((points >= box[0] - margin) & (points <= box[1] + margin)).all(axis=1)
            scores[u, f] = float(within.mean()) if 1 / _MAX_SIZE_RATIO < ratio < _MAX_SIZE_RATIO else 0.0
    (winner, best), *others = sorted(scores.items(), key=lambda entry: -entry[1])
    if best >= CLEAR_SHARE and (not others or best - others[0][1] >= CLEAR_LEAD):
        return winner
    listing = ", ".join(f"{u}/{f} {share:.0%}" for (u, f), share in scores.items())
    raise InputError(
        f"{file.path}: {'no' if best < CLEAR_SHARE else 'more than one'} choice of unit and axes lays it where the "
        f"network was trained. Share of the nodes there: {listing}.",
        "State the right ones with --mesh-unit and --mesh-frame, or check that both are of the same heart.",
    )


def check_heart_size(mesh: Mesh, hint: str, how: str = "") -> None:
    """Check that a mesh has the size of a heart in mm.

    Raises:
        InputError: it does not; the message says `how` it was read.
    """
    size = float(np.linalg.norm(np.ptp(mesh.points, axis=0)))
    if not HEART_SIZES[0] <= size <= HEART_SIZES[1]:
        raise InputError(f"{mesh.name}{how} is {size:.3g} mm large, which no heart is.", hint)
