"""Diffusion scans as nodes: world geometry and gradients are kept in every frame and format."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import slicer

from deeprecon.data.diffusion.files import read_dwi, write_dwi
from deeprecon.data.diffusion.gradients import gradient_table
from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.errors import InputError
from deeprecon.scene.dwmri.gradients import check_gradients
from deeprecon.scene.dwmri.scan import SEQUENCE, WEIGHTED, gradients_of, node_from_scan, scan_from_node

Array = npt.NDArray[np.float64]

BVALS = np.array([0, 1000, 1000, 1000, 2000, 2000, 20, 1005, 1000.0])


def rotation(seed: int) -> Array:
    turn, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
    return np.asarray(turn * np.sign(np.linalg.det(turn)))


def scan(ijk_to_ras: Array, seed: int = 0) -> DwiScan:
    rng = np.random.default_rng(seed)
    directions = rng.standard_normal((len(BVALS), 3))
    directions /= np.linalg.norm(directions, axis=1)[:, None]
    directions[BVALS == 0] = 0  # NRRD files have no place for them
    array = rng.integers(0, 1000, (4, 5, 6, len(BVALS))).astype(np.int16)
    return DwiScan(array, ijk_to_ras, gradient_table(BVALS, directions), "scan")


def orientations() -> list[Array]:
    """All 48 axis orders and signs, half of them left-handed, and two oblique ones."""
    made = []
    for order in itertools.permutations(range(3)):
        for signs in itertools.product((1, -1), repeat=3):
            matrix = np.eye(4)
            matrix[:3, :3] = np.eye(3)[:, order] * signs * (2.0, 2.5, 3.0)
            matrix[:3, 3] = 5, -6, 7
            made.append(matrix)
    for handed in (1, -1):
        matrix = np.eye(4)
        matrix[:3, :3] = rotation(3) * (2.0, 2.5, 3.0 * handed)
        matrix[:3, 3] = -20.5, 3.25, 11
        made.append(matrix)
    return made


def same(found: DwiScan, expected: DwiScan) -> None:
    np.testing.assert_array_equal(found.array, expected.array)
    np.testing.assert_allclose(found.ijk_to_ras, expected.ijk_to_ras, atol=1e-4)
    np.testing.assert_allclose(found.gradients.directions, expected.gradients.directions, atol=1e-5)
    np.testing.assert_allclose(found.gradients.bvals, expected.gradients.bvals, atol=1e-2)


def test_nifti_to_node_to_nrrd_to_nifti_keeps_gradients_in_the_world(scene: Any, tmp_path: Path) -> None:
    for number, matrix in enumerate(orientations()):
        given = scan(matrix, number)
        write_dwi(tmp_path / "a.nii.gz", given)
        node = node_from_scan(read_dwi(tmp_path / "a.nii.gz"), "scan")
        same(scan_from_node(node), given)
        write_dwi(tmp_path / "b.nrrd", scan_from_node(node))
        write_dwi(tmp_path / "c.nii.gz", read_dwi(tmp_path / "b.nrrd"))
        same(read_dwi(tmp_path / "c.nii.gz"), given)
        slicer.mrmlScene.RemoveNode(node)


def nifti(path: Path, affine: Array, qform: Array | None = None, zooms: tuple[float, ...] | None = None) -> Path:
    """A scan whose sform is `affine`, with its tables."""
    import nibabel

    write_dwi(path, scan(np.eye(4)))
    image = nibabel.Nifti1Image(np.asarray(nibabel.load(path).dataobj), None)
    image.set_sform(affine, 1)
    image.set_qform(qform, 0 if qform is None else 1)
    image.header["pixdim"][1:4] = np.linalg.norm(affine[:3, :3], axis=0) if zooms is None else zooms
    image.header.set_xyzt_units("mm")
    nibabel.save(image, path)
    return path


def test_a_nifti_file_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    moved = np.eye(4)
    moved[0, 3] = 30
    with pytest.raises(InputError, match=r"affine states voxels of 1 x 1 x 1 mm, its pixdim states 1 x 1 x 13 mm"):
        read_dwi(nifti(tmp_path / "zooms.nii.gz", np.eye(4), zooms=(1, 1, 13)))
    with pytest.raises(InputError, match=r"sform and qform differ by up to 30\.0 mm"):
        read_dwi(nifti(tmp_path / "forms.nii.gz", np.eye(4), moved))


def test_a_sheared_nifti_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"sheared\.nii\.gz: the grid is sheared, axes i and j .* degrees"):
        read_dwi(nifti(tmp_path / "sheared.nii.gz", np.eye(4) + np.diag([0.3, 0, 0], 1)))


@pytest.mark.parametrize("kind", ["random", "compressed", "cut off"])
def test_what_is_no_nifti_file_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    write_dwi(path, scan(np.eye(4)))
    noise = np.random.default_rng(0).bytes(2000)
    path.write_bytes({"random": noise, "compressed": gzip.compress(noise), "cut off": path.read_bytes()[:150]}[kind])
    with pytest.raises(InputError, match=r"a\.nii\.gz is (cut off|damaged)"):
        read_dwi(path)


def test_nrrd_files_of_slicer_and_ours_have_the_same_gradients(scene: Any, tmp_path: Path) -> None:
    given = scan(orientations()[-1])
    write_dwi(tmp_path / "ours.nrrd", given)
    node = slicer.mrmlScene.AddNewNodeByClass(WEIGHTED, "read by Slicer")
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLNRRDStorageNode")
    storage.SetFileName(str(tmp_path / "ours.nrrd"))
    assert storage.ReadData(node)
    same(scan_from_node(node), given)
    storage.SetFileName(str(tmp_path / "slicers.nrrd"))
    assert storage.WriteData(node_from_scan(given, "again", None, node))
    same(read_dwi(tmp_path / "slicers.nrrd"), given)


def test_a_measurement_frame_turns_the_directions(scene: Any) -> None:
    given, frame = scan(np.diag([2.0, 2, 2, 1])), np.eye(4)
    frame[:3, :3] = rotation(5)
    node = node_from_scan(given, "framed")
    for number, direction in enumerate(given.gradients.directions):
        node.SetDiffusionGradient(number, list(frame[:3, :3].T @ direction))
    node.SetMeasurementFrameMatrix(slicer.util.vtkMatrixFromArray(frame))
    same(scan_from_node(node), given)
    like = node_from_scan(given, "result", None, node)  # of the same frame, to the bit
    same(scan_from_node(like), given)
    for number in range(len(BVALS)):
        assert like.GetDiffusionGradient(number) == node.GetDiffusionGradient(number)
        assert like.GetBValue(number) == node.GetBValue(number)


def test_a_parent_transform_turns_image_and_directions_alike(scene: Any) -> None:
    given, turn = scan(orientations()[-2]), np.eye(4)
    turn[:3, :3], turn[:3, 3] = rotation(8), (1, 2, 3)
    node = node_from_scan(given, "moved")
    parent = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    parent.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(turn))
    node.SetAndObserveTransformNodeID(parent.GetID())
    found = scan_from_node(node)
    np.testing.assert_allclose(found.ijk_to_ras, turn @ given.ijk_to_ras, atol=1e-6)
    np.testing.assert_allclose(found.gradients.directions, given.gradients.directions @ turn[:3, :3].T, atol=1e-5)
    in_voxels = [np.linalg.inv(s.ijk_to_ras[:3, :3]) @ s.gradients.directions.T for s in (found, given)]
    np.testing.assert_allclose(*in_voxels, atol=1e-5)  # a tensor fitted in voxel axes does not change
    hardened = node_from_scan(found, "result", None, node)
    same(scan_from_node(hardened), found)
    assert hardened.GetParentTransformNode() is None


@pytest.mark.parametrize("ending", ["nrrd", "nii.gz"])
def test_a_sequence_that_slicer_loaded_gets_its_gradients_from_the_file(
    scene: Any, tmp_path: Path, ending: str
) -> None:
    given = scan(orientations()[-1])
    write_dwi(tmp_path / f"dwi.{ending}", given)
    node = slicer.mrmlScene.AddNewNodeByClass(SEQUENCE, "loaded")
    storage = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLVolumeSequenceStorageNode")
    storage.SetFileName(str(tmp_path / f"dwi.{ending}"))
    assert storage.ReadData(node)
    node.SetAndObserveStorageNodeID(storage.GetID())
    found = scan_from_node(node)
    np.testing.assert_allclose(found.gradients.directions, given.gradients.directions, atol=1e-5)
    values = {tuple(np.round(place, 2)): value for place, value in voxels(given)}
    for place, value in voxels(found):  # Slicer may have turned the axes, and the world is the same
        np.testing.assert_array_equal(values[tuple(np.round(place, 2))], value)
    (tmp_path / f"dwi.{ending}").unlink()
    with pytest.raises(InputError, match="no gradients"):
        scan_from_node(node)


def voxels(given: DwiScan) -> list[tuple[Array, Any]]:
    k, j, i = np.indices(given.shape).reshape(3, -1)
    places = (given.ijk_to_ras @ np.stack([i, j, k, np.ones_like(i)]))[:3].T + 0.0
    return list(zip(places, given.array.reshape(len(places), -1), strict=True))


def test_a_sequence_that_was_made_here_keeps_its_gradients(scene: Any) -> None:
    given = scan(orientations()[-1])
    like = slicer.mrmlScene.AddNewNodeByClass(SEQUENCE, "like")
    node = node_from_scan(given, "made", None, like)
    assert node.GetClassName() == SEQUENCE
    same(scan_from_node(node), given)
    assert node_from_scan(given, "made", node, like) is node
    assert node.GetNumberOfDataNodes() == len(BVALS)


def refuse(change: Callable[[Any], None]) -> str:
    node = node_from_scan(scan(np.eye(4)), "Patient DWI")
    change(node)
    with pytest.raises(InputError) as caught:
        scan_from_node(node)
    return caught.value.message


def test_unusable_scans_are_refused(scene: Any) -> None:
    def shorten(node: Any) -> None:
        node.SetNumberOfGradients(4)

    def no_direction(node: Any) -> None:
        node.SetDiffusionGradient(2, [0.0, 0.0, 0.0])

    def shear(node: Any) -> None:
        node.SetIJKToRASMatrix(slicer.util.vtkMatrixFromArray(np.eye(4) + np.diag([0.5, 0, 0], 1)))

    assert "9 volumes but 4 gradients" in refuse(shorten)
    assert "volume 2 has a b-value but no direction" in refuse(no_direction)
    assert "Patient DWI" in refuse(shear)
    assert "holds no image" in refuse(lambda node: node.SetAndObserveImageData(None))


def test_the_gradient_table_is_checked(scene: Any) -> None:
    given = scan(np.eye(4))
    given.gradients.directions[2] = -given.gradients.directions[1]
    node = node_from_scan(given, "scan")
    found = {check.subject: (check.finding, check.level) for check in check_gradients(node)}
    assert found["Volumes"] == ("9", "good")
    assert found["b0 volumes"] == ("2", "good")
    assert found["Shell b = 1001"] == ("5 volumes, b from 1000 to 1005", "good")
    assert found["Shell b = 2000"] == ("2 volumes", "good")
    assert found["Directions"] == ("6 different, 1 repeated", "fair")
    assert found["Lengths"] == ("1.000 to 1.000, expected 1", "good")
    node.SetDiffusionGradient(3, [0.0, 0.0, 0.0])
    assert check_gradients(node)[0].level == "bad"
    assert "volume 3" in check_gradients(node)[0].finding


def test_gradients_are_read_without_the_image(scene: Any) -> None:
    node = node_from_scan(scan(np.eye(4)), "scan")
    node.SetAndObserveImageData(None)
    assert len(gradients_of(node)) == len(BVALS)
