"""Reading one patient's files into stacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.data.errors import InputError
from deeprecon.data.segmentation import Segment, Segmentation, write_segmentation
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.scar.case import Case, parse_labels, read_case
from deeprecon.scar.observations import observe
from deeprecon.scar.parameters import Observation, ReconstructInputs, ReconstructParameters

SHAPE = (4, 20, 24)
AFFINE = np.array([[1.5, 0, 0, -20], [0, 1.5, 0, -14], [0, 0, 9, 5], [0, 0, 0, 1.0]])


@pytest.fixture
def wall() -> np.ndarray:
    """A ring in every slice."""
    j, i = np.indices(SHAPE[1:])
    radius = np.hypot(j - 10, i - 12)
    return np.broadcast_to((radius > 4) & (radius < 8), SHAPE).copy()


@pytest.fixture
def scar(wall: np.ndarray) -> np.ndarray:
    """The right half of the ring in the two middle slices."""
    result = wall.copy()
    result[[0, 3]] = False
    result[:, :, :12] = False
    return result


@pytest.fixture
def labels(wall: np.ndarray, scar: np.ndarray) -> np.ndarray:
    """1 cavity, 2 healthy wall, 3 scar, 4 no-reflow within the scar."""
    j, i = np.indices(SHAPE[1:])
    result = np.where(np.broadcast_to(np.hypot(j - 10, i - 12) <= 4, SHAPE), 1, 0)
    result[wall] = 2
    result[scar] = 3
    result[1, 10, 18] = 4
    return result.astype(np.uint8)


def saved(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE, thickness: float | None = None) -> Path:
    write_volume(path, Volume(array, affine, slice_thickness=thickness))
    return path


def segmentation(path: Path, thickness: float | None = None, affine: np.ndarray = AFFINE, **masks: np.ndarray) -> Path:
    segments = tuple(Segment(name.replace("_", " "), mask) for name, mask in masks.items())
    write_segmentation(path, Segmentation(segments, affine, slice_thickness=thickness))
    return path


def read(inputs: dict[str, Any], **parameters: Any) -> Case:
    given = {name: paths if isinstance(paths, tuple) else (paths,) for name, paths in inputs.items()}
    return read_case(ReconstructInputs(**given), ReconstructParameters(**parameters))


def test_a_label_map_is_read_by_its_labels_and_no_reflow_is_scar(tmp_path, labels, wall, scar):
    path = saved(tmp_path / "labels.nii.gz", labels)
    for names in (("scar=3,4", "myocardium=2"), ("scar=3", "no-reflow=4", "myocardium=2")):
        (stack,) = read({"myocardium": path, "scar": path}, labels=names).stacks
        np.testing.assert_array_equal(stack.wall > 0, wall)
        np.testing.assert_array_equal(stack.scar > 0, scar)
    (stack,) = read({"myocardium": path, "scar": path}, labels=("scar=3", "myocardium=2,4")).stacks
    assert stack.scar[1, 10, 18] == 0
    (alone,) = read({"scar": path}, labels=("scar=3,4", "myocardium=2")).stacks
    np.testing.assert_array_equal(alone.wall > 0, wall)


def test_segments_are_found_by_their_names_in_any_order(tmp_path, labels, wall, scar):
    path = segmentation(
        tmp_path / "s.seg.nrrd",
        No_reflow=labels == 4,
        Blood_pool=labels == 1,
        LV_scar=labels == 3,
        Myocardium=labels == 2,
    )
    for inputs in ({"myocardium": path, "scar": path}, {"myocardium": path}, {"scar": path}):
        (stack,) = read(inputs).stacks
        np.testing.assert_array_equal(stack.wall > 0, wall)
        np.testing.assert_array_equal(stack.scar > 0, scar)


def test_a_segment_with_a_name_of_its_own_is_named_with_labels(tmp_path, wall, scar):
    path = segmentation(tmp_path / "s.seg.nrrd", Segment_1=wall, Segment_2=scar)
    (stack,) = read({"scar": path}, labels=("scar=Segment 2", "myocardium=Segment 1")).stacks
    np.testing.assert_array_equal(stack.scar > 0, scar)
    with pytest.raises(InputError, match=r"s\.seg\.nrrd has no segment for the myocardium; it has Segment 1"):
        read({"scar": path})


def test_names_of_segments_do_not_disturb_plain_volumes(tmp_path, wall, scar):
    plain = saved(tmp_path / "wall.nii.gz", wall.astype(np.uint8))
    path = segmentation(tmp_path / "s.seg.nrrd", Segment_2=scar)
    (stack,) = read({"myocardium": plain, "scar": path}, labels=("scar=Segment 2",)).stacks
    np.testing.assert_array_equal(stack.scar > 0, scar)


def test_the_observation_is_scar_over_wall_or_that_rounded(tmp_path, wall):
    share = np.where(wall, np.float32(0.8), np.float32(0))
    share[:, :, 12] *= 0.5
    inputs = {
        "myocardium": saved(tmp_path / "wall.nii.gz", share),
        "scar": saved(tmp_path / "scar.nii.gz", (share * np.float32(0.6)).astype(np.float32)),
    }
    (soft,) = read(inputs).stacks
    np.testing.assert_allclose(soft.wall, share)
    np.testing.assert_allclose(soft.scar[wall], 0.6, atol=1e-6)
    (binary,) = read(inputs, observation=Observation.BINARY).stacks
    assert np.unique(binary.scar[wall]).tolist() == [1]


def test_scar_a_little_outside_the_wall_is_told_and_mostly_outside_is_refused(tmp_path, wall, scar):
    path = saved(tmp_path / "wall.nii.gz", wall.astype(np.uint8))
    spilled = scar.copy()
    spilled[1, 0, :] = True
    case = read({"myocardium": path, "scar": saved(tmp_path / "scar.nii.gz", spilled.astype(np.uint8))})
    assert any("of the scar in scar.nii.gz lies outside the myocardium" in warning for warning in case.warnings)
    np.testing.assert_array_equal(case.stacks[0].scar > 0, scar)
    healthy = saved(tmp_path / "healthy.nii.gz", (wall & ~scar).astype(np.uint8))
    with pytest.raises(InputError, match=r"100% of the scar in scar\.nii\.gz lies outside.*must include the scar"):
        read({"myocardium": healthy, "scar": saved(tmp_path / "scar.nii.gz", scar.astype(np.uint8))})


def test_lge_gives_scar_by_threshold_and_the_segment_of_remote_wall_is_used(tmp_path, wall, scar):
    rng = np.random.default_rng(0)
    image = np.where(scar, 300.0, 60.0) + rng.normal(0, 5, SHAPE)
    lge = saved(tmp_path / "lge.nrrd", image.astype(np.float32), thickness=8.0)
    path = segmentation(tmp_path / "s.seg.nrrd", myocardium=wall)
    for threshold in ("nsd:5", "fwhm", "max:60", "otsu"):
        case = read({"myocardium": path, "lge": lge}, threshold=threshold)
        np.testing.assert_array_equal(case.stacks[0].scar > 0.5, scar)
        assert case.lge[0] is not None
    # a remote region that lies in the scar says that scar is healthy
    misled = segmentation(tmp_path / "r.seg.nrrd", myocardium=wall, remote=scar)
    assert read({"myocardium": misled, "lge": lge}).stacks[0].scar.max() < 0.5
    assert read({"myocardium": path, "lge": lge, "remote": misled}).stacks[0].scar.max() < 0.5


def test_two_stacks_keep_their_own_grids(tmp_path, wall, scar):
    turned = AFFINE[:, [2, 0, 1, 3]] @ np.diag([1 / 6, 1, 6, 1])
    (tmp_path / "long").mkdir()
    paths = [
        segmentation(tmp_path / "short.seg.nrrd", myocardium=wall, scar=scar),
        segmentation(tmp_path / "long" / "long.seg.nrrd", affine=turned, myocardium=wall, scar=scar),
    ]
    case = read({"myocardium": tuple(paths)})
    assert len(case.stacks) == 2
    normals = [np.cross(*stack.ijk_to_ras[:3, :2].T) for stack in case.stacks]
    assert abs(normals[0] @ normals[1]) < 1e-9
    assert len(observe(case.stacks)) == 2 * wall.sum()
    with pytest.raises(InputError, match="1 scar files but 2 myocardium files"):
        read({"myocardium": tuple(paths), "scar": paths[0]})


@pytest.mark.parametrize("kind", ["dicom", "nrrd", "segmentation", "parameter", "default"])
def test_the_slice_thickness_comes_from_where_it_is_known(kind, tmp_path, files, wall, scar):
    parameters: dict[str, Any] = {}
    if kind == "dicom":
        inputs, expected = {"myocardium": files["segmentation"], "lge": files["dicom"]}, 12.0
    else:
        stated = 7.0 if kind == "segmentation" else None
        path = segmentation(tmp_path / "s.seg.nrrd", stated, myocardium=wall, scar=scar)
        image = saved(tmp_path / "lge.nrrd", wall.astype(np.int16), thickness=6.0 if kind == "nrrd" else None)
        inputs = {"myocardium": path, "scar": path, "lge": image}
        expected = {"nrrd": 6.0, "segmentation": 7.0, "parameter": 5.0, "default": 9.0}[kind]
        parameters = {"slice_thickness": 5.0} if kind == "parameter" else {}
    case = read(inputs, **parameters)
    assert case.stacks[0].thickness == expected
    told = [warning for warning in case.warnings if "slice thickness" in warning]
    assert len(told) == (kind == "default")
    assert kind != "default" or "9 mm is taken" in told[0]


def test_a_segment_on_a_part_of_the_images_is_laid_onto_them(tmp_path, wall, scar):
    image = saved(tmp_path / "lge.nrrd", np.where(scar, 300, 60).astype(np.int16), thickness=8.0)
    part = slice(1, 4), slice(2, 19), slice(3, 22)
    shifted = AFFINE.copy()
    shifted[:3, 3] = (AFFINE @ [3, 2, 1, 1])[:3]
    path = segmentation(tmp_path / "s.seg.nrrd", affine=shifted, myocardium=wall[part], scar=scar[part])
    (stack,) = read({"myocardium": path, "scar": path, "lge": image}).stacks
    assert stack.wall.shape == SHAPE
    np.testing.assert_array_equal(stack.wall[1:] > 0, wall[1:])
    np.testing.assert_array_equal(stack.scar[1:] > 0, scar[1:])
    assert not stack.wall[0].any()


def test_an_empty_slice_between_others_is_told_and_says_nothing(tmp_path, wall, scar):
    wall[1] = scar[1] = False
    case = read({"myocardium": segmentation(tmp_path / "s.seg.nrrd", myocardium=wall, scar=scar)})
    assert any("no myocardium is drawn in slice 2" in warning for warning in case.warnings)
    assert not (observe(case.stacks).slice_id == 1).any()


def test_slices_without_scar_still_say_that_there_is_none(tmp_path, wall, scar):
    case = read({"myocardium": segmentation(tmp_path / "s.seg.nrrd", myocardium=wall, scar=scar)})
    found = observe(case.stacks)
    assert len(found) == wall.sum()
    for index in (0, 3):
        assert (found.slice_id == index).sum() == wall[index].sum()
        assert not found.y[found.slice_id == index].any()


def test_a_case_without_scar_is_a_case(tmp_path, wall, scar):
    path = segmentation(tmp_path / "s.seg.nrrd", myocardium=wall, scar=np.zeros_like(scar))
    assert not read({"myocardium": path}).stacks[0].scar.any()


def test_labels_are_understood_or_refused():
    assert parse_labels(("scar=3, 4", "myocardium=LV wall")) == {"scar": ("3", "4"), "myocardium": ("LV wall",)}
    for wrong in ("scar", "scar=", "wall=2", "=3"):
        with pytest.raises(InputError, match="the roles are"):
            parse_labels((wrong,))


def test_an_empty_myocardium_is_refused_even_where_scar_is_drawn(tmp_path, wall, scar):
    path = segmentation(tmp_path / "s.seg.nrrd", Myocardium=np.zeros_like(wall), Scar=scar)
    with pytest.raises(InputError, match=r"s\.seg\.nrrd shows no myocardium at all"):
        read({"myocardium": path})
