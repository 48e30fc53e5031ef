"""Tetrahedra that fill a closed surface, with bounded angles and without the steps of voxels.

Isosurface stuffing (Labelle & Shewchuk 2007, "Isosurface stuffing: fast tetrahedral meshes with good dihedral angles",
ACM Trans Graph 26:57): a body-centered cubic lattice of tetrahedra is cut at the surface. Nodes that lie near the
surface are moved onto it first, so that no sliver is cut off. Where the cut leaves a face with four corners, its
diagonal starts at the corner of the smallest number, so that neighbors fit.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_EDGES = np.array([(0, 1), (2, 3), (0, 2), (0, 3), (1, 2), (1, 3)])
"""Edges of a tetrahedron of the lattice by its corners; the first two are the long ones."""
_NEAR_LONG, _NEAR_SHORT = 0.24999, 0.41189
"""Share of a long and of a short edge within which a cut moves its node, after the paper."""
_BISECTIONS = 6
_TURNS = np.array(
    [
        [0, 1, 2, 3, 4, 5],
        [1, 2, 0, 4, 5, 3],
        [2, 0, 1, 5, 3, 4],
        [3, 5, 4, 0, 2, 1],
        [4, 3, 5, 1, 0, 2],
        [5, 4, 3, 2, 1, 0],
    ]
)
"""Corners of a prism (a triangle and the one opposite to it), turned so that each comes first."""


def stuff(depth: Callable[[Floats], Floats], low: Floats, high: Floats, spacing: float) -> tuple[Floats, Ints]:
    """(N, 3) nodes and (M, 4) tetrahedra, their corners in any order, that fill where `depth` is positive.

    Args:
        depth: (K, 3) mm -> (K,) distance to the surface in mm, positive inside.
        low, high: (3,) corners of a box around the surface.
        spacing: of the lattice in mm, the length of its long edges.

    Raises:
        ValueError: nothing lies inside.
    """
    points, tetrahedra = _lattice(low - spacing, high + spacing, spacing)
    value = depth(points)
    tetrahedra = tetrahedra[(value[tetrahedra] > 0).any(axis=1)]
    if not len(tetrahedra):
        raise ValueError("nothing lies inside of the surface")
    ends = np.sort(tetrahedra[:, _EDGES].reshape(-1, 2), axis=1)
    _, first, number = np.unique(ends[:, 0] * len(points) + ends[:, 1], return_index=True, return_inverse=True)
    edges, is_long = ends[first], first % len(_EDGES) < 2
    is_cut = (value[edges[:, 0]] > 0) != (value[edges[:, 1]] > 0)
    cut, share = edges[is_cut], _crossing(depth, points, value, edges[is_cut])
    places = points[cut[:, 0]] + (points[cut[:, 1]] - points[cut[:, 0]]) * share[:, None]
    sign = np.sign(value)
    points = _moved(points, sign, cut, share, places, is_long[is_cut])
    kept = (sign[cut] != 0).all(axis=1)
    cut_node = np.full(len(edges), -1)
    cut_node[np.flatnonzero(is_cut)[kept]] = len(points) + np.arange(int(kept.sum()))
    filled = _fill(tetrahedra, sign, cut_node[number].reshape(-1, len(_EDGES)))
    used, corners = np.unique(filled, return_inverse=True)
    return np.concatenate([points, places[kept]])[used], corners.reshape(-1, 4)


def _lattice(low: Floats, high: Floats, spacing: float) -> tuple[Floats, Ints]:
    """Nodes at the corners and in the middles of cubes; around each face of two cubes lie four tetrahedra."""
    counts = np.ceil((high - low) / spacing).astype(int) + 1
    steps = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1)
    points = [(low + steps * spacing).reshape(-1, 3), (low + (steps[:-1, :-1, :-1] + 0.5) * spacing).reshape(-1, 3)]
    corner = np.arange(len(points[0])).reshape(counts)
    middle = len(points[0]) + np.arange(len(points[1])).reshape(counts - 1)
    found = []
    for axis in range(3):
        middles, corners = np.moveaxis(middle, axis, 0), np.moveaxis(corner, axis, 0)[1:-1]
        ring = [corners[:, :-1, :-1], corners[:, 1:, :-1], corners[:, 1:, 1:], corners[:, :-1, 1:]]
        for one, other in zip(ring, [*ring[1:], ring[0]], strict=True):
            found.append(np.stack([each.ravel() for each in (middles[:-1], middles[1:], one, other)], axis=1))
    return np.concatenate(points), np.concatenate(found)


def _crossing(depth: Callable[[Floats], Floats], points: Floats, value: Floats, cut: Ints) -> Floats:
    """(K,) share of the way along edges at which they cross the surface, by the rule of false position."""
    start, way = points[cut[:, 0]], points[cut[:, 1]] - points[cut[:, 0]]
    low, high = np.zeros(len(cut)), np.ones(len(cut))
    at_low, at_high = value[cut[:, 0]], value[cut[:, 1]]
    for _ in range(_BISECTIONS):
        share = low + (high - low) * np.clip(at_low / (at_low - at_high), 0.02, 0.98)
        at = depth(start + way * share[:, None])
        same = (at > 0) == (at_low > 0)
        low, at_low = np.where(same, share, low), np.where(same, at, at_low)
        high, at_high = np.where(same, high, share), np.where(same, at_high, at)
    crossing: Floats = low + (high - low) * at_low / (at_low - at_high)
    return crossing


def _moved(
    points: Floats, sign: Floats, cut: Ints, share: Floats, places: Floats, is_long: npt.NDArray[np.bool_]
) -> Floats:
    """The nodes, of which those near a crossing are moved to the nearest one; their `sign` becomes 0."""
    node, along = cut.T.ravel(), np.concatenate([share, 1 - share])
    limit = np.tile(np.where(is_long, _NEAR_LONG, _NEAR_SHORT), 2)
    length = np.tile(np.where(is_long, 1.0, np.sqrt(3) / 2), 2)
    near = np.flatnonzero(along < limit)
    near = near[np.lexsort((along[near] * length[near], node[near]))]
    nodes, first = np.unique(node[near], return_index=True)
    moved = points.copy()
    moved[nodes] = np.tile(places, (2, 1))[near[first]]
    sign[nodes] = 0
    return moved


def _fill(tetrahedra: Ints, sign: Floats, cut_node: Ints) -> Ints:
    """What of the lattice's tetrahedra lies inside, in tetrahedra.

    Args:
        tetrahedra: (T, 4) nodes.
        sign: of the nodes: 1 inside, 0 on the surface, -1 outside.
        cut_node: (T, 6) node on each of `_EDGES`, -1 for none.
    """
    at = sign[tetrahedra].astype(np.int64)
    inside, outside = (at > 0).sum(axis=1), (at < 0).sum(axis=1)
    order = np.argsort(-at, axis=1, kind="stable")
    corner = np.take_along_axis(tetrahedra, order, axis=1)
    edge = np.zeros((4, 4), np.int64)
    edge[_EDGES[:, 0], _EDGES[:, 1]] = edge[_EDGES[:, 1], _EDGES[:, 0]] = np.arange(len(_EDGES))

    def cut(rows: Ints, one: int, other: int) -> Ints:
        found: Ints = cut_node[rows, edge[order[rows, one], order[rows, other]]]
        return found

    parts = [tetrahedra[(outside == 0) & (inside > 0)]]
    for beyond in (1, 2, 3):
        rows = np.flatnonzero((inside == 1) & (outside == beyond))
        ends = [corner[rows, each] if each <= 3 - beyond else cut(rows, 0, each) for each in (1, 2, 3)]
        parts.append(np.stack([corner[rows, 0], *ends], axis=1))
    rows = np.flatnonzero((inside == 2) & (outside == 1))
    face = [corner[rows, 0], corner[rows, 1], cut(rows, 1, 3), cut(rows, 0, 3)]
    parts.append(_pyramids(np.stack(face, axis=1), corner[rows, 2]))
    rows = np.flatnonzero((inside == 2) & (outside == 2))
    ends = [[corner[rows, each], cut(rows, each, 2), cut(rows, each, 3)] for each in (0, 1)]
    parts.append(_prisms(np.stack([*ends[0], *ends[1]], axis=1)))
    rows = np.flatnonzero((inside == 3) & (outside == 1))
    sides = [corner[rows, each] for each in range(3)] + [cut(rows, each, 3) for each in range(3)]
    parts.append(_prisms(np.stack(sides, axis=1)))
    return np.concatenate(parts)


def _pyramids(face: Ints, top: Ints) -> Ints:
    """(2K, 4) tetrahedra of pyramids with faces (K, 4) and tops (K,)."""
    first = np.minimum(face[:, 0], face[:, 2]) < np.minimum(face[:, 1], face[:, 3])
    ways = (first, ([0, 1, 2], [0, 2, 3])), (~first, ([1, 2, 3], [1, 3, 0]))
    return np.concatenate([np.column_stack([face[rows][:, way], top[rows]]) for rows, pair in ways for way in pair])


def _prisms(corners: Ints) -> Ints:
    """(3K, 4) tetrahedra of prisms (K, 6), a triangle and the one opposite to it."""
    turned = np.take_along_axis(corners, _TURNS[corners.argmin(axis=1)], axis=1)
    first = np.minimum(turned[:, 1], turned[:, 5]) < np.minimum(turned[:, 2], turned[:, 4])
    ways = (first, ([0, 1, 2, 5], [0, 1, 5, 4], [0, 4, 5, 3])), (~first, ([0, 1, 2, 4], [0, 4, 2, 5], [0, 4, 5, 3]))
    return np.concatenate([turned[rows][:, way] for rows, three in ways for way in three])
