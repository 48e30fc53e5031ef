"""Masks of a diffusion scan: probabilities, other orders of axes, other grids."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from deeprecon.data.doubts import CODES
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume, write_volume
from deeprecon.dwmri.task import LABELS

from .files import AFFINE, codes, head, result, runner, vectors, write_scan


@pytest.fixture(scope="module")
def made():
    return head()


@pytest.fixture
def scan(made, tmp_path):
    return write_scan(tmp_path, made.noisy.array, made.clean.gradients.bvals, vectors(made))


@pytest.fixture
def prepared(scan, tmp_path):
    """Runs `prepare` with a mask: exit code, mask and codes of the doubts."""
    run = runner(tmp_path)

    def prepare(array, affine=AFFINE):
        write_volume(tmp_path / "mask.nii.gz", Volume(array, affine))
        code, output = run("prepare", "--dwi", scan, "--mask", tmp_path / "mask.nii.gz")
        return (code, read_volume(output / "mask.nii.gz").array > 0, codes(output)) if code == 0 else (code, None, None)

    return prepare


def test_every_code_has_a_meaning():
    assert {"mask-probability", "mask-resampled"} <= set(CODES)


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_of_a_probability_what_is_above_half_is_inside(scale, made, prepared):
    probability = gaussian_filter(made.mask.astype(np.float32), 1.5)
    probability *= scale / probability.max()
    code, mask, found = prepared(probability)
    assert code == 0
    assert found == {"mask-probability"}
    np.testing.assert_array_equal(mask, probability > scale / 2)


@pytest.mark.parametrize("kind", ["ones", "255", "labels", "float"])
def test_whole_numbers_are_inside_without_a_doubt(kind, made, prepared):
    array = {
        "ones": made.mask.astype(np.uint8),
        "255": made.mask.astype(np.uint8) * 255,
        "labels": made.mask * (1 + np.arange(24) % 7),
        "float": made.mask.astype(np.float32),
    }[kind]
    code, mask, found = prepared(array.astype(np.float32 if kind == "float" else np.int16))
    assert (code, found) == (0, set())
    np.testing.assert_array_equal(mask, made.mask)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, 1, 1), (-1, 1, -1), (-1, -1, -1)])
def test_the_same_mask_in_every_order_of_axes(order, flips, made, prepared):
    uneven = made.mask.copy()
    uneven[:, :12, :6] = False  # so that a wrong flip shows
    array = uneven.transpose([2 - axis for axis in order[::-1]])
    affine = np.eye(4)
    affine[:3, :3] = AFFINE[:3, :3][:, order] * flips
    last = np.array(array.shape[::-1]) - 1
    start = AFFINE[:3, 3] + AFFINE[:3, :3][:, order] @ np.where(np.array(flips) < 0, last, 0)
    affine[:3, 3] = start
    array = array[tuple(slice(None, None, flip) for flip in flips[::-1])]
    code, mask, found = prepared(array.astype(np.uint8), affine)
    assert (code, found) == (0, set())
    np.testing.assert_array_equal(mask, uneven)


def test_a_mask_on_a_finer_grid_is_interpolated_and_named(made, prepared):
    fine = np.kron(made.mask, np.ones((2, 2, 2))).astype(np.uint8)
    affine = AFFINE @ np.diag([0.5, 0.5, 0.5, 1])
    affine[:3, 3] = (AFFINE @ [-0.25, -0.25, -0.25, 1])[:3]
    code, mask, found = prepared(fine, affine)
    assert (code, found) == (0, {"mask-resampled"})
    assert (mask != made.mask).mean() < 0.002


def test_a_mask_that_lies_elsewhere_is_refused(made, prepared, capsys):
    moved = AFFINE.copy()
    moved[:3, 3] += 40
    assert prepared(made.mask[1:].astype(np.uint8), moved)[0] == 2
    message = capsys.readouterr().err
    assert "mask.nii.gz" in message
    assert "does not lie on the grid" in message
    assert prepared(made.mask.astype(np.uint8), np.eye(4))[0] == 2  # as written without its geometry


# labels of `evaluate`


@pytest.fixture
def evaluated(made, tmp_path):
    """Runs `evaluate` of the noisy scan with labels: exit code, figures and codes of the doubts."""
    run, table = runner(tmp_path), (made.clean.gradients.bvals, vectors(made))
    noisy = write_scan(tmp_path, made.noisy.array, *table)
    truth = write_scan(tmp_path, made.clean.array, *table, "truth.nii.gz")

    def evaluate(array, affine=AFFINE):
        write_volume(tmp_path / "labels.nii.gz", Volume(array, affine))
        code, output = run("evaluate", "--dwi", noisy, "--truth", truth, "--labels", tmp_path / "labels.nii.gz")
        return (code, result(output)["metrics"], codes(output)) if code == 0 else (code, None, None)

    return evaluate


@pytest.fixture
def labels(made):
    return sum((made.labels[name].astype(np.uint8) << bit for bit, name in enumerate(LABELS)), np.uint8(0))


def test_labels_in_another_order_or_on_another_grid_give_the_same_figures(labels, evaluated):
    code, plain, found = evaluated(labels)
    assert (code, found) == (0, set())
    affine = AFFINE[:, [1, 0, 2, 3]].copy()
    affine[:3, 3] += (len(labels) - 1) * affine[:3, 2]
    affine[:3, 2] *= -1
    assert evaluated(labels[::-1].transpose(0, 2, 1), affine) == (0, plain, set())
    fine = AFFINE @ np.diag([0.5, 0.5, 0.5, 1])
    fine[:3, 3] = (AFFINE @ [-0.2, -0.2, -0.2, 1])[:3]
    assert evaluated(np.kron(labels, np.ones((2, 2, 2), np.uint8)), fine) == (0, plain, {"mask-resampled"})


@pytest.mark.parametrize("kind", ["as many voxels elsewhere", "another grid elsewhere", "no labels"])
def test_labels_that_are_not_of_the_scan_are_refused(kind, labels, evaluated, capsys):
    moved = AFFINE.copy()
    moved[:3, 3] += 30
    if kind == "no labels":
        assert evaluated(labels + np.float32(0.3))[0] == 2
    else:
        assert evaluated(labels if kind.startswith("as many") else labels[1:], moved)[0] == 2
    message = capsys.readouterr().err
    assert "labels.nii.gz" in message
    assert ("holds no labels" if kind == "no labels" else "does not lie on the grid of") in message
