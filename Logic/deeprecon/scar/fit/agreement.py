"""The last word of the slices: probabilities at the nodes are moved until every pixel's nodes agree with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.scar.observe.node_groups import NodeGroups
from deeprecon.scar.observe.observations import Observations

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TOLERANCE = 0.01
"""By how much the mean over a group may miss what it may be."""
_AIM = 0.8 * TOLERANCE
_SURE = 1e-6
"""Probabilities are kept this far from 0 and 1, where log-odds end, and from the cutoff."""
_ROUNDS = 200


@dataclass(frozen=True, eq=False)
class Projected:
    """Probabilities that agree with the slices.

    Attributes:
        probability: (N,) float32 at the nodes of the mesh.
        means: (G,) mean over each group's nodes.
        error: (G,) how far that is from the nearest mean that the group may have.
        before: (G,) the same before the projection.
    """

    probability: npt.NDArray[np.float32]
    means: Floats
    error: Floats
    before: Floats

    @property
    def unmet(self) -> npt.NDArray[np.bool_]:
        """(G,) true for groups that no probabilities within [0, 1] satisfy together with those they overlap."""
        return np.asarray(self.error > TOLERANCE)


def agreement(probability: npt.NDArray[np.floating], groups: NodeGroups, rounded: bool = False) -> Projected:
    """How well the nodes agree with the slices as they are; arguments as in `project`."""
    assert groups.nodes is not None
    means = _means(probability[groups.nodes].astype(np.float64), groups.offsets)
    error = _error(means, groups.values, rounded)
    return Projected(probability.astype(np.float32), means, error, error)


def project(
    probability: npt.NDArray[np.floating],
    groups: NodeGroups,
    slices: Ints,
    rounded: bool = False,
    cutoff: float = 0.5,
) -> Projected:
    """Move the nodes' probabilities as little as possible so that each group's mean is within 0.01 of its observation.

    Least is meant twice. As few nodes as possible change from scar to no scar or back, since a handful of nodes in a
    pixel cannot have just the share of scar that the pixel shows: the surest ones stay on their side of the cutoff, as
    many as the observation allows. Then relative entropy: all nodes of a group get the same addition to their
    log-odds, which keeps their order and stays within 0 and 1 and on their side. Groups that agree are left alone.

    Groups of one slice share no nodes and are solved at once, exactly. Slices that share nodes take turns, at last
    without regard to sides, which converges to the nearest probabilities that satisfy all of them wherever there are
    any (Bregman 1967, USSR Comput Math Math Phys 7:200).

    Args:
        probability: (N,) at the nodes of the mesh.
        groups: of the same mesh.
        slices: (G,) the slice of each group.
        rounded: the observations are shares that were rounded to 0 or 1, as in masks; a mean need only be on the same
            side of one half.
        cutoff: above which a node is scar.
    """
    assert groups.nodes is not None
    p = np.clip(probability.astype(np.float64), _SURE, 1 - _SURE)
    logits = np.log(p / (1 - p))
    now = agreement(p, groups, rounded)
    means, error = now.means, now.error
    parts = [_part(groups, np.isin(slices, members)) for members in _turns(groups, slices)]
    for turn in range(_ROUNDS):
        if (error <= TOLERANCE).all():
            break
        for part in parts:
            _solve(logits, part, rounded, cutoff if turn < _ROUNDS // 2 else None)
        means = _means(_sigmoid(logits[groups.nodes]), groups.offsets)
        error = _error(means, groups.values, rounded)
        if len(parts) == 1:
            break
    result = probability.astype(np.float32).copy()
    moved = np.unique(groups.nodes)
    result[moved] = _sigmoid(logits[moved])
    return Projected(result, means, error, now.error)


def node_residuals(done: Projected, groups: NodeGroups) -> npt.NDArray[np.float32]:
    """(N,) by how much the mean of a node's pixel exceeds the observation, the mean over several; 0 between slices."""
    assert groups.nodes is not None
    residual = np.repeat(done.means - groups.values, groups.sizes)
    count = np.bincount(groups.nodes, minlength=len(done.probability))
    total = np.bincount(groups.nodes, residual, len(done.probability))
    return (total / np.maximum(count, 1)).astype(np.float32)


def unmet_rows(done: Projected, groups: NodeGroups, observations: Observations) -> list[dict[str, Any]]:
    """One row per pixel that the nodes do not agree with, and why."""
    assert groups.numbers is not None
    nodes = np.zeros(len(observations), np.int64)
    nodes[groups.numbers] = groups.sizes
    means = np.full(len(observations), np.nan)
    means[groups.numbers] = done.means
    rows = []
    for number in np.flatnonzero(nodes == 0).tolist() + groups.numbers[done.unmet].tolist():
        plane = observations.planes[observations.slice_id[number]]
        center = zip("RAS", observations.centers[number], strict=True)
        rows.append(
            {
                "stack": plane.stack + 1,
                "slice": plane.index + 1,
                **{axis: round(float(value), 3) for axis, value in center},
                "nodes": int(nodes[number]),
                "observed": round(float(observations.y[number]), 4),
                "mean": round(float(means[number]), 4) if nodes[number] else "",
                "reason": "contradicts pixels that it overlaps" if nodes[number] else "no node of the mesh",
            }
        )
    return rows


