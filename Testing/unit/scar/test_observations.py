"""Groups and their prisms: what is observed where."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume, canonical
from deeprecon.scar.observe.observations import observe, overlap_warnings, planes_of, quadrature
from deeprecon.scar.observe.stacks import Stack


def rotation(seed: int = 3) -> np.ndarray:
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]
    return turn * np.sign(np.linalg.det(turn))


def affine(turn: np.ndarray, spacing: tuple[float, float, float], origin=(11.0, -7.0, 30.0)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = turn * spacing
    matrix[:3, 3] = origin
    return matrix


def make_stack(shape=(3, 4, 5), spacing=(1.5, 2.0, 10.0), thickness=8.0, turn=None, origin=(11.0, -7.0, 30.0)) -> Stack:
    rng = np.random.default_rng(0)
    wall = rng.uniform(0.1, 1, shape).astype(np.float32)
    scar = rng.uniform(0, 1, shape).astype(np.float32)
    return Stack(wall, scar, affine(np.eye(3) if turn is None else turn, spacing, origin), thickness, "stack")


def to_ijk(points: np.ndarray, stack: Stack) -> np.ndarray:
    inverse = np.linalg.inv(stack.ijk_to_ras)
    return points @ inverse[:3, :3].T + inverse[:3, 3]


def test_pixels_without_scar_are_data_and_pixels_without_wall_are_not():
    stack = make_stack()
    stack.scar[:] = 0
    stack.wall[1, :2] = 0
    observed = observe([stack])
    assert len(observed) == stack.wall.size - 10
    assert not observed.y.any()
    assert np.bincount(observed.slice_id).tolist() == [20, 10, 20]


TURNS = {"axial": np.eye(3), "oblique": rotation(), "left-handed": rotation() @ np.diag([1, 1, -1.0])}


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
def test_points_fill_the_pixel_and_the_slab_around_its_center_and_leave_the_gap_free(turn):
    stack = make_stack(turn=turn)
    observed = observe([stack])
    k, j, i = np.nonzero(stack.wall > 0)
    np.testing.assert_allclose(to_ijk(observed.centers, stack), np.stack([i, j, k], axis=1), atol=1e-9)
    points = quadrature(observed).points
    offset = to_ijk(points.reshape(-1, 3), stack).reshape(points.shape) - np.stack([i, j, k], axis=1)[:, None]
    slab = stack.thickness / 10.0
    assert points.shape[1] == 16
    np.testing.assert_allclose(offset.mean(axis=1), 0, atol=1e-9)
    np.testing.assert_allclose(np.abs(offset[..., :2]), 0.25, atol=1e-9)
    depths = slab * np.array([-3, -1, 1, 3]) / 8
    np.testing.assert_allclose(np.unique(offset[..., 2].round(9)), depths, atol=1e-9)


def test_points_measure_a_slanted_edge():
    """Share of a prism on one side of a random plane: 16 points err by less than 1/20, random ones by 1/9."""
    observed = observe([make_stack((4, 10, 10), (1.5, 1.5, 10.0))])
    rng = np.random.default_rng(1)
    normals = rng.normal(size=(len(observed), 1, 3))

    def share(offsets: np.ndarray) -> np.ndarray:
        return ((offsets * normals).sum(axis=2) > 0.5).mean(axis=1)

    exact = share(rng.uniform(-0.5, 0.5, (len(observed), 4000, 3)) * [1.5, 1.5, 8.0])
    measured = share(quadrature(observed).points - observed.centers[:, None])
    assert np.sqrt(np.mean((measured - exact) ** 2)) < 0.05


def test_points_stand_for_the_wall_of_the_mesh_alone():
    observed = observe([make_stack()])
    edge = 11 + 2 * 1.5 - 0.375  # a quarter of the way into the pixels of column 2

    def half(points: np.ndarray) -> np.ndarray:
        return points[:, 0] < edge

    found = quadrature(observed, half)
    column = np.rint((observed.centers[:, 0] - 11) / 1.5).astype(int)
    np.testing.assert_allclose(found.weights.sum(axis=1), column <= 2, atol=1e-6)
    np.testing.assert_array_equal(found.met, column <= 2)
    assert half(found.points[found.weights > 0]).all()
    mean = (found.points * found.weights[..., None]).sum(axis=1) - observed.centers
    np.testing.assert_allclose(mean[column < 2], 0, atol=1e-6)
    cut = mean[column == 2]
    np.testing.assert_allclose(cut, np.broadcast_to([-0.5625, 0, 0], cut.shape), atol=1e-6)
    expected = [slice_wall[:, :3].sum() / slice_wall.sum() for slice_wall in make_stack().wall]
    np.testing.assert_allclose(found.overlap, expected, rtol=1e-5)


def test_slices_that_miss_the_mesh_are_reported():
    stack = make_stack()
    stack.wall[0] = 0
    observed = observe([stack])
    found = quadrature(observed, lambda points: points[:, 2] < 45)
    assert np.isnan(found.overlap[0])
    assert found.overlap[1:].tolist() == [1, 0]
    warnings = overlap_warnings(observed, found)
    assert len(warnings) == 1
    assert "Slice 3 of stack 1: only 0%" in warnings[0]


def test_stacks_of_any_orientation_sit_together():
    short, long = make_stack(), make_stack((1, 6, 6), (1.0, 1.0, 6.0), 6.0, rotation())
    observed = observe([short, long])
    assert len(observed) == short.wall.size + long.wall.size
    assert [plane.stack for plane in observed.planes] == [0, 0, 0, 1]
    assert observed.slice_id[-1] == 3
    np.testing.assert_array_equal(observed.centers[-36:], observe([long]).centers)
    normal = observed.planes[3].normal
    across = (quadrature(observed).points[-36:] - observed.centers[-36:, None]) @ normal
    np.testing.assert_allclose(np.abs(across).max(), 2.25)


def test_the_normal_crosses_the_slice_also_in_left_handed_stacks():
    for turn in (rotation(), rotation() @ np.diag([-1.0, 1, 1])):
        plane = planes_of(make_stack(turn=turn))[1]
        np.testing.assert_allclose([plane.normal @ plane.u, plane.normal @ plane.v], 0, atol=1e-12)
        np.testing.assert_allclose(plane.normal, turn[:, 2], atol=1e-12)
        np.testing.assert_allclose(np.linalg.norm(plane.v), 2.0)


def test_the_order_of_a_files_axes_does_not_matter():
    stack = make_stack(turn=rotation())
    expected = None
    for axes in ((0, 1, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)):
        for flips in ((1, 1, 1), (1, -1, 1), (-1, -1, -1)):
            order = np.eye(4)
            order[:3, :3] = 0
            for new, old in enumerate(axes):  # array axis `new` is the old axis `old`; ijk counts from the other end
                order[2 - old, 2 - new] = flips[new]
                order[2 - old, 3] += 0 if flips[new] == 1 else stack.wall.shape[old] - 1
            steps = tuple(slice(None, None, flip) for flip in flips)
            parts = [
                canonical(Volume(array.transpose(axes)[steps], stack.ijk_to_ras @ order), axes.index(0))
                for array in (stack.wall, stack.scar)
            ]
            same = observe([Stack(parts[0].array, parts[1].array, parts[0].ijk_to_ras, stack.thickness)])
            points = quadrature(same).points
            expected = expected or (same, points)
            np.testing.assert_array_equal(same.y, expected[0].y)
            np.testing.assert_array_equal(same.centers, expected[0].centers)
            np.testing.assert_array_equal(points, expected[1])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"wall": np.zeros((3, 4, 5), np.float32)}, "no pixel holds myocardium"),
        ({"scar": np.full((3, 4, 5), np.nan, np.float32)}, "scar fractions"),
        ({"scar": np.full((3, 4, 5), 2, np.float32)}, "scar fractions"),
        ({"wall": np.full((3, 4, 5), -1, np.float32)}, "no pixel holds myocardium"),
        ({"wall": np.full((3, 4, 5), 7, np.float32)}, "wall fractions"),
        ({"scar": np.zeros((3, 4, 4), np.float32)}, "equal 3D shapes"),
        ({"thickness": 0.0}, "slice thickness"),
        ({"thickness": float("nan")}, "slice thickness"),
    ],
)
def test_bad_stacks_are_refused_with_a_reason(change, words):
    with pytest.raises(InputError, match=words):
        observe([replace(make_stack(), **change)])


def test_no_stack_is_refused():
    with pytest.raises(InputError, match="no slices"):
        observe([])


def test_nan_in_the_wall_is_refused():
    stack = make_stack()
    stack.wall[1, 1, 1] = np.nan
    with pytest.raises(InputError, match="wall fractions"):
        observe([stack])


def test_scar_has_no_meaning_outside_the_wall():
    stack = make_stack()
    stack.wall[0, 0, 0] = 0
    stack.scar[0, 0, 0] = np.nan
    assert np.isfinite(observe([stack]).y).all()
