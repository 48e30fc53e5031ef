"""The scar of the wall beneath a shell, where wall and scar are spheres around the origin."""

from __future__ import annotations

import numpy as np
import pytest
import vtk

from deeprecon.data.mesh.mesh import Mesh, unstructured_grid
from deeprecon.data.mesh.normals import node_normals
from deeprecon.scar.observe.shell import Shell, find_shell

INNER, OUTER = 25.0, 35.0


def sphere(radius: float, wound: str = "outwards", is_open: bool = False) -> Mesh:
    """Triangles on a sphere, or on its lower half, wound outwards, inwards or at random."""
    source = vtk.vtkSphereSource()
    source.SetRadius(radius)
    source.SetThetaResolution(40)
    source.SetPhiResolution(30)
    source.SetEndPhi(90 if is_open else 180)
    source.Update()
    made = Mesh(source.GetOutput())
    triangles = made.cells()[0].reshape(-1, 3)
    turned = {"outwards": 0, "inwards": 1, "at random": 0.5}[wound]
    chosen = np.random.default_rng(0).random(len(triangles)) < turned
    triangles[chosen] = triangles[chosen][:, ::-1]
    offsets = np.arange(len(triangles) + 1) * 3
    return Mesh(unstructured_grid(made.points, triangles.ravel(), offsets, np.full(len(triangles), vtk.VTK_TRIANGLE)))


def in_wall(points: np.ndarray) -> np.ndarray:
    radius = np.linalg.norm(points, axis=1)
    return (radius > INNER) & (radius < OUTER)


def shell_of(mesh: Mesh, mean: bool) -> Shell:
    return find_shell(mesh, mesh, in_wall, mean)  # type: ignore[arg-type]


@pytest.mark.parametrize("wound", ["outwards", "inwards", "at random"])
@pytest.mark.parametrize("is_open", [False, True])
def test_normals_do_not_depend_on_the_winding(wound: str, is_open: bool) -> None:
    mesh = sphere(30, wound, is_open)
    outwards = (node_normals(mesh, 4) * mesh.points).sum(axis=1) / 30
    np.testing.assert_allclose(outwards * np.sign(outwards[0]), 1, atol=0.03)


@pytest.mark.parametrize("wound", ["outwards", "inwards", "at random"])
@pytest.mark.parametrize("radius", [22.0, 25.0, 30.0, 35.0, 37.0])
@pytest.mark.parametrize("is_open", [False, True])
def test_the_wall_beneath_a_shell(radius: float, wound: str, is_open: bool) -> None:
    mesh = sphere(radius, wound, is_open)
    depth = (np.linalg.norm(shell_of(mesh, True).points, axis=1) - INNER) / (OUTER - INNER)
    scars = {"none": depth < 0, "subendocardial": depth < 0.3, "transmural": depth < 1.1}
    for mean, expected in ((False, (0, 1, 1)), (True, (0, 0.3, 1))):
        shell = shell_of(mesh, mean)
        assert shell.met.all()
        for scar, value in zip(scars.values(), expected, strict=True):
            np.testing.assert_allclose(shell.project(scar.astype(float)), value, atol=0.06)


def test_no_wall_beneath_is_told_from_no_scar() -> None:
    shell = shell_of(sphere(10), False)
    assert not shell.met.any()
    assert not shell.project(np.zeros((3, len(shell.points)))).any()


def test_samples_are_projected_each_by_itself() -> None:
    shell = shell_of(sphere(25), False)
    values = np.random.default_rng(0).random((4, len(shell.points)))
    projected = shell.project(values)
    assert projected.shape == (4, len(shell.counts))
    for row, one in zip(projected, values, strict=True):
        np.testing.assert_array_equal(row, shell.project(one))


def test_the_uncertainty_is_that_of_the_highest_probability() -> None:
    shell = shell_of(sphere(25), False)
    radius = np.linalg.norm(shell.points, axis=1)
    assert shell.at_extreme(radius, -radius) == pytest.approx(INNER, abs=0.6)
    assert shell.at_extreme(radius, radius) == pytest.approx(OUTER, abs=0.6)


def test_steps_of_a_surface_do_not_turn_its_normals() -> None:
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(30.0), np.arange(30.0), indexing="ij"))
    corner = (np.arange(29)[:, None] * 30 + np.arange(29)).ravel()
    quads = np.stack([corner, corner + 1, corner + 31, corner + 30], axis=1)
    grid = unstructured_grid(
        np.stack([x, y, np.floor((x + y) / 2) % 2], axis=1),
        quads.ravel(),
        np.arange(len(quads) + 1) * 4,
        np.full(len(quads), vtk.VTK_QUAD),
    )
    normals = node_normals(Mesh(grid), 4)
    inner = (x > 5) & (x < 24) & (y > 5) & (y < 24)
    assert np.abs(normals[inner, 2]).min() > 0.97
