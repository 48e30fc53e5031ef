"""Grid, HU and patches, against numbers worked out by hand; the traps of the published patch training."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.ctpa_baselines import blend

from deeprecon.ctpa.grid import FULL, PREVIEW, PUBLISHED, Grid, resample, to_hu, to_network
from deeprecon.ctpa.patches import Blending, Windows, seam_planes, starts
from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume


def ball(shape=(80, 90, 90), spacing=(4.0, 4.0, 4.0), center=(12.0, -7.0, 5.0), order=(0, 1, 2), flip=(1, 1, 1)):
    """A ball of 200 HU and 60 mm in air, in any axis order; `center` is the middle of the field in RAS mm."""
    axes = [(np.arange(n) - 0.5 * (n - 1)) * s for n, s in zip(shape, spacing, strict=True)]
    z, y, x = np.meshgrid(*axes, indexing="ij")
    array = np.where((x - 30) ** 2 + (y + 20) ** 2 + (z - 10) ** 2 < 60**2, 200, -1000).astype(np.int16)
    affine = np.diag([spacing[2], spacing[1], spacing[0], 1.0])
    affine[:3, 3] = np.array(center) - [axes[2][-1], axes[1][-1], axes[0][-1]]
    array = array.transpose(order)
    columns = affine[:, [2 - axis for axis in order[::-1]]]
    for axis, sign in enumerate(flip):
        if sign < 0:
            array = np.flip(array, axis)
            columns[:, 2 - axis] *= -1
    result = np.column_stack([columns, affine[:, 3]])
    for axis, sign in enumerate(flip):
        if sign < 0:
            result[:3, 3] -= result[:3, 2 - axis] * (array.shape[axis] - 1)
    return Volume(np.ascontiguousarray(array), result)


def test_the_grids_fill_one_field_of_view():
    for grid in (FULL, PREVIEW, PUBLISHED):
        assert np.multiply(grid.spacing, grid.shape[::-1]) == pytest.approx((358, 358, 365))
    assert FULL.spacing == pytest.approx((0.699, 0.699, 0.600), abs=1e-3)
    assert PREVIEW.shape == (304, 256, 256)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("flip", [(1, 1, 1), (-1, 1, -1)])
def test_a_ct_keeps_its_place_in_the_patient_in_every_axis_order(order, flip):
    hu, affine = resample(ball(order=order, flip=flip), Grid((76, 64, 64)))
    inside = np.argwhere(hu > -400)[:, ::-1]
    center = (inside @ affine[:3, :3].T + affine[:3, 3]).mean(axis=0)
    assert center == pytest.approx((12 + 30, -7 - 20, 5 + 10), abs=0.5)
    assert affine[0, 0] < 0
    assert affine[1, 1] < 0 < affine[2, 2]  # DICOM's axes: to the left, back and head
    volume = len(inside) * np.prod(np.abs(np.diag(affine)[:3]))
    assert volume == pytest.approx(4 / 3 * np.pi * 60**3, rel=0.03)


def test_hu_are_kept_and_the_outside_is_air_not_water():
    hu, _ = resample(ball(shape=(60, 60, 60)), Grid((76, 64, 64)))
    assert (hu.max(), hu.min(), hu[0, 0, 0]) == (200, -1000, -1000)


def test_one_metal_clip_does_not_rescale_the_volume():
    hu = np.array([-1000, -850, 0, 40, 300])
    with_metal = to_network(np.append(hu, 3071))
    np.testing.assert_array_equal(with_metal[:-1], to_network(hu))
    np.testing.assert_array_equal(to_hu(to_network(hu)), hu)
    assert to_hu(with_metal).dtype == np.int16


def test_a_ct_is_resampled_not_padded_to_a_count_of_slices():
    """The same patient in 60 and in 120 slices gives the same volume: an index means a place."""
    thick, _ = resample(ball(shape=(60, 90, 90), spacing=(6.0, 4, 4)), Grid((76, 64, 64)))
    thin, _ = resample(ball(shape=(120, 90, 90), spacing=(3.0, 4, 4)), Grid((76, 64, 64)))
    assert np.mean(np.abs(thick.astype(float) - thin)) < 4


def test_scaled_values_and_crops_are_refused():
    scaled = ball()
    with pytest.raises(InputError, match="not the HU"):
        resample(Volume((scaled.array + 1000) / 1200.0, scaled.ijk_to_ras, "scaled.nii.gz"), PREVIEW)
    with pytest.raises(InputError, match="it is a crop"):
        resample(ball(shape=(40, 90, 90)), PREVIEW)


# ---- patches


def test_the_seeds_patches_are_150_not_42():
    windows = Windows(PUBLISHED.shape, (128,) * 3, (96,) * 3)
    assert len(windows) == len(list(windows)) == 150
    assert starts(604, 128, 96) == [0, 96, 192, 288, 384, 476]
    assert len(Windows(PUBLISHED.shape, (128,) * 3, (64,) * 3)) == 441


@pytest.mark.parametrize(("patch", "stride"), [(128, 96), (96, 96), (96, 72), (128, 128)])
def test_no_voxel_of_the_volume_is_left_out(patch, stride):
    for size in (512, 604, 608):
        covered = np.zeros(size, bool)
        for start in starts(size, patch, stride):
            assert start + patch <= size
            covered[start : start + patch] = True
        assert covered.all()


def test_gaps_and_patches_too_large_are_refused():
    with pytest.raises(ValueError, match="gaps"):
        starts(512, 96, 97)
    with pytest.raises(ValueError, match="does not fit"):
        starts(64, 96, 48)
    assert len(Windows.cubes((40, 200, 200), 96, 48)) == 16


@pytest.mark.parametrize("kind", list(Blending))
def test_blending_is_a_partition_of_unity(kind):
    windows = Windows((45, 40, 38), (16, 16, 16), (12, 12, 12))
    total = np.zeros(windows.shape)
    for where, weights in windows.weights(kind):
        assert weights.min() > 0
        total[where] += weights
    np.testing.assert_allclose(total, 1, atol=1e-6)
    volume = np.random.default_rng(0).normal(size=(2, *windows.shape)).astype(np.float32)
    again = blend(windows, lambda where: volume[(slice(None), *where)], 2, kind)
    np.testing.assert_allclose(again, volume, atol=1e-5)


def test_seam_planes_are_where_patches_begin_and_end():
    windows = Windows((40, 40, 40), (16, 16, 16), (12, 12, 12))
    assert seam_planes(windows, 0) == [11, 15, 23, 27]
