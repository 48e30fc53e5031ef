"""Structural similarity window by window, PSNR and correlation by values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.numerics.similarity import correlation, psnr, ssim, ssim_in_masks


def of_window(a, b, data_range, ddof):
    """Structural similarity of one window, as it is written in the paper."""
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    a, b = a.ravel(), b.ravel()
    covariance = np.cov(a, b, ddof=ddof)
    luminance = (2 * a.mean() * b.mean() + c1) / (a.mean() ** 2 + b.mean() ** 2 + c1)
    return luminance * (2 * covariance[0, 1] + c2) / (covariance[0, 0] + covariance[1, 1] + c2)


@pytest.mark.parametrize("shape", [(12, 9), (40, 8, 9)])
def test_ssim_is_the_mean_over_the_windows(shape):
    rng = np.random.default_rng(0)
    a = rng.normal(size=shape)
    b = a + 0.5 * rng.normal(size=shape)
    mask = rng.random(shape) < 0.3
    whole, inside = [], []
    for corner in np.ndindex(*(n - 4 for n in shape)):
        window = tuple(slice(first, first + 5) for first in corner)
        whole.append(of_window(a[window], b[window], 3.0, 1))
        if mask[tuple(first + 2 for first in corner)]:
            inside.append(whole[-1])
    found = ssim_in_masks(a, b, 3.0, [None, mask], 5)
    assert found == pytest.approx([np.mean(whole), np.mean(inside)], rel=1e-10)
    assert ssim(a, b, 3.0, mask, 5) == pytest.approx(np.mean(inside), rel=1e-10)


def test_equal_arrays_are_alike_and_opposite_ones_are_not():
    a = np.random.default_rng(1).random((20, 20))
    assert ssim(a, a, 1.0) == pytest.approx(1)
    assert ssim(a, 1 - a, 1.0) < 0


def test_ssim_of_images():
    rng = np.random.default_rng(2)
    image = rng.normal(size=(40, 50))
    data_range = float(np.ptp(image))
    assert ssim(9 - image, 9 + image, data_range) < -0.8
    assert abs(ssim(rng.normal(size=(40, 50)), image, data_range)) < 0.1
    # one pattern, twice as strong: covariance 2 v, variances 4 v and v; means cancel out far above the pattern
    assert ssim(1e4 + 2 * image, 1e4 + image, data_range) == pytest.approx(4 / 5, abs=0.02)


def test_ssim_does_not_depend_on_the_slabs(monkeypatch):
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 200, (40, 20, 22))
    result, mask = truth + rng.normal(0, 100, truth.shape), rng.random(truth.shape) > 0.5
    found = []
    for slab in (1000, 32, 5):
        monkeypatch.setattr("deeprecon.numerics.similarity._SLAB", slab)
        found.append(ssim_in_masks(result, truth, 2000.0, [None, mask]))
    np.testing.assert_allclose(found[1:], [found[0]] * 2, rtol=1e-10)


def test_psnr_by_hand():
    truth = np.zeros((4, 4), np.float32)
    assert psnr(truth + 1, truth, 100) == pytest.approx(40)
    assert psnr(truth, truth, 100) == np.inf
    mask = np.zeros((4, 4), bool)
    mask[0] = True
    assert psnr(np.where(mask, 10, 0), truth, 100, mask) == pytest.approx(20)


def test_correlation_by_hand():
    rising = np.arange(6.0).reshape(2, 3)
    assert correlation(rising, 3 - 2 * rising) == pytest.approx(-1)
    assert correlation([0, 0, 1, 1], [0, 1, 0, 1]) == pytest.approx(0)
    assert correlation(rising, np.ones((2, 3))) == 0
    assert correlation(rising, np.ones((2, 3)), constant=-1) == -1
    assert correlation([1.0], [1.0]) == 0
