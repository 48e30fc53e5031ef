"""Tetrahedra that fill closed surfaces: closed, no slivers, the volume of what they fill."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.data.mesh.mesh import Mesh, open_edges
from deeprecon.numerics.isosurface_stuffing import stuff
from deeprecon.numerics.tetrahedra import Tetrahedra

FACES = ([1, 2, 3], [0, 3, 2], [0, 1, 3], [0, 2, 1])


def dihedral_angles(mesh: Tetrahedra) -> np.ndarray:
    """(M, 6) angles between the faces of each tetrahedron in degrees."""
    place = mesh.points[mesh.corners]
    normals = [np.cross(place[:, b] - place[:, a], place[:, c] - place[:, a]) for a, b, c in FACES]
    normals = [normal / np.linalg.norm(normal, axis=1)[:, None] for normal in normals]
    pairs = [(one, other) for one in range(4) for other in range(one)]
    cosines = np.stack([-np.sum(normals[one] * normals[other], axis=1) for one, other in pairs], axis=1)
    return np.degrees(np.arccos(np.clip(cosines, -1, 1)))


def ball(points: np.ndarray) -> np.ndarray:
    return 30 - np.linalg.norm(points, axis=1)


def ring(points: np.ndarray) -> np.ndarray:
    return 7 - np.hypot(np.hypot(points[:, 0], points[:, 1]) - 20, points[:, 2])


@pytest.mark.parametrize(
    ("depth", "volume"), [(ball, 4 / 3 * np.pi * 30**3), (ring, 2 * np.pi**2 * 20 * 7**2)], ids=["ball", "ring"]
)
def test_a_body_is_filled_without_slivers_and_gaps(depth, volume):
    points, corners = stuff(depth, np.full(3, -31.0), np.full(3, 31.0), 2.0)
    mesh = Tetrahedra.of(points, corners)
    assert mesh.volumes.sum() == pytest.approx(volume, rel=0.02)
    assert dihedral_angles(mesh).min() > 8
    assert dihedral_angles(mesh).max() < 165
    assert set(mesh.pieces()) == {0}
    surface = mesh.surface()
    assert open_edges(Mesh.from_arrays(points, surface)) == 0
    assert np.abs(depth(points[np.unique(surface)])).max() < 0.05


def test_nothing_inside_is_refused():
    with pytest.raises(ValueError, match="nothing lies inside"):
        stuff(lambda points: -np.ones(len(points)), np.zeros(3), np.ones(3), 0.5)
