"""Coordinates of the ventricles' wall and fibers by rule, from meshes to files."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest
from vtkmodules.util.numpy_support import vtk_to_numpy

from deeprecon.data.errors import InputError
from deeprecon.data.markups import write_markups
from deeprecon.data.mesh.files import place, read_mesh, write_mesh
from deeprecon.data.mesh.mesh import Inside, Mesh
from deeprecon.data.mesh.parts import with_cell_arrays
from deeprecon.data.mesh.tetrahedra import tetrahedra_of
from deeprecon.numerics.tetrahedra import Tetrahedra, solve_laplace
from deeprecon.scar.anatomy.fiber_rule import FiberAngles, rule_based_fibers
from deeprecon.scar.anatomy.long_axis import long_axis
from deeprecon.scar.anatomy.surfaces import Surface, find_surfaces
from deeprecon.scar.anatomy.ventricular_coordinates import ventricular_coordinates
from deeprecon.scar.electrophysiology.parameters import FibersParameters
from deeprecon.scar.simulate.ventricle import Tissue, Ventricle

from .ventricle_meshes import FOCUS, INNER, OUTER, both_ventricles, confocal, ellipsoid

COORDINATES = ["apicobasal", "transmural", "rotational", "transventricular"]


@pytest.fixture(scope="module")
def shell():
    """Coordinates of the shell between confocal ellipsoids; its axis is given 7 degrees off."""
    mesh, _ = tetrahedra_of(ellipsoid())
    return ventricular_coordinates(mesh, find_surfaces(mesh, np.array([0.12, 0, 0.99]), "shell"))


@pytest.fixture(scope="module")
def biventricular():
    """Coordinates of the phantom's two ventricles, out of cubes of 2 mm."""
    mesh = both_ventricles(2.0)
    tetrahedra, _ = tetrahedra_of(mesh)
    direction = long_axis(Inside(mesh), mesh.points, np.zeros((0, 3)))
    return ventricular_coordinates(tetrahedra, find_surfaces(tetrahedra, direction, "both"))


