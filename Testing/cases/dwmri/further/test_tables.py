"""b0 of more than 0 (kind 17), averages over the directions (18), tables in other files (19)."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from ..files import codes, result, runner
from .files import canonical, dicom, head, nifti, nrrd, values

MADE = head(3, ((1000.0, 8),))


@pytest.fixture
def run(tmp_path):
    return runner(tmp_path)


# 17: which volumes are b0


def seven_tesla(folder):
    """HCP's 7T protocol: b0 of 60 and 65 with directions, shells that vary by 5."""
    made = head(3, ((1000.0, 8), (2000.0, 8)))
    b = made.b + np.tile([0, 5, -5], 7)[: len(made.b)]
    b[:3] = [65, 60, 65]
    directions = made.directions.copy()
    directions[:3] = [[0.6, 0, 0.8], [0, 1, 0], [0.8, 0.6, 0]]
    return nifti(folder / "dwi.nii.gz", made.noisy, b, directions)


def lowest_of_100(folder):
    b = np.where(MADE.b == 0, 100, MADE.b)
    directions = np.where(MADE.b[:, None] == 0, [0, 0.6, 0.8], MADE.directions)
    return nifti(folder / "dwi.nii.gz", MADE.noisy, b, directions)


def in_nrrd(folder):
    """The length of a gradient states its b-value."""
    b = np.where(MADE.b == 0, 60.0, MADE.b)
    directions = np.where(MADE.b[:, None] == 0, [0, 0.6, 0.8], MADE.directions)
    return nrrd(folder / "dwi.nrrd", type(MADE)(MADE.noisy, MADE.clean, b, directions, MADE.mask), MADE.noisy)


def in_dicom(folder):
    b = np.where(MADE.b == 0, 60.0, MADE.b)
    directions = np.where(MADE.b[:, None] == 0, [0, 0.6, 0.8], MADE.directions)
    return dicom(folder / "series", type(MADE)(MADE.noisy, MADE.clean, b, directions, MADE.mask), 10)


@pytest.mark.parametrize("store", [seven_tesla, lowest_of_100, in_nrrd, in_dicom])
def test_the_lowest_shell_is_b0_and_that_is_said(store, run, tmp_path):
    code, output = run("prepare", "--dwi", store(tmp_path))
    assert code == 0
    assert result(output)["metrics"]["b0_volumes"] == 3
    assert codes(output) == {"b0-threshold"}


def test_small_b_values_are_b0_without_a_word(run, tmp_path):
    """Imaging gradients counted: 5 with a direction."""
    b = np.where(MADE.b == 0, 5, MADE.b + 5)
    directions = np.where(MADE.b[:, None] == 0, [0.6, 0.8, 0], MADE.directions)
    code, output = run("prepare", "--dwi", nifti(tmp_path / "dwi.nii.gz", MADE.noisy, b, directions))
    assert code == 0
    assert result(output)["metrics"]["b0_volumes"] == 3
    assert codes(output) == set()


def test_a_lowest_shell_of_200_is_no_b0_unless_it_is_set(run, tmp_path):
    b = np.where(MADE.b == 0, 200, MADE.b)
    directions = np.where(MADE.b[:, None] == 0, [0, 0.6, 0.8], MADE.directions)
    path = nifti(tmp_path / "dwi.nii.gz", MADE.noisy, b, directions)
    code, output = run("prepare", "--dwi", path)
    assert code == 0
    assert result(output)["metrics"]["b0_volumes"] == 0
    code, output = run("prepare", "--dwi", path, "--b0-threshold", 200, name="set")
    assert code == 0
    assert result(output)["metrics"]["b0_volumes"] == 3


# 18: averages over the directions


def test_the_averages_of_two_shells_are_left_out(run, tmp_path):
    made = head(2, ((1000.0, 6), (2000.0, 6)))
    means = np.stack([made.noisy[..., 2:8].mean(-1), made.noisy[..., 8:].mean(-1)], -1)
    array, b = np.concatenate([made.noisy, means], -1), np.r_[made.b, 1000, 2000]
    path = nifti(tmp_path / "dwi.nii.gz", array, b, np.r_[made.directions, np.zeros((2, 3))])
    code, output = run("export", "--dwi", path, "--format", "nifti")
    assert code == 0
    assert codes(output) == {"trace-volume"}
    np.testing.assert_allclose(values(output / "dwi.nii.gz"), canonical(made.noisy), rtol=1e-6)


def test_an_average_after_the_b0_without_numbers_in_its_vector_can_be_left_out(run, tmp_path, capsys):
    """It does not follow its shell, so that this may be a direction that was lost: the way out is said, and works."""
    mean = MADE.noisy[..., 3:].mean(-1, keepdims=True)
    array = np.concatenate([MADE.noisy[..., :3], mean, MADE.noisy[..., 3:]], -1)
    b, directions = np.insert(MADE.b, 3, 1000), np.insert(MADE.directions, 3, np.nan, axis=0)
    path = nifti(tmp_path / "dwi.nii.gz", array, b, directions)
    assert run("export", "--dwi", path, "--format", "nifti")[0] == 2
    assert "--exclude 3" in capsys.readouterr().err
    code, output = run("export", "--dwi", path, "--format", "nifti", "--exclude", 3, name="right")
    assert code == 0
    np.testing.assert_allclose(values(output / "dwi.nii.gz"), canonical(MADE.noisy), rtol=1e-6)


