"""What modelers and clinicians read off a reconstruction: segments of the ventricle, transmurality, channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.mesh import Inside, Mesh
from deeprecon.data.volume import Volume
from deeprecon.scar.anatomy.axes import Axes, axes_from_cavities, axes_from_landmarks
from deeprecon.scar.anatomy.wall_coordinates import WallCoordinates
from deeprecon.scar.measure.aha import aha_rows, aha_segments, transmurality_rows, wall_columns
from deeprecon.scar.measure.burden import node_sizes
from deeprecon.scar.parameters import ReconstructParameters
from deeprecon.scar.read.case import Case


@dataclass(frozen=True, eq=False)
class Anatomy:
    """Scar in the left ventricle's own coordinates; empty where they are not known.

    Attributes:
        arrays: name -> (N,) at the nodes: transmural_depth, aha_segment and scar_transmurality.
        segments: rows of the table of the 17 segments; empty where the right ventricle's insertions are not known.
        transmurality: rows of its histogram.
        missing: what was left out and why, in words; empty where nothing was.
    """

    arrays: Mapping[str, npt.NDArray[np.floating[Any]]] = field(default_factory=dict)
    segments: Sequence[dict[str, Any]] = ()
    transmurality: Sequence[dict[str, Any]] = ()
    missing: str = ""


def axes_of(case: Case) -> Axes:
    """The ventricle's axes from the landmarks or else the blood pools.

    Raises:
        InputError: neither was given, or they do not tell.
    """
    if case.landmarks:
        return axes_from_landmarks(case.landmarks)
    left, right = case.cavities
    if left is None:
        raise InputError(
            "Neither landmarks nor a segment of the left ventricle's blood pool were given.",
            "Give --landmarks with apex and base, or a segmentation with a segment named blood pool.",
        )
    grid = next(
        stack
        for stack in case.stacks
        if stack.wall.shape == left.array.shape and np.array_equal(stack.ijk_to_ras, left.ijk_to_ras)
    )
    wall = Volume(grid.wall, grid.ijk_to_ras, grid.name, grid.thickness)
    return axes_from_cavities(left, right, wall, grid.offsets)


def wall_coordinates(case: Case, mesh: Mesh, inside: Inside | None) -> WallCoordinates:
    """Where points lie in the ventricle's wall.

    Raises:
        InputError: the mesh is a surface, or nothing tells where the ventricle's axis is.
    """
    if inside is None or not mesh.is_volume:
        raise InputError("The mesh is a surface, which has no depth.", "Give a volume mesh.")
    return WallCoordinates(axes_of(case), inside, mesh.points)


def anatomy_of(
    case: Case,
    mesh: Mesh,
    inside: Inside | None,
    probability: npt.NDArray[np.float32],
    uncertainty: npt.NDArray[np.float32],
    parameters: ReconstructParameters,
) -> Anatomy:
    """Depth, segments and transmurality at the nodes of a volume mesh."""
    try:
        coordinates = wall_coordinates(case, mesh, inside)
    except InputError as error:
        return Anatomy(missing=f"Transmurality and the 17 segments are left out. {error}")
    axes, place = coordinates.axes, coordinates(mesh.points)
    sizes = node_sizes(mesh)
    columns = wall_columns(place, sizes, probability, parameters.cutoff)
    segments = aha_segments(place, axes)
    arrays = {
        "transmural_depth": place.depth,
        "scar_transmurality": columns.transmurality,
        "aha_segment": segments.astype(np.float64),
    }
    known = bool(segments.any())
    rows = aha_rows(segments, sizes, probability, uncertainty, columns, parameters.cutoff, parameters.density)
    return Anatomy(
        arrays,
        rows if known else (),
        transmurality_rows(columns),
        "" if known else "The 17 segments are left out: where the right ventricle meets the left one is not known.",
    )
