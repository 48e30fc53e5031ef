"""Masks as segmentation programs write them (kind 06): each means the same voxels."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from ..files import result, runner
from .files import AFFINE, head, nifti

MADE = head(2, ((1000.0, 7),))
INSIDE = gaussian_filter(MADE.mask.astype(np.float64), 1.5)


def spm(path):
    """Probabilities in bytes with a slope of 1/255."""
    image = nib.Nifti1Image(np.rint(INSIDE * 255).astype(np.uint8), AFFINE)
    image.header.set_slope_inter(1 / 255, 0)
    nib.save(image, path)
    return np.rint(INSIDE * 255) / 255 > 0.5


def percent(path):
    """An atlas' probabilities from 0 to 100."""
    nifti(path, np.rint(INSIDE * 100).astype(np.uint8))
    return np.rint(INSIDE * 100) > 50


def bytes_255(path):
    nifti(path, np.where(MADE.mask, 255, 0).astype(np.uint8))
    return MADE.mask


def labels(path):
    """Numbers of FreeSurfer's regions."""
    regions = np.where(np.arange(24)[:, None, None] < 12, 41, 1001) * MADE.mask
    regions[10:14] = np.where(MADE.mask[10:14], 2, 0)
    nifti(path, regions.astype(np.int32))
    return MADE.mask


def nan_outside(path):
    """No numbers outside, another order of the axes, and a 4th axis."""
    affine = AFFINE[:, [2, 0, 1, 3]]
    stored = np.where(MADE.mask, 1.0, np.nan).astype(np.float32).transpose(2, 0, 1)[..., None]
    nifti(path, stored, affine=affine)
    return MADE.mask


def half_voxels(path):
    """On half the voxel size, one cube of 8 for each voxel."""
    affine = AFFINE @ np.diag([0.5, 0.5, 0.5, 1])
    affine[:3, 3] = (AFFINE @ [-0.25, -0.25, -0.25, 1])[:3]
    nifti(path, np.kron(MADE.mask.astype(np.uint8), np.ones((2, 2, 2), np.uint8)), affine=affine)
    return MADE.mask


@pytest.mark.parametrize("store", [spm, percent, bytes_255, labels, nan_outside, half_voxels])
def test_a_mask_means_the_same_voxels(store, tmp_path):
    scan = nifti(tmp_path / "dwi.nii.gz", MADE.noisy, MADE.b, MADE.directions)
    right = store(tmp_path / "mask.nii.gz")
    code, output = runner(tmp_path)("prepare", "--dwi", scan, "--mask", tmp_path / "mask.nii.gz")
    assert code == 0
    assert result(output)["metrics"]["mask_voxels"] == right.sum()
    found = np.asarray(nib.load(output / "mask.nii.gz").dataobj) > 0
    np.testing.assert_array_equal(found, right)
