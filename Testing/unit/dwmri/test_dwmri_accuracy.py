"""Metrics of results and residuals with known errors, and the filters behind them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deeprecon.dwmri.filters import gaussian, gradient_magnitude, smooth_in_mask
from deeprecon.dwmri.findings import Findings
from deeprecon.dwmri.measure.accuracy import accuracy, laplacian_of_gaussian
from deeprecon.dwmri.measure.checks import check_residual
from deeprecon.dwmri.measure.residual import edge_correlation, residual_statistics
from deeprecon.dwmri.noise.correlation import lag1
from deeprecon.dwmri.simulate.head import make_phantom
from deeprecon.jobs.run import SilentReporter

from .arrays import blurred_scan, white_noise


def test_residual_statistics_tell_white_noise_from_lost_edges():
    made = make_phantom((16, 32, 32), snr=20)
    sigma = made.sigma
    noise = sigma[..., None] * white_noise(30, shape=(16, 32, 32))
    enhanced = made.clean.array[..., ~made.clean.gradients.b0]
    found = residual_statistics(noise, enhanced, sigma, made.mask)
    np.testing.assert_allclose(found.variance_ratio, 1, rtol=0.02)
    assert not found.structured
    assert np.abs(found.lag1).max() < 0.02
    blurred = enhanced - blurred_scan(enhanced, 0.8)
    assert residual_statistics(noise + blurred, enhanced, sigma, made.mask).structured


def test_lag1_finds_the_axis_of_correlated_noise():
    noise = white_noise(8, shape=(10, 10, 40))
    shared = (noise[:, :, 1:] + noise[:, :, :-1]) / np.sqrt(2)
    k, j, i = lag1(shared, np.ones(shared.shape[:3], bool))
    np.testing.assert_allclose([k, j, i], [0, 0, 0.5], atol=0.03)


def test_the_correlation_of_a_constant_is_zero():
    flat = np.ones((4, 4, 4, 2))
    inside = np.ones((4, 4, 4), bool)
    assert edge_correlation(flat, flat, inside) == 0
    assert lag1(flat, inside) == (0, 0, 0)


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


def test_a_residual_is_normalized_by_its_noise_where_that_is_known():
    made = make_phantom((16, 32, 32), snr=10, varying=True)
    noisy, clean = made.noisy.array, made.clean
    raw = accuracy(clean.array, clean, made.mask, noisy=noisy)["residual_edge_correlation"]
    found = accuracy(clean.array, clean, made.mask, noisy=noisy, sigma=made.sigma)["residual_edge_correlation"]
    assert abs(found) < 0.05 < abs(raw)  # nothing was lost: only the noise is larger in the middle
    lost = blurred_scan(clean.array, 1.0)
    assert accuracy(lost, clean, made.mask, noisy=noisy, sigma=made.sigma)["residual_edge_correlation"] > 0.3


def test_where_fibers_cross_no_direction_is_wrong(head):
    crossings = head.labels["crossings"] & head.mask
    weighted = np.flatnonzero(~head.clean.gradients.b0)
    turned = head.clean.array.copy()
    turned[np.ix_(*map(np.arange, turned.shape[:3]), weighted)] = np.where(
        crossings[..., None], turned[..., np.roll(weighted, 1)], turned[..., weighted]
    )
    assert accuracy(turned, head.clean, head.mask)["direction_error"] > 0.1
    assert accuracy(turned, head.clean, head.mask, head.labels)["direction_error"] < 0.05


def test_accuracy_of_known_errors(head):
    clean, mask = head.clean, head.mask
    weighted = ~clean.gradients.b0
    peak = np.percentile(clean.array[mask][:, weighted], 99.9)
    off = clean.array + np.float32(4.0)
    found = accuracy(off, clean, mask, head.labels, head.noisy.array)
    np.testing.assert_allclose(found["psnr_dwi"], 20 * np.log10(peak / 4), rtol=1e-5)
    np.testing.assert_allclose(found["edge_ratio"], 1, atol=0.03)
    assert found["md_error"] > 1
    blurred = accuracy(blurred_scan(clean.array, 1.0), clean, mask, head.labels)
    assert blurred["edge_ratio"] < 0.9
    assert blurred["hfen"] > 0.1
    assert "lesion_rmse" in found or not head.labels["lesions"].any()


@pytest.mark.parametrize(("removed", "warned"), [(0.9, False), (1.0, False), (1.2, True)])
def test_more_removed_than_noise_is_told(removed: float, warned: bool) -> None:
    clean = make_phantom((10, 16, 16), 2, [(1000.0, 6)], snr=20).clean
    sigma, mask = np.full(clean.array.shape[:3], 5.0, np.float32), np.ones(clean.array.shape[:3], bool)
    noise = np.random.default_rng(0).normal(0, 5 * removed, clean.array.shape)
    findings = Findings(SilentReporter())
    noisy = replace(clean, array=clean.array + noise)
    check_residual(noisy, clean, sigma, mask, rician=False, interpolated=False, findings=findings)
    assert any("more than noise was removed" in text for text in findings.warnings) is warned
