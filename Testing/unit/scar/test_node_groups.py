"""The mesh nodes in each pixel's prism, and the file of training data."""

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.data.errors import InputError
from deeprecon.scar.observe.alignment.pose import still
from deeprecon.scar.observe.node_groups import group_nodes, training_groups
from deeprecon.scar.observe.observations import observe
from deeprecon.scar.observe.stacks import Stack
from deeprecon.scar.read.training_data import NodeGroups, read_training_data
from deeprecon.scar.write.training_data import write_training_data

from ..data.orientations import rotation


def make_stack(shape: tuple[int, int, int] = (3, 4, 5), matrix: np.ndarray | None = None, thickness=6.0) -> Stack:
    """Pixels of 2 x 3 mm in slices 8 mm apart, each with a value of its own; the first pixels show no scar."""
    matrix = np.diag([2.0, 3.0, 8.0, 1.0]) if matrix is None else matrix
    scar = (np.arange(np.prod(shape)) / np.prod(shape)).reshape(shape).astype(np.float32)
    scar[0] = 0
    return Stack(np.ones(shape, np.float32), scar, matrix, thickness)


def oblique() -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation((20.0, -35.0, 50.0)) @ np.diag([2.0, 3.0, 8.0])
    matrix[:3, 3] = 30.0, -20.0, 11.0
    return matrix


