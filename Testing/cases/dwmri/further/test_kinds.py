"""Phases and real-valued parts in datasets (kind 03), unsigned numbers read as signed ones (04)."""

from __future__ import annotations

import json

import nibabel as nib
import numpy as np
import pytest

from ..files import codes, runner
from .files import AFFINE, bids, canonical, dicom, head, nifti, nrrd, table, values

MADE = head(2, ((1000.0, 7),))


@pytest.fixture
def run(tmp_path):
    return runner(tmp_path)


# 03: what is no magnitude, and what topup and eddy need


def phases(low=-4096, high=4096):
    return np.random.default_rng(0).integers(low, high, MADE.noisy.shape).astype(np.int16)


def test_real_and_imaginary_parts_are_left_out_and_named(run, tmp_path, capsys):
    root = bids(tmp_path / "ds")
    place = root / "sub-01/ses-2/dwi"
    nifti(place / "sub-01_ses-2_part-mag_dwi.nii.gz", MADE.noisy, MADE.b, MADE.directions)
    for part in ("real", "imag"):
        nifti(place / f"sub-01_ses-2_part-{part}_dwi.nii.gz", phases(), MADE.b, MADE.directions)
    code, output = run("enhance", "--bids", root, "--method", "pca")
    assert code == 0
    assert "part-left-out" in codes(output)
    enhanced = {path.name for path in output.rglob("*_dwi.nii.gz")}
    assert any("part-mag" in name for name in enhanced)
    assert not any("part-real" in name or "part-imag" in name for name in enhanced)
    assert "sub-01_ses-2_part-imag_dwi" in json.dumps(json.loads((output / "result.json").read_text("utf-8"))["doubts"])


@pytest.mark.parametrize("image_type", [["ORIGINAL", "PRIMARY", "P", "NONE"], ["DERIVED", "PRIMARY", "PHASE MAP", "P"]])
def test_a_phase_that_only_its_sidecar_names_is_left_out(image_type, run, tmp_path):
    root = bids(tmp_path / "ds")
    nifti(root / "sub-01/dwi/sub-01_run-1_dwi.nii.gz", MADE.noisy, MADE.b, MADE.directions)
    path = nifti(root / "sub-01/dwi/sub-01_run-2_dwi.nii.gz", phases(0, 4096), MADE.b, MADE.directions)
    sidecar = path.with_name("sub-01_run-2_dwi.json")
    sidecar.write_text(json.dumps({"ImageType": image_type, "PhaseEncodingDirection": "j"}), "utf-8")
    code, output = run("enhance", "--bids", root, "--method", "pca")
    assert "part-left-out" in codes(output) or code == 2
    enhanced = {path.name for path in output.rglob("sub-*_dwi.nii.gz")}
    assert any("run-1" in name for name in enhanced)
    assert not any("run-2" in name for name in enhanced)


def test_entries_of_a_sidecar_for_the_whole_dataset_are_kept(run, tmp_path):
    """By the inheritance principle: table and sidecar in the root, a nearer sidecar overrides an entry."""
    root = bids(tmp_path / "ds")
    path = nifti(root / "sub-01/dwi/sub-01_dwi.nii.gz", MADE.noisy)
    table(root / "dwi.nii.gz", MADE.b, MADE.directions)
    (root / "dwi.json").write_text(json.dumps({"PhaseEncodingDirection": "j-", "TotalReadoutTime": 0.05}), "utf-8")
    (path.parent / "sub-01_dwi.json").write_text(json.dumps({"TotalReadoutTime": 0.06}), "utf-8")
    code, output = run("enhance", "--bids", root, "--method", "pca")
    assert code == 0
    found = next(output.rglob("sub-01*_dwi.json"))
    entries = json.loads(found.read_text("utf-8"))
    assert entries["PhaseEncodingDirection"] == "j-"
    assert entries["TotalReadoutTime"] == 0.06


def test_a_reference_image_beside_the_scan_is_no_scan(run, tmp_path):
    """A single-band reference and field maps have no table and are none of *_dwi."""
    root = bids(tmp_path / "ds")
    nifti(root / "sub-01/dwi/sub-01_dir-AP_dwi.nii.gz", MADE.noisy, MADE.b, MADE.directions)
    nifti(root / "sub-01/dwi/sub-01_dir-AP_sbref.nii.gz", MADE.noisy[..., 0])
    nifti(root / "sub-01/fmap/sub-01_dir-PA_epi.nii.gz", MADE.noisy[..., :1])
    code, output = run("enhance", "--bids", root, "--method", "pca")
    assert code == 0
    assert [path.name for path in output.rglob("*denoised*.nii.gz")] == ["sub-01_dir-AP_desc-denoised_dwi.nii.gz"]


# 04: unsigned numbers read as signed ones


UNSIGNED = np.rint(MADE.noisy / MADE.noisy.max() * 50000).astype(np.uint16)


def as_float(folder):
    """A program read the signed numbers and stored what it had as floating-point numbers."""
    return nifti(folder / "dwi.nii.gz", UNSIGNED.view(np.int16).astype(np.float32), MADE.b, MADE.directions), 1


def scaled(folder):
    """With a slope, as a Philips scan has."""
    image = nib.Nifti1Image(UNSIGNED.view(np.int16), AFFINE)
    image.header.set_slope_inter(0.25, 0)
    nib.save(image, folder / "dwi.nii.gz")
    return table(folder / "dwi.nii.gz", MADE.b, MADE.directions), 0.25


def as_nrrd(folder):
    return nrrd(folder / "dwi.nrrd", MADE, UNSIGNED.view(np.int16)), 1


def as_dicom(folder):
    """PixelRepresentation says signed."""
    scan = type(MADE)(UNSIGNED, MADE.clean, MADE.b, MADE.directions, MADE.mask)
    return dicom(folder / "series", scan, 10, PixelRepresentation=1), 1


def full_range(folder):
    """The brightest voxel is at 65535: no gap is left between the largest numbers and the smallest."""
    array = np.rint(MADE.noisy / MADE.noisy.max() * 65535).astype(np.uint16)
    return nifti(folder / "dwi.nii.gz", array.view(np.int16), MADE.b, MADE.directions), 65535 / 50000


@pytest.mark.parametrize("store", [as_float, scaled, as_nrrd, as_dicom, full_range])
def test_wrapped_numbers_are_refused_and_put_right(store, run, tmp_path, capsys):
    path, scale = store(tmp_path)
    assert run("prepare", "--dwi", path)[0] == 2
    message = capsys.readouterr().err
    assert path.name in message
    assert "--accept wrapped-16-bit" in message
    code, output = run("export", "--dwi", path, "--format", "nifti", "--accept", "wrapped-16-bit", name="right")
    assert code == 0
    np.testing.assert_allclose(values(output / "dwi.nii.gz"), canonical(UNSIGNED) * scale, atol=scale)


@pytest.mark.parametrize("fill", [-32768, -1024, -1])
def test_a_fill_value_outside_of_the_scan_is_no_negative_noise(fill, run, tmp_path):
    array = np.rint(MADE.noisy).astype(np.int16)
    array[:2] = fill
    code, output = run("prepare", "--dwi", nifti(tmp_path / "dwi.nii.gz", array, MADE.b, MADE.directions))
    assert code == 0
    assert "real-valued" not in codes(output)
