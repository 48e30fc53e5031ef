"""Shells: surfaces beside or within the wall, such as an endocardial map, which show the scar of the wall beneath."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.data.mesh.mesh import Inside, Mesh
from deeprecon.data.mesh.normals import node_normals

Floats = npt.NDArray[np.float64]

_MAX_GAP = 10.0
"""Distance in mm along the normal from a node to the wall above which no wall lies beneath the node."""
_MAX_DEPTH = 25.0
"""Farthest way in mm through the wall."""
_STEP = 0.5
"""Distance in mm of the points along the normal."""
_SMOOTH = 4.0
"""Distance in mm over which normals are averaged."""
_NODES_AT_ONCE = 20_000


@dataclass(frozen=True, eq=False)
class Shell:
    """Points through the wall beneath each node of a shell.

    Attributes:
        wall: mesh of the wall that the slices show, RAS mm.
        points: (M, 3) RAS mm, those of the first node first.
        counts: (N,) how many belong to each node; 0 where no wall lies beneath it.
        mean: whether the shell shows the mean of them rather than the maximum.
    """

    wall: Mesh
    points: Floats
    counts: npt.NDArray[np.int64]
    mean: bool

    @property
    def met(self) -> npt.NDArray[np.bool_]:
        """(N,) whether wall lies beneath each node."""
        return self.counts > 0

    def project(self, values: npt.NDArray[np.floating]) -> npt.NDArray[np.float32]:
        """(..., N) maximum or mean of (..., M) values beneath each node; 0 where there is no wall."""
        result = np.zeros((*values.shape[:-1], len(self.counts)), np.float32)
        if self.met.any():
            starts = (np.cumsum(self.counts) - self.counts)[self.met]
            reduced = (np.add if self.mean else np.maximum).reduceat(values, starts, axis=-1)
            result[..., self.met] = reduced / self.counts[self.met] if self.mean else reduced
        return result

    def at_extreme(
        self, values: npt.NDArray[np.floating], chosen_by: npt.NDArray[np.floating]
    ) -> npt.NDArray[np.float32]:
        """(N,) values of (M,) where `chosen_by` is greatest beneath each node; their mean on a shell of means."""
        if self.mean:
            return self.project(values)
        node = np.repeat(np.arange(len(self.counts)), self.counts)
        last = np.cumsum(self.counts)[self.met] - 1
        result = np.zeros(len(self.counts), np.float32)
        result[self.met] = values[np.lexsort((chosen_by, node))[last]]
        return result


def find_shell(mesh: Mesh, wall: Mesh, inside: Inside, mean: bool) -> Shell:
    """The way through the wall along the normal of each node of a shell.

    It is the part of the line along the normal, to either side, that lies in the wall and is nearest to the node: the
    winding of the faces does not matter, and a shell in the middle of the wall gets the wall on both of its sides.

    Args:
        mesh: the shell, RAS mm.
        wall: mesh of the wall that the slices show.
        inside: whether points lie in it.
        mean: see `Shell`.
    """
    normals = node_normals(mesh, _SMOOTH)
    far = _MAX_GAP + _MAX_DEPTH
    places = np.arange(-far, far + _STEP / 2, _STEP)
    points: list[Floats] = [np.zeros((0, 3))]
    counts: list[npt.NDArray[np.int64]] = []
    for first in range(0, mesh.n_points, _NODES_AT_ONCE):
        chosen = slice(first, first + _NODES_AT_ONCE)
        line = mesh.points[chosen, None] + places[:, None] * normals[chosen, None]
        through = _nearest_run(inside(line.reshape(-1, 3)).reshape(line.shape[:2]), places)
        points.append(line[through])
        counts.append(through.sum(axis=1))
    return Shell(wall, np.concatenate(points), np.concatenate(counts), mean)


def _nearest_run(hit: npt.NDArray[np.bool_], places: Floats) -> npt.NDArray[np.bool_]:
    """(N, T) the run of hits that is nearest to place 0 of each row; gaps of one are closed."""
    closed = hit.copy()
    closed[:, 1:-1] |= hit[:, :-2] & hit[:, 2:]
    distance = np.where(closed, np.abs(places), np.inf)
    start = np.argmin(distance, axis=1)[:, None]
    run = np.cumsum(~closed, axis=1)
    same = closed & (run == np.take_along_axis(run, start, axis=1))
    near = np.take_along_axis(distance, start, axis=1) <= _MAX_GAP
    return np.asarray(same & near & (np.abs(places - places[start]) <= _MAX_DEPTH))
