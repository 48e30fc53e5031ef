"""Arrival times of a front in tetrahedra with speeds that depend on place and direction.

The anisotropic eikonal equation grad T . D grad T = 1, with D = along^2 f f^T + across^2 (1 - f f^T) for fibers f. In
each tetrahedron the time at a corner is the smallest over the opposite face of the linearly interpolated time there
plus the time of the straight way through the tetrahedron, which is found in closed form. This is right for any
anisotropy; paths along edges alone would be too long. Nodes are taken up in the order of time, a narrow band at once,
and again whenever their time falls, until nothing changes.

Fu, Kirby, Whitaker 2013, "A fast iterative method for solving the eikonal equation on tetrahedral domains", SIAM J Sci
Comput 35:C473.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from deeprecon.numerics.tetrahedra import Tetrahedra

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_FAR = 1e30
"""Time of what the front has not reached."""
_PAIRS = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
_OTHERS = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
_LENGTHS = np.array([[0, 1, 2, 3, 4, 5], [0, 3, 4, 1, 2, 5], [1, 3, 5, 0, 2, 4], [2, 4, 5, 0, 1, 3]])
"""For each corner x and the others a, b, c: numbers in `_PAIRS` of the edges xa, xb, xc, ab, ac, bc."""
_BAND = 1.0
"""Width of the band of nodes that are taken up at once, in times along a mean edge."""
_SAME = 1e-9
"""Share of the time along a mean edge by which a time must fall to count as new."""
_RINGS = 4
"""Rings of tetrahedra around a source, at most, in which times are those of straight ways, since the front is curved
most there. They end where the speed changes."""
_MOST_POINTS = 20
"""Number of sources above which they are no points but a front, which is curved nowhere in particular."""
_EVEN = 0.01
"""Share by which speeds may differ to count as one."""


@dataclass(frozen=True, eq=False)
class Medium:
    """Tetrahedra through which a front travels.

    Attributes:
        mesh: positions in mm.
        fibers: (M, 3) unit vectors.
        along, across: (M,) speeds along the fibers and across them in mm/ms; tetrahedra of speed 0 are obstacles.
    """

    mesh: Tetrahedra
    fibers: Floats
    along: Floats
    across: Floats
    _inner: Mask = field(init=False, repr=False)
    _squares: Floats = field(init=False, repr=False)
    _start: Ints = field(init=False, repr=False)
    _around: Ints = field(init=False, repr=False)
    _edge: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        is_open = (self.along > 0) & (self.across > 0)
        if not is_open.any():
            raise ValueError("nothing conducts")
        corners = self.mesh.corners
        place = self.mesh.points[corners]
        slow = np.where(is_open, self.across, 1.0) ** -2
        gain = np.where(is_open, self.along, 1.0) ** -2 - slow
        squares = np.empty((len(corners), 6))
        for number, (one, other) in enumerate(_PAIRS):
            edge = place[:, other] - place[:, one]
            squares[:, number] = slow * np.einsum("md,md->m", edge, edge)
            squares[:, number] += gain * np.einsum("md,md->m", edge, self.fibers) ** 2
        used = np.flatnonzero(is_open)
        nodes = corners[used].ravel()
        order = np.argsort(nodes, kind="stable")
        count = np.bincount(nodes, minlength=len(self.mesh.points))
        values = {
            "_inner": np.bincount(corners.ravel(), minlength=len(count)) == count,
            "_squares": squares,
            "_around": used[order // 4],
            "_start": np.concatenate([[0], np.cumsum(count)]),
            "_edge": float(np.sqrt(squares[used]).mean()),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def conducts(self) -> Mask:
        """(N,) nodes of tetrahedra that are no obstacle."""
        return np.diff(self._start) > 0

    def arrival(self, sources: npt.ArrayLike, beside: Medium | None = None) -> Floats:
        """(N,) ms after the front started from all sources at once; infinite where it does not arrive.

        Args:
            sources: (S,) numbers of nodes.
            beside: another medium in the same mesh whose times are compared with these: they start as far around the
                sources as its own do, so that both have the same error there.

        Raises:
            ValueError: a source lies in an obstacle.
        """
        nodes = np.atleast_1d(np.asarray(sources, np.int64))
        if not self.conducts[nodes].all():
            raise ValueError("a source lies in an obstacle")
        times = np.full(len(self.mesh.points), _FAR)
        times[nodes] = 0
        for node in nodes.tolist() if len(nodes) <= _MOST_POINTS else ():
            self._begin(times, node, (beside or self)._surroundings(node))
        changed = times < _FAR
        while changed.any():
            waiting = np.flatnonzero(changed)
            band = waiting[times[waiting] <= times[waiting].min() + _BAND * self._edge]
            changed[band] = False
            lowered = self._spread(times, band)
            changed[lowered] = True
        return np.where(times < _FAR, times, np.inf)

    def _surroundings(self, source: int) -> Ints:
        """The nodes around a source between which and the source speeds are the same."""
        near = np.array([source])
        for ring in range(_RINGS):
            cells = self._tetrahedra(near)
            speeds = np.stack([self.along[cells], self.across[cells]])
            is_even = self._inner[near].all() and np.ptp(speeds, axis=1).max() < _EVEN * speeds.max()
            if ring and not is_even:
                break
            near = np.unique(self.mesh.corners[cells])
        return near

    def _begin(self, times: Floats, source: int, near: Ints) -> None:
        """Set the times of nodes around a source to those of straight ways, with the mean speeds at both ends."""
        own = self._slowness(np.array([source]))
        way = self.mesh.points[near] - self.mesh.points[source]
        slowness = (self._slowness(near) + own) / 2
        times[near] = np.minimum(times[near], np.sqrt(np.einsum("nd,nde,ne->n", way, slowness, way)))

    def _slowness(self, nodes: Ints) -> Floats:
        """(K, 3, 3) mean over the tetrahedra around nodes of the inverse of D."""
        cells, count = self._listed(nodes)
        slow = self.across[cells] ** -2
        gain, along = self.along[cells] ** -2 - slow, self.fibers[cells]
        each = np.einsum("m,md,me->mde", gain, along, along) + slow[:, None, None] * np.eye(3)
        mean: Floats = np.add.reduceat(each, np.cumsum(count) - count) / count[:, None, None]
        return mean

    def _tetrahedra(self, nodes: Ints) -> Ints:
        """Open tetrahedra around nodes, each once."""
        return np.unique(self._listed(nodes)[0])

    def _listed(self, nodes: Ints) -> tuple[Ints, Ints]:
        """Open tetrahedra around nodes, one node after the other, and how many each has."""
        first, count = self._start[nodes], self._start[nodes + 1] - self._start[nodes]
        skipped = np.cumsum(count) - count
        return self._around[np.arange(int(count.sum())) + np.repeat(first - skipped, count)], count

    def _spread(self, times: Floats, band: Ints) -> Ints:
        """Lower the times of the neighbors of some nodes; returns whose time fell."""
        cells = self._tetrahedra(band)
        nodes = self.mesh.corners[cells]
        at = times[nodes]
        late = at > at.min(axis=1, keepdims=True)
        row, corner = np.nonzero(late)
        target = nodes[row, corner]
        others = at[row[:, None], _OTHERS[corner]]
        found = _through(others, self._squares[cells[row][:, None], _LENGTHS[corner]])
        better = found < np.minimum(at[row, corner] - _SAME * self._edge, _FAR / 10)
        target, found = target[better], found[better]
        np.minimum.at(times, target, found)
        lowered: Ints = np.unique(target)
        return lowered


def _through(times: Floats, squares: Floats) -> Floats:
    """(K,) time at the corner x of tetrahedra.

    Args:
        times: (K, 3) at the other corners a, b, c.
        squares: (K, 6) of the lengths of xa, xb, xc, ab, ac, bc, in units of time.
    """
    ta, tb, tc = times.T
    xa, xb, xc, ab, ac, bc = squares.T
    mixed = (ac + bc - ab) / 2
    area = np.maximum(ac * bc - mixed * mixed, 1e-300)
    to_a, to_b = (ac + xc - xa) / 2, (bc + xc - xb) / 2
    foot_a, foot_b = (bc * to_a - mixed * to_b) / area, (ac * to_b - mixed * to_a) / area
    height = np.maximum(xc - to_a * foot_a - to_b * foot_b, 0)
    da, db = ta - tc, tb - tc
    slope_a, slope_b = (bc * da - mixed * db) / area, (ac * db - mixed * da) / area
    rest = 1 - da * slope_a - db * slope_b
    way = np.sqrt(height / np.where(rest > 0, rest, 1))
    share_a, share_b = foot_a - way * slope_a, foot_b - way * slope_b
    within = (rest > 0) & (share_a >= 0) & (share_b >= 0) & (share_a + share_b <= 1)
    found = np.where(within, tc + share_a * da + share_b * db + way, _FAR)
    edge = np.flatnonzero(~within)
    ta, tb, tc, xa, xb, xc, ab, ac, bc = (each[edge] for each in (ta, tb, tc, xa, xb, xc, ab, ac, bc))
    least = np.minimum(_across(ta, tb, xa, xb, ab), _across(ta, tc, xa, xc, ac))
    found[edge] = np.minimum(least, _across(tb, tc, xb, xc, bc))
    return found


def _across(ta: Floats, tb: Floats, xa: Floats, xb: Floats, ab: Floats) -> Floats:
    """(K,) time at the corner x of triangles with times at a and b, ends included, and squares of xa, xb, ab."""
    foot = (ab + xb - xa) / (2 * ab)
    height = np.maximum(xb - foot * foot * ab, 0)
    step = ta - tb
    rest = 1 - step * step / ab
    flat = rest <= 0
    share = foot - step / ab * np.sqrt(height / np.where(flat, 1, rest))
    share = np.where(flat, step < 0, np.clip(share, 0, 1))
    return share * ta + (1 - share) * tb + np.sqrt(height + ab * (foot - share) ** 2)
