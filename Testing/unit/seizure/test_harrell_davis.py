"""The quantile over networks: equal to scipy's where that is defined, and its limits."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import mstats

from deeprecon.seizure.fit.quantiles import harrell_davis, harrell_davis_weights


@pytest.mark.parametrize("count", [2, 3, 10, 30])
@pytest.mark.parametrize("quantile", [0.1, 0.3, 0.5, 0.6, 0.9])
def test_equals_scipy_hdquantiles(count, quantile):
    values = np.random.default_rng(count).random((count, 4))
    expected = [float(mstats.hdquantiles(values[:, column], [quantile])[0]) for column in range(4)]
    np.testing.assert_allclose(harrell_davis(values, quantile), expected, atol=1e-13)


def test_quantile_of_one_network_is_its_value():
    values = np.array([[0.1, 0.7]])
    for quantile in (0, 0.3, 1):
        np.testing.assert_array_equal(harrell_davis(values, quantile), values[0])


def test_quantiles_0_and_1_are_minimum_and_maximum():
    values = np.random.default_rng(0).random((7, 3))
    np.testing.assert_array_equal(harrell_davis(values, 0.0), values.min(axis=0))
    np.testing.assert_array_equal(harrell_davis(values, 1.0), values.max(axis=0))


def test_weights_of_ten_at_quantile_0_6_equal_published_values():
    expected = [0, 0.002, 0.018, 0.069, 0.155, 0.239, 0.258, 0.184, 0.069, 0.006]
    np.testing.assert_allclose(harrell_davis_weights(10, 0.6), expected, atol=6e-4)
    assert harrell_davis_weights(10, 0.6).sum() == pytest.approx(1, abs=1e-14)


def test_nan_gives_nan():
    values = np.random.default_rng(0).random((3, 4))
    values[:, 2] = np.nan
    assert np.isnan(harrell_davis(values, 0.6)).tolist() == [False, False, True, False]
