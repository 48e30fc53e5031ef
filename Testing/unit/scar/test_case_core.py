"""Core and border zone in the files of one patient."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.scar.observe.observations import observe
from deeprecon.scar.parameters import Observation

from .drawn_cases import SHAPE, read, saved, segmentation


@pytest.fixture
def inner(scar: np.ndarray) -> np.ndarray:
    """The part of the scar that is core: its upper half."""
    result = scar.copy()
    result[:, :10] = False
    return result


def test_scar_is_core_and_border_zone_and_the_wall_is_all_of_it(tmp_path, wall, scar, inner):
    path = segmentation(
        tmp_path / "result.seg.nrrd", Healthy_myocardium=wall & ~scar, Scar_border_zone=scar & ~inner, Scar_core=inner
    )
    (stack,) = read({"myocardium": path}).stacks
    np.testing.assert_array_equal(stack.wall > 0, wall)
    np.testing.assert_array_equal(stack.scar > 0, scar)
    np.testing.assert_array_equal(stack.core > 0, inner)


def test_core_is_what_is_named_or_the_scar_without_its_border_zone(tmp_path, wall, scar, inner, labels):
    dark = labels == 4  # within the border zone or not, it is core
    drawn = {
        "core": {"scar": scar, "infarct_core": inner & ~dark, "no-reflow": dark},
        "border": {"scar": scar, "gray_zone": scar & ~inner, "no-reflow": dark},
        "both": {"BZ": scar & ~inner, "dense_scar": inner, "MVO": dark},
    }
    for name, masks in drawn.items():
        (stack,) = read({"scar": segmentation(tmp_path / f"{name}.seg.nrrd", myocardium=wall, **masks)}).stacks
        np.testing.assert_array_equal(stack.scar > 0, scar)
        np.testing.assert_array_equal(stack.core > 0, inner | dark, name)
    plain = segmentation(tmp_path / "plain.seg.nrrd", myocardium=wall, scar=scar, MVO=dark)
    assert read({"scar": plain}).stacks[0].core is None


def test_core_and_border_zone_of_a_label_map_follow_its_labels(tmp_path, wall, scar, inner, labels):
    path = saved(tmp_path / "labels.nii.gz", np.where(inner, 5, labels).astype(np.uint8))
    for names in (
        ("myocardium=2", "core=4,5", "border-zone=3"),
        ("myocardium=2", "scar=3,4,5", "core=4,5"),
        ("myocardium=2", "scar=5", "no-reflow=4", "border-zone=3"),
    ):
        (stack,) = read({"scar": path}, labels=names).stacks
        np.testing.assert_array_equal(stack.wall > 0, wall)
        np.testing.assert_array_equal(stack.scar > 0, scar)
        np.testing.assert_array_equal(stack.core > 0, inner | (labels == 4))
    without = saved(tmp_path / "without.nii.gz", np.where(labels == 4, 3, labels).astype(np.uint8))
    (stack,) = read({"scar": without}, labels=("myocardium=2", "core=5", "border-zone=3")).stacks
    assert stack.core is not None
    assert not stack.core.any()


def test_core_does_not_exceed_the_scar_of_its_pixel(tmp_path, wall, scar, inner):
    share = np.where(wall, np.float32(0.8), np.float32(0))
    path = segmentation(tmp_path / "s.seg.nrrd", scar=scar & inner, core=inner)
    (stack,) = read({"myocardium": saved(tmp_path / "w.nii.gz", share), "scar": path}).stacks
    assert (stack.core <= stack.scar).all()
    (stack,) = read({"myocardium": saved(tmp_path / "w.nii.gz", share), "scar": path}, observation="binary").stacks
    assert set(np.unique(stack.core)) == {0, 1}


def test_core_must_be_separated_in_every_stack_with_scar(tmp_path, wall, scar, inner):
    divided = segmentation(tmp_path / "divided.seg.nrrd", myocardium=wall, border_zone=scar & ~inner, core=inner)
    undivided = segmentation(tmp_path / "undivided.seg.nrrd", myocardium=wall, scar=scar)
    healthy = segmentation(tmp_path / "healthy.seg.nrrd", myocardium=wall, scar=np.zeros_like(scar))
    case = read({"myocardium": (divided, undivided)})
    assert [stack.core for stack in case.stacks] == [None, None]
    assert any("undivided.seg.nrrd shows scar without separating core" in warning for warning in case.warnings)
    case = read({"myocardium": (divided, healthy)})
    np.testing.assert_array_equal(case.stacks[0].core > 0, inner)
    assert not case.stacks[1].core.any()
    assert not any("core" in warning for warning in case.warnings)
    assert observe(case.stacks).core is not None


def test_a_second_threshold_gives_the_core(tmp_path, wall, scar, inner):
    rng = np.random.default_rng(0)
    image = np.where(inner, 400.0, np.where(scar, 200.0, 60.0)) + rng.normal(0, 5, SHAPE)
    path = segmentation(tmp_path / "s.seg.nrrd", myocardium=wall)
    inputs = {"myocardium": path, "lge": saved(tmp_path / "lge.nrrd", image.astype(np.float32), thickness=8.0)}
    for observation in Observation:
        (stack,) = read(inputs, threshold="nsd:6", core_threshold="max:70", observation=observation).stacks
        np.testing.assert_array_equal(stack.scar > 0.5, scar)
        np.testing.assert_array_equal(stack.core > 0.5, inner)
        assert (stack.core <= stack.scar).all()
    assert read(inputs).stacks[0].core is None
