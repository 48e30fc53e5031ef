"""The noise level of scans whose noise is known."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.dwmri.fit.local_pca import shrink
from deeprecon.dwmri.observe.noise_level import estimate_noise, noise_map
from deeprecon.dwmri.simulate.head import make_phantom

from .arrays import ALL, smooth_signal, white_noise


def test_magnitudes_near_the_noise_floor_do_not_lower_the_noise_level():
    made = make_phantom((16, 32, 32), 3, [(1000.0, 15), (2500.0, 15)], snr=15)
    plain, found = (estimate_noise(made.noisy.array, made.mask, "cpu", rician=rician) for rician in (False, True))
    off = [abs(float((level / made.sigma)[made.mask].mean()) - 1) for level in (plain, found)]
    assert off[1] < 0.03
    assert off[1] < off[0]


@pytest.mark.parametrize("volumes", [7, 15, 33, 70])
@pytest.mark.parametrize("structured", [False, True])
def test_noise_level_is_independent_of_the_number_of_volumes(volumes, structured):
    noise = 5 * white_noise(volumes) + (5 * smooth_signal(volumes) if structured else 0)
    np.testing.assert_allclose(estimate_noise(noise, ALL, "cpu", rician=False).mean(), 5, rtol=0.03)


def test_two_volumes_are_enough_for_a_level():
    np.testing.assert_allclose(estimate_noise(5 * white_noise(2), ALL, "cpu", rician=False).mean(), 5, rtol=0.05)


def test_noise_map_follows_noise_that_varies_in_space():
    made = make_phantom((16, 32, 32), snr=20, varying=True)
    found = estimate_noise(made.noisy.array, made.mask, "cpu")
    ratio = (found / made.sigma)[made.mask]
    assert 0.93 < ratio.mean() < 1.05
    assert np.corrcoef(found[made.mask], made.sigma[made.mask])[0, 1] > 0.85


def test_correlated_noise_does_not_count_as_signal():
    made = make_phantom((16, 32, 32), snr=20, correlated=True)
    found = estimate_noise(made.noisy.array, made.mask, "cpu")
    assert 0.98 < np.median((found / made.sigma)[made.mask]) < 1.03


def test_a_scan_without_noise_has_a_small_positive_level():
    made = make_phantom((12, 24, 24), 3, [(1000.0, 12)], snr=0)
    found = estimate_noise(made.clean.array, made.mask, "cpu")
    assert (found > 0).all()
    assert found[made.mask].mean() < 0.02 * made.clean.array[made.mask].mean()


def test_several_threads_give_the_same_as_one():
    noise = white_noise(15) + smooth_signal(15)
    np.testing.assert_array_equal(noise_map(noise, ALL, 2, 2, "cpu", 1), noise_map(noise, ALL, 2, 2, "cpu", 3))
    np.testing.assert_array_equal(shrink(noise, ALL, 1, 1, "cpu", 1), shrink(noise, ALL, 1, 1, "cpu", 3))
