"""What activation times in the wall tell: late zones, delay along channels, and where re-entry could begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.numerics.tetrahedra import Tetrahedra, connected
from deeprecon.scar.anatomy.axes import Axes
from deeprecon.scar.anatomy.ventricular_coordinates import VentricularCoordinates
from deeprecon.scar.anatomy.wall_coordinates import WallPlace
from deeprecon.scar.measure.aha import SEGMENTS, aha_segments

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_CELLS = 4.0
"""The wall is looked at in cubes of the search radius over this."""
_ON_PATH = 3.0
"""Distance in mm to conducting tissue up to which a channel's path is read there."""
_COLLISION = 2.0
"""ms by which the middle of a channel must be later than its exit to show that two fronts meet in it."""
_MIN_ZONE = 0.1
"""Volume in ml below which tissue that is late is no zone."""


@dataclass(frozen=True, eq=False)
class Site:
    """Where activation starts.

    Attributes:
        name: of the segment, or "site".
        node: number of the node in the wall.
        segment: of the AHA, 1 to 17; 0 where it is not known.
    """

    name: str
    node: int
    segment: int = 0


@dataclass(frozen=True, eq=False)
class ActivationMap:
    """Activation from one site.

    Attributes:
        site: where it starts.
        times: (N,) ms; NaN where it does not arrive.
        delay: (N,) ms later than in the same wall without scar.
        vulnerability: (N,) re-entry vulnerability index in ms; NaN where it is not defined.
    """

    site: Site
    times: Floats
    delay: Floats
    vulnerability: Floats


def segments_of(coordinates: VentricularCoordinates) -> Ints:
    """(N,) segment of each node by the coordinates, 1 to 17; 0 outside the left wall, or where none are known."""
    axes = coordinates.axes
    points = coordinates.mesh.points
    from_cavity = Axes(coordinates.cavity_apex, axes.base)
    height = (points - from_cavity.apex) @ from_cavity.direction / from_cavity.length
    angle = (coordinates.rotational * 2 * np.pi + np.pi) % (2 * np.pi) - np.pi
    nothing = np.zeros(len(points))
    place = WallPlace(coordinates.transmural, angle, height, coordinates.left, nothing, nothing, from_cavity.length)
    return aha_segments(place, axes)


def endocardial_sites(points: Floats, segments: Ints, depth: Floats, conducts: Mask) -> list[Site]:
    """One site for each segment that conducts at its inner surface, at the node nearest to that surface's middle.

    Args:
        points: (N, 3) RAS mm.
        segments: (N,) 1 to 17, else 0.
        depth: (N,) 0 at the endocardium to 1 at the epicardium.
        conducts: (N,) nodes of tissue that conducts.
    """
    sites = []
    for segment, name in enumerate(SEGMENTS, 1):
        chosen = np.flatnonzero((segments == segment) & conducts)
        if not len(chosen):
            continue
        inner = chosen[depth[chosen] <= depth[segments == segment].min() + 0.1]
        if len(inner):
            place = points[inner]
            middle = points[(segments == segment) & (depth <= depth[inner].max())].mean(axis=0)
            sites.append(Site(name, int(inner[np.linalg.norm(place - middle, axis=1).argmin()]), segment))
    return sites


def reentry_vulnerability(points: Floats, times: Floats, duration: float, radius: float) -> Floats:
    """(N,) re-entry vulnerability index in ms: how long after the latest activation nearby a place has repolarized.

    RVI = (activation + action potential) at a place - activation of another one within the radius that is activated
    later; here the smallest over all such places. Low values mark where a front that comes around a line of block finds
    tissue that has recovered or nearly so (Child et al. 2015, Heart Rhythm 12:1644; Hill et al. 2016, PLoS ONE
    11:e0149342). The wall is looked at in cubes of a quarter of the radius, by the latest activation in each.

    Args:
        points: (N, 3) mm.
        times: (N,) ms; NaN is left out and stays NaN.
        duration: of the action potential in ms.
        radius: of the search in mm.
    """
    from scipy.spatial import cKDTree

    result = np.full(len(times), np.nan)
    known = np.flatnonzero(np.isfinite(times))
    if not len(known):
        return result
    cube = np.floor((points[known] - points[known].min(axis=0)) * (_CELLS / radius)).astype(np.int64)
    _, number = np.unique(cube, axis=0, return_inverse=True)
    number = number.ravel()
    order = np.lexsort((times[known], number))
    last = order[np.flatnonzero(np.diff(number[order], append=-1))]
    latest = times[known[last]]
    pairs = cKDTree(points[known[last]]).query_pairs(radius, output_type="ndarray")
    around = latest.copy()
    np.maximum.at(around, pairs[:, 0], latest[pairs[:, 1]])
    np.maximum.at(around, pairs[:, 1], latest[pairs[:, 0]])
    result[known] = times[known] + duration - around[number]
    return result