def test_an_average_in_dicom_is_left_out(run, tmp_path):
    """By its directionality ISOTROPIC and its image type."""
    mean = MADE.noisy[..., 3:].mean(-1, keepdims=True)
    scan = type(MADE)(
        np.concatenate([MADE.noisy, mean], -1), MADE.clean, np.r_[MADE.b, 1000], np.r_[MADE.directions, [[0, 0, 0]]],
        MADE.mask,
    )  # fmt: skip
    folder = dicom(
        tmp_path / "series", scan, 10,
        DiffusionDirectionality=lambda v: "NONE" if v < 3 else "DIRECTIONAL" if v < 11 else "ISOTROPIC",
    )  # fmt: skip
    code, output = run("export", "--dwi", folder, "--format", "nifti")
    assert code == 0
    assert codes(output) == {"trace-volume"}
    np.testing.assert_array_equal(values(output / "dwi.nii.gz"), canonical(np.rint(MADE.noisy)))


def test_an_adc_map_at_the_end_can_be_left_out_by_its_number(run, tmp_path):
    """A trace and an ADC map: the trace is found, the map (b 0, no direction) is left out by hand."""
    adc = np.where(MADE.mask, 800, 0)[..., None]
    array = np.concatenate([MADE.noisy, MADE.noisy[..., 3:].mean(-1, keepdims=True), adc], -1)
    path = nifti(
        tmp_path / "dwi.nii.gz", array.astype(np.float32), np.r_[MADE.b, 1000, 0],
        np.r_[MADE.directions, np.zeros((2, 3))],
    )  # fmt: skip
    code, output = run("export", "--dwi", path, "--exclude", 12, "--format", "nifti")
    assert code == 0
    np.testing.assert_allclose(values(output / "dwi.nii.gz"), canonical(MADE.noisy), rtol=1e-6)


def test_averages_alone_are_refused_by_what_they_are(run, tmp_path, capsys):
    """A clinical scan of b0 and averages at 500 and 1000."""
    array = np.stack([MADE.noisy[..., 0], MADE.noisy[..., 3:].mean(-1) * 1.3, MADE.noisy[..., 3:].mean(-1)], -1)
    path = nifti(tmp_path / "clinical.nii.gz", array, [0, 500, 1000], np.zeros((3, 3)))
    code, _ = run("prepare", "--dwi", path)
    message = capsys.readouterr().err
    assert code == 2
    assert "clinical" in message
    assert "direction" in message


# 19: tables in files of other names and forms


def test_tables_of_one_row_a_volume_with_other_separators(run, tmp_path):
    path = nifti(tmp_path / "data.nii.gz", MADE.noisy)
    (tmp_path / "b.txt").write_text("".join(f"{b:.3e}\r\n" for b in MADE.b), "utf-8")
    (tmp_path / "g.txt").write_text("".join("{:.6f},{:.6f},{:.6f}\r\n".format(*g) for g in MADE.directions), "utf-8")
    code, output = run("export", path, "--bval", tmp_path / "b.txt", "--bvec", tmp_path / "g.txt", "--format", "nifti")
    assert code == 0
    np.testing.assert_allclose(np.loadtxt(output / "dwi.bvec").T, MADE.directions, atol=1e-5)
    np.testing.assert_allclose(np.loadtxt(output / "dwi.bval"), MADE.b)


def test_the_way_out_of_the_message_works_for_names_of_hcp(run, tmp_path, capsys):
    path = nifti(tmp_path / "data.nii.gz", MADE.noisy, MADE.b, MADE.directions)
    (tmp_path / "data.bval").rename(tmp_path / "bvals")
    (tmp_path / "data.bvec").rename(tmp_path / "bvecs")
    code, output = run("export", "--dwi", path)
    if code:
        message = capsys.readouterr().err
        assert "--bval" in message or "--bvec" in message
        code, output = run("export", "--dwi", path, "--bval", tmp_path / "bvals", "--bvec", tmp_path / "bvecs")
    assert code == 0
    assert b"DWMRI_gradient_0010" in (output / "dwi.nrrd").read_bytes()


def test_many_cases_have_tables_of_their_own(run, tmp_path):
    turned = MADE.directions[:, [1, 0, 2]]
    nifti(tmp_path / "a.nii.gz", MADE.noisy, MADE.b, MADE.directions)
    np.savetxt(tmp_path / "a.eddy_rotated_bvecs", turned.T)
    with open(tmp_path / "cases.csv", "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["case", "dwi", "bvec"])
        writer.writerow(["turned", "a.nii.gz", "a.eddy_rotated_bvecs"])
        writer.writerow(["plain", "a.nii.gz", ""])
    code, output = run("export", "--cases", tmp_path / "cases.csv", "--format", "nifti")
    assert code == 0
    np.testing.assert_allclose(np.loadtxt(output / "turned/dwi.bvec").T, turned, atol=1e-5)
    np.testing.assert_allclose(np.loadtxt(output / "plain/dwi.bvec").T, MADE.directions, atol=1e-5)