def cloud(stack: Stack, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Points all over the stack and a little beyond, with their continuous indices (i, j, k)."""
    size = np.array(stack.wall.shape[::-1])
    ijk = np.random.default_rng(0).uniform(-1.5, size + 0.5, (count, 3))
    return ijk @ stack.ijk_to_ras[:3, :3].T + stack.ijk_to_ras[:3, 3], ijk


def members(groups: NodeGroups, node: int) -> list[float]:
    """Values of the groups that a node is in."""
    assert groups.nodes is not None
    return np.repeat(groups.values, groups.sizes)[groups.nodes == node].tolist()


def few() -> NodeGroups:
    stack = make_stack(matrix=oblique())
    return group_nodes(cloud(stack, 500)[0], [stack])


# ---- groups


def test_a_pixel_reaches_half_a_pixel_and_half_the_slab_to_either_side_of_its_center():
    """Faults 1 and 2: value and group from two kinds of rounding, both half a voxel off."""
    stack = make_stack()
    center = np.array([2 * 2.0, 1 * 3.0, 1 * 8.0])
    value = stack.scar[1, 1, 2]
    for axis, half in enumerate((1.0, 1.5, 3.0)):
        for sign, (factor, own) in itertools.product((-1, 1), ((0.99, True), (1.01, False))):
            node = center.copy()
            node[axis] += sign * factor * half
            groups = group_nodes(np.vstack([node, center]), [stack])
            assert (members(groups, 0) == [value]) is own, (axis, sign, factor)


@pytest.mark.parametrize("matrix", [None, oblique()], ids=["straight", "oblique"])
def test_every_node_is_in_the_pixel_whose_prism_holds_it(matrix):
    """Faults 1, 2 and 3: checked by the continuous index that each point was made from; oblique slices too."""
    stack = make_stack(matrix=matrix)
    points, ijk = cloud(stack)
    groups = group_nodes(points, [stack])
    index = np.rint(ijk).astype(int)
    inside = ((index >= 0) & (index < stack.wall.shape[::-1])).all(axis=1)
    inside &= np.abs(ijk[:, 2] - index[:, 2]) < 3 / 8
    expected = {node: stack.scar[tuple(index[node, ::-1])] for node in np.flatnonzero(inside)}
    found = dict(zip(groups.nodes.tolist(), np.repeat(groups.values, groups.sizes).tolist(), strict=True))
    assert len(groups.nodes) == len(found), "slabs that do not overlap share no node"
    assert found == pytest.approx(expected)
    np.testing.assert_array_equal(groups.points, points[groups.nodes])


def test_oblique_pixels_are_assigned_correctly():
    matrix = oblique()
    matrix[:3, 1] += 0.5 * matrix[:3, 0]
    stack = make_stack(matrix=matrix)
    points, ijk = cloud(stack)
    groups = group_nodes(points, [stack])
    index = np.rint(ijk[groups.nodes]).astype(int)
    np.testing.assert_array_equal(np.repeat(groups.values, groups.sizes), stack.scar[tuple(index.T[::-1])])


def test_nodes_in_gaps_belong_to_no_group_and_the_thickness_given_counts():
    """Faults 6 and 16: a thickness that is ignored, and gaps that are forced into the slab's mean."""
    points, ijk = cloud(make_stack())
    depth = np.abs(ijk[:, 2] - np.rint(ijk[:, 2])) * 8
    for thickness in (2.0, 5.0):
        groups = group_nodes(points, [make_stack(thickness=thickness)])
        assert depth[groups.nodes].max() < thickness / 2
        assert depth[groups.nodes].max() > 0.49 * thickness


@pytest.mark.parametrize("equal", [True, False])
def test_a_node_where_slabs_overlap_is_in_both_groups_whatever_their_values(equal):
    """Fault 8: a node that is dropped or kept twice depending on the values."""
    stack = make_stack(thickness=10.0)
    if equal:
        stack.scar[:] = 0.5
    node = np.array([4.0, 3.0, 4.0])  # half way between the first two slices
    groups = group_nodes(np.vstack([node, [0, 0, 0]]), [stack])
    assert members(groups, 0) == [stack.scar[0, 1, 2], stack.scar[1, 1, 2]]


def test_slices_of_several_stacks_come_in_the_order_of_the_observations():
    stacks = [
        make_stack(),
        replace(make_stack(matrix=oblique()), wall=np.eye(4, 5, dtype=np.float32)[None].repeat(3, 0)),
    ]
    points = np.vstack([cloud(stack)[0] for stack in stacks])
    groups = group_nodes(points, stacks)
    observed = observe(stacks)
    np.testing.assert_array_equal(groups.values, observed.y[groups.numbers])
    assert (np.diff(groups.numbers) > 0).all()
    assert groups.numbers.max() >= stacks[0].wall.size
    means = np.add.reduceat(groups.points, groups.offsets[:-1]) / groups.sizes[:, None]
    assert np.linalg.norm(means - observed.centers[groups.numbers], axis=1).max() < 4


def test_no_scar_is_data_and_only_pixels_without_wall_are_left_out():
    stack = make_stack()
    stack.wall[1] = 0
    groups = group_nodes(cloud(stack)[0], [stack])
    assert (groups.values == 0).sum() == stack.wall[0].size
    assert len(groups) == stack.wall[[0, 2]].size


def test_values_are_fractions_of_scar_whatever_the_rest_of_the_image_holds():
    """Fault 7: values scaled by the smallest and largest of the image, blood and all."""
    stack = make_stack()
    stack.wall[:, 0] = 0
    points = cloud(stack)[0]
    plain = group_nodes(points, [stack])
    stack.scar[:, 0] = 1000.0
    np.testing.assert_array_equal(group_nodes(points, [stack]).values, plain.values)
    assert 0.0 < plain.values.max() < 1.0


def test_a_moved_slice_takes_its_groups_along():
    stack = make_stack(matrix=oblique())
    points = cloud(stack)[0]
    motion = still(stack)
    motion.matrices[1, :3, 3] = stack.ijk_to_ras[:3, 0]  # by one pixel along i
    moved = replace(stack, motion=motion)
    before, found = group_nodes(points, [stack]), group_nodes(points, [moved])
    for groups, step in ((before, 0), (found, 1)):
        at = points[groups.nodes] - stack.ijk_to_ras[:3, 3]
        ijk = at @ np.linalg.inv(stack.ijk_to_ras[:3, :3]).T
        values = np.repeat(groups.values, groups.sizes)
        second = np.rint(ijk[:, 2]) == 1
        index = np.rint(ijk[second] - [step, 0, 0]).astype(int)
        np.testing.assert_array_equal(values[second], stack.scar[tuple(index.T[::-1])])


def test_the_box_is_a_cube_around_all_nodes_those_in_gaps_too():
    """Fault 9: one scale for each axis, fitted to the constrained nodes alone."""
    stack = make_stack()
    points = np.vstack([cloud(stack)[0], [[4.0, 3.0, -90.0], [4.0, 3.0, 100.0]]])
    low, high = group_nodes(points, [stack]).box
    np.testing.assert_allclose(high - low, 190.0)
    assert (points >= low - 1e-9).all()
    assert (points <= high + 1e-9).all()


def test_a_mesh_elsewhere_is_refused():
    with pytest.raises(InputError, match="No node of the mesh"):
        training_groups(cloud(make_stack())[0] + 1000, [make_stack()])


# ---- the file


def test_a_file_comes_back_as_it_was_written(tmp_path):
    groups = few()
    first, second = tmp_path / "a.npz", tmp_path / "b.npz"
    write_training_data(first, groups)
    back = read_training_data(first)
    np.testing.assert_array_equal(back.values, groups.values)
    np.testing.assert_array_equal(back.offsets, groups.offsets)
    np.testing.assert_array_equal(back.box, groups.box)
    np.testing.assert_allclose(back.points, groups.points, atol=1e-5)
    write_training_data(second, back)
    with np.load(first) as one, np.load(second) as other:
        assert set(one) == set(other)
        for name in one:
            assert one[name].dtype == other[name].dtype
            np.testing.assert_array_equal(one[name], other[name])


def test_the_file_keeps_the_contract(tmp_path):
    groups = few()
    write_training_data(tmp_path / "data.npz", groups)
    n, m = len(groups.points), len(groups)
    with np.load(tmp_path / "data.npz", allow_pickle=False) as file:
        kinds = {name: (array.shape, array.dtype.name) for name, array in file.items()}
        assert kinds == {
            "coordinates": ((n, 3), "float32"),
            "intensities": ((n, 1), "float32"),
            "group_ids": ((n,), "int32"),
            "group_sizes": ((m,), "int32"),
            "scaler_min": ((3,), "float64"),
            "scaler_max": ((3,), "float64"),
        }
        assert 0 <= file["coordinates"].min() < file["coordinates"].max() <= 1
        np.testing.assert_array_equal(np.unique(file["group_ids"]), np.arange(m))
        low, high = file["scaler_min"], file["scaler_max"]
        np.testing.assert_allclose(file["coordinates"] * (high - low) + low, groups.points, atol=1e-5)


def written(path: Path, **changes: Any) -> Path:
    """A file of six nodes in three groups, with a scale of its own for each axis, and changes."""
    arrays: dict[str, Any] = {
        "coordinates": np.linspace(0, 1, 18, dtype=np.float32).reshape(6, 3),
        "intensities": np.array([[0.5], [0.0], [1.0], [0.5], [0.5], [0.0]], np.float32),
        "group_ids": np.array([1, 0, 2, 1, 1, 0], np.int32),
        "group_sizes": np.array([2, 3, 1], np.int32),
        "scaler_min": np.array([-10.0, 0.0, 5.0], np.float32),
        "scaler_max": np.array([90.0, 50.0, 30.0], np.float32),
    }
    arrays |= changes
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def test_rows_in_any_order_are_read(tmp_path):
    groups = read_training_data(written(tmp_path / "data.npz"))
    np.testing.assert_array_equal(groups.values, [0.0, 0.5, 1.0])
    np.testing.assert_array_equal(groups.offsets, [0, 2, 5, 6])
    coordinates = np.linspace(0, 1, 18).reshape(6, 3)[[1, 5, 0, 3, 4, 2]]
    np.testing.assert_allclose(groups.points, coordinates * [100.0, 50.0, 25.0] + [-10.0, 0.0, 5.0], atol=1e-5)
    assert groups.nodes is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scaler_max": None}, "lacks scaler_max"),
        ({"coordinates": np.zeros((6, 2), np.float32)}, r"coordinates has the shape \(6, 2\)"),
        ({"coordinates": np.full((6, 3), np.nan, np.float32)}, "coordinates holds what is no finite number"),
        ({"coordinates": np.full((6, 3), 40.0, np.float32)}, "coordinates must lie within 0 and 1"),
        ({"intensities": np.zeros(6, np.float32)}, "intensities has the shape"),
        ({"intensities": np.full((6, 1), 255.0, np.float32)}, "intensities must lie within 0 and 1, found 255"),
        ({"intensities": np.linspace(0, 1, 6, dtype=np.float32)[:, None]}, "group 0 has several values"),
        ({"group_ids": np.array([1, 0, 3, 1, 1, 0])}, "not numbered from 0 to 2"),
        ({"group_ids": np.array([1, 0, -1, 1, 1, 0])}, "not numbered from 0 to 2"),
        ({"group_ids": np.array([1.0, 0, 2, 1, 1, 0])}, "group_ids holds no whole numbers"),
        ({"group_sizes": np.array([2, 2, 2])}, "group_sizes does not count"),
        ({"group_ids": np.array([1, 0, 0, 1, 1, 0]), "group_sizes": np.array([3, 3, 0])}, "does not count"),
        ({"group_ids": np.zeros((6, 1), int)}, "group_ids has the shape"),
        ({"scaler_max": np.array([90.0, 0.0, 30.0])}, "scaler_max does not exceed"),
        ({"scaler_min": np.array(["a", "b", "c"])}, "scaler_min holds what is no finite number"),
        (
            {
                "coordinates": np.zeros((0, 3), np.float32),
                "intensities": np.zeros((0, 1), np.float32),
                "group_ids": np.zeros(0, int),
                "group_sizes": np.zeros(0, int),
            },
            "not numbered",
        ),
    ],
)
def test_inconsistent_files_are_refused_by_name(changes, words, tmp_path):
    path = written(tmp_path / "bad data.npz", **changes)
    with pytest.raises(InputError, match=words) as caught:
        read_training_data(path)
    assert "bad data.npz" in caught.value.message


