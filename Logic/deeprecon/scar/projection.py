"""The last word of the slices: probabilities at the nodes are moved until every pixel's nodes agree with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.scar.node_groups import NodeGroups

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TOLERANCE = 0.01
"""By how much the mean over a group may miss its observation."""
_AIM = 0.8 * TOLERANCE
_SURE = 1e-6
"""Probabilities are kept this far from 0 and 1, where log-odds end."""
_ROUNDS = 200


@dataclass(frozen=True, eq=False)
class Projected:
    """Probabilities that agree with the slices.

    Attributes:
        probability: (N,) float32 at the nodes of the mesh.
        error: (G,) how far the mean of each group is from its observation afterwards.
        before: (G,) the same before.
    """

    probability: npt.NDArray[np.float32]
    error: Floats
    before: Floats

    @property
    def unmet(self) -> npt.NDArray[np.bool_]:
        """(G,) true for groups that no probabilities within [0, 1] satisfy together with those they overlap."""
        return np.asarray(self.error > TOLERANCE)


def project(probability: npt.NDArray[np.floating], groups: NodeGroups, slices: Ints) -> Projected:
    """Move the nodes' probabilities as little as possible so that each group's mean is within 0.01 of its observation.

    Least is meant in relative entropy: all nodes of a group get the same addition to their log-odds, which keeps their
    order and stays within 0 and 1. A group that agrees already is left alone. Groups of one slice share no nodes and
    are solved at once, exactly; slices that share nodes take turns, which converges to the nearest probabilities that
    satisfy all of them wherever there are any (Bregman 1967, USSR Comput Math Math Phys 7:200).

    Args:
        probability: (N,) at the nodes of the mesh.
        groups: of the same mesh.
        slices: (G,) the slice of each group.
    """
    assert groups.nodes is not None
    p = np.clip(probability.astype(np.float64), _SURE, 1 - _SURE)
    logits = np.log(p / (1 - p))
    before = _miss(logits, groups)
    parts = [_part(groups, np.isin(slices, members)) for members in _turns(groups, slices)]
    for _ in range(_ROUNDS if len(parts) > 1 else 1):
        for part in parts:
            _solve(logits, part)
        error = _miss(logits, groups)
        if (error <= TOLERANCE).all():
            break
    result = probability.astype(np.float32).copy()
    moved = np.zeros(len(result), bool)
    moved[groups.nodes] = True
    result[moved] = _sigmoid(logits[moved])
    return Projected(result, error, before)


def _sigmoid(logits: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-logits)))


def _means(probability: Floats, offsets: Ints) -> Floats:
    """(G,) means over consecutive parts, none of them empty."""
    return np.asarray(np.add.reduceat(probability, offsets[:-1]) / np.diff(offsets))


def _miss(logits: Floats, groups: NodeGroups) -> Floats:
    return np.abs(_means(_sigmoid(logits[groups.nodes]), groups.offsets) - groups.values)


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


def _solve(logits: Floats, groups: NodeGroups) -> None:
    """Bring the means of groups that share no node within _AIM of their observations, in place: bisection for each."""
    at = logits[groups.nodes]
    mean = _means(_sigmoid(at), groups.offsets)
    wanted = np.clip(mean, np.maximum(groups.values - _AIM, _SURE), np.minimum(groups.values + _AIM, 1 - _SURE))
    wrong = np.abs(mean - groups.values) > _AIM
    if not wrong.any():
        return
    rows = np.repeat(wrong, groups.sizes)
    sizes, wanted, at = groups.sizes[wrong], wanted[wrong], at[rows]
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    low, high = np.full(len(sizes), -40.0), np.full(len(sizes), 40.0)
    for _ in range(40):
        middle = (low + high) / 2
        below = _means(_sigmoid(at + np.repeat(middle, sizes)), offsets) < wanted
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    assert groups.nodes is not None
    logits[groups.nodes[rows]] = at + np.repeat((low + high) / 2, sizes)