def _sigmoid(logits: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-logits)))


def _means(probability: Floats, offsets: Ints) -> Floats:
    """(G,) means over consecutive parts, none of them empty."""
    return np.asarray(np.add.reduceat(probability, offsets[:-1]) / np.diff(offsets))


def _bounds(values: npt.NDArray[np.float32], rounded: bool, slack: float) -> tuple[Floats, Floats]:
    """(G,) lowest and highest mean that each group may have, `slack` around a share."""
    y = values.astype(np.float64)
    if rounded:
        return np.where(y > 0.5, 0.5, 0.0), np.where(y > 0.5, 1.0, 0.5)
    return np.maximum(y - slack, 0), np.minimum(y + slack, 1)


def _error(means: Floats, values: npt.NDArray[np.float32], rounded: bool) -> Floats:
    low, high = _bounds(values, rounded, 0.0)
    return np.maximum(np.maximum(low - means, means - high), 0)


def _turns(groups: NodeGroups, slices: Ints) -> list[list[int]]:
    """Slices in as few turns as a greedy choice finds, those of one turn sharing no node."""
    owner = np.repeat(slices, groups.sizes)
    turns: list[tuple[list[int], set[int]]] = []
    for number in np.unique(slices):
        nodes = set(np.asarray(groups.nodes)[owner == number].tolist())
        for members, taken in turns:
            if not taken & nodes:
                members.append(int(number))
                taken |= nodes
                break
        else:
            turns.append(([int(number)], nodes))
    return [members for members, _ in turns]


def _part(groups: NodeGroups, chosen: npt.NDArray[np.bool_]) -> NodeGroups:
    """Some of the groups."""
    rows = np.repeat(chosen, groups.sizes)
    assert groups.nodes is not None
    offsets = np.concatenate([[0], np.cumsum(groups.sizes[chosen])])
    return NodeGroups(groups.points[rows], groups.values[chosen], offsets, groups.box, groups.nodes[rows])


def _solve(logits: Floats, groups: NodeGroups, rounded: bool, cutoff: float | None) -> None:
    """Bring the means of groups that share no node to what they may be, in place: bisection for each.

    With a cutoff, as many nodes as can stay on their side of it.
    """
    assert groups.nodes is not None
    mean = _means(_sigmoid(logits[groups.nodes]), groups.offsets)
    low, high = _bounds(groups.values, rounded, _AIM)
    wrong = (mean < low) | (mean > high)
    if not wrong.any():
        return
    part = _part(groups, wrong)
    assert part.nodes is not None
    wanted = np.clip(mean[wrong], np.maximum(low[wrong], _SURE), np.minimum(high[wrong], 1 - _SURE))
    at, sizes = logits[part.nodes], part.sizes
    least, most = np.full(len(at), _SURE), np.full(len(at), 1 - _SURE)
    if cutoff is not None:
        scar = _scar_nodes(at, part.offsets, wanted, cutoff)
        least[scar], most[~scar] = cutoff + _SURE, cutoff - _SURE
    below, above = np.full(len(sizes), -40.0), np.full(len(sizes), 40.0)
    for _ in range(45):
        middle = (below + above) / 2
        found = _means(np.clip(_sigmoid(at + np.repeat(middle, sizes)), least, most), part.offsets)
        below, above = np.where(found < wanted, middle, below), np.where(found < wanted, above, middle)
    p = np.clip(_sigmoid(at + np.repeat((below + above) / 2, sizes)), least, most)
    logits[part.nodes] = np.log(p / (1 - p))


def _scar_nodes(logits: Floats, offsets: Ints, wanted: Floats, cutoff: float) -> npt.NDArray[np.bool_]:
    """(N,) which nodes shall be scar: those that are, but no more and no fewer than the wanted means allow.

    A group of n nodes with m above the cutoff c has a mean from m c / n to (m + (n - m) c) / n.
    """
    sizes = np.diff(offsets)
    group = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((-logits, group))
    rank = np.empty(len(logits), np.int64)
    rank[order] = np.arange(len(logits)) - offsets[:-1][group[order]]
    count = np.add.reduceat((_sigmoid(logits) > cutoff).astype(np.int64), offsets[:-1])
    # The margin keeps nodes that are held off the cutoff by _SURE within reach of the mean.
    least = np.ceil((wanted - cutoff) * sizes / (1 - cutoff) + 1e-4)
    most = np.floor(wanted * sizes / cutoff - 1e-4)
    return np.asarray(rank < np.clip(count, least, np.maximum(least, most))[group])
