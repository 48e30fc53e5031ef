"""Heart meshes: read, and placed in the patient by what is known about the heart's position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.mesh.files import FRAMES, SCALES, MeshFile, format_of, place, read_mesh
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.data.mesh.parts import Part, find_part
from deeprecon.data.mesh.placement import CLEAR_LEAD, CLEAR_SHARE, find_placement
from deeprecon.data.mesh.tags import Tags, find_tags
from deeprecon.data.mesh.voxels import voxel_mesh
from deeprecon.scar.parameters import Frame, Unit
from deeprecon.scar.read.case import Case
from deeprecon.scar.read.mesh_region import Region, choose_region

HEART_SIZES = (10.0, 1000.0)
"""Diagonal in mm of the box around a heart: from less than a mouse's to far more than any human's."""

_FILL = {"scar_uncertainty": 1.0, "group_residual": np.nan}
"""Values at nodes that do not count; other arrays are 0 there."""
_MAX_SIZE_RATIO = 3.0
"""By how much a mesh may be larger or smaller than the box that a network was trained in."""


@dataclass(frozen=True, eq=False)
class HeartMesh:
    """A mesh of the wall and how it is written back.

    Attributes:
        mesh: RAS mm, what counts of the whole.
        whole: the mesh of the file in RAS mm with all its nodes and cells.
        part: what `mesh` is of the whole.
        unit, frame: of its file.
        suffix: of the file that results are written to.
        from_slices: whether it was made from the slices themselves, which therefore lie on it wherever they are.
        tags: of the regions of the whole; None where the file has none.
        region: tags of the regions that are wall, where others count as little as what lies outside of it; empty where
            all are.
        doubts: about the mesh.
    """

    mesh: Mesh
    whole: Mesh
    part: Part
    unit: Unit = Unit.MM
    frame: Frame = Frame.LPS
    suffix: str = ".vtu"
    from_slices: bool = False
    tags: Tags | None = None
    region: tuple[int, ...] = ()
    doubts: tuple[Doubt, ...] = ()

    def result(self, mesh: Mesh) -> Mesh:
        """The mesh of the file with the arrays at the nodes of `mesh`, which has the nodes of what counts of it."""
        if self.part.is_whole:
            return mesh
        arrays = {name: self.part.spread(mesh.point_array(name), _FILL.get(name, 0)) for name in mesh.array_names}
        return self.whole.with_point_arrays(arrays)

    def made_of(self, mesh: Mesh) -> HeartMesh:
        """The same with another mesh that was made from the slices."""
        return replace(self, mesh=mesh, whole=mesh, part=find_part(mesh))


def read_heart_mesh(
    path: Path | None,
    case: Case,
    unit: Unit = Unit.AUTO,
    frame: Frame = Frame.AUTO,
    node_spacing: float = 1.5,
    tag_array: str = "",
    region: Sequence[int] = (),
    beside: bool = False,
) -> HeartMesh:
    """The mesh of a case, placed where the wall of its images is; without a file, made from the contoured wall.

    Args:
        path: mesh file.
        unit, frame: as stated by the user; AUTO finds the only ones that fit.
        node_spacing: in mm, of the mesh that is made.
        tag_array: name of the array of region tags at the cells; empty for a usual one.
        region: tags of the wall; empty to have them found (`choose_region`).
        beside: the mesh is stated to be an inner or outer surface of the wall.

    Raises:
        InputError: as `read_mesh`, `find_tags`, `find_placement` and `choose_region`.
    """
    if path is None:
        made = wall_of_slices(case, node_spacing)
        return HeartMesh(made, made, find_part(made), from_slices=True)
    file = read_mesh(path)
    found_unit, found_frame = find_placement(file, case.wall_points, unit.value, frame.value, beside)
    heart = placed_heart(file, found_unit, found_frame, tag_array)
    return with_region(heart, choose_region(heart.mesh, heart.tags, heart.part.cells, region, case))


def wall_of_slices(case: Case, node_spacing: float) -> Mesh:
    """A volume mesh of the wall that the stack with most slices shows.

    Raises:
        InputError: as `voxel_mesh`.
    """
    walls = (stack.wall for stack in case.stacks)
    short_axis = max(walls, key=lambda wall: np.count_nonzero(wall.array.any(axis=(1, 2))))
    return voxel_mesh(short_axis, node_spacing)


def with_region(heart: HeartMesh, region: Region) -> HeartMesh:
    """The mesh with the regions that are wall as what counts of it."""
    if not region.tags:
        return heart
    assert heart.tags is not None
    chosen = np.zeros(len(heart.tags.values), bool)
    chosen[heart.part.cells] = np.isin(heart.tags.values[heart.part.cells], region.tags)
    part = find_part(heart.whole, chosen)
    doubts = (*heart.doubts, *region.doubts)
    return replace(heart, mesh=part.of(heart.whole), part=part, region=region.tags, doubts=doubts)


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
    return placed_heart(file, *find_in_box(file, box, unit.value, frame.value))


def placed_heart(file: MeshFile, unit: str, frame: str, tag_array: str = "") -> HeartMesh:
    """A mesh whose unit and axes are known.

    Raises:
        InputError: as `find_tags`.
    """
    kind = format_of(file.path)
    suffix = file.path.suffix.lower() if kind is not None and kind.values else ".vtp"
    whole = place(file, unit, frame)
    tags = find_tags(whole, tag_array)
    return HeartMesh(
        file.part.of(whole),
        whole,
        file.part,
        Unit(unit),
        Frame(frame),
        suffix,
        tags=tags,
        doubts=(*_left_out_doubts(file), *_tag_doubts(file.path.name, tags)),
    )


def _left_out_doubts(file: MeshFile) -> list[Doubt]:
    """What of a mesh does not count."""
    if not file.part.left_out:
        return []
    text = f"What does not count: {', '.join(file.part.left_out)}."
    return [Doubt("mesh-left-out", file.path.name, text, "Leave them out of the file.", assumed=True)]


def _tag_doubts(where: str, tags: Tags | None) -> list[Doubt]:
    """Region tags that could be others."""
    if tags is None or not tags.others:
        return []
    text = f"Its region tags are taken from {tags.name}, not from {', '.join(tags.others)}."
    return [Doubt("tags-in-several-arrays", where, text, "Name the right one with --tag-array.", assumed=True)]


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
    raw = file.points[file.part.first]
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
