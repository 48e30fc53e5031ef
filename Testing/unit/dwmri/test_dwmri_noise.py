"""Noise level, bias of magnitudes, whiteness, local PCA: against noise that is known."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.dwmri.filters import gaussian, gradient_magnitude, laplacian_of_gaussian, smooth_in_mask
from deeprecon.dwmri.fit.local_pca import local_pcas
from deeprecon.dwmri.fit.pca import noise_map, shrink
from deeprecon.dwmri.fit.rician import FLOOR, correct_bias, rician_mean, rician_spread, signal_of, stabilize
from deeprecon.dwmri.fit.selfsupervised import CROP, noise_taps, simulate, slabs
from deeprecon.dwmri.measure.metrics import edge_correlation, evaluate, lag1
from deeprecon.dwmri.observe.noise import estimate_noise, whiteness
from deeprecon.dwmri.simulate.head import add_noise, make_phantom
from deeprecon.dwmri.simulate.inserted_lesions import RADII, SHARE, plant

ALL = np.ones((12, 12, 12), bool)


def white(volumes: int, seed: int = 0, shape=(12, 12, 12)) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((*shape, volumes)).astype(np.float32)


def smooth_signal(volumes: int) -> np.ndarray:
    """Three smooth maps with a weight for each volume."""
    i = np.linspace(0, 1, 12)
    k, j, i = np.meshgrid(i, i, i, indexing="ij")
    maps = np.stack([np.ones_like(k), k + i, j * i], axis=-1)
    return (maps @ (20 * np.random.default_rng(3).standard_normal((3, volumes)))).astype(np.float32)


# bias


def test_the_mean_of_a_magnitude_is_that_of_simulated_noise():
    rng = np.random.default_rng(0)
    for signal in (0.0, 1.0, 2.5, 8.0):
        simulated = np.abs(signal + rng.standard_normal(400_000) + 1j * rng.standard_normal(400_000)).mean()
        np.testing.assert_allclose(rician_mean(np.array([signal])), simulated, rtol=4e-3)


def test_the_mean_goes_on_smoothly_to_large_signals():
    means = rician_mean(np.array([39.9, 39.99, 40.01, 40.1, 500.0]))
    assert (np.diff(means) > 0).all()
    np.testing.assert_allclose(means[-1], 500 + 1 / 1000, rtol=1e-9)


@pytest.mark.parametrize("sigma", [1.0, 7.0])
def test_correcting_the_bias_gives_the_signal_back(sigma):
    signal = np.array([0.3, 1, 3, 20, 39.9, 60, 1000], np.float32)[None, None, :, None] * sigma
    mean = (rician_mean(signal / sigma) * sigma).astype(np.float32)
    np.testing.assert_allclose(correct_bias(mean, np.full((1, 1, 7), sigma, np.float32)), signal, rtol=2e-3)


def test_below_the_noise_floor_there_is_no_signal_and_without_noise_nothing_changes():
    mean = np.full((1, 1, 2, 1), 0.9 * FLOOR, np.float32)
    np.testing.assert_array_equal(correct_bias(mean, np.ones((1, 1, 2), np.float32)), 0)
    np.testing.assert_array_equal(correct_bias(mean, np.zeros((1, 1, 2), np.float32)), mean)


def magnitudes(signal: float, count: int = 300_000) -> np.ndarray:
    """(1, 1, count, 1) repeats of one voxel with noise of variance 1."""
    rng = np.random.default_rng(int(10 * signal))
    noise = rng.standard_normal(count) + 1j * rng.standard_normal(count)
    return np.abs(signal + noise)[None, None, :, None].astype(np.float32)


@pytest.mark.parametrize("signal", [0.0, 0.7, 2.0, 5.0, 9.9, 10.1, 60.0])
def test_the_spread_of_magnitudes_is_that_of_simulated_noise(signal):
    np.testing.assert_allclose(rician_spread(np.array([signal])), magnitudes(signal).std(), rtol=6e-3)


@pytest.mark.parametrize("signal", [0.0, 0.7, 1.5, 2.0, 3.0, 5.0, 9.9, 39.0, 60.0])
def test_stabilized_noise_is_about_as_strong_at_any_signal(signal):
    assert 0.87 < stabilize(magnitudes(signal)).std() < 1.08


@pytest.mark.parametrize("signal", [0.7, 1.5, 2.0, 3.0, 5.0, 9.9, 39.0, 60.0])
def test_the_mean_of_stabilized_noise_gives_the_signal_back(signal):
    mean = stabilize(magnitudes(signal)).mean(keepdims=True, dtype=np.float64)
    np.testing.assert_allclose(signal_of(mean), signal, atol=0.02)
    assert signal_of(np.zeros((1, 1, 1, 1), np.float32)) == 0


# level


def test_low_magnitudes_that_vary_less_do_not_lower_the_level():
    made = make_phantom((16, 32, 32), 3, [(1000.0, 15), (2500.0, 15)], snr=15)
    plain, found = (estimate_noise(made.noisy.array, made.mask, "cpu", rician=rician) for rician in (False, True))
    off = [abs(float((level / made.sigma)[made.mask].mean()) - 1) for level in (plain, found)]
    assert off[1] < 0.03
    assert off[1] < off[0]


@pytest.mark.parametrize("volumes", [7, 15, 33, 70])
@pytest.mark.parametrize("structured", [False, True])
def test_the_noise_level_is_found_whatever_the_number_of_volumes(volumes, structured):
    noise = 5 * white(volumes) + (5 * smooth_signal(volumes) if structured else 0)
    np.testing.assert_allclose(estimate_noise(noise, ALL, "cpu", rician=False).mean(), 5, rtol=0.03)


def test_two_volumes_are_enough_for_a_level():
    np.testing.assert_allclose(estimate_noise(5 * white(2), ALL, "cpu", rician=False).mean(), 5, rtol=0.05)


def test_a_map_of_the_noise_follows_the_noise():
    made = make_phantom((16, 32, 32), snr=20, varying=True)
    found = estimate_noise(made.noisy.array, made.mask, "cpu")
    ratio = (found / made.sigma)[made.mask]
    assert 0.93 < ratio.mean() < 1.05
    assert np.corrcoef(found[made.mask], made.sigma[made.mask])[0, 1] > 0.85


def test_noise_that_neighbors_share_is_not_taken_for_signal():
    made = make_phantom((16, 32, 32), snr=20, correlated=True)
    found = estimate_noise(made.noisy.array, made.mask, "cpu")
    assert 0.98 < np.median((found / made.sigma)[made.mask]) < 1.03


def test_a_scan_without_noise_has_hardly_any():
    made = make_phantom((12, 24, 24), 3, [(1000.0, 12)], snr=0)
    found = estimate_noise(made.clean.array, made.mask, "cpu")
    assert (found > 0).all()
    assert found[made.mask].mean() < 0.02 * made.clean.array[made.mask].mean()


def test_several_threads_give_the_same_as_one():
    noise = white(15) + smooth_signal(15)
    np.testing.assert_array_equal(noise_map(noise, ALL, 2, 2, "cpu", 1), noise_map(noise, ALL, 2, 2, "cpu", 3))
    np.testing.assert_array_equal(shrink(noise, ALL, 1, 1, "cpu", 1), shrink(noise, ALL, 1, 1, "cpu", 3))


# local PCA


@pytest.mark.parametrize("volumes", [3, 15, 40])
def test_shrinkage_takes_most_of_the_noise_and_little_of_the_signal(volumes):
    signal = smooth_signal(volumes)
    parts = local_pcas(signal + white(volumes), ALL, False, "cpu", 1)
    for part in parts:
        assert np.mean((part - signal) ** 2) < (0.7 if volumes == 3 else 0.45)
    assert np.mean((np.mean(parts, axis=0) - signal) ** 2) < (0.55 if volumes == 3 else 0.25)


def test_pure_noise_becomes_its_mean():
    assert np.mean(shrink(white(30), ALL, 2, 1, "cpu") ** 2) < 0.03


def test_what_has_no_noise_is_kept():
    signal = 1000 * smooth_signal(20)
    for part in local_pcas(signal, ALL, False, "cpu", 1):
        np.testing.assert_allclose(part, signal, atol=0.02 * np.abs(signal).max())


def test_shrinkage_does_not_care_about_flips_and_the_order_of_volumes():
    noisy = white(12) + smooth_signal(12)
    order = np.random.default_rng(1).permutation(12)
    plain = shrink(noisy, ALL, 1, 1, "cpu")
    np.testing.assert_allclose(shrink(noisy[::-1].copy(), ALL, 1, 1, "cpu")[::-1], plain, atol=1e-3)
    np.testing.assert_allclose(shrink(noisy[..., order], ALL, 1, 1, "cpu"), plain[..., order], atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 12, 12), (2, 5, 7), (3, 1, 9)])
def test_single_slices_and_odd_sizes_are_denoised(shape):
    noisy = 50 + white(9, shape=shape)
    for part in local_pcas(noisy, np.ones(shape, bool), False, "cpu", 1):
        assert part.shape == noisy.shape
        assert np.mean((part - 50) ** 2) < 0.6


def test_voxels_far_from_the_mask_are_returned_as_they_are():
    noisy, mask = white(9), np.zeros((12, 12, 12), bool)
    mask[:3, :3, :3] = True
    found = shrink(noisy, mask, 1, 1, "cpu")
    np.testing.assert_array_equal(found[6:], noisy[6:])
    assert np.abs(found[1, 1, 1] - noisy[1, 1, 1]).max() > 0.1


# whiteness


def test_white_noise_is_white_and_a_lost_edge_is_not():
    made = make_phantom((16, 32, 32), snr=20)
    sigma = made.sigma
    noise = sigma[..., None] * white(30, shape=(16, 32, 32))
    enhanced = made.clean.array[..., ~made.clean.gradients.b0]
    found = whiteness(noise, enhanced, sigma, made.mask)
    np.testing.assert_allclose(found.variance_ratio, 1, rtol=0.02)
    assert not found.structured
    assert np.abs(found.lag1).max() < 0.02
    blurred = enhanced - gaussian(enhanced, 0.8)
    assert whiteness(noise + blurred, enhanced, sigma, made.mask).structured


def test_neighbors_that_share_noise_are_found_along_their_axis():
    noise = white(8, shape=(10, 10, 40))
    shared = (noise[:, :, 1:] + noise[:, :, :-1]) / np.sqrt(2)
    k, j, i = lag1(shared, np.ones(shared.shape[:3], bool))
    np.testing.assert_allclose([k, j, i], [0, 0, 0.5], atol=0.03)


def test_simulated_noise_has_the_correlation_that_was_measured():
    made = add_noise(np.full((16, 40, 40, 6), 500.0, np.float32), np.ones((16, 40, 40)), np.random.default_rng(0), True)
    inside = np.ones((16, 40, 40), bool)
    flat = np.full_like(made, 500.0)
    taps = noise_taps(made, flat, inside, True)
    again = simulate(flat, True, taps, np.random.default_rng(1))
    np.testing.assert_allclose(lag1(again, inside), lag1(made, inside), atol=0.03)
    np.testing.assert_allclose(again.std(), made.std(), rtol=0.03)
    assert max(lag1(made, inside)) > 0.15


def test_planted_structures_are_small_and_have_the_signal_of_other_voxels():
    mask = np.zeros((20, 30, 30), bool)
    mask[2:, :25, 5:] = True
    clean = np.zeros((*mask.shape, 2), np.float32)
    clean[..., 0] = np.arange(20)[:, None, None]
    clean[..., 1] = 100 - clean[..., 0]  # a copy keeps what volumes have in common
    planted, shares = plant(clean, mask, np.random.default_rng(0))
    assert np.array_equal(planted[shares == 0], clean[shares == 0])
    assert not shares[~mask].any()
    assert 0.5 * SHARE < shares[mask].mean() <= 1.1 * SHARE  # some lie one upon the other
    assert 0.2 < (shares[shares > 0] < 1).mean() < 1  # partial volumes
    np.testing.assert_allclose(planted.sum(axis=-1), 100, rtol=1e-5)
    assert np.abs(planted - clean)[shares == 1].mean() > 3
    alone = np.argwhere(shares > 0).astype(float)
    far = np.linalg.norm(alone[:, None] - alone[None], axis=2) > 2 * RADII[1] + 2
    assert far.mean() > 0.9  # spread over the scan
    again = plant(clean, mask, np.random.default_rng(0))[0]
    np.testing.assert_array_equal(planted, again)


@pytest.mark.parametrize("shape", [(6, 200, 200), (60, 60, 60), (300, 20, 20)])
def test_the_slabs_of_a_large_scan_cover_it_and_hold_a_crop(shape):
    mask = np.zeros(shape, bool)
    mask[1:-1] = True
    parts = slabs(mask)
    seen = np.zeros(shape[0], int)
    for part in parts:
        seen[part] += 1
        assert part.stop - part.start >= min(CROP, shape[0])
        assert 0 <= part.start < part.stop <= shape[0]
    assert (seen > 0).all()
    assert [part.stop - part.start for part in slabs(mask[:, :10, :10])] == [shape[0]] * 4


def test_the_correlation_of_a_constant_is_nothing():
    flat = np.ones((4, 4, 4, 2))
    inside = np.ones((4, 4, 4), bool)
    assert edge_correlation(flat, flat, inside) == 0
    assert lag1(flat, inside) == (0, 0, 0)


# filters and figures


def test_smoothing_keeps_constants_and_widens_a_dot():
    np.testing.assert_allclose(gaussian(np.full((5, 6, 7), 3.0), 1.5), 3)
    dot = np.zeros((21, 21, 21))
    dot[10, 10, 10] = 1
    found = gaussian(dot, 1.5)
    width = np.sqrt((found.sum(axis=(1, 2)) * (np.arange(21) - 10) ** 2).sum())
    np.testing.assert_allclose(width, 1.5, rtol=0.03)


def test_smoothing_in_a_mask_ignores_what_lies_outside():
    values = np.full((8, 8, 8), 100.0)
    mask = np.zeros((8, 8, 8), bool)
    mask[:, :, :4] = True
    values[mask] = 2.0
    np.testing.assert_allclose(smooth_in_mask(values, mask, 1.0)[mask], 2)


def test_a_ramp_has_its_slope_and_no_curvature():
    ramp = np.broadcast_to(3.0 * np.arange(15), (15, 15, 15)).copy()
    inner = (slice(5, 10),) * 3
    np.testing.assert_allclose(gradient_magnitude(ramp, 0.7)[inner], 3, rtol=1e-6)
    np.testing.assert_allclose(laplacian_of_gaussian(ramp, 1.0)[inner], 0, atol=1e-6)


def test_a_residual_is_held_against_its_own_noise_where_that_is_known():
    made = make_phantom((16, 32, 32), snr=10, varying=True)
    noisy, clean = made.noisy.array, made.clean
    raw = evaluate(clean.array, clean, made.mask, noisy=noisy)["residual_edge_correlation"]
    found = evaluate(clean.array, clean, made.mask, noisy=noisy, sigma=made.sigma)["residual_edge_correlation"]
    assert abs(found) < 0.05 < abs(raw)  # nothing was lost: only the noise is larger in the middle
    lost = gaussian(clean.array, 1.0)
    assert evaluate(lost, clean, made.mask, noisy=noisy, sigma=made.sigma)["residual_edge_correlation"] > 0.3


def test_figures_of_known_errors(head):
    clean, mask = head.clean, head.mask
    weighted = ~clean.gradients.b0
    peak = np.percentile(clean.array[mask][:, weighted], 99.9)
    off = clean.array + np.float32(4.0)
    found = evaluate(off, clean, mask, head.labels, head.noisy.array)
    np.testing.assert_allclose(found["psnr_dwi"], 20 * np.log10(peak / 4), rtol=1e-5)
    np.testing.assert_allclose(found["edge_ratio"], 1, atol=0.03)
    assert found["md_error"] > 1
    blurred = evaluate(gaussian(clean.array, 1.0), clean, mask, head.labels)
    assert blurred["edge_ratio"] < 0.9
    assert blurred["hfen"] > 0.1
    assert "lesion_rmse" in found or not head.labels["lesions"].any()
