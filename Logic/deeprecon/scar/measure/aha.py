"""Scar in the 17 segments of the left ventricle, and its transmurality."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from deeprecon.scar.anatomy.axes import Axes
from deeprecon.scar.anatomy.wall_coordinates import WallPlace
from deeprecon.scar.measure.burden import Z_95

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

SEGMENTS = (
    "basal anterior",
    "basal anteroseptal",
    "basal inferoseptal",
    "basal inferior",
    "basal inferolateral",
    "basal anterolateral",
    "mid anterior",
    "mid anteroseptal",
    "mid inferoseptal",
    "mid inferior",
    "mid inferolateral",
    "mid anterolateral",
    "apical anterior",
    "apical septal",
    "apical inferior",
    "apical lateral",
    "apex",
)
"""Names of the segments 1 to 17."""

CLASSES = {"0": 0.0, "1-25": 0.25, "26-50": 0.5, "51-75": 0.75, "76-100": 1.0}
"""Classes of transmurality in percent and the share of the depth up to which each reaches."""

_COLUMN_MM = 3.0
"""Width of a column through the wall."""


def aha_segments(place: WallPlace, axes: Axes) -> Integers:
    """(N,) segment of each point, 1 to 17; 0 outside the left ventricle's wall, and everywhere without insertions.

    After Cerqueira et al. 2002 (Circulation 105:539): thirds of the long axis from the mitral plane to the cavity's
    apical end, and segment 17 beyond it. At the base and in the middle the septal segments lie between the insertions
    and meet half-way, and the rest of the ring is divided into four equal parts; with 120 degrees between the
    insertions all six are equal. Near the apex there are four equal segments, the septal one around the middle
    between the insertions.
    """
    if axes.septum is None:
        return np.zeros(len(place.angle), np.int64)
    half, turn = axes.septum / 2, place.angle % (2 * np.pi)
    borders = np.concatenate([[0, half], half + (2 * np.pi - 2 * half) * np.arange(1, 5) / 4])
    # From the middle of the septum over the front, the side and the back, and to the septum again.
    sixth = np.array([2, 1, 6, 5, 4, 3])[np.searchsorted(borders, turn, side="right") - 1]
    fourth = np.array([14, 13, 16, 15])[np.rint(turn / (np.pi / 2)).astype(int) % 4]
    ring = np.select([place.height >= 2 / 3, place.height >= 1 / 3, place.height >= 0], [sixth, sixth + 6, fourth], 17)
    return np.where(place.left, ring, 0).astype(np.int64)


class Columns(NamedTuple):
    """Columns through the left ventricle's wall, from the cavity to the outside; nodes of one have the same value.

    Attributes:
        transmurality: (N,) share of the depth that is scar at each node's place, 0 to 1.
        area: (N,) mm2 of the wall that the node represents, half-way between its surfaces; 0 outside the left wall.
    """

    transmurality: Floats
    area: Floats


def wall_columns(
    place: WallPlace, node_sizes: Floats, probability: npt.NDArray[np.floating], cutoff: float = 0.5
) -> Columns:
    """Transmurality: the mean probability through the wall.

    Columns are about 3 mm wide around and along the wall (wider on meshes with fewer nodes than that needs). In the
    apical third they diverge from a point on the axis, so that they cross the wall at the apex too.

    Args:
        place: of N nodes.
        node_sizes: (N,) mm3.
        probability: (N,) of scar, 0 to 1.
        cutoff: a column without any node above it holds no scar.
    """
    left, sizes = place.left, np.where(place.left, node_sizes, 0.0)
    transmurality, area = np.zeros(len(left)), sizes / place.thickness
    if not left.any():
        return Columns(transmurality, area)
    width = max(_COLUMN_MM, 1.5 * float(np.mean(node_sizes[left])) ** (1 / 3))
    column = _column(place, width)[left]
    total = np.bincount(column, sizes[left])
    mean = np.bincount(column, sizes[left] * probability[left]) / np.maximum(total, 1e-12)
    scarred = np.bincount(column, probability[left] > cutoff) > 0
    transmurality[left] = np.where(scarred, mean, 0.0)[column]
    return Columns(transmurality, area)


def _column(place: WallPlace, width: float) -> Integers:
    """(N,) number of the column of about `width` mm in which each point lies."""
    above = (place.height - 1 / 3) * place.length
    fan = np.arctan2(above, place.radius) * place.length / 3
    along = np.floor(np.where(above > 0, above, fan) / width).astype(int)
    row = along - along.min()
    around = np.bincount(row, place.radius) / np.maximum(np.bincount(row), 1)
    counts = np.maximum(1, np.rint(2 * np.pi * around / width)).astype(int)
    starts = np.concatenate([[0], np.cumsum(counts)])
    share = place.angle / (2 * np.pi) % 1.0
    column: Integers = starts[row] + np.minimum((share * counts[row]).astype(int), counts[row] - 1)
    return column


def aha_rows(
    segments: Integers,
    node_sizes: Floats,
    probability: npt.NDArray[np.floating],
    uncertainty: npt.NDArray[np.floating],
    columns: Columns,
    cutoff: float = 0.5,
    density: float = 1.05,
) -> list[dict[str, Any]]:
    """Rows of the table of segments.

    Args:
        segments: (N,) as `aha_segments` gives them.
        node_sizes: (N,) mm3.
        probability: (N,) of scar, 0 to 1.
        uncertainty: (N,) standard deviation of it.
        columns: of the same nodes.
        cutoff: probability above which a node counts as scar.
        density: of myocardium in g/ml.

    Returns:
        A dictionary for each of the 17 segments with the keys segment, name, wall_ml, scar_ml, low_ml and high_ml
        (every probability lowered or raised by 1.96 of its uncertainty), scar_g, scar_percent (of the wall),
        mean_transmurality_percent (where there is scar) and transmural_share_percent (of the segment's area,
        transmurality above 50 %). Segments without wall have 0 throughout.
    """
    rows: list[dict[str, Any]] = []
    margin = Z_95 * np.asarray(uncertainty, np.float64)
    readings = probability, probability - margin, probability + margin
    for number, name in enumerate(SEGMENTS, 1):
        chosen = segments == number
        sizes, area, depth = node_sizes[chosen] / 1000, columns.area[chosen], columns.transmurality[chosen]
        scar, low, high = (float(sizes[values[chosen] > cutoff].sum()) for values in readings)
        row = {
            "wall_ml": float(sizes.sum()),
            "scar_ml": scar,
            "low_ml": low,
            "high_ml": high,
            "scar_g": scar * density,
            "scar_percent": _percent(scar, sizes.sum()),
            "mean_transmurality_percent": _percent((area * depth).sum(), area[depth > 0].sum()),
            "transmural_share_percent": _percent(area[depth > 0.5].sum(), area.sum()),
        }
        rows.append({"segment": number, "name": name} | {key: round(value, 3) for key, value in row.items()})
    return rows


def transmurality_rows(columns: Columns) -> list[dict[str, Any]]:
    """Rows of the histogram of transmurality over the left ventricle's wall.

    Returns:
        A dictionary for each of the `CLASSES`: transmurality_percent (its name), area_cm2, and percent_of_wall, of its
        area.
    """
    number = np.searchsorted(list(CLASSES.values()), columns.transmurality)
    area = np.bincount(np.minimum(number, len(CLASSES) - 1), columns.area, len(CLASSES)) / 100
    return [
        {
            "transmurality_percent": name,
            "area_cm2": round(float(part), 3),
            "percent_of_wall": round(_percent(part, area.sum()), 3),
        }
        for name, part in zip(CLASSES, area, strict=True)
    ]


def _percent(part: float, total: float) -> float:
    """100 * part / total, 0 where the total is 0."""
    return 100 * float(part) / float(total) if total > 0 else 0.0
