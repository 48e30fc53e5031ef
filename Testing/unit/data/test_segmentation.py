"""Segmentations, with Slicer's own storage node as the other reader and writer."""

from __future__ import annotations

import numpy as np
import pytest
import vtk

from deeprecon.data.errors import InputError
from deeprecon.data.formats.nrrd import read_nrrd
from deeprecon.data.segmentation import (
    Segment,
    Segmentation,
    is_label,
    read_segmentation,
    write_segmentation,
)
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume

from .orientations import image

TERMINOLOGY = (
    "Segmentation category and type - 3D Slicer General Anatomy list~SCT^85756007^Tissue~"
    "SCT^30756007^Scar~^^~Anatomic codes - DICOM master list~^^~^^"
)


def heart(overlap: bool = True) -> Segmentation:
    wall = np.zeros((4, 6, 5), bool)
    wall[1:3, 1:5, 1:4] = True
    scar = np.zeros_like(wall)
    scar[2, 2:4, 1:3] = True
    pool = np.zeros_like(wall)
    pool[0, 0, :2] = True
    myocardium = wall if overlap else wall & ~scar
    return Segmentation(
        (
            Segment("Myocardium", myocardium, (0.8, 0.2, 0.4)),
            Segment("Narbe é", scar, (1.0, 1.0, 0.0), TERMINOLOGY),
            Segment("blood pool", pool),
        ),
        image(angles=(25, -40, 65)).ijk_to_ras,
        "heart",
        6.5,
    )


def assert_same(found: Segmentation, expected: Segmentation) -> None:
    assert found.names == expected.names
    assert np.allclose(found.ijk_to_ras, expected.ijk_to_ras, atol=1e-6)
    assert found.slice_thickness == expected.slice_thickness
    for one, other in zip(found.segments, expected.segments, strict=True):
        assert np.array_equal(one.mask, other.mask)
        assert np.allclose(one.color, other.color, atol=1e-5)
        assert one.terminology == other.terminology


@pytest.mark.parametrize("overlap", [True, False])
def test_a_segmentation_comes_back(tmp_path, overlap):
    path = tmp_path / "Müller 心.seg.nrrd"
    write_segmentation(path, heart(overlap))
    assert_same(read_segmentation(path), heart(overlap))
    assert read_nrrd(path).array.ndim == (4 if overlap else 3)


def test_an_empty_segment_stays_apart(tmp_path):
    empty = Segment("scar", np.zeros((4, 6, 5), bool))
    full = Segment("wall", np.ones((4, 6, 5), bool))
    write_segmentation(tmp_path / "s.seg.nrrd", Segmentation((empty, full), np.eye(4)))
    found = read_segmentation(tmp_path / "s.seg.nrrd")
    assert not found.volume("scar").array.any()
    assert found.volume("wall").array.all()


def slicer_node(scene, path):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = scene.AddNewNodeByClass("vtkMRMLSegmentationStorageNode")
    storage.SetFileName(str(path))
    return node, storage


def slicer_points(node, segment_id) -> set[tuple[float, ...]]:
    """RAS positions, rounded, of the voxels of a segment as Slicer has it."""
    import slicer
    from vtk.util.numpy_support import vtk_to_numpy

    labels = slicer.vtkOrientedImageData()
    node.GetBinaryLabelmapRepresentation(segment_id, labels)
    matrix = vtk.vtkMatrix4x4()
    labels.GetImageToWorldMatrix(matrix)
    affine = np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
    extent = labels.GetExtent()
    shape = (extent[5] - extent[4] + 1, extent[3] - extent[2] + 1, extent[1] - extent[0] + 1)
    array = vtk_to_numpy(labels.GetPointData().GetScalars()).reshape(shape)
    ijk = np.argwhere(array != 0)[:, ::-1] + (extent[0], extent[2], extent[4])
    return {tuple(point) for point in np.round(ijk @ affine[:3, :3].T + affine[:3, 3], 2) + 0.0}


def own_points(segment: Segment, ijk_to_ras) -> set[tuple[float, ...]]:
    ijk = np.argwhere(segment.mask)[:, ::-1]
    return {tuple(point) for point in np.round(ijk @ ijk_to_ras[:3, :3].T + ijk_to_ras[:3, 3], 2) + 0.0}


@pytest.mark.parametrize("overlap", [True, False])
def test_slicer_reads_what_we_write(tmp_path, scene, overlap):
    expected = heart(overlap)
    write_segmentation(tmp_path / "s.seg.nrrd", expected)
    node, storage = slicer_node(scene, tmp_path / "s.seg.nrrd")
    assert storage.ReadData(node)
    segments = node.GetSegmentation()
    assert segments.GetNumberOfSegments() == 3
    for number, segment in enumerate(expected.segments):
        name = segments.GetNthSegmentID(number)
        found = segments.GetSegment(name)
        assert found.GetName() == segment.name
        assert np.allclose(found.GetColor(), segment.color, atol=1e-5)
        assert slicer_points(node, name) == own_points(segment, expected.ijk_to_ras)
    tag = vtk.reference("")
    assert segments.GetNthSegment(1).GetTag("TerminologyEntry", tag)
    assert tag.get() == TERMINOLOGY


@pytest.mark.parametrize("overlap", [True, False])
def test_we_read_what_slicer_writes_cropped_to_the_segments(tmp_path, scene, overlap):
    expected = heart(overlap)
    write_segmentation(tmp_path / "s.seg.nrrd", expected)
    node, storage = slicer_node(scene, tmp_path / "s.seg.nrrd")
    assert storage.ReadData(node)
    storage.SetFileName(str(tmp_path / "slicer.seg.nrrd"))
    if hasattr(storage, "SetCropToMinimumExtent"):
        storage.SetCropToMinimumExtent(True)
    assert storage.WriteData(node)
    found = read_segmentation(tmp_path / "slicer.seg.nrrd")
    assert found.names == expected.names
    assert found.segments[0].mask.shape != expected.segments[0].mask.shape or not hasattr(
        storage, "SetCropToMinimumExtent"
    )
    assert "30756007" in found.segments[1].terminology
    for one, other in zip(found.segments, expected.segments, strict=True):
        assert own_points(one, found.ijk_to_ras) == own_points(other, expected.ijk_to_ras)


