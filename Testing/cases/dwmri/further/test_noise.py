"""Volumes that are no measurements of their own (kind 01): the noise is measured on the others, and is removed."""

from __future__ import annotations

import numpy as np
import pytest

from ..files import result, runner
from .files import SIGMA, canonical, head, nifti, values

MADE = head()


def rounded(array):
    return np.rint(array).astype(np.int16)


def series_twice(noisy):
    """The series was exported twice, and both exports were joined."""
    return rounded(np.concatenate([noisy, noisy], -1)), np.r_[0:18, 0:18]


def neighbors(noisy):
    """A bad volume was replaced by the mean of those before and after it, and stored as integers."""
    made = noisy.copy()
    made[..., 7] = (noisy[..., 6] + noisy[..., 8]) / 2
    return rounded(made), np.arange(18)


def b0_replaced(noisy):
    """Each b0 was replaced by the mean of all."""
    made = noisy.copy()
    made[..., :3] = noisy[..., :3].mean(-1, keepdims=True)
    return made, np.arange(18)


def slices_of_many(noisy):
    """Outliers in six volumes, other slices in each, were replaced by weighted sums of the other volumes."""
    made, random = noisy.copy(), np.random.default_rng(5)
    for volume in (4, 6, 9, 11, 13, 16):
        others = [other for other in range(3, 18) if other != volume]
        weights = random.dirichlet(np.ones(len(others)))
        made[:, :, random.choice(10, 4, replace=False), volume] = 0
        lost = ~made[..., volume].any((0, 1))
        made[:, :, lost, volume] = noisy[:, :, lost][..., others] @ weights
    return made, np.arange(18)


@pytest.mark.parametrize("store", [series_twice, neighbors, b0_replaced, slices_of_many])
def test_noise_and_error_are_those_of_the_plain_scan(store, tmp_path):
    array, source = store(MADE.noisy)
    path = nifti(tmp_path / "dwi.nii.gz", array, MADE.b[source], MADE.directions[source])
    code, output = runner(tmp_path)("enhance", "--dwi", path, "--method", "pca")
    assert code == 0
    assert result(output)["metrics"]["noise_level"] == pytest.approx(SIGMA, rel=0.15)
    found, truth = values(output / "dwi.nii.gz"), canonical(MADE.clean)[..., source]
    unchanged = [v for v in range(18) if MADE.b[v] and np.allclose(array[..., v], MADE.noisy[..., v], atol=0.51)]
    error = (found - truth)[canonical(MADE.mask)][:, unchanged]
    assert np.sqrt((error**2).mean()) < 0.5 * SIGMA
