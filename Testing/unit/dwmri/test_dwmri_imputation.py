"""Lost and corrupted slices: detection and imputation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import shift

from deeprecon.data.diffusion.files import read_dwi
from deeprecon.data.diffusion.gradients import GradientTable
from deeprecon.data.errors import InputError
from deeprecon.dwmri.fit.imputation import check_imputable, impute_slices
from deeprecon.dwmri.observe.mask import find_mask
from deeprecon.dwmri.observe.motion import describe_motion, displacements
from deeprecon.dwmri.observe.outliers import find_outliers
from deeprecon.dwmri.observe.prediction import direction_covariance, left_out_residuals, prediction_weights
from deeprecon.dwmri.parameters import EnhanceParameters, parse_volumes
from deeprecon.dwmri.simulate.head import add_noise, make_phantom


@pytest.fixture(scope="module")
def scan():
    """4 b0 and 30 directions at SNR 20."""
    return make_phantom((16, 32, 32), 4, snr=20)


def weighted(scan):
    return np.flatnonzero(~scan.clean.gradients.b0)


def striped(picture, height):
    """As a spike in k-space does: stripes of a share of the mean, whose own mean is zero."""
    stripes = np.sin(1.3 * np.arange(picture.shape[0]))[:, None]
    return np.abs(picture + height * picture[picture > picture.mean()].mean() * stripes)


def found_in(array, scan):
    return find_outliers(array, scan.clean.gradients, scan.mask)[0]


def test_a_lost_volume_and_a_lost_slice_are_found_and_predicted(scan):
    table, numbers = scan.clean.gradients, weighted(scan)
    array = scan.noisy.array.copy()
    array[..., numbers[2]] = 0
    array[5, :, :, numbers[7]] *= 0.5
    lost = found_in(array, scan)
    assert lost[5, numbers[7]]
    assert lost[:, numbers[2]].all()
    assert not np.delete(lost, [numbers[2], numbers[7]], axis=1).any()
    imputed = impute_slices(array, table, lost)
    filled = imputed.array
    assert not imputed.left.any()
    mask = scan.mask[8]
    truth, found = (each[8, :, :, numbers[2]][mask] for each in (scan.clean.array, filled))
    assert np.abs(found - truth).mean() < 0.12 * truth.mean()


@pytest.fixture(scope="module")
def shells():
    """Noisy at SNR 10, more of it in the middle."""
    return make_phantom((12, 24, 24), 4, [(700.0, 4), (1000.0, 16), (2500.0, 20)], snr=10, varying=True)


@pytest.mark.parametrize("snr", [10, 20, 30])
@pytest.mark.parametrize("volumes", [44, 8], ids=["all", "few"])
def test_a_clean_scan_has_no_outlier(snr, volumes, shells):
    noisy = add_noise(shells.clean.array, shells.sigma * 10 / snr, np.random.default_rng(snr))
    table = shells.clean.gradients
    chosen = np.argsort(table.bvals, kind="stable")[:volumes]
    found, compared = find_outliers(noisy[..., chosen], table.subset(chosen), shells.mask)
    assert not found.any()
    assert compared.all()


@pytest.mark.parametrize("kind", ["b0", "weighted"])
@pytest.mark.parametrize(
    "corrupt", [lambda picture: 1.7 * picture, lambda picture: striped(picture, 0.8)], ids=["bright", "stripes"]
)
def test_a_bright_slice_and_stripes_are_found_and_nothing_else(corrupt, kind, scan):
    volume = weighted(scan)[9] if kind == "weighted" else np.flatnonzero(scan.clean.gradients.b0)[1]
    array = scan.noisy.array.copy()
    array[7, :, :, volume] = corrupt(array[7, :, :, volume])
    np.testing.assert_array_equal(np.argwhere(found_in(array, scan)), [[7, volume]])


def test_a_volume_that_is_too_bright_or_full_of_stripes_is_found(scan):
    bright, spoiled = weighted(scan)[[4, 11]]
    array = scan.noisy.array.copy()
    array[..., bright] *= 3
    for k in range(16):
        array[k, ..., spoiled] = striped(array[k, ..., spoiled], 2.0)
    found = found_in(array, scan)
    assert found[:, [bright, spoiled]].all()
    assert not np.delete(found, [bright, spoiled], axis=1).any()


def test_neither_a_gain_nor_a_head_that_moved_is_an_outlier(scan):
    array = scan.noisy.array.copy()
    array[..., weighted(scan)[4]] *= 0.7
    array[..., weighted(scan)[11]] = np.roll(array[..., weighted(scan)[11]], 2, axis=1)
    assert not found_in(array, scan).any()


def test_a_lost_b0_becomes_the_mean_of_the_other_b0_in_its_own_gain(scan):
    lost = int(np.flatnonzero(scan.clean.gradients.b0)[2])
    array = scan.noisy.array.copy()
    array[..., lost] *= 0.8
    truth = 0.8 * scan.clean.array[6, ..., lost]
    array[6, :, :, lost] *= 0.1
    found = found_in(array, scan)
    np.testing.assert_array_equal(np.argwhere(found), [[6, lost]])
    imputed = impute_slices(array, scan.clean.gradients, found)
    filled = imputed.array
    assert not imputed.left.any()
    np.testing.assert_allclose(filled[6, ..., lost][scan.mask[6]].mean(), truth[scan.mask[6]].mean(), rtol=0.02)


def test_two_b0_cannot_be_compared_and_b0_of_another_b_value_are_not_used():
    made = make_phantom((8, 16, 16), 4, [(1000.0, 8)], snr=20)
    table, b0 = made.clean.gradients, np.flatnonzero(made.clean.gradients.b0)
    two = np.setdiff1d(np.arange(len(table)), b0[:2])
    compared = find_outliers(made.noisy.array[..., two], table.subset(two), made.mask)[1]
    np.testing.assert_array_equal(compared, ~table.subset(two).b0)
    bvals = table.bvals.copy()
    bvals[b0] = 0, 0, 30, 30
    lost = np.zeros((8, len(table)), bool)
    lost[3, b0[3]] = True
    imputed = impute_slices(made.noisy.array, GradientTable(bvals, table.directions), lost)
    np.testing.assert_array_equal(imputed.left, lost)
    np.testing.assert_array_equal(imputed.array, made.noisy.array)


def test_nothing_is_replaced_where_too_few_volumes_are_left():
    made = make_phantom((8, 16, 16), 1, [(1000.0, 6)], snr=20)
    lost = np.zeros((8, 7), bool)
    lost[3, weighted(made)] = True
    imputed = impute_slices(made.noisy.array, made.clean.gradients, lost)
    assert imputed.left.sum() == 6
    np.testing.assert_array_equal(imputed.array, made.noisy.array)


def shifted(scan, volume, mm):
    """The noisy scan with a volume shifted along the slices."""
    array = scan.noisy.array.copy()
    array[..., volume] = shift(array[..., volume], (mm / 2, 0, 0), order=1, mode="nearest")
    return array


def test_displacements_are_those_of_the_volumes(scan):
    volume = weighted(scan)[6]
    none = np.zeros((16, 34), bool)
    found = displacements(shifted(scan, volume, 1.5), scan.clean.gradients, scan.clean.spacing, scan.mask, none)
    assert found[volume] == pytest.approx(1.5, abs=0.3)
    near = np.abs(scan.clean.gradients.directions @ scan.clean.gradients.directions[volume]) > 0.7
    assert found[~near].max() < 0.25
    assert np.delete(found, volume).max() < 0.75  # those of near directions are predicted from it
    few = displacements(scan.noisy.array, scan.clean.gradients, scan.clean.spacing, scan.mask, ~none)
    assert np.isnan(few).all()


def test_slices_of_a_volume_where_the_head_moved_are_left_with_a_word_and_lost_ones_are_not(scan):
    directions, moved = scan.clean.gradients.directions, weighted(scan)[6]
    lost = weighted(scan)[np.abs(directions[weighted(scan)] @ directions[moved]).argmin()]
    array = shifted(scan, moved, 5.0)
    array[6, ..., lost] *= 0.3
    taken = found_in(array, scan)
    assert taken[:, moved].any()
    displaced = displacements(array, scan.clean.gradients, scan.clean.spacing, scan.mask, taken)
    explained, doubts = describe_motion(displaced, taken, scan.clean.spacing, "scan")
    np.testing.assert_array_equal(np.argwhere(taken & ~explained), [[6, lost]])
    assert [doubt.code for doubt in doubts] == ["head-moved"]
    assert f"volumes {moved}," in doubts[0].text
    assert describe_motion(displaced, taken & ~explained, scan.clean.spacing, "scan")[1] == ()


def test_slices_that_show_little_of_the_head_are_not_judged(scan):
    mask = scan.mask.copy()
    mask[8] &= np.cumsum(mask[8].ravel()).reshape(mask[8].shape) <= 0.25 * mask.sum(axis=(1, 2)).max()
    array = scan.noisy.array.copy()
    array[[6, 8], ..., weighted(scan)[4]] *= 0.3
    found, _ = find_outliers(array, scan.clean.gradients, mask)
    np.testing.assert_array_equal(np.argwhere(found), [[6, weighted(scan)[4]]])


def test_what_was_filled_in_stays_uncertain(scan):
    volume = weighted(scan)[4]
    lost = np.zeros((16, 34), bool)
    lost[6, volume] = True
    imputed = impute_slices(scan.noisy.array, scan.clean.gradients, lost)
    error = (imputed.array - scan.clean.array)[6, ..., volume][scan.mask[6]]
    stated = imputed.squared_error[6][scan.mask[6]]
    assert 1 < stated.mean() / np.mean(error**2) < 4
    assert not imputed.squared_error[7].any()
    denoised = np.full(scan.mask.shape, 1.0, np.float32)
    total = imputed.with_error_of_filled(denoised, scan.mask)
    np.testing.assert_allclose(total[6][scan.mask[6]] ** 2, np.maximum((33 + stated) / 34, 1), rtol=1e-5)
    np.testing.assert_array_equal(np.delete(total, 6, axis=0), np.delete(denoised, 6, axis=0))


@pytest.mark.parametrize("kind", ["b0", "weighted"])
def test_the_residuals_of_all_volumes_are_those_of_leaving_out_one_after_the_other(kind, scan):
    table = scan.clean.gradients
    good = weighted(scan)[:8] if kind == "weighted" else np.flatnonzero(table.b0)
    voxels = scan.noisy.array[8, 10]
    expected = [voxels[:, one] - voxels @ prediction_weights(table, good[good != one], one) for one in good]
    found = left_out_residuals(voxels[:, good], table, good)
    np.testing.assert_allclose(found, np.stack(expected, axis=1), atol=0.05)


def test_selected_volumes_are_counted_from_0_and_must_leave_enough_of_their_shell(scan):
    table, b0 = scan.clean.gradients, np.flatnonzero(scan.clean.gradients.b0)
    assert parse_volumes(" 17, 3,17") == [3, 17]
    assert parse_volumes("") == []
    check_imputable([0, 33], table)
    with pytest.raises(InputError, match="no volume 34"):
        check_imputable([3, 34], table)
    check_imputable(b0[:2].tolist(), table)
    with pytest.raises(InputError, match="1 other volumes of b = 0"):
        check_imputable(b0[:3].tolist(), table)
    assert "'1-3' is not the number" in EnhanceParameters(impute="1-3").validate()[0]


def spread_directions(count):
    """(count, 3) unit vectors, evenly spread over half a sphere."""
    height = (np.arange(count) + 0.5) / count
    turn = np.pi * (1 + 5**0.5) * np.arange(count)
    across = np.sqrt(1 - height**2)
    return np.stack([across * np.cos(turn), across * np.sin(turn), height], axis=1)


@pytest.mark.parametrize(("count", "max_error"), [(20, 0.045), (32, 0.03), (64, 0.022), (90, 0.018), (128, 0.016)])
def test_each_volume_is_predicted_from_the_others_with_any_number_of_directions(count, max_error):
    """300 fibers with noise of 0.03; the signal is 0.74 across and 0.18 along them."""
    directions, rng = spread_directions(count), np.random.default_rng(1)
    assert np.linalg.eigvalsh(direction_covariance(directions, directions)).min() > -1e-12
    fibers = rng.standard_normal((300, 3))
    along = (fibers / np.linalg.norm(fibers, axis=1)[:, None] @ directions.T) ** 2
    truth = np.exp(-0.3 - 1.4 * along)
    noisy = (truth + rng.normal(0, 0.03, truth.shape)).astype(np.float32)[None, None]
    table, errors = GradientTable(np.full(count, 1000.0), directions), []
    for volume in range(count):
        imputed = impute_slices(noisy, table, np.arange(count)[None] == volume)
        filled = imputed.array
        assert not imputed.left.any()
        errors.append(np.sqrt(np.mean((filled[0, 0, :, volume] - truth[:, volume]) ** 2)))
    assert np.median(errors) < max_error


@pytest.mark.parametrize("name", ["siemens_sag_b2000", "philips_ax_b1000"])
def test_a_real_scan_has_no_outlier(name, shared_data):
    real = read_dwi(shared_data / "dwi" / name / "dwi.nii.gz")
    found, _ = find_outliers(real.array.astype(np.float32), real.gradients, find_mask(real))
    assert not found.any()
