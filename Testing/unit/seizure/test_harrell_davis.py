"""The quantile over networks against scipy, where it is defined there, and by its meaning where it is not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import betainc
from scipy.stats import mstats

from deeprecon.seizure.fit.quantiles import beta_cdf, harrell_davis, harrell_davis_weights


@pytest.mark.parametrize("count", [2, 3, 10, 30])
@pytest.mark.parametrize("quantile", [0.1, 0.3, 0.5, 0.6, 0.9])
def test_it_is_that_of_scipy(count, quantile):
    values = np.random.default_rng(count).random((count, 4))
    expected = [float(mstats.hdquantiles(values[:, column], [quantile])[0]) for column in range(4)]
    np.testing.assert_allclose(harrell_davis(values, quantile), expected, atol=1e-13)


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (1, 1), (6.6, 4.4), (2, 100), (60.6, 40.4), (500, 3)])
def test_the_beta_distribution_is_that_of_scipy(a, b):
    x = np.linspace(0, 1, 41)
    np.testing.assert_allclose([beta_cdf(value, a, b) for value in x], betainc(a, b, x), atol=1e-13)


def test_one_network_is_its_own_quantile():
    values = np.array([[0.1, 0.7]])
    for quantile in (0, 0.3, 1):
        np.testing.assert_array_equal(harrell_davis(values, quantile), values[0])


def test_the_ends_are_the_least_and_the_largest():
    values = np.random.default_rng(0).random((7, 3))
    np.testing.assert_array_equal(harrell_davis(values, 0.0), values.min(axis=0))
    np.testing.assert_array_equal(harrell_davis(values, 1.0), values.max(axis=0))


def test_weights_of_ten_at_sixty_percent_are_the_known_ones():
    expected = [0, 0.002, 0.018, 0.069, 0.155, 0.239, 0.258, 0.184, 0.069, 0.006]
    np.testing.assert_allclose(harrell_davis_weights(10, 0.6), expected, atol=6e-4)
    assert harrell_davis_weights(10, 0.6).sum() == pytest.approx(1, abs=1e-14)


def test_gaps_stay_gaps():
    values = np.random.default_rng(0).random((3, 4))
    values[:, 2] = np.nan
    assert np.isnan(harrell_davis(values, 0.6)).tolist() == [False, False, True, False]