def late_zones(mesh: Tetrahedra, delay: Floats, late: float, segments: Ints | None = None) -> list[dict[str, Any]]:
    """Rows of the connected zones that are activated later than without scar by more than `late` ms, the largest first.

    Args:
        mesh: of the wall in mm.
        delay: (N,) ms; NaN counts as not late.
        late: in ms.
        segments: (N,) of the nodes, 1 to 17 or 0.
    """
    is_late = np.nan_to_num(delay[mesh.corners], nan=-1).min(axis=1) > late
    if not is_late.any():
        return []
    corners = mesh.corners[is_late]
    piece = connected(len(delay), corners.ravel(), np.roll(corners, 1, axis=1).ravel())[corners[:, 0]]
    rows = []
    for number in np.unique(piece):
        chosen = piece == number
        volume = float(mesh.volumes[is_late][chosen].sum()) / 1000
        if volume < _MIN_ZONE:
            continue
        nodes = np.unique(corners[chosen])
        middle = mesh.points[nodes].mean(axis=0)
        row: dict[str, Any] = {
            "volume_ml": round(volume, 3),
            "largest_delay_ms": round(float(np.nanmax(delay[nodes])), 1),
            **_place("", middle),
        }
        own = segments[nodes] if segments is not None else np.zeros(0, np.int64)
        row["segment"] = int(np.bincount(own[own > 0]).argmax()) if own.any() else ""
        rows.append(row)
    return sorted(rows, key=lambda row: -row["volume_ml"])


def channel_transits(
    points: Floats, times: Floats, channels: Sequence[npt.NDArray[np.float64]]
) -> list[dict[str, Any]]:
    """Rows of the channels that activation can be read in: entrance, exit, transit and speed.

    The entrance is the end that is activated first. Where the middle is later than the exit, fronts come in at both
    ends and meet: the channel is not passed.

    Args:
        points: (N, 3) RAS mm.
        times: (N,) ms, NaN where activation does not arrive.
        channels: (P, 3) RAS mm of the path of each, as `find_channels` gives them.
    """
    from scipy.spatial import cKDTree

    known = np.flatnonzero(np.isfinite(times))
    if not len(known):
        return []
    tree = cKDTree(points[known])
    rows = []
    for number, path in enumerate(channels, 1):
        distance, nearest = tree.query(path)
        if distance.max() > _ON_PATH:
            continue
        at = times[known[nearest]]
        length = float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())
        way = slice(None) if at[0] <= at[-1] else slice(None, None, -1)
        at, path = at[way], path[way]
        passed = bool(at.max() <= at[-1] + _COLLISION)
        transit = float(at[-1] - at[0])
        rows.append(
            {
                "channel": number,
                "length_mm": round(length, 1),
                "passed": "yes" if passed else "no",
                "entrance_ms": round(float(at[0]), 1),
                "exit_ms": round(float(at[-1]), 1),
                "speed_m_s": round(length / transit, 3) if passed and transit > 0 else "",
                **_place("entrance_", path[0]),
                **_place("exit_", path[-1]),
            }
        )
    return rows


def site_row(found: ActivationMap, mesh: Tetrahedra, late: float) -> dict[str, Any]:
    """The row of a site: when the last tissue is activated, how much is late, and the lowest vulnerability index."""
    reached, sizes = np.isfinite(found.times), mesh.node_volumes
    row = {
        "site": found.site.segment or found.site.name,
        "name": found.site.name,
        **_place("", mesh.points[found.site.node]),
        "last_activation_ms": round(float(found.times[reached].max()), 1),
        "activated_percent": round(100 * float(sizes[reached].sum() / sizes.sum()), 2),
        "late_ml": round(float(sizes[reached & (found.delay > late)].sum()) / 1000, 3),
        "largest_delay_ms": round(float(found.delay[reached].max()), 1),
    }
    lowest = int(np.nanargmin(found.vulnerability))
    return row | {
        "lowest_vulnerability_ms": round(float(found.vulnerability[lowest]), 1),
        **_place("vulnerable_", mesh.points[lowest]),
    }


def _place(start: str, point: Floats) -> dict[str, float]:
    return {f"{start}{axis}_mm": round(float(value), 1) for axis, value in zip("ras", point, strict=True)}
