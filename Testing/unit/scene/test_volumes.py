"""Volume nodes and volumes: the same voxels at the same places, whatever the axes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import slicer
import vtk

from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume
from deeprecon.scene.nodes.volumes import node_from_volume, volume_from_node


def rotation(a: float, b: float, c: float) -> np.ndarray:
    transform = vtk.vtkTransform()
    transform.RotateX(a)
    transform.RotateY(b)
    transform.RotateZ(c)
    return np.array([[transform.GetMatrix().GetElement(i, j) for j in range(3)] for i in range(3)])


OBLIQUE = rotation(20, -35, 50)
ORDERS = [
    pytest.param(order, signs, id=f"{order}{signs}")
    for order in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]


def volume(order: tuple[int, ...] = (0, 1, 2), signs: tuple[int, ...] = (1, 1, 1)) -> Volume:
    affine = np.eye(4)
    for column, (axis, sign) in enumerate(zip(order, signs, strict=True)):
        affine[:3, column] = OBLIQUE[:, axis] * sign * (1.3, 0.7, 8.0)[column]
    affine[:3, 3] = (-31.25, 12.5, 101.0)
    array = np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5) - 20
    return Volume(array, affine, "given")


@pytest.mark.parametrize(("order", "signs"), ORDERS)
def test_voxels_keep_their_place_for_every_axis_order(
    scene: Any, order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    given = volume(order, signs)
    back = volume_from_node(node_from_volume(given, "image"))
    np.testing.assert_array_equal(back.array, given.array)
    np.testing.assert_allclose(back.ijk_to_ras, given.ijk_to_ras, atol=1e-9)


@pytest.mark.parametrize("kind", ["?", "u1", "i1", "u2", "i4", "i8", "f2", "f4", "f8", ">f4"])
def test_values_survive_every_number_type(scene: Any, kind: Any) -> None:
    array = (np.arange(24).reshape(2, 3, 4) % 2).astype(kind)
    node = node_from_volume(Volume(array, np.eye(4)), "image")
    np.testing.assert_array_equal(volume_from_node(node).array, array)


def test_integers_beyond_32_bits_become_floating_point_numbers(scene: Any) -> None:
    array = np.full((1, 2, 2), 2**40, np.int64)
    assert (volume_from_node(node_from_volume(Volume(array, np.eye(4)), "image")).array == 2**40).all()


def test_later_changes_of_the_node_do_not_reach_the_volume(scene: Any) -> None:
    node = node_from_volume(volume(), "image")
    taken = volume_from_node(node)
    slicer.util.arrayFromVolume(node)[:] = 0
    np.testing.assert_array_equal(taken.array, volume().array)


def test_a_rerun_replaces_the_image_of_the_node(scene: Any) -> None:
    node = node_from_volume(volume(), "first")
    display = node.GetDisplayNodeID()
    other = Volume(np.ones((2, 2, 2), np.float32), np.diag([2.0, 2, 2, 1]))
    assert node_from_volume(other, "second", node) is node
    assert (node.GetName(), node.GetDisplayNodeID()) == ("second", display)
    assert volume_from_node(node).array.shape == (2, 2, 2)
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 1


def under_transform(scene: Any, node: Any, matrix: np.ndarray) -> Any:
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    slicer.util.updateTransformMatrixFromArray(transform, matrix)
    node.SetAndObserveTransformNodeID(transform.GetID())
    return transform


def moving() -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation(-10, 5, 80)
    matrix[:3, 3] = (5, -6, 7)
    return matrix


def test_linear_parent_transforms_move_the_geometry(scene: Any) -> None:
    node = node_from_volume(volume(), "image")
    outer = under_transform(scene, node, moving())
    under_transform(scene, outer, moving())
    moved = volume_from_node(node)
    np.testing.assert_allclose(moved.ijk_to_ras, moving() @ moving() @ volume().ijk_to_ras, atol=1e-9)
    np.testing.assert_array_equal(moved.array, volume().array)


def test_a_hardened_transform_gives_the_same_geometry(scene: Any) -> None:
    node = node_from_volume(volume(), "image")
    under_transform(scene, node, moving())
    before = volume_from_node(node).ijk_to_ras
    node.HardenTransform()
    np.testing.assert_allclose(volume_from_node(node).ijk_to_ras, before, atol=1e-9)


def test_a_result_leaves_the_transform_of_the_node_that_it_replaces(scene: Any) -> None:
    node = node_from_volume(volume(), "image")
    under_transform(scene, node, moving())
    node_from_volume(volume(), "image", node)
    np.testing.assert_allclose(volume_from_node(node).ijk_to_ras, volume().ijk_to_ras, atol=1e-9)


def test_a_non_linear_transform_is_refused(scene: Any) -> None:
    node = node_from_volume(volume(), "Patient LGE")
    bend = scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "Bend")
    node.SetAndObserveTransformNodeID(bend.GetID())
    with pytest.raises(InputError, match=r"Patient LGE has the non-linear parent transform Bend.*Harden"):
        volume_from_node(node)


def test_a_transform_that_shears_is_refused(scene: Any) -> None:
    node = node_from_volume(volume(), "image")
    matrix = np.eye(4)
    matrix[0, 1] = 0.2
    under_transform(scene, node, matrix)
    with pytest.raises(InputError, match="sheared"):
        volume_from_node(node)


def test_an_empty_volume_is_refused(scene: Any) -> None:
    with pytest.raises(InputError, match="Nothing holds no image"):
        volume_from_node(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Nothing"))


def test_a_color_image_is_refused(scene: Any) -> None:
    node = slicer.util.addVolumeFromArray(np.zeros((2, 2, 2, 3), np.uint8), nodeClassName="vtkMRMLVectorVolumeNode")
    with pytest.raises(InputError, match="color or vector"):
        volume_from_node(node)


def test_a_sheared_volume_adds_nothing_to_the_scene(scene: Any) -> None:
    affine = np.eye(4)
    affine[0, 1] = 0.5
    with pytest.raises(InputError):
        node_from_volume(Volume(np.zeros((2, 2, 2)), affine), "bad")
    assert scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == 0


def test_the_slice_thickness_is_kept_on_the_node(scene: Any) -> None:
    given = volume()
    thick = Volume(given.array, given.ijk_to_ras, "given", 6.5)
    node = node_from_volume(thick, "image")
    assert volume_from_node(node).slice_thickness == 6.5
    node_from_volume(given, "image", node)
    assert volume_from_node(node).slice_thickness is None


def test_the_slice_thickness_comes_from_the_dicom_database(scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Database:
        def instanceValue(self, instance: str, tag: str) -> str:
            return {("1.2", "0018,0050"): "8.5", ("1.4", "0018,0050"): "0"}.get((instance, tag), "")

    monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
    node = node_from_volume(volume(), "image")
    assert volume_from_node(node).slice_thickness is None
    node.SetAttribute("DICOM.instanceUIDs", "1.2 1.3")
    assert volume_from_node(node).slice_thickness == 8.5
    node.SetAttribute("DICOM.instanceUIDs", "1.4")
    assert volume_from_node(node).slice_thickness is None
