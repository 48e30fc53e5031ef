"""Linear finite elements on tetrahedra: gradients, the surface, Laplace's equation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_TOLERANCE = 1e-8
"""Residual over right-hand side at which conjugate gradients end."""
_FACES = np.array([[1, 2, 3], [0, 3, 2], [0, 1, 3], [0, 2, 1]])
"""Corners of the faces of a tetrahedron of positive volume, counterclockwise seen from outside."""


@dataclass(frozen=True, eq=False)
class Tetrahedra:
    """A mesh of linear tetrahedra.

    Attributes:
        points: (N, 3) positions of the nodes.
        corners: (M, 4) numbers of the nodes of each tetrahedron, in an order of positive volume.
    """

    points: Floats
    corners: Ints

    @classmethod
    def of(cls, points: npt.ArrayLike, corners: npt.ArrayLike) -> Tetrahedra:
        """Tetrahedra whose corners may be listed in any order.

        Raises:
            ValueError: a tetrahedron has no volume.
        """
        places, nodes = np.asarray(points, np.float64), np.array(corners, np.int64)
        volume = _six_volumes(places, nodes)
        if not (np.abs(volume) > 0).all():
            raise ValueError(f"{int((volume == 0).sum())} tetrahedra have no volume")
        turned = volume < 0
        nodes[turned] = nodes[turned][:, [0, 2, 1, 3]]
        return cls(places, nodes)

    @cached_property
    def volumes(self) -> Floats:
        """(M,) of the tetrahedra."""
        volumes: Floats = _six_volumes(self.points, self.corners) / 6
        return volumes

    @cached_property
    def slopes(self) -> Floats:
        """(M, 4, 3) gradient of the shape function of each corner: 1 there, 0 at the other three."""
        place = self.points[self.corners]
        slopes = np.empty_like(place)
        for corner, (a, b, c) in enumerate(_FACES):
            slopes[:, corner] = np.cross(place[:, c] - place[:, a], place[:, b] - place[:, a])
        slopes /= (6 * self.volumes)[:, None, None]
        return slopes

    @cached_property
    def node_volumes(self) -> Floats:
        """(N,) a quarter of the volume of the tetrahedra around each node."""
        shares = np.repeat(self.volumes / 4, 4)
        volumes: Floats = np.bincount(self.corners.ravel(), shares, len(self.points)).astype(np.float64)
        return volumes

    def mean_edge(self) -> float:
        """Mean length of the edges, each weighted by the number of tetrahedra around it."""
        place = self.points[self.corners]
        pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
        return float(np.mean([np.linalg.norm(place[:, a] - place[:, b], axis=1).mean() for a, b in pairs]))

    def gradients(self, values: Floats) -> Floats:
        """(M, 3) gradient of (N,) values at the nodes, which varies linearly in each tetrahedron.

        The constant gradients of the tetrahedra are averaged at the nodes, weighted by volume, and these again over the
        corners of each: that is smooth from one to the next, and more accurate inside the mesh.
        """
        constant = np.einsum("mc,mcd->md", values[self.corners], self.slopes) * (self.volumes / 4)[:, None]
        around = np.maximum(self.node_volumes, 1e-300)
        at_nodes = [
            np.bincount(self.corners.ravel(), np.repeat(constant[:, axis], 4), len(around)) / around
            for axis in range(3)
        ]
        smooth: Floats = np.stack([each[self.corners].mean(axis=1) for each in at_nodes], axis=1)
        return smooth

    def stiffness(self) -> Any:
        """(N, N) sparse matrix of the integrals of the products of the shape functions' gradients."""
        from scipy.sparse import coo_array

        weights = np.einsum("mad,mbd->mab", self.slopes, self.slopes) * self.volumes[:, None, None]
        rows = np.repeat(self.corners, 4, axis=1).ravel()
        columns = np.tile(self.corners, (1, 4)).ravel()
        count = len(self.points)
        return coo_array((weights.ravel(), (rows, columns)), shape=(count, count)).tocsr()

    def surface(self) -> Ints:
        """(F, 3) corners of the faces that belong to one tetrahedron only, counterclockwise seen from outside."""
        faces = self.corners[:, _FACES].reshape(-1, 3)
        rows = np.sort(faces, axis=1)
        key = (rows[:, 0] * len(self.points) + rows[:, 1]) * len(self.points) + rows[:, 2]
        _, first, count = np.unique(key, return_index=True, return_counts=True)
        outer: Ints = faces[np.sort(first[count == 1])]
        return outer

    def pieces(self) -> Ints:
        """(N,) number of the connected piece of each node, from 0; nodes without tetrahedra are pieces of their own."""
        ring = np.roll(self.corners, 1, axis=1)
        return connected(len(self.points), self.corners.ravel(), ring.ravel())


def connected(count: int, one: npt.ArrayLike, other: npt.ArrayLike) -> Ints:
    """(count,) number of the connected piece of each thing, where (K,) of them are joined with (K,) others."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = np.asarray(one), np.asarray(other)
    graph = coo_array((np.ones(len(pairs[0]), bool), pairs), shape=(count, count))
    pieces: Ints = connected_components(graph, directed=False)[1].astype(np.int64)
    return pieces


def solve_laplace(stiffness: Any, fixed: Mask, values: Floats, right: Floats | None = None) -> Floats:
    """(N,) solution of Laplace's (or Poisson's) equation; no flux through the rest of the surface.

    Args:
        stiffness: (N, N) of `Tetrahedra.stiffness`.
        fixed: (N,) nodes whose value is given: one or more in each connected piece.
        values: (N,) that they have; others are ignored.
        right: (N,) right-hand side, none if left out.

    Raises:
        ArithmeticError: conjugate gradients do not converge.
    """
    free = ~fixed
    known = np.where(fixed, values, 0.0)
    load = (0.0 if right is None else right[free]) - (stiffness @ known)[free]
    known[free] = _conjugate_gradients(stiffness[free][:, free], load)
    return known


def _conjugate_gradients(matrix: Any, load: Floats) -> Floats:
    """Solution of a symmetric positive definite system, preconditioned by the diagonal."""
    inverse = 1 / matrix.diagonal()
    solution, residual = np.zeros_like(load), load.copy()
    scaled = inverse * residual
    way = scaled.copy()
    product = _dot(residual, scaled)
    limit = _TOLERANCE**2 * _dot(load, load)
    for _ in range(20 * int(np.ceil(len(load) ** 0.5)) + 100):
        if _dot(residual, residual) <= limit:
            return solution
        ahead = matrix @ way
        step = product / _dot(way, ahead)
        solution += step * way
        residual -= step * ahead
        scaled = inverse * residual
        before, product = product, _dot(residual, scaled)
        way = scaled + (product / before) * way
    raise ArithmeticError("Laplace's equation was not solved: the tetrahedra are too flat")


def _dot(one: Floats, other: Floats) -> float:
    """Scalar product without BLAS, whose threads change the order of the sum and with it the last bits."""
    return float(np.einsum("n,n->", one, other))


def _six_volumes(points: Floats, corners: Ints) -> Floats:
    """(M,) six times the signed volume of each tetrahedron."""
    a, b, c, d = (points[corners[:, corner]] for corner in range(4))
    volumes: Floats = np.einsum("md,md->m", np.cross(b - a, c - a), d - a)
    return volumes
