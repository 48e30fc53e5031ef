"""Agreement with the pixels: probabilities at the nodes are adjusted until the mean of every pixel fits it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from deeprecon.scar.fit.fitted import Fitted
from deeprecon.scar.observe.observations import Observations
from deeprecon.scar.parameters import Projection, ReconstructParameters
from deeprecon.scar.read.training_data import NodeGroups

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

TOLERANCE = 0.01
"""To which the mean over a group is brought to the nearest mean that it may have."""
_TARGET_TOLERANCE = 0.8 * TOLERANCE
_MARGIN = 1e-6
"""Probabilities are kept this far from 0 and 1, where log-odds are infinite, and from the cutoff."""
_MAX_ROUNDS = 200


@dataclass(frozen=True, eq=False)
class Agreement:
    """Probabilities at the nodes and how well they agree with the pixels.

    Attributes:
        probability: (N,) float32 at the nodes of the mesh.
        means: (G,) mean over each group's nodes.
        error: (G,) how far that is from the nearest mean that the group may have.
        before: (G,) the same before the projection.
        tolerance: (G,) up to which a group is satisfied: `TOLERANCE`, or half a node's share of it where that is more.
        projected: whether the probabilities were adjusted.
    """

    probability: npt.NDArray[np.float32]
    means: Floats
    error: Floats
    before: Floats
    tolerance: Floats
    projected: bool = False

    @property
    def unmet(self) -> npt.NDArray[np.bool_]:
        """(G,) true for groups whose mean cannot be met together with those of the groups that they overlap."""
        return np.asarray(self.error > self.tolerance)


def agree_with_pixels(
    probability: npt.NDArray[np.floating],
    groups: NodeGroups,
    observations: Observations,
    parameters: ReconstructParameters,
) -> Agreement:
    """The agreed values that the chosen projection makes of an estimate, and how well they agree with the pixels.

    Args:
        probability: (N,) at the nodes of the mesh.
        groups: of the nodes in each pixel.
        observations: of the same slices.
        parameters: with the projection; Projection.OFF leaves the probabilities as they are.
    """
    rounded = bool(np.isin(observations.y, (0, 1)).all()) and parameters.projection is not Projection.EXACT
    if parameters.projection is Projection.OFF:
        return agreement(probability, groups, rounded)
    assert groups.numbers is not None
    return project(probability, groups, observations.slice_id[groups.numbers], rounded, parameters.cutoff)


def agreement(probability: npt.NDArray[np.floating], groups: NodeGroups, rounded: bool = False) -> Agreement:
    """How well the nodes agree with the pixels as they are; arguments as in `project`."""
    assert groups.nodes is not None
    means = _means(probability[groups.nodes].astype(np.float64), groups.offsets)
    error = _error(means, groups.values, rounded)
    tolerance = np.maximum(TOLERANCE, 0.5 / groups.sizes)
    return Agreement(probability.astype(np.float32), means, error, error, tolerance)


def agreed_fit(scar: Fitted, agreed: Agreement, points: Floats) -> Fitted:
    """A fitted method with the agreed values: anywhere, the value of the node nearest to it.

    Args:
        scar: whose uncertainty, samples and history are kept.
        agreed: at the nodes.
        points: (N, 3) of these nodes, RAS mm.
    """
    from scipy.spatial import cKDTree

    nodes = cKDTree(points)

    def predict(at: Floats) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        return agreed.probability[nodes.query(at)[1]], scar.predict(at)[1]

    return replace(scar, predict=predict)


def project(
    probability: npt.NDArray[np.floating],
    groups: NodeGroups,
    slices: Ints,
    rounded: bool = False,
    cutoff: float = 0.5,
) -> Agreement:
    """Change the nodes' probabilities as little as possible so that each group's mean is within 0.01 of its pixel.

    First, as few nodes as possible change from scar to no scar or back: a few nodes in a pixel cannot have exactly the
    share of scar that the pixel shows, so those farthest from the cutoff stay on their side of it, as many as the
    observation allows. Second, the relative entropy is least: all nodes of a group get the same addition to their
    log-odds, which keeps their order and their side. Groups that agree are not changed.

    Groups of one slice share no nodes and are solved at once, exactly. Slices that share nodes are solved in turn, in
    the second half of the rounds without regard to sides, which converges to the nearest probabilities that satisfy
    all of them where such exist (Bregman 1967, USSR Comput Math Math Phys 7:200).

    Args:
        probability: (N,) at the nodes of the mesh.
        groups: of the same mesh.
        slices: (G,) the slice of each group.
        rounded: the observations are shares that were rounded to 0 or 1, as in masks; a mean need only be on the same
            side of one half.
        cutoff: above which a node is scar.
    """
    assert groups.nodes is not None
    p = np.clip(probability.astype(np.float64), _MARGIN, 1 - _MARGIN)
    logits = np.log(p / (1 - p))
    now = agreement(p, groups, rounded)
    means, error = now.means, now.error
    parts = [_part(groups, np.isin(slices, members)) for members in _turns(groups, slices)]
    for turn in range(_MAX_ROUNDS):
        if (error <= TOLERANCE).all():
            break
        for part in parts:
            _solve(logits, part, rounded, cutoff if turn < _MAX_ROUNDS // 2 else None)
        means = _means(_sigmoid(logits[groups.nodes]), groups.offsets)
        error = _error(means, groups.values, rounded)
        if len(parts) == 1:
            break
    result = probability.astype(np.float32).copy()
    moved = np.unique(groups.nodes)
    result[moved] = _sigmoid(logits[moved])
    return replace(now, probability=result, means=means, error=error, projected=True)


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
    """Slices in as few turns as a greedy choice finds; those of one turn share no node."""
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
    """Bring the means of groups that share no node within their bounds, in place, by bisection.

    With a cutoff, as many nodes as possible stay on their side of it.
    """
    assert groups.nodes is not None
    mean = _means(_sigmoid(logits[groups.nodes]), groups.offsets)
    low, high = _bounds(groups.values, rounded, _TARGET_TOLERANCE)
    wrong = (mean < low) | (mean > high)
    if not wrong.any():
        return
    part = _part(groups, wrong)
    assert part.nodes is not None
    wanted = np.clip(mean[wrong], np.maximum(low[wrong], _MARGIN), np.minimum(high[wrong], 1 - _MARGIN))
    at, sizes = logits[part.nodes], part.sizes
    least, most = np.full(len(at), _MARGIN), np.full(len(at), 1 - _MARGIN)
    if cutoff is not None:
        scar = _scar_nodes(at, part.offsets, wanted, cutoff)
        least[scar], most[~scar] = cutoff + _MARGIN, cutoff - _MARGIN
    below, above = np.full(len(sizes), -40.0), np.full(len(sizes), 40.0)
    for _ in range(45):
        middle = (below + above) / 2
        found = _means(np.clip(_sigmoid(at + np.repeat(middle, sizes)), least, most), part.offsets)
        below, above = np.where(found < wanted, middle, below), np.where(found < wanted, above, middle)
    p = np.clip(_sigmoid(at + np.repeat((below + above) / 2, sizes)), least, most)
    logits[part.nodes] = np.log(p / (1 - p))


def _scar_nodes(logits: Floats, offsets: Ints, wanted: Floats, cutoff: float) -> npt.NDArray[np.bool_]:
    """(N,) which nodes are to be scar: those that are, but no more and no fewer than the wanted means allow.

    A group of n nodes with m above the cutoff c has a mean from m c / n to (m + (n - m) c) / n.
    """
    sizes = np.diff(offsets)
    group = np.repeat(np.arange(len(sizes)), sizes)
    order = np.lexsort((-logits, group))
    rank = np.empty(len(logits), np.int64)
    rank[order] = np.arange(len(logits)) - offsets[:-1][group[order]]
    count = np.add.reduceat((_sigmoid(logits) > cutoff).astype(np.int64), offsets[:-1])
    # 1e-4 allows for nodes that are kept _MARGIN away from the cutoff.
    least = np.ceil((wanted - cutoff) * sizes / (1 - cutoff) + 1e-4)
    most = np.floor(wanted * sizes / cutoff - 1e-4)
    return np.asarray(rank < np.clip(count, least, np.maximum(least, most))[group])
