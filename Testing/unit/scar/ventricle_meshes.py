"""Meshes of ventricles with known coordinates, for fibers and activation."""

from __future__ import annotations

import numpy as np
from vtkmodules.vtkCommonDataModel import VTK_HEXAHEDRON, VTK_WEDGE

from deeprecon.data.mesh.mesh import Mesh
from deeprecon.scar.simulate.ventricle import Tissue, Ventricle, grid_mesh

FOCUS, INNER, OUTER, RIM = 40.0, 0.59, 0.79, np.radians(110)
"""Of a shell between confocal ellipsoids, mm, whose base is a confocal hyperboloid: Laplace's solutions are known."""


def ellipsoid(depths: int = 7, rings: int = 24, around: int = 48) -> Mesh:
    """The shell as hexahedra, with wedges at the apex; the axis is z, the apex below."""
    depth, angle = np.linspace(INNER, OUTER, depths), np.arange(around) * (2 * np.pi / around)
    polar = np.linspace(0, RIM, rings + 1)

    def places(xi, theta, phi):
        across = FOCUS * np.sinh(xi) * np.sin(theta)
        height = -FOCUS * np.cosh(xi) * np.cos(theta)
        return np.stack([across * np.cos(phi), across * np.sin(phi), height], axis=-1).reshape(-1, 3)

    rest = np.meshgrid(polar[1:], angle, depth, indexing="ij")
    nodes = np.concatenate([places(depth, 0 * depth, 0 * depth), places(rest[2], rest[0], rest[1])])
    ids = depths + np.arange(rings * around * depths).reshape(rings, around, depths)
    ahead = np.roll(ids, -1, axis=1)
    inner = np.stack([ids[:-1], ahead[:-1], ahead[1:], ids[1:]], axis=-1)
    hexahedra = np.concatenate([inner[:, :, :-1], inner[:, :, 1:]], axis=-1).reshape(-1, 8)
    apex = np.broadcast_to(np.arange(depths), (around, depths))
    triangle = np.stack([apex, ids[0], ahead[0]], axis=-1)
    wedges = np.concatenate([triangle[:, :-1], triangle[:, 1:]], axis=-1).reshape(-1, 6)
    return grid_mesh(nodes, [(VTK_WEDGE, wedges), (VTK_HEXAHEDRON, hexahedra)], "ellipsoid")


def confocal(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N,) depth, polar and azimuthal coordinate of (N, 3) points."""
    to_foci = [np.linalg.norm(points - [0, 0, sign * FOCUS], axis=1) for sign in (1, -1)]
    xi = np.arccosh(np.maximum(sum(to_foci) / (2 * FOCUS), 1))
    theta = np.arccos(np.clip(-points[:, 2] / (FOCUS * np.cosh(xi)), -1, 1))
    return xi, theta, np.arctan2(points[:, 1], points[:, 0])


def both_ventricles(spacing: float = 2.0, heart: Ventricle | None = None) -> Mesh:
    """The walls of the phantom's two ventricles as cubes: their surfaces have steps."""
    heart = heart or Ventricle()
    low, high = np.array([-75.0, -75, -75]) + heart.center, np.array([75.0, 75, 75]) + heart.center
    counts = np.ceil((high - low) / spacing).astype(int)
    index = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1).reshape(-1, 3)
    cubes = index[np.isin(heart.tissue(low + (index + 0.5) * spacing), (Tissue.WALL, Tissue.RIGHT_WALL))]
    corners = np.array([(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0), (0, 0, 1), (1, 0, 1), (1, 1, 1), (0, 1, 1)])
    number = np.ravel_multi_index((cubes[:, None] + corners).reshape(-1, 3).T, counts + 1)
    used, connectivity = np.unique(number, return_inverse=True)
    nodes = low + spacing * np.stack(np.unravel_index(used, counts + 1), axis=1)
    return grid_mesh(nodes, [(VTK_HEXAHEDRON, connectivity.reshape(-1, 8))], "both ventricles")
