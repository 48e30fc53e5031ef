"""Reading one patient's files into stacks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.data.errors import InputError
from deeprecon.scar.observe.heart_axes import find_blood_pools
from deeprecon.scar.observe.observations import observe
from deeprecon.scar.parameters import Observation, ReconstructInputs, ReconstructParameters
from deeprecon.scar.read import regions
from deeprecon.scar.read.case import read_case
from deeprecon.scar.read.roles import parse_labels

from .drawn_cases import AFFINE, SHAPE, read, saved, segmentation


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


def test_scar_partly_outside_the_wall_is_reported_and_mostly_outside_is_refused(tmp_path, wall, scar):
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
        assert case.case.stacks[0].lge is not None
    # a remote region within the scar makes scar healthy
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
    found = [warning for warning in case.warnings if "slice thickness" in warning]
    assert len(found) == (kind == "default")
    assert kind != "default" or "9 mm is taken" in found[0]


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


def test_an_empty_slice_between_others_is_reported_and_not_observed(tmp_path, wall, scar):
    wall[1] = scar[1] = False
    case = read({"myocardium": segmentation(tmp_path / "s.seg.nrrd", myocardium=wall, scar=scar)})
    assert any("no myocardium is drawn in slice 2" in warning for warning in case.warnings)
    assert not (observe(case.stacks).slice_id == 1).any()


def test_slices_without_scar_are_observations_of_no_scar(tmp_path, wall, scar):
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


# What else the files tell


def test_cavities_lie_on_the_grid_of_the_first_stack_that_shows_them(tmp_path, wall, scar, labels):
    left = labels == 1
    right = np.roll(left, 10, axis=2)
    bare = segmentation(tmp_path / "bare.seg.nrrd", myocardium=wall, scar=scar)
    turned = AFFINE[[1, 2, 0, 3]]
    single = segmentation(
        tmp_path / "lax.seg.nrrd", affine=turned, myocardium=wall[1:2], scar=scar[1:2], LV_blood_pool=left[1:2]
    )
    drawn = {"myocardium": wall, "scar": scar, "LV_blood_pool": left, "RV_blood_pool": right}
    full = segmentation(tmp_path / "full.seg.nrrd", **drawn)
    observed = read({"myocardium": (bare, single, full)})
    number, *cavities = find_blood_pools(observed.case)
    assert number == 2
    for cavity, mask in zip(cavities, (left, right), strict=True):
        np.testing.assert_array_equal(cavity.array > 0, mask)
        np.testing.assert_array_equal(cavity.ijk_to_ras, observed.stacks[2].ijk_to_ras)
    _, only, none = find_blood_pools(read({"myocardium": single}).case)
    np.testing.assert_array_equal(only.array.any(), True)
    assert none is None
    assert find_blood_pools(read({"myocardium": bare}).case) is None
    path = saved(tmp_path / "labels.nii.gz", np.where(right & (labels == 0), 7, labels).astype(np.uint8))
    observed = read({"scar": path}, labels=("myocardium=2", "scar=3,4", "blood-pool=1", "right-blood-pool=7"))
    _, *cavities = find_blood_pools(observed.case)
    np.testing.assert_array_equal(cavities[0].array > 0, left)
    np.testing.assert_array_equal(cavities[1].array > 0, right & (labels == 0))


def test_landmarks_are_read_in_ras(files, patient):
    case = read_case(
        ReconstructInputs(myocardium=(files["segmentation"],), landmarks=files["landmarks"]), ReconstructParameters()
    )
    assert set(case.landmarks) == set(patient.landmarks)
    for name, place in patient.landmarks.items():
        np.testing.assert_allclose(case.landmarks[name], place, atol=1e-6)
    assert read({"myocardium": files["segmentation"]}).case.landmarks == {}


def test_each_file_is_read_once(tmp_path, monkeypatch, labels, wall, scar):
    opened: list[Path] = []
    for name in ("read_segmentation", "read_volume"):
        inner = getattr(regions, name)
        monkeypatch.setattr(regions, name, lambda path, *rest, inner=inner: opened.append(path) or inner(path, *rest))
    drawn = {"myocardium": wall, "scar": scar, "MVO": labels == 4, "LV blood": labels == 1}
    path = segmentation(tmp_path / "s.seg.nrrd", **drawn)
    lge = saved(tmp_path / "lge.nrrd", np.where(scar, 300, 60).astype(np.int16), thickness=8.0)
    read({"myocardium": path, "scar": path, "lge": lge, "remote": path})
    assert sorted(opened) == sorted([path, lge])
    opened.clear()
    path = saved(tmp_path / "labels.nii.gz", labels)
    read({"scar": path}, labels=("scar=3", "no-reflow=4", "myocardium=2", "blood-pool=1"))
    assert opened == [path]


def test_a_stack_without_scar_among_others_with_scar_is_free_of_it(tmp_path, wall, scar, labels):
    drawn = segmentation(tmp_path / "s.seg.nrrd", myocardium=wall, scar=scar)
    bare = segmentation(tmp_path / "bare.seg.nrrd", myocardium=wall)
    maps = [
        saved(tmp_path / "labels.nii.gz", labels),
        saved(tmp_path / "bare.nii.gz", np.where(wall, 2, 0).astype(np.uint8)),
    ]
    names = ("scar=3,4", "myocardium=2")
    for case in (read({"myocardium": (drawn, bare)}), read({"scar": tuple(maps)}, labels=names)):
        np.testing.assert_array_equal(case.stacks[0].scar > 0, scar)
        assert not case.stacks[1].scar.any()
        assert any("bare" in warning and "no scar" in warning for warning in case.warnings)
    # alone it tells nothing, and a file given for its scar must show it
    with pytest.raises(InputError, match="Neither scar nor LGE"):
        read({"myocardium": bare})
    with pytest.raises(InputError, match=r"bare\.nii\.gz has none of the labels scar=3,4"):
        read({"scar": maps[1]}, labels=names)


def test_the_same_stack_twice_is_reported(tmp_path, wall, scar):
    path = segmentation(tmp_path / "s.seg.nrrd", myocardium=wall, scar=scar)
    case = read({"myocardium": (path, path)})
    assert "Stack 2 (s.seg.nrrd) is the same as stack 1: its slices count twice." in case.warnings
    other = segmentation(tmp_path / "other.seg.nrrd", myocardium=wall, scar=wall)
    assert not any("the same" in warning for warning in read({"myocardium": (path, other)}).warnings)