def test_several_values_in_one_group_are_refused_not_drawn_from(tmp_path):
    """Fault 13: the target is whichever value is written last."""
    values = np.array([[0.5], [0.0], [1.0], [0.25], [0.5], [0.0]], np.float32)
    with pytest.raises(InputError, match="group 1 has several values"):
        read_training_data(written(tmp_path / "data.npz", intensities=values))


class Trap:
    """Makes a folder where it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.folder),)


def test_a_pickle_in_a_file_is_not_run(tmp_path):
    """Fault 15, of training data."""
    trap = np.array([Trap(tmp_path / "sprung")] * 6, object)
    path = written(tmp_path / "data.npz", intensities=trap)
    with pytest.raises(InputError, match="damaged, or holds more than numbers"):
        read_training_data(path)
    assert not (tmp_path / "sprung").exists()


def test_files_that_are_no_npz_are_refused(tmp_path):
    (tmp_path / "text.npz").write_text("no numbers", encoding="utf-8")
    np.save(tmp_path / "one.npy", np.zeros(3))
    whole = written(tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    for name, words in (
        ("text.npz", "damaged"),
        ("one.npy", "no .npz"),
        ("cut.npz", "damaged"),
        ("gone.npz", "no file"),
    ):
        with pytest.raises(InputError, match=words):
            read_training_data(tmp_path / name)