def test_files_of_old_slicers_have_a_layer_a_segment(tmp_path):
    layers = np.zeros((2, 2, 3, 4), np.uint8)
    layers[0, 0, 1, 2] = layers[1, 1, 2, 3] = 1
    header = (
        "NRRD0004\ntype: unsigned char\ndimension: 4\nspace: left-posterior-superior\nsizes: 2 4 3 2\n"
        "space directions: none (-1,0,0) (0,-1,0) (0,0,8)\nkinds: list domain domain domain\nencoding: raw\n"
        "space origin: (0,0,0)\nSegment0_ID:=a\nSegment0_Name:=wall\nSegment0_Color:=1 0 0\n"
        "Segment1_ID:=b\nSegment1_Name:=scar\nSegment1_Color:=0 1 0\n\n"
    )
    (tmp_path / "s.seg.nrrd").write_bytes(header.encode() + np.moveaxis(layers, 0, 3).tobytes())
    found = read_segmentation(tmp_path / "s.seg.nrrd")
    assert np.argwhere(found.volume("wall").array).tolist() == [[0, 1, 2]]
    assert np.argwhere(found.volume("scar").array).tolist() == [[1, 2, 3]]


@pytest.mark.parametrize("ending", [".nii.gz", ".nrrd", ".mha"])
def test_a_label_volume_gives_segments_named_by_value(tmp_path, ending):
    labels = np.zeros((4, 6, 5), np.int16)
    labels[1], labels[2, 3] = 2, 14
    write_volume(tmp_path / f"l{ending}", Volume(labels, image().ijk_to_ras))
    found = read_segmentation(tmp_path / f"l{ending}")
    assert found.names == ("2", "14")
    assert np.array_equal(found.volume("14").array, labels == 14)


def test_names_are_found_whatever_their_capitals():
    assert heart().volume("myocardium").array.sum() == 24
    with pytest.raises(InputError, match="no segment named 'scar'") as error:
        heart().volume("scar")
    assert "Myocardium, Narbe é, blood pool" in error.value.hint


def test_a_name_given_twice_is_refused():
    twice = Segmentation((heart().segments[0], heart().segments[0]), np.eye(4))
    with pytest.raises(InputError, match="several"):
        twice.volume("Myocardium")


@pytest.mark.parametrize(
    ("array", "label"),
    [
        (np.array([[[0, 1, 3]]], np.int16), True),
        (np.array([[[0.0, 1.0, 3.0]]], np.float32), True),
        (np.array([[[False, True]]]), True),
        (np.array([[[0.0, 0.25, 1.0]]], np.float32), False),
        (np.array([[[0.0, 0.25, 1.5]]], np.float32), False),
        (np.arange(500, dtype=np.int16).reshape(5, 10, 10), False),
        (np.array([[[-3, 0, 1]]], np.int16), False),
        (np.array([[[0.0, 1.0, np.nan]]], np.float32), False),
    ],
)
def test_labels_are_told_from_fractions_and_intensities(array, label):
    assert is_label(Volume(array, np.eye(4))) == label


def test_intensities_are_no_segmentation(tmp_path):
    write_volume(tmp_path / "v.nrrd", image(shape=(8, 40, 40)))
    with pytest.raises(InputError, match="not a segmentation"):
        read_segmentation(tmp_path / "v.nrrd")


def test_names_with_backslashes_and_line_breaks_survive(tmp_path):
    name = "D:\\new\\\\n\nsecond line \\"
    segment = Segment(name, np.ones((2, 2, 2), bool))
    write_segmentation(tmp_path / "s.seg.nrrd", Segmentation((segment,), np.eye(4)))
    assert read_segmentation(tmp_path / "s.seg.nrrd").names == (name,)


def test_damaged_keys_are_named(tmp_path):
    write_segmentation(tmp_path / "s.seg.nrrd", heart())
    content = (tmp_path / "s.seg.nrrd").read_bytes()
    (tmp_path / "s.seg.nrrd").write_bytes(content.replace(b"Segment1_Layer:=1", b"Segment1_Layer:=7"))
    with pytest.raises(InputError, match="segment 1"):
        read_segmentation(tmp_path / "s.seg.nrrd")


def test_what_is_no_segmentation_is_not_written(tmp_path):
    with pytest.raises(InputError):
        write_segmentation(tmp_path / "s.nii.gz", heart())
    with pytest.raises(InputError):
        write_segmentation(tmp_path / "s.seg.nrrd", Segmentation((), np.eye(4)))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("written", ["{", "5", '"scar"'])
def test_sources_that_are_no_list_are_ignored(tmp_path, written):
    mask = np.ones((2, 3, 4), bool)
    parts = (Segment("scar", mask, sources=("A", "B = C")), Segment("wall", ~mask))
    path = tmp_path / "a.seg.nrrd"
    write_segmentation(path, Segmentation(parts, np.eye(4), left_out=("Liver",)))
    found = read_segmentation(path)
    assert [segment.sources for segment in found.segments] == [("A", "B = C"), ()]
    assert found.left_out == ("Liver",)
    path.write_bytes(path.read_bytes().replace(b'["A", "B = C"]', written.encode()))
    assert read_segmentation(path).segments[0].sources == ()
