"""Hexahedra out of a segmented stack of slices."""

from __future__ import annotations

import numpy as np
import pytest
import vtk

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.mesh import cell_means, node_volumes
from deeprecon.data.mesh.voxels import voxel_mesh
from deeprecon.data.volume import Volume

from .orientations import orders, rotation


def ring_stack(angles=(0.0, 0.0, 0.0), slices=7) -> Volume:
    """A hollow ellipsoid in slices 8 mm apart, 1.4 mm pixels."""
    k, j, i = np.mgrid[:slices, :60, :64]
    x, y, z = (i - 31.4) * 1.4, (j - 29.7) * 1.4, (k - (slices - 1) / 2) * 8.0
    radius = np.sqrt(x**2 + y**2 + (z / 1.4) ** 2)
    affine = np.eye(4)
    affine[:3, :3] = rotation(angles) * (1.4, 1.4, 8)
    affine[:3, 3] = (-50, 20, 7)
    return Volume(((radius < 38) & (radius > 27)), affine, "ring")


def test_hexahedra_fill_the_wall():
    stack = ring_stack((25, -40, 65))
    mesh = voxel_mesh(stack, 1.5)
    assert set(mesh.cells()[2].tolist()) == {vtk.VTK_HEXAHEDRON}
    true = 4 / 3 * np.pi * 1.4 * (38**3 - 27**3)
    slab = np.abs(np.linspace(-28, 28, 20001))
    wall = np.pi * (np.clip(38**2 - (slab / 1.4) ** 2, 0, None) - np.clip(27**2 - (slab / 1.4) ** 2, 0, None))
    assert true > wall.mean() * 56  # the stack does not reach the poles
    assert node_volumes(mesh).sum() == pytest.approx(wall.mean() * 56, rel=0.03)
    sizes = np.linalg.norm(np.diff(mesh.points[mesh.cells()[0].reshape(-1, 8)[:, [0, 1, 2]]], axis=1), axis=2)
    assert 1.3 < sizes.min() <= sizes.max() < 1.7


def test_the_shape_between_slices_lies_between_them():
    """A disc that shrinks from one slice to the next has the middle radius halfway, not both radii."""
    wall = np.zeros((2, 81, 81), bool)
    j, i = np.mgrid[:81, :81]
    radius = np.hypot(i - 40, j - 40)
    wall[0], wall[1] = radius <= 30, radius <= 10
    mesh = voxel_mesh(Volume(wall, np.diag([1, 1, 10, 1.0])), 1.0, thickness=1.0)
    centers = np.stack([cell_means(mesh, mesh.points[:, axis]) for axis in range(3)], axis=1)
    for z, expected in [(0, 30), (2, 26), (5, 20), (10, 10)]:
        layer = centers[np.abs(centers[:, 2] - z) < 0.1]
        assert np.hypot(*(layer[:, :2] - 40).T).max() == pytest.approx(expected, abs=1)


def test_the_shape_between_slices_is_that_in_millimeters_where_pixels_are_not_square():
    """Half-way between two bars, one 61 mm and one 21 mm long, both 14 mm wide, the edge is as far from either."""
    wall = np.zeros((2, 21, 81), bool)
    wall[0, 7:14, 10:71] = wall[1, 7:14, 30:51] = True
    mesh = voxel_mesh(Volume(wall, np.diag([1, 2, 10, 1.0])), 1.0, thickness=1.0)
    x, y, z = (cell_means(mesh, mesh.points[:, axis]) for axis in range(3))
    middle = (np.abs(z - 5) < 0.1) & (np.abs(y - 20) < 0.6)
    assert np.abs(x[middle] - 40).max() == pytest.approx(17, abs=1)  # 7 mm to the sides of one, 7 mm beyond the other


@pytest.mark.parametrize("thickness", [None, 8.0, 5.0, 2.0])
def test_no_hexahedron_lies_outside_the_outermost_slabs(thickness):
    mesh = voxel_mesh(ring_stack(slices=3), 1.1, thickness=thickness)
    z = mesh.points[:, 2]
    assert z.min() == pytest.approx(7 - (thickness or 8) / 2)
    assert z.max() == pytest.approx(7 + 16 + (thickness or 8) / 2)


def test_every_axis_order_gives_the_same_hexahedra():
    stack = ring_stack((25, -40, 65), slices=3)
    first = voxel_mesh(stack, 3.0)
    for variant in orders(stack)[::5]:
        mesh = voxel_mesh(variant, 3.0)
        assert np.array_equal(mesh.points, first.points)
        assert np.array_equal(mesh.cells()[0], first.cells()[0])


def test_slices_without_wall_end_the_mesh_there():
    stack = ring_stack()
    stack.array[3] = False
    z = voxel_mesh(stack, 1.5).points[:, 2]
    assert not (np.abs(z - (7 + 24)) < 2).any()
    empty = Volume(np.zeros((3, 4, 4), bool), np.eye(4), "nothing")
    with pytest.raises(InputError, match="nothing shows no wall"):
        voxel_mesh(empty, 1.5)


def test_fractions_above_one_half_are_wall():
    stack = ring_stack(slices=3)
    soft = Volume(np.where(stack.array, 0.9, 0.2).astype(np.float32), stack.ijk_to_ras)
    assert voxel_mesh(soft, 2.0).n_cells == voxel_mesh(stack, 2.0).n_cells


def test_elements_of_the_size_of_the_pixels_are_the_pixels_that_were_drawn():
    for size in ((3.0, 3.0), (1.4, 1.4), (0.8, 2.5), (2.5, 0.8)):
        j, i = np.indices((30, 40))
        radius = np.hypot((j - 15) * size[1], (i - 20) * size[0])
        ring = (radius > 0.25 * 30 * min(size)) & (radius < 0.45 * 30 * min(size))
        affine = np.diag([size[0], size[1], 8.0, 1.0])
        mask = Volume(np.stack([ring, ring]), affine)
        connectivity, _, _ = (mesh := voxel_mesh(mask, min(size))).cells()
        centres = mask.to_ijk(mesh.points[connectivity.reshape(-1, 8)].mean(axis=1)[:, :])
        drawn = {(a, b) for b, a in np.argwhere(ring).tolist()}
        found = {tuple(place) for place in np.rint(centres[:, :2]).astype(int).tolist()}
        assert drawn <= found
        assert len(found - drawn) < 0.35 * len(drawn)