def degrees_between(axes: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.degrees(np.arccos(np.clip(np.abs(np.sum(axes * others, axis=1)), 0, 1)))


def rule(points: np.ndarray, angles: FiberAngles) -> tuple[np.ndarray, np.ndarray]:
    """Fibers and sheets as the angles say, in the shell between confocal ellipsoids."""
    xi, theta, phi = confocal(points)
    depth = np.log(np.tanh(xi / 2) / np.tanh(INNER / 2)) / np.log(np.tanh(OUTER / 2) / np.tanh(INNER / 2))
    around = np.stack([-np.sin(phi), np.cos(phi), 0 * phi], axis=1)
    flat = FOCUS * np.sinh(xi) * np.cos(theta)
    up = np.stack([flat * np.cos(phi), flat * np.sin(phi), FOCUS * np.cosh(xi) * np.sin(theta)], axis=1)
    up /= np.linalg.norm(up, axis=1)[:, None]
    fiber, sheet = (
        np.radians(endo + (epi - endo) * depth)[:, None]
        for endo, epi in ((angles.endo, angles.epi), (angles.sheet_endo, angles.sheet_epi))
    )
    across = np.cos(fiber) * up - np.sin(fiber) * around
    return np.cos(fiber) * around + np.sin(fiber) * up, np.cos(sheet) * np.cross(around, up) + np.sin(sheet) * across


def test_laplace_is_exact_for_linear_functions():
    mesh, _ = tetrahedra_of(ellipsoid(3, 6, 12))
    values = mesh.points @ [1.0, -2.0, 0.5]
    fixed = np.zeros(len(values), bool)
    fixed[mesh.surface()] = True
    np.testing.assert_allclose(solve_laplace(mesh.stiffness(), fixed, values), values, atol=1e-5)
    np.testing.assert_allclose(mesh.gradients(values), np.tile([1.0, -2.0, 0.5], (len(mesh.corners), 1)), atol=1e-9)


@pytest.mark.parametrize("angles", [FiberAngles(), FiberAngles(80, -40, 0, 0)], ids=["usual", "others"])
def test_fibers_and_sheets_follow_the_rule_on_an_ellipsoid(shell, angles):
    fiber, sheet = rule_based_fibers(shell, angles)
    centers = shell.mesh.points[shell.mesh.corners].mean(axis=1)
    expected, expected_sheet = rule(centers, angles)
    assert degrees_between(fiber, expected).mean() < 2
    beyond_apex = confocal(centers)[1] > np.radians(20)
    assert degrees_between(fiber, expected)[beyond_apex].max() < 5
    assert degrees_between(sheet, expected_sheet)[beyond_apex].mean() < 1.5
    np.testing.assert_allclose(np.sum(fiber * sheet, axis=1), 0, atol=1e-9)


def test_coordinates_of_an_ellipsoid(shell):
    points = shell.mesh.points
    xi, _, phi = confocal(points)
    exact = np.log(np.tanh(xi / 2) / np.tanh(INNER / 2)) / np.log(np.tanh(OUTER / 2) / np.tanh(INNER / 2))
    assert np.abs(shell.transmural - exact).mean() < 0.01
    height = (points[:, 2] - points[:, 2].min()) / np.ptp(points[:, 2])
    outer = shell.surfaces.nodes(Surface.EPICARDIUM)
    assert np.corrcoef(shell.apicobasal[outer], height[outer])[0, 1] > 0.995
    turned = np.exp(1j * (2 * np.pi * shell.rotational - phi))[shell.apicobasal > 0.2]
    assert np.abs(np.angle(turned / turned.mean())).max() < np.radians(2), "harmonic is the angle itself"
    for values in shell.arrays.values():
        assert np.isfinite(values).all()
        assert values.min() >= 0
        assert values.max() <= 1
    assert not shell.transventricular.any()
    assert shell.left.all()


def test_both_ventricles_are_told_apart_on_stepped_surfaces(biventricular):
    found, heart = biventricular, Ventricle()
    tissue = heart.tissue(found.mesh.points)
    assert found.left[tissue == Tissue.WALL].mean() > 0.97
    assert found.left[tissue == Tissue.RIGHT_WALL].mean() < 0.02
    centers = found.mesh.points[found.surfaces.faces].mean(axis=1)
    for part, blood in ((Surface.LEFT, Tissue.LEFT_BLOOD), (Surface.RIGHT, Tissue.RIGHT_BLOOD)):
        corners = found.mesh.points[found.surfaces.faces[found.surfaces.part == part]]
        outward = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        outward *= 3 / np.linalg.norm(outward, axis=1)[:, None]
        beyond = heart.tissue(centers[found.surfaces.part == part] + outward)
        assert (beyond == blood).mean() > 0.85
    marks = heart.landmarks()
    assert np.linalg.norm(found.axes.apex - marks["apex"]) < 6
    assert np.linalg.norm(found.axes.base - marks["base"]) < 6
    assert found.axes.direction @ heart.axes[2] > np.cos(np.radians(5))


def test_rotation_is_one_to_one_on_a_ring_and_counts_from_the_septum(biventricular):
    found, heart = biventricular, Ventricle()
    _, angle, height = heart.wall_coordinates(found.mesh.points)
    ring = found.left & (heart.tissue(found.mesh.points) == Tissue.WALL) & (np.abs(height + 10) < 4)
    turn = np.exp(2j * np.pi * found.rotational[ring])
    assert np.abs(np.angle(turn * np.exp(-1j * angle[ring]))).mean() < np.radians(12)
    sector = np.floor(angle[ring] / (2 * np.pi) * 24).astype(int) % 24
    means = np.array([np.angle(turn[sector == number].mean()) for number in range(24)])
    steps = np.diff(np.unwrap(means, period=2 * np.pi))
    assert (steps > np.radians(5)).all(), "it grows all around"


def test_fibers_of_both_ventricles_are_even_in_the_left_one_and_lie_in_the_wall(biventricular):
    fiber, _ = rule_based_fibers(biventricular, FiberAngles())
    assert np.isfinite(fiber).all()
    np.testing.assert_allclose(np.linalg.norm(fiber, axis=1), 1, atol=1e-9)
    mesh, heart = biventricular.mesh, Ventricle()
    centers = mesh.points[mesh.corners].mean(axis=1)
    depth, angle, height = heart.wall_coordinates(centers)
    side_wall = (heart.tissue(centers) == Tissue.WALL) & (np.abs(angle) > 2) & (np.abs(height + 10) < 12)
    radial = centers - (centers @ heart.axes[2] - heart.axes[2] @ heart.center)[:, None] * heart.axes[2] - heart.center
    around = np.cross(heart.axes[2], radial)
    around /= np.linalg.norm(around, axis=1)[:, None]
    helix = np.degrees(np.arctan2(fiber @ heart.axes[2], np.sum(fiber * around, axis=1)))
    helix = (helix + 90) % 180 - 90
    for low, high, expected in ((0.1, 0.3, 36), (0.4, 0.6, 0), (0.7, 0.9, -36)):
        layer = side_wall & (depth > low) & (depth < high)
        assert abs(helix[layer].mean() - expected) < 15


# ---- the verb


@pytest.fixture
def marks(tmp_path):
    """Landmarks of the shell, which save the search for its axis."""
    path = tmp_path / "marks.mrk.json"
    write_markups(path, {"apex": np.array([0, 0, -53.0]), "base": np.array([0, 0, 17.0])})
    return path


def arrays_of(path):
    mesh = place(read_mesh(path), "mm", "lps")
    cells = mesh.dataset.GetCellData()
    fibers = [vtk_to_numpy(cells.GetArray(name)) for name in ("fiber", "sheet") if cells.GetArray(name)]
    return mesh, fibers


@pytest.mark.parametrize("ending", ["vtu", "pts"])
def test_a_result_gets_coordinates_and_fibers_that_reach_the_simulator(ending, tmp_path, patient, done, result_of):
    scar = np.linspace(0, 1, patient.mesh.n_points)
    mesh = patient.mesh.with_point_arrays({"scar_probability": scar, "scar_uncertainty": 0 * scar})
    unit = "um" if ending == "pts" else "mm"
    write_mesh(tmp_path / f"mesh.{ending}", mesh, unit, "lps")
    made = {"outputs": {"mesh": {"path": f"mesh.{ending}"}}, "metrics": {"mesh_unit": unit, "mesh_frame": "lps"}}
    (tmp_path / "result.json").write_text(json.dumps(made), encoding="utf-8")
    model = done("fibers", "model", inputs={"mesh": tmp_path / f"mesh.{ending}"})
    figures = result_of(model)["metrics"]
    assert (figures["mesh_unit"], figures["mesh_frame"], figures["ventricles"]) == (unit, "lps", 1)
    exported = done("export", "exported", inputs={"mesh": model / f"mesh.{ending}"})
    axes = np.loadtxt(exported / "mesh.lon", skiprows=1)
    assert (exported / "mesh.lon").read_text().splitlines()[0] == "2"
    assert axes.shape == (mesh.n_cells, 6)
    np.testing.assert_allclose(np.linalg.norm(axes.reshape(-1, 2, 3), axis=2), 1, atol=1e-5)
    np.testing.assert_allclose(np.sum(axes[:, :3] * axes[:, 3:], axis=1), 0, atol=1e-5)


def test_coordinates_and_fibers_turn_with_the_mesh():
    mesh, turned = tetrahedra_of(ellipsoid(4, 12, 24))[0], np.array([[0.0, 0, 1], [1, 0, 0], [0, 1, 0]])
    found = []
    for matrix in (np.eye(3), turned):
        moved = Tetrahedra(mesh.points @ matrix.T, mesh.corners)
        surfaces = find_surfaces(moved, matrix @ [0.1, 0, 1], "shell")
        coordinates = ventricular_coordinates(moved, surfaces)
        found.append((coordinates, rule_based_fibers(coordinates, FiberAngles())[0] @ matrix))
    (one, fibers), (other, turned_fibers) = found
    assert degrees_between(fibers, turned_fibers).max() < 0.01
    np.testing.assert_allclose(one.apicobasal, other.apicobasal, atol=1e-5)
    np.testing.assert_allclose(one.transmural, other.transmural, atol=1e-5)


def test_fibers_that_there_are_stay_unless_they_are_to_be_replaced(tmp_path, marks, done, result_of):
    shell = ellipsoid(3, 8, 16)
    own = np.tile([0.0, 0.0, 2.0], (shell.n_cells, 1))
    write_mesh(tmp_path / "shell.vtu", with_cell_arrays(shell, {"fiber": own}), "mm", "ras")
    inputs = {"mesh": tmp_path / "shell.vtu", "landmarks": marks}
    kept = done("fibers", "kept", inputs=inputs)
    assert [doubt["code"] for doubt in result_of(kept)["doubts"]] == ["mesh-has-fibers"]
    mesh = place(read_mesh(kept / "mesh.vtu"), "mm", "ras")
    np.testing.assert_array_equal(vtk_to_numpy(mesh.dataset.GetCellData().GetArray("fiber")), own)
    assert set(COORDINATES) <= set(mesh.array_names)
    replaced = done("fibers", "replaced", inputs=inputs, replace=True)
    mesh = place(read_mesh(replaced / "mesh.vtu"), "mm", "ras")
    assert np.abs(vtk_to_numpy(mesh.dataset.GetCellData().GetArray("fiber"))[:, 2]).max() < 1
    assert result_of(replaced)["doubts"] == []


def test_landmarks_place_the_zero_of_the_rotation(tmp_path, patient, done, warnings_of):
    heart = Ventricle()
    marks = {name: place for name, place in heart.landmarks().items() if "ventricle" not in name}
    write_markups(tmp_path / "points.mrk.json", marks)
    write_mesh(tmp_path / "wall.vtu", patient.mesh, "mm", "lps")
    output = done("fibers", inputs={"mesh": tmp_path / "wall.vtu", "landmarks": tmp_path / "points.mrk.json"})
    mesh, _ = arrays_of(output / "mesh.vtu")
    _, angle, height = heart.wall_coordinates(mesh.points)
    turn = np.exp(1j * (2 * np.pi * mesh.point_array("rotational") - angle))[height > -20]
    assert np.abs(np.angle(turn)).mean() < np.radians(8)
    assert not any("patient's right" in text for text in warnings_of(output))


def test_only_the_wall_of_a_mesh_with_more_regions_gets_fibers(tmp_path, marks, done):
    shell = ellipsoid(5, 10, 20)
    connectivity, offsets, _ = shell.cells()
    depth = np.array([confocal(shell.points[connectivity[a:b]])[0].mean() for a, b in pairwise(offsets)])
    tags = np.where(depth > OUTER - (OUTER - INNER) / 4, 7, 3)
    write_mesh(tmp_path / "shell.vtu", with_cell_arrays(shell, {"tag": tags}), "mm", "lps")
    output = done("fibers", inputs={"mesh": tmp_path / "shell.vtu", "landmarks": marks}, mesh_region=[3])
    mesh, (fiber, _) = arrays_of(output / "mesh.vtu")
    np.testing.assert_array_equal(np.linalg.norm(fiber, axis=1) > 0.5, tags == 3)
    outside = np.ones(mesh.n_points, bool)
    outside[np.concatenate([connectivity[offsets[cell] : offsets[cell + 1]] for cell in np.flatnonzero(tags == 3)])] = 0
    np.testing.assert_array_equal(np.isnan(mesh.point_array("transmural")), outside)


# ---- bad input


def hollow_ball(open_angle: float = 0.0) -> Mesh:
    from vtkmodules.vtkFiltersSources import vtkSphereSource

    ball = vtkSphereSource()
    ball.SetRadius(30)
    ball.SetThetaResolution(24)
    ball.SetPhiResolution(24)
    ball.SetEndPhi(180 - open_angle)
    ball.Update()
    return Mesh(ball.GetOutput(), "ball")


def cubes(shift: float) -> Mesh:
    box = np.stack(np.meshgrid([0, 20.0], [0, 20.0], [0, 20.0], indexing="ij"), axis=-1).reshape(-1, 3)
    tetrahedra = np.array([[0, 1, 2, 4], [1, 2, 3, 7], [1, 4, 5, 7], [2, 4, 6, 7], [1, 2, 4, 7]])
    both = np.concatenate([box, box + np.array([shift, 0, 0])])
    return Mesh.from_arrays(both, np.concatenate([tetrahedra, tetrahedra + 8]), "cubes")


@pytest.mark.parametrize("mesh", [hollow_ball(), hollow_ball(60)], ids=["closed", "open"])
def test_a_surface_is_refused(mesh, tmp_path, error_of):
    write_mesh(tmp_path / "surface.vtp", mesh, "mm", "ras")
    message = error_of("fibers", inputs={"mesh": tmp_path / "surface.vtp"})
    assert "is a surface" in message
    assert "volume mesh" in message


def test_a_mesh_in_two_pieces_is_refused():
    with pytest.raises(InputError, match=r"consists of 2 pieces, of 8 and 8 ml"):
        find_surfaces(tetrahedra_of(cubes(40.0))[0], np.array([0, 0, 1.0]), "cubes")


def test_a_wall_without_a_base_is_refused(tmp_path, error_of):
    solid = ellipsoid(3, 8, 16)
    closed = solid.points.copy()
    closed[:, 2] = -np.abs(closed[:, 2])  # folded: no opening is left
    ball, _ = tetrahedra_of(cubes(20.0))
    with pytest.raises(InputError, match="has no base"):
        find_surfaces(
            Tetrahedra.of(ball.points[:8], ball.corners[(ball.corners < 8).all(axis=1)]), np.eye(3)[2], "cube"
        )
    write_mesh(tmp_path / "cube.vtu", cubes(40.0), "mm", "ras")
    assert "no cavity" in error_of("fibers", inputs={"mesh": tmp_path / "cube.vtu"})


def test_landmarks_beside_the_mesh_are_refused(tmp_path, patient, error_of):
    write_mesh(tmp_path / "wall.vtu", patient.mesh, "mm", "lps")
    marks = {"apex": np.array([300.0, 0, 0]), "base": np.array([300.0, 0, 90])}
    write_markups(tmp_path / "points.mrk.json", marks)
    inputs = {"mesh": tmp_path / "wall.vtu", "landmarks": tmp_path / "points.mrk.json"}
    assert "mm beside wall.vtu" in error_of("fibers", inputs=inputs)


def test_what_is_not_stated_about_a_mesh_is_assumed_and_said(tmp_path, marks, done, error_of, result_of):
    shell = ellipsoid(3, 8, 16)
    write_mesh(tmp_path / "shell.pts", shell, "um", "ras")
    inputs = {"mesh": tmp_path / "shell.pts", "landmarks": marks}
    doubts = result_of(done("fibers", inputs=inputs))["doubts"]
    assert [doubt["code"] for doubt in doubts] == ["mesh-axes-assumed"]
    assert "no region 9" in error_of("fibers", name="tag", inputs=inputs, mesh_region=[9])
    write_mesh(tmp_path / "shell.vtu", shell, "m", "ras")
    message = error_of("fibers", name="small", inputs={"mesh": tmp_path / "shell.vtu"})
    assert "--mesh-unit" in message


@pytest.mark.parametrize("angle", [-91.0, 200.0])
def test_angles_beyond_a_right_one_are_refused(angle):
    assert FibersParameters(endo=angle).validate() != []
