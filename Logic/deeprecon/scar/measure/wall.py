"""Scar in the left ventricle's own coordinates: segments, depth and transmurality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.mesh import Mesh
from deeprecon.scar.anatomy.wall_coordinates import WallCoordinates
from deeprecon.scar.measure.aha import aha_rows, aha_segments, transmurality_rows, wall_columns
from deeprecon.scar.measure.sizes import node_sizes
from deeprecon.scar.observe.heart_axes import find_wall_coordinates
from deeprecon.scar.observe.slices import ObservedSlices
from deeprecon.scar.parameters import ReconstructParameters
from deeprecon.scar.read.case import Case


@dataclass(frozen=True, eq=False)
class WallMeasures:
    """Scar by place in the wall; empty where the heart's axes are not known.

    Attributes:
        arrays: name -> (N,) at the nodes: transmural_depth, aha_segment and scar_transmurality.
        segments: rows of the table of the 17 segments; empty where the right ventricle's insertions are not known.
        transmurality: rows of its histogram.
        warnings: what was left out and why.
    """

    arrays: Mapping[str, npt.NDArray[np.floating[Any]]] = field(default_factory=dict)
    segments: Sequence[dict[str, Any]] = ()
    transmurality: Sequence[dict[str, Any]] = ()
    warnings: tuple[str, ...] = ()


def measure_wall(
    case: Case,
    slices: ObservedSlices,
    mesh: Mesh,
    probability: npt.NDArray[np.float32],
    uncertainty: npt.NDArray[np.float32],
    parameters: ReconstructParameters,
    observed: npt.NDArray[np.bool_],
) -> WallMeasures:
    """Depth, segments and transmurality at the nodes of a volume mesh; wall that is not observed does not count."""
    try:
        coordinates = find_wall_coordinates(case, slices, mesh)
    except InputError as error:
        return WallMeasures(warnings=(f"Transmurality and the 17 segments are left out. {error}",))
    return _measure(coordinates, mesh, probability, uncertainty, parameters, observed)


def _measure(
    coordinates: WallCoordinates,
    mesh: Mesh,
    probability: npt.NDArray[np.float32],
    uncertainty: npt.NDArray[np.float32],
    parameters: ReconstructParameters,
    observed: npt.NDArray[np.bool_],
) -> WallMeasures:
    place, all_sizes = coordinates(mesh.points), node_sizes(mesh)
    sizes = all_sizes * observed
    columns = wall_columns(place, sizes, probability, parameters.cutoff)
    segments = aha_segments(place, coordinates.axes)
    arrays = {
        "transmural_depth": place.depth,
        "scar_transmurality": columns.transmurality,
        "aha_segment": segments.astype(np.float64),
    }
    transmurality = transmurality_rows(columns)
    if not segments.any():
        warning = "The 17 segments are left out: where the right ventricle meets the left one is not known."
        return WallMeasures(arrays, (), transmurality, (warning,))
    rows = aha_rows(segments, sizes, probability, uncertainty, columns, parameters.cutoff, parameters.density)
    if not observed.all():
        for row in rows:
            chosen = segments == row["segment"]
            whole = float(all_sizes[chosen].sum())
            row["not_observed_percent"] = round(100 * (1 - float(sizes[chosen].sum()) / whole), 3) if whole else 0.0
    return WallMeasures(arrays, rows, transmurality)
