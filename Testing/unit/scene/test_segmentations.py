"""Segmentation nodes: masks, names, colors and terminology, on the grid that is asked for."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import slicer
import vtk

from deeprecon.data.errors import InputError
from deeprecon.data.segmentation import Segment, Segmentation, read_segmentation, write_segmentation
from deeprecon.data.volume import Volume
from deeprecon.scar.read.roles import role_of
from deeprecon.scene.nodes.segmentations import (
    node_from_segmentation,
    segment_volume,
    segmentation_from_node,
)
from deeprecon.scene.nodes.volumes import node_from_volume
from deeprecon.scene.scar.segments import find_segments

TERMINOLOGY = (
    "Segmentation category and type - 3D Slicer General Anatomy list~SCT^85756007^Tissue~SCT^74281007^Myocardium~^^~"
    "Anatomic codes - DICOM master list~^^~^^"
)
AFFINE = np.array([[0.0, 1.4, 0, 5], [-0.9, 0, 0, 6], [0, 0, 8, -7], [0, 0, 0, 1]])


def segmentation(affine: np.ndarray = AFFINE) -> Segmentation:
    wall, scar = np.zeros((4, 6, 7), bool), np.zeros((4, 6, 7), bool)
    wall[1:3, 1:5, 1:6] = True
    scar[2, 2, 2:4] = True
    empty = np.zeros((4, 6, 7), bool)
    return Segmentation(
        (
            Segment("LV Myocardium", wall, (0.7, 0.35, 0.3), TERMINOLOGY),
            Segment("Scar", scar, (1.0, 0.8, 0.0)),
            Segment("No-reflow", empty, (0.2, 0.2, 0.6)),
        ),
        affine,
        "given",
    )


def assert_same(back: Segmentation, given: Segmentation) -> None:
    assert back.names == given.names
    np.testing.assert_allclose(back.ijk_to_ras, given.ijk_to_ras, atol=1e-6)
    for got, wanted in zip(back.segments, given.segments, strict=True):
        np.testing.assert_array_equal(got.mask, wanted.mask)
        np.testing.assert_allclose(got.color, wanted.color, atol=1e-6)
        assert got.terminology == wanted.terminology or not wanted.terminology  # the scene fills in "Tissue"


def test_a_segmentation_is_read_back_completely(scene: Any) -> None:
    assert_same(segmentation_from_node(node_from_segmentation(segmentation(), "heart")), segmentation())


@pytest.mark.parametrize("signs", list(itertools.product((1, -1), repeat=3)))
@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_masks_keep_their_place_for_every_axis_order(
    scene: Any, order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    affine = np.eye(4)
    affine[:3, :3] = (np.eye(3)[:, order] * signs) @ np.diag([0.9, 1.4, 8.0])
    affine[:3, 3] = (11, -12, 13)
    assert_same(segmentation_from_node(node_from_segmentation(segmentation(affine), "heart")), segmentation(affine))


def test_a_file_written_by_the_library_opens_in_the_scene(scene: Any, tmp_path: Path) -> None:
    write_segmentation(tmp_path / "heart.seg.nrrd", segmentation())
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(tmp_path / "heart.seg.nrrd"))
    assert storage.ReadData(node)
    image = node_from_volume(Volume(np.zeros((4, 6, 7), np.int16), AFFINE), "LGE")
    assert_same(segmentation_from_node(node, image), segmentation())


def test_a_file_written_by_the_scene_is_read_by_the_library(scene: Any, tmp_path: Path) -> None:
    node = node_from_segmentation(segmentation(), "heart")
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(tmp_path / "heart.seg.nrrd"))
    assert storage.WriteData(node)
    back = read_segmentation(tmp_path / "heart.seg.nrrd")
    volume, wanted = back.volume("LV Myocardium"), segmentation().volume("LV Myocardium")
    np.testing.assert_allclose(
        sorted(map(tuple, volume.to_ras(np.argwhere(volume.array)[:, ::-1]))),
        sorted(map(tuple, wanted.to_ras(np.argwhere(wanted.array)[:, ::-1]))),
        atol=1e-4,
    )
    assert back.segments[0].terminology == TERMINOLOGY


def test_segments_may_overlap(scene: Any) -> None:
    full = np.ones((4, 6, 7), bool)
    both = Segment("a", full, (1, 0, 0)), Segment("b", full, (0, 1, 0))
    given = Segmentation((*both, *segmentation().segments), AFFINE)
    assert_same(segmentation_from_node(node_from_segmentation(given, "heart")), given)


def test_a_segment_is_put_on_the_grid_of_a_volume(scene: Any) -> None:
    node = node_from_segmentation(segmentation(), "heart")
    smaller = AFFINE.copy()
    smaller[:3, 3] += AFFINE[:3, :3] @ (1, 1, 2)
    image = node_from_volume(Volume(np.zeros((5, 3, 4), np.int16), smaller), "LGE")
    scar = segment_volume(node, find_segments(node)["scar"], image)
    expected = np.zeros((5, 3, 4), np.uint8)
    expected[0, 1, 1:3] = 1
    np.testing.assert_array_equal(scar.array, expected)
    np.testing.assert_allclose(scar.ijk_to_ras, smaller, atol=1e-9)


def test_a_finer_grid_takes_the_nearest_voxel(scene: Any) -> None:
    node = node_from_segmentation(segmentation(), "heart")
    fine = AFFINE @ np.diag([0.5, 0.5, 0.5, 1])
    fine[:3, 3] = AFFINE[:3, 3] + AFFINE[:3, :3] @ (-0.25, -0.25, -0.25)
    image = node_from_volume(Volume(np.zeros((8, 12, 14), np.uint8), fine), "fine")
    wall = segment_volume(node, find_segments(node)["myocardium"], image)
    np.testing.assert_array_equal(wall.array, np.kron(segmentation().segments[0].mask, np.ones((2, 2, 2))))


def test_linear_transforms_move_segmentation_and_reference(scene: Any) -> None:
    node = node_from_segmentation(segmentation(), "heart")
    image = node_from_volume(Volume(np.zeros((4, 6, 7), np.int16), AFFINE), "LGE")
    matrix = np.array([[0.0, -1, 0, 3], [1, 0, 0, 4], [0, 0, 1, 5], [0, 0, 0, 1]])
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    slicer.util.updateTransformMatrixFromArray(transform, matrix)
    node.SetAndObserveTransformNodeID(transform.GetID())
    moved = segmentation_from_node(node)
    assert_same(moved, segmentation(matrix @ AFFINE))
    image.SetAndObserveTransformNodeID(transform.GetID())
    assert_same(segmentation_from_node(node, image), segmentation(matrix @ AFFINE))
    image.SetAndObserveTransformNodeID(None)
    assert not np.array_equal(segmentation_from_node(node, image).segments[0].mask, segmentation().segments[0].mask)


def test_a_non_linear_transform_is_refused(scene: Any) -> None:
    node = node_from_segmentation(segmentation(), "Heart")
    node.SetAndObserveTransformNodeID(scene.AddNewNodeByClass("vtkMRMLBSplineTransformNode", "Bend").GetID())
    with pytest.raises(InputError, match="Heart has the non-linear parent transform Bend"):
        segment_volume(node, find_segments(node)["scar"])


def surface_node(scene: Any) -> Any:
    sphere = vtk.vtkSphereSource()
    sphere.SetRadius(10)
    sphere.SetThetaResolution(40)
    sphere.SetPhiResolution(40)
    sphere.Update()
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "contours")
    node.CreateDefaultDisplayNodes()
    node.GetSegmentation().SetSourceRepresentationName("Closed surface")
    node.AddSegmentFromClosedSurfaceRepresentation(sphere.GetOutput(), "wall", [1, 0, 0])
    return node


def test_a_surface_becomes_voxels_without_changing_the_node(scene: Any) -> None:
    node = surface_node(scene)
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = -15
    image = node_from_volume(Volume(np.zeros((31, 31, 31), np.uint8), affine), "grid")
    wall = segment_volume(node, find_segments(node)["myocardium"], image)
    assert wall.array.shape == (31, 31, 31)
    assert wall.array.sum() == pytest.approx(4 / 3 * np.pi * 10**3, rel=0.05)
    assert not node.GetSegmentation().ContainsRepresentation("Binary labelmap")


def test_a_segmentation_without_reference_gets_the_box_around_its_segments(scene: Any) -> None:
    node = node_from_segmentation(segmentation(), "heart")
    node.GetSegmentation().SetConversionParameter(
        slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName(), ""
    )
    wall = segment_volume(node, find_segments(node)["myocardium"])
    assert wall.array.shape == (2, 4, 5)
    np.testing.assert_allclose(wall.to_ras((0, 0, 0)), segmentation().volume("LV Myocardium").to_ras((1, 1, 1)))


def test_an_empty_segmentation_is_refused(scene: Any) -> None:
    with pytest.raises(InputError, match="Nothing holds no segment"):
        segmentation_from_node(scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Nothing"))


def test_a_missing_segment_is_named(scene: Any) -> None:
    node = node_from_segmentation(segmentation(), "heart")
    with pytest.raises(InputError, match="no segment nonsense"):
        segment_volume(node, "nonsense")


def test_a_rerun_replaces_the_segments_of_the_node(scene: Any) -> None:
    node = node_from_segmentation(segmentation(), "first")
    other = Segmentation((Segment("only", np.ones((2, 2, 2), bool), (1, 0, 0)),), np.eye(4))
    assert node_from_segmentation(other, "second", None, node) is node
    assert_same(segmentation_from_node(node), other)
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 1
    assert scene.GetNumberOfNodesByClass("vtkMRMLSegmentationDisplayNode") == 1


def test_segments_have_the_slice_thickness_of_their_source_volume(scene: Any) -> None:
    image = node_from_volume(Volume(np.zeros((4, 6, 7), np.int16), AFFINE, "LGE", 6.5), "LGE")
    node = node_from_segmentation(segmentation(), "heart", image)
    assert segment_volume(node, find_segments(node)["scar"]).slice_thickness == 6.5
    assert segmentation_from_node(node).slice_thickness == 6.5
    assert segmentation_from_node(node_from_segmentation(segmentation(), "alone")).slice_thickness is None


def test_the_reference_volume_is_noted_on_the_node(scene: Any) -> None:
    image = node_from_volume(Volume(np.zeros((4, 6, 7), np.int16), AFFINE), "LGE")
    node = node_from_segmentation(segmentation(), "heart", image)
    assert node.GetNodeReference(node.GetReferenceImageGeometryReferenceRole()) is image


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("Myocardium", "myocardium"),
        ("LV_wall", "myocardium"),
        ("LV Myo", "myocardium"),
        ("Healthy myocardium", "myocardium"),
        ("Scar (5 SD)", "scar"),
        ("INFARCT", "scar"),
        ("myocardial fibrosis", "scar"),
        ("LGE", "scar"),
        ("no-reflow", "no-reflow"),
        ("MVO", "no-reflow"),
        ("NoReflow", "no-reflow"),
        ("microvascular obstruction", "no-reflow"),
        ("Blood pool", "blood-pool"),
        ("BloodPool", "blood-pool"),
        ("LV cavity", "blood-pool"),
        ("left ventricular blood pool", "blood-pool"),
        ("RV blood pool", "right-blood-pool"),
        ("right ventricular cavity", "right-blood-pool"),
        ("RV", "right-blood-pool"),
        ("right ventricle", "right-blood-pool"),
        ("right atrium blood", None),
        ("Scar border zone", "border-zone"),
        ("Grey Zone", "border-zone"),
        ("peri-infarct", "border-zone"),
        ("BZ", "border-zone"),
        ("Scar core", "core"),
        ("InfarctCore", "core"),
        ("dense scar", "core"),
        ("RV scar core", None),
        ("RV border zone", None),
        ("RV insertion", None),
        ("score", None),
        ("Remote", "remote"),
        ("remote myocardium", "remote"),
        ("Scarlet", None),
        ("RV wall", None),
        ("Segment_1", None),
        ("", None),
        ("wallpaper", None),
    ],
)
def test_names_denote_roles(name: str, role: str | None) -> None:
    assert role_of(name) == role


def test_segments_are_found_by_name(scene: Any) -> None:
    node = node_from_segmentation(segmentation(), "heart")
    found = {role: node.GetSegmentation().GetSegment(key).GetName() for role, key in find_segments(node).items()}
    assert found == {"myocardium": "LV Myocardium", "scar": "Scar", "no-reflow": "No-reflow"}
