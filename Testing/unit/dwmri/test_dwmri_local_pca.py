"""Local PCA with optimal shrinkage, on signal and noise that are known."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.dwmri.fit.local_pca import local_pcas, shrink

from .arrays import ALL, smooth_signal, white_noise


@pytest.mark.parametrize("volumes", [3, 15, 40])
def test_shrinkage_removes_most_noise_and_little_signal(volumes):
    signal = smooth_signal(volumes)
    parts = local_pcas(signal + white_noise(volumes), ALL, False, "cpu", 1)
    for part in parts:
        assert np.mean((part - signal) ** 2) < (0.7 if volumes == 3 else 0.45)
    assert np.mean((np.mean(parts, axis=0) - signal) ** 2) < (0.55 if volumes == 3 else 0.25)


def test_pure_noise_becomes_its_mean():
    assert np.mean(shrink(white_noise(30), ALL, 2, 1, "cpu") ** 2) < 0.03


def test_a_strong_signal_is_kept():
    signal = 1000 * smooth_signal(20)
    for part in local_pcas(signal, ALL, False, "cpu", 1):
        np.testing.assert_allclose(part, signal, atol=0.02 * np.abs(signal).max())


def test_shrinkage_is_equivariant_to_flips_and_to_the_order_of_volumes():
    noisy = white_noise(12) + smooth_signal(12)
    order = np.random.default_rng(1).permutation(12)
    plain = shrink(noisy, ALL, 1, 1, "cpu")
    np.testing.assert_allclose(shrink(noisy[::-1].copy(), ALL, 1, 1, "cpu")[::-1], plain, atol=1e-3)
    np.testing.assert_allclose(shrink(noisy[..., order], ALL, 1, 1, "cpu"), plain[..., order], atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 12, 12), (2, 5, 7), (3, 1, 9)])
def test_single_slices_and_odd_sizes_are_denoised(shape):
    noisy = 50 + white_noise(9, shape=shape)
    for part in local_pcas(noisy, np.ones(shape, bool), False, "cpu", 1):
        assert part.shape == noisy.shape
        assert np.mean((part - 50) ** 2) < 0.6


def test_voxels_far_from_the_mask_are_returned_as_they_are():
    noisy, mask = white_noise(9), np.zeros((12, 12, 12), bool)
    mask[:3, :3, :3] = True
    found = shrink(noisy, mask, 1, 1, "cpu")
    np.testing.assert_array_equal(found[6:], noisy[6:])
    assert np.abs(found[1, 1, 1] - noisy[1, 1, 1]).max() > 0.1
