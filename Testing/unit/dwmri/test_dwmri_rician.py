"""Rician statistics of magnitudes, against simulated noise."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.dwmri.noise.rician import (
    NOISE_FLOOR,
    correct_bias,
    rician_mean,
    rician_std,
    signal_from_stabilized,
    stabilize,
)


def test_rician_mean_equals_that_of_simulated_noise():
    rng = np.random.default_rng(0)
    for signal in (0.0, 1.0, 2.5, 8.0):
        simulated = np.abs(signal + rng.standard_normal(400_000) + 1j * rng.standard_normal(400_000)).mean()
        np.testing.assert_allclose(rician_mean(np.array([signal])), simulated, rtol=4e-3)


def test_rician_mean_is_smooth_up_to_large_signals():
    means = rician_mean(np.array([39.9, 39.99, 40.01, 40.1, 500.0]))
    assert (np.diff(means) > 0).all()
    np.testing.assert_allclose(means[-1], 500 + 1 / 1000, rtol=1e-9)


@pytest.mark.parametrize("sigma", [1.0, 7.0])
def test_bias_correction_inverts_the_rician_mean(sigma):
    signal = np.array([0.3, 1, 3, 20, 39.9, 60, 1000], np.float32)[None, None, :, None] * sigma
    mean = (rician_mean(signal / sigma) * sigma).astype(np.float32)
    np.testing.assert_allclose(correct_bias(mean, np.full((1, 1, 7), sigma, np.float32)), signal, rtol=2e-3)


def test_bias_correction_is_zero_below_the_noise_floor_and_the_identity_without_noise():
    mean = np.full((1, 1, 2, 1), 0.9 * NOISE_FLOOR, np.float32)
    np.testing.assert_array_equal(correct_bias(mean, np.ones((1, 1, 2), np.float32)), 0)
    np.testing.assert_array_equal(correct_bias(mean, np.zeros((1, 1, 2), np.float32)), mean)


def magnitudes(signal: float, count: int = 300_000) -> np.ndarray:
    """(1, 1, count, 1) repeats of one voxel with noise of variance 1."""
    rng = np.random.default_rng(int(10 * signal))
    noise = rng.standard_normal(count) + 1j * rng.standard_normal(count)
    return np.abs(signal + noise)[None, None, :, None].astype(np.float32)


@pytest.mark.parametrize("signal", [0.0, 0.7, 2.0, 5.0, 9.9, 10.1, 60.0])
def test_rician_std_equals_that_of_simulated_noise(signal):
    np.testing.assert_allclose(rician_std(np.array([signal])), magnitudes(signal).std(), rtol=6e-3)


@pytest.mark.parametrize("signal", [0.0, 0.7, 1.5, 2.0, 3.0, 5.0, 9.9, 39.0, 60.0])
def test_stabilized_noise_has_unit_standard_deviation_at_any_signal(signal):
    assert 0.87 < stabilize(magnitudes(signal)).std() < 1.08


@pytest.mark.parametrize("signal", [0.7, 1.5, 2.0, 3.0, 5.0, 9.9, 39.0, 60.0])
def test_the_mean_of_stabilized_magnitudes_is_inverted_to_the_signal(signal):
    mean = stabilize(magnitudes(signal)).mean(keepdims=True, dtype=np.float64)
    np.testing.assert_allclose(signal_from_stabilized(mean), signal, atol=0.02)
    assert signal_from_stabilized(np.zeros((1, 1, 1, 1), np.float32)) == 0
