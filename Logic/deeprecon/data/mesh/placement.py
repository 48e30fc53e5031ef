"""Where a mesh lies in the patient: its unit and axes, found from the wall that the images show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from vtkmodules.vtkCommonDataModel import vtkStaticPointLocator

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.files import FRAMES, SCALES, MeshFile
from deeprecon.data.mesh.mesh import Inside, Mesh, open_edges, with_points

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


def placement_scores(file: MeshFile, wall_points: npt.ArrayLike, beside: bool = False) -> dict[Placement, float]:
    """Share of the wall's points that lie in the mesh, for each unit and frame; 0 where the sizes do not match.

    Of a surface that has no inside, or beside which the wall lies, the points within 5 mm of a node are counted. Sizes
    match when the diagonals of both bounding boxes differ by less than a factor of 4.

    Args:
        file: raw mesh.
        wall_points: (M, 3) RAS mm, centres of the pixels that show wall.
        beside: the mesh is a surface of the wall's inner or outer side, even where it is closed.
    """
    wall = np.asarray(wall_points, np.float64)
    if wall.ndim != 2 or len(wall) == 0:
        raise InputError("There is no wall in the images to lay the mesh on.", "Choose the segment of the myocardium.")
    wall = wall[:: -(-len(wall) // _MAX_POINTS)]
    part = file.part.of(Mesh(file.dataset, file.path.name))
    raw = part.points
    diagonal = float(np.linalg.norm(np.ptp(raw, axis=0)))
    wall_diagonal = float(np.linalg.norm(np.ptp(wall, axis=0)))
    if diagonal == 0:
        raise InputError(f"{file.path} has no extent: all its nodes lie at one place.", "Export the mesh again.")
    # Work on a mesh of 100 mm, whatever its unit, so that one grid serves all.
    unify = 100.0 / diagonal
    mesh = Mesh(with_points(part.dataset, raw * unify), part.name)
    closed = mesh.is_volume or (not beside and open_edges(mesh) == 0)
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


def find_placement(
    file: MeshFile, wall_points: npt.ArrayLike, unit: str = "auto", frame: str = "auto", beside: bool = False
) -> Placement:
    """The unit and frame that lay the mesh onto the wall: as the caller or the file states, else the clear winner.

    Args:
        file: raw mesh.
        wall_points: (M, 3) RAS mm, centres of the pixels that show wall.
        unit: "mm", "cm", "m", "um", or "auto".
        frame: "ras", "lps", or "auto".
        beside: see `placement_scores`.

    Returns:
        (unit, frame) for `place`.

    Raises:
        InputError: nothing fits, two fit alike, or what was stated does not lie on the wall; lists the scores.
    """
    units = [unit] if unit != "auto" else [file.unit] if file.unit else list(SCALES)
    frames = [frame] if frame != "auto" else [file.frame] if file.frame else list(FRAMES)
    if not set(units) <= set(SCALES) or not set(frames) <= set(FRAMES):
        raise InputError(f"Unknown unit or axes of a mesh: {unit}, {frame}.", "Units: mm, cm, m, um; axes: ras, lps.")
    choices = [(u, f) for u in units for f in frames]
    scores = placement_scores(file, wall_points, beside)
    if (found := _clear(scores, choices)) is not None:
        return found
    winner = max(choices, key=lambda choice: scores[choice])
    best, stated = scores[winner], len(choices) == 1
    listing = ", ".join(f"{u}/{f} {100 * share:.0f} %" for (u, f), share in sorted(scores.items(), key=lambda e: -e[1]))
    if stated:
        problem = f"read as {winner[0]}/{winner[1]}, it covers only {100 * best:.0f} % of the wall seen in the images"
    elif best < CLEAR_SHARE:
        problem = "no unit and axes lay it onto the wall seen in the images"
    else:
        problem = "more than one choice of unit and axes lays it onto the wall seen in the images"
    way_out = "State the right ones with --mesh-unit and --mesh-frame, or check that both belong together."
    if not beside and not file.part.of(Mesh(file.dataset)).is_volume:
        beside_it = _clear(placement_scores(file, wall_points, beside=True), choices)
        if beside_it is not None:
            way_out = (
                f"The wall lies beside this surface, read as {'/'.join(beside_it)}: if it is the wall's inner or outer "
                f"surface, say so with --shell max. {way_out}"
            )
    raise InputError(f"{file.path}: {problem}. Share of the wall in the mesh: {listing}.", way_out)


def _clear(scores: dict[Placement, float], choices: Sequence[Placement]) -> Placement | None:
    """The one of some choices of unit and frame that scores well enough, and clearly better than the others."""
    winner, *others = sorted(choices, key=lambda choice: -scores[choice])
    if not others:
        return winner if scores[winner] >= STATED_SHARE else None
    is_clear = scores[winner] >= CLEAR_SHARE and scores[winner] - scores[others[0]] >= CLEAR_LEAD
    return winner if is_clear else None


def _near(mesh: Mesh, points: npt.NDArray[np.float64], reach: float) -> npt.NDArray[np.bool_]:
    locator = vtkStaticPointLocator()
    locator.SetDataSet(mesh.dataset)
    locator.BuildLocator()
    points = points[:: max(1, len(points) // 2000)]
    nearest = mesh.points[[locator.FindClosestPoint(*point) for point in points]]
    near: npt.NDArray[np.bool_] = np.linalg.norm(nearest - points, axis=1) <= reach
    return near
