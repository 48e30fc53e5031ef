"""The phantom: known tissue, known noise, reproducible."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.dwmri.measure.tensor import fit_tensor
from deeprecon.dwmri.noise.correlation import lag1
from deeprecon.dwmri.parameters import PhantomParameters
from deeprecon.dwmri.simulate.head import FREE, SCALE, acquisition, make_phantom


@pytest.fixture(scope="module")
def clean():
    return make_phantom((16, 32, 32), snr=0)


def test_tissues_have_their_diffusivity(clean):
    maps = fit_tensor(clean.clean.array, clean.clean.gradients, clean.mask)
    np.testing.assert_allclose(np.median(maps.md[clean.labels["fluid"]]), FREE, rtol=0.15)
    np.testing.assert_allclose(np.median(maps.md[clean.labels["gray"]]), 8.5e-4, rtol=0.15)
    assert np.median(maps.fa[clean.labels["gray"]]) < 0.15
    single = clean.labels["white"] & ~clean.labels["crossings"]
    assert np.median(maps.fa[single]) > np.median(maps.fa[clean.labels["crossings"]])


def test_white_matter_has_the_documented_scale(clean):
    b0 = clean.clean.gradients.b0
    np.testing.assert_allclose(np.median(clean.clean.array[clean.labels["white"]][:, b0]), SCALE, rtol=0.1)


def test_the_noise_has_the_level_that_was_asked_for(clean):
    noisy = make_phantom((16, 32, 32), snr=10)
    white = noisy.labels["white"]
    b0 = noisy.clean.gradients.b0
    error = (noisy.noisy.array - noisy.clean.array)[white][:, b0]
    expected = noisy.clean.array[white][:, b0].mean() / 10
    np.testing.assert_allclose(error.std(), expected, rtol=0.05)
    np.testing.assert_allclose(noisy.sigma, expected, rtol=1e-5)
    np.testing.assert_array_equal(noisy.clean.array, clean.clean.array)


def test_the_background_is_rayleigh_noise():
    noisy = make_phantom((12, 24, 24), snr=10)
    outside = noisy.clean.array.max(axis=-1) == 0
    sigma = noisy.sigma[0, 0, 0]
    np.testing.assert_allclose(noisy.noisy.array[outside].mean(), sigma * np.sqrt(np.pi / 2), rtol=0.02)


def test_seeds_of_anatomy_and_noise_are_independent():
    one, other = (make_phantom((8, 16, 16), seed=3, noise_seed=seed) for seed in (1, 2))
    np.testing.assert_array_equal(one.clean.array, other.clean.array)
    assert np.abs(one.noisy.array - other.noisy.array).max() > 0
    again = make_phantom((8, 16, 16), seed=3, noise_seed=1)
    np.testing.assert_array_equal(one.noisy.array, again.noisy.array)
    assert np.abs(make_phantom((8, 16, 16), seed=4).clean.array - one.clean.array).max() > 1


def test_varying_noise_varies_and_correlated_noise_is_correlated():
    varying = make_phantom((12, 24, 24), varying=True)
    assert varying.sigma[6, 12, 12] > 2 * varying.sigma[0, 0, 0]
    correlated = make_phantom((12, 24, 24), correlated=True)
    error = correlated.noisy.array - correlated.clean.array
    k, j, i = lag1(error, correlated.mask)
    assert abs(k) < 0.05
    assert j > 0.15
    assert 0.03 < i < j


def test_tables_have_their_shells_with_b0_in_between():
    table = acquisition(6, [(1000.0, 32), (2500.0, 32)])
    assert len(table) == 70
    assert [(b, len(volumes)) for b, volumes in table.shells] == [(1000.0, 32), (2500.0, 32)]
    assert table.b0.sum() == 6
    assert np.flatnonzero(table.b0).max() > 40
    assert table.distinct_directions == 32  # the shells share them


@pytest.mark.parametrize("shells", ["", "1000", "x:3", "10:30", "1000:0"])
def test_wrong_shells_are_refused(shells):
    assert any("shells" in reason for reason in PhantomParameters(shells=shells).validate())
