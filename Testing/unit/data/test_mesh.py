"""Meshes: measures, boundary, inside."""

from __future__ import annotations

import numpy as np
import pytest
import vtk

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.files import place, read_mesh
from deeprecon.data.mesh.mesh import (
    Inside,
    Mesh,
    cell_means,
    node_volumes,
    open_edges,
    surface,
    unstructured_grid,
)

from .meshes import VOLUME_CELLS, box, read_tetgen_surface, sphere_shell


@pytest.mark.parametrize("cells", VOLUME_CELLS)
def test_node_volumes_add_up_to_the_volume(cells):
    mesh = box(cells)
    volumes = node_volumes(mesh)
    assert mesh.is_volume
    assert volumes.shape == (mesh.n_points,)
    assert (volumes > 0).all()
    assert volumes.sum() == pytest.approx(48)


def test_each_node_of_a_hexahedron_gets_an_eighth():
    volumes = node_volumes(box("hexahedron"))  # cells of 2 x 2 x 1 mm
    assert volumes.min() == pytest.approx(4 / 8)
    assert np.sort(volumes)[-2:] == pytest.approx(8 * 4 / 8)  # the two nodes inside


def test_a_surface_has_no_volume():
    with pytest.raises(InputError, match="shell is a surface"):
        node_volumes(sphere_shell())


def test_surface_cells_beside_volume_cells_count_nothing():
    mixed = with_faces(box("tetra"))
    assert node_volumes(mixed).sum() == pytest.approx(48)
    assert open_edges(mixed) == 0
    assert Inside(mixed)([[13.0, -18, 31], [9, -18, 31]]).tolist() == [True, False]


def with_faces(mesh: Mesh) -> Mesh:
    connectivity, offsets, types = mesh.cells()
    boundary = surface(mesh)
    ids = boundary.GetPointData().GetArray("vtkOriginalPointIds")
    faces = [
        [int(ids.GetValue(boundary.GetCell(c).GetPointId(p))) for p in range(3)]
        for c in range(boundary.GetNumberOfCells())
    ]
    return Mesh(
        unstructured_grid(
            mesh.points,
            np.concatenate([connectivity, np.ravel(faces)]),
            np.concatenate([offsets, offsets[-1] + 3 * np.arange(1, len(faces) + 1)]),
            np.concatenate([types, np.full(len(faces), vtk.VTK_TRIANGLE)]),
        )
    )


@pytest.mark.parametrize("cells", VOLUME_CELLS)
def test_cell_means_average_the_nodes(cells):
    mesh = box(cells)
    means = cell_means(mesh, mesh.points[:, 0])
    for index in (0, mesh.n_cells - 1):
        points = mesh.dataset.GetCell(index).GetPoints()
        expected = np.mean([points.GetPoint(p)[0] for p in range(points.GetNumberOfPoints())])
        assert means[index] == pytest.approx(expected)


def test_arrays_are_added_to_a_copy_in_node_order():
    mesh = box("tetra")
    values = np.arange(mesh.n_points) / 7
    result = mesh.with_point_arrays({"scar_probability": values, "axis": mesh.points})
    assert mesh.array_names == ()
    assert result.array_names == ("scar_probability", "axis")
    assert result.point_array("scar_probability").dtype == np.float32
    assert np.allclose(result.point_array("scar_probability"), values)
    assert np.array_equal(result.points, mesh.points)
    assert result.dataset.GetPointData().GetScalars().GetName() == "scar_probability"
    with pytest.raises(ValueError, match="nodes"):
        mesh.with_point_arrays({"short": values[:-1]})
    with pytest.raises(InputError, match="no array 'rho'") as error:
        result.point_array("rho")
    assert "scar_probability" in error.value.hint


def test_inside_knows_the_wall_of_a_shell_from_its_cavity():
    mesh = sphere_shell(resolution=96)
    points = np.random.default_rng(0).uniform(-36, 36, (40_000, 3)) + np.array((-40, 25, 10))
    radius = np.linalg.norm(points - (-40, 25, 10), axis=1)
    sure = (np.abs(radius - 30) > 0.5) & (np.abs(radius - 20) > 0.5)
    truth = (radius < 30) & (radius > 20)
    assert np.array_equal(Inside(mesh)(points)[sure], truth[sure])


@pytest.mark.parametrize("cells", VOLUME_CELLS)
def test_inside_of_volume_meshes(cells):
    points = np.random.default_rng(0).uniform((8, -22, 28), (18, -14, 34), (5000, 3))
    low, high = np.array((10, -20, 30)), np.array((16, -16, 32))
    depth = np.minimum(points - low, high - points).min(axis=1)
    found = Inside(box(cells), spacing=0.2)(points)
    assert found[depth > 0.11].all()
    assert not found[depth < -0.11].any()


@pytest.mark.timeout(240)
def test_a_million_points_are_looked_up():
    inside = Inside(sphere_shell())
    points = np.random.default_rng(0).uniform(-90, 90, (1_000_000, 3))
    assert 0.01 < inside(points).mean() < 0.03


def test_an_open_surface_is_refused_with_its_open_edges():
    plane = vtk.vtkPlaneSource()
    plane.SetResolution(4, 3)
    plane.Update()
    mesh = Mesh(plane.GetOutput(), "lid.vtp")
    assert open_edges(mesh) == 14
    with pytest.raises(InputError, match=r"lid\.vtp is an open surface: 14 open edges"):
        Inside(mesh)


def test_a_triangle_soup_counts_as_closed_where_its_corners_meet():
    shell = sphere_shell()
    connectivity, _, types = shell.cells()
    soup = unstructured_grid(
        shell.points[connectivity], np.arange(len(connectivity)), np.arange(len(types) + 1) * 3, types
    )
    assert open_edges(Mesh(soup)) == 0


def test_a_huge_mesh_gets_a_coarser_grid():
    mesh = sphere_shell(outer=30_000, inner=20_000, center=(0, 0, 0))
    inside = Inside(mesh)
    assert inside.spacing > 100
    assert inside([[0, 0, 0], [25_000, 0, 0], [0, 0, 40_000]]).tolist() == [False, True, False]


def test_the_real_human_heart_is_closed(shared_data):
    mesh = place(read_mesh(shared_data / "scar/cobiveco_geo1/heart.vtp"), "mm", "ras")
    assert (mesh.n_points, mesh.n_cells, open_edges(mesh)) == (24991, 49978, 0)
    inside = Inside(mesh)
    low, high = mesh.points.min(axis=0), mesh.points.max(axis=0)
    share = inside(np.random.default_rng(0).uniform(low, high, (200_000, 3))).mean()
    assert share * np.prod(high - low) / 1000 == pytest.approx(144.8, rel=0.02)  # ml


def test_the_real_rabbit_heart_is_closed(shared_data):
    mesh = read_tetgen_surface(shared_data / "scar/chaste_rabbit_ucsd/UCSD_heart")
    assert open_edges(mesh) == 0
    millimetres = Mesh(unstructured_grid(mesh.points * 10, mesh.cells()[0], mesh.cells()[1], mesh.cells()[2]))
    inside = Inside(millimetres, spacing=0.2)
    low, high = millimetres.points.min(axis=0), millimetres.points.max(axis=0)
    share = inside(np.random.default_rng(0).uniform(low, high, (100_000, 3))).mean()
    assert 0.05 < share < 0.6  # a wall around cavities
    assert not inside([high + 1, low - 1]).any()
