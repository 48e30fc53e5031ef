"""Interpolation on grids: by values worked out by hand, and beyond the grid."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.interpolate import RegularGridInterpolator

from deeprecon.numerics.grids import interpolate


def test_a_plane_is_reproduced_everywhere_between_its_samples():
    j, i = np.mgrid[0:4, 0:6]
    indices = np.random.default_rng(0).uniform(0, [3, 5], (200, 2))
    expected = 2 * indices[:, 0] - 0.5 * indices[:, 1] + 1
    np.testing.assert_allclose(interpolate(2 * j - 0.5 * i + 1, indices), expected, atol=1e-12)


@pytest.mark.parametrize("shape", [(5,), (4, 6), (3, 4, 5), (1, 4, 3), (2, 3, 4, 2)])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8])
def test_it_is_that_of_scipys_interpolator(shape, dtype):
    rng = np.random.default_rng(1)
    grid = (100 * rng.random(shape)).astype(dtype)
    indices = rng.uniform(0, np.array(shape) - 1, (300, len(shape)))
    sides = [np.arange(max(n, 2)) for n in shape]
    wide = np.concatenate([grid, grid]) if shape[0] == 1 else grid  # it does not take axes of one sample
    expected = RegularGridInterpolator(sides, wide.astype(float))(indices)
    np.testing.assert_allclose(interpolate(grid, indices), expected, rtol=1e-12, atol=1e-10)


def test_channels_are_interpolated_one_by_one():
    rng = np.random.default_rng(2)
    grid, indices = rng.random((3, 4, 5, 2)), rng.uniform(0, [2, 3, 4], (50, 3))
    found = interpolate(grid, indices)
    assert found.shape == (50, 2)
    np.testing.assert_array_equal(found[:, 1], interpolate(grid[..., 1], indices))


def test_samples_cover_half_a_step_beyond_the_edge():
    grid = np.array([[1.0, 2.0], [3.0, 4.0]])
    indices = np.array([[-0.5, -0.4], [-0.51, 0], [1.5, 1.2], [0, 1.6], [0.5, 0.5]])
    np.testing.assert_array_equal(interpolate(grid, indices), [1, 1, 4, 2, 2.5])
    np.testing.assert_array_equal(interpolate(grid, indices, "nan"), [1, np.nan, 4, np.nan, 2.5])
    np.testing.assert_array_equal(interpolate(grid[..., None], indices, "zero")[:, 0], [1, 0, 4, 0, 2.5])


def test_a_grid_of_the_wrong_dimension_is_refused():
    with pytest.raises(ValueError, match="do not fit"):
        interpolate(np.zeros((3, 3)), np.zeros((1, 3)))
