"""Meshes of tetrahedra from surfaces and from slices, and their quality."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.data.mesh.files import place, read_mesh, write_mesh
from deeprecon.data.mesh.mesh import Mesh, cell_volumes, open_edges, surface, with_points
from deeprecon.data.mesh.tetrahedra import tetrahedra_of
from deeprecon.data.mesh.voxels import voxel_mesh
from deeprecon.numerics.tetrahedra import Tetrahedra
from deeprecon.scar.electrophysiology.meshing import quality
from deeprecon.scar.read.regions import open_regions

from .ventricle_meshes import INNER, OUTER, RIM, confocal, ellipsoid


def made(output) -> Tetrahedra:
    return tetrahedra_of(place(read_mesh(output / "mesh.vtu"), "mm", "lps"))[0]


def test_a_closed_surface_is_filled_with_good_elements(tmp_path, done, result_of):
    shell = ellipsoid(5, 32, 64)
    write_mesh(tmp_path / "wall.vtp", Mesh(surface(shell), "wall"), "mm", "lps")
    output = done("simulation-mesh", inputs={"surface": tmp_path / "wall.vtp"}, edge=3.0)
    mesh, figures = made(output), result_of(output)["metrics"]
    assert mesh.volumes.sum() == pytest.approx(cell_volumes(shell).sum(), rel=0.01)
    assert figures["volume_ml"] == pytest.approx(mesh.volumes.sum() / 1000, rel=1e-3)
    assert figures["smallest_angle_degrees"] > 8
    assert figures["mean_edge_mm"] == pytest.approx(3, rel=0.05)
    assert (figures["mesh_unit"], figures["mesh_frame"]) == ("mm", "lps")
    boundary = mesh.surface()
    assert open_edges(Mesh.from_arrays(mesh.points, boundary)) == 0
    xi, theta, _ = confocal(mesh.points[np.unique(boundary)])
    off = np.minimum(np.abs(xi - INNER), np.abs(xi - OUTER))
    assert off[theta < RIM - 0.1].max() < 0.02, "on either surface, away from the base"


def test_a_wall_drawn_in_slices_has_no_steps(files, done):
    mesh = made(done("simulation-mesh", inputs={"myocardium": files["segmentation"]}, edge=2.5, slice_thickness=12.0))
    wall = open_regions(files["segmentation"], {}).region("myocardium")
    voxels = voxel_mesh(wall, 1.0, 12.0)
    assert mesh.volumes.sum() == pytest.approx(cell_volumes(voxels).sum(), rel=0.06)
    faces = mesh.points[mesh.surface()]
    normals = np.cross(faces[:, 1] - faces[:, 0], faces[:, 2] - faces[:, 0])
    along = np.abs(normals @ wall.ijk_to_ras[:3, 2]) / np.linalg.norm(wall.ijk_to_ras[:3, 2])
    flat = along > 0.95 * np.linalg.norm(normals, axis=1)
    height = wall.to_ijk(faces.mean(axis=1))[:, 2]
    between = (height > height.min() + 0.5) & (height < height.max() - 0.5)
    assert np.linalg.norm(normals[flat & between], axis=1).sum() < 0.03 * np.linalg.norm(normals, axis=1).sum()


def test_the_quality_of_a_regular_tetrahedron_is_perfect():
    points = np.array([[1.0, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]])
    found = quality(Tetrahedra.of(points, [[0, 1, 2, 3]]))
    assert found["smallest_radius_ratio"] == pytest.approx(1)
    assert found["smallest_angle_degrees"] == found["largest_angle_degrees"] == pytest.approx(70.53, abs=0.01)
    flat = quality(Tetrahedra.of(points * [1, 1, 0.05], [[0, 1, 2, 3]]))
    assert flat["smallest_radius_ratio"] < 0.2


# ---- bad input


def test_what_cannot_be_filled_is_refused(tmp_path, files, error_of):
    shell = surface(ellipsoid(3, 12, 24))
    closed = Mesh(shell, "wall")
    write_mesh(tmp_path / "wall.vtp", closed, "mm", "lps")
    both = {"surface": tmp_path / "wall.vtp", "myocardium": files["segmentation"]}
    for number, inputs in enumerate((both, {})):
        assert "either a surface or a myocardium" in error_of("simulation-mesh", name=f"{number}", inputs=inputs)
    connectivity = closed.cells()[0][: 4 * 200].reshape(-1, 4)
    opened = Mesh.from_arrays(closed.points, connectivity[:, :3])
    write_mesh(tmp_path / "open.vtp", opened, "mm", "lps")
    message = error_of("simulation-mesh", name="open", inputs={"surface": tmp_path / "open.vtp"})
    assert "open surface" in message


def test_a_wall_thinner_than_the_edge_is_refused(tmp_path, error_of):
    ball = Mesh(surface(ellipsoid(3, 16, 32)), "ball")
    points = ball.points * [1, 1, 0.02]
    write_mesh(tmp_path / "sheet.vtp", Mesh(with_points(ball.dataset, points), "sheet"), "mm", "lps")
    message = error_of("simulation-mesh", inputs={"surface": tmp_path / "sheet.vtp"}, edge=5.0)
    assert "smaller --edge" in message
