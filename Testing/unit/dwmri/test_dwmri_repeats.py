"""Simulated repeats of a scan: noise, inserted lesions, slabs."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.dwmri.fit.refiner_training import CROP, slabs
from deeprecon.dwmri.noise.correlation import lag1, noise_taps
from deeprecon.dwmri.simulate.head import add_noise
from deeprecon.dwmri.simulate.inserted_lesions import RADII, VOLUME_FRACTION, insert_lesions
from deeprecon.dwmri.simulate.repeats import simulate_repeat


def test_simulated_repeats_have_the_measured_correlation():
    made = add_noise(np.full((16, 40, 40, 6), 500.0, np.float32), np.ones((16, 40, 40)), np.random.default_rng(0), True)
    inside = np.ones((16, 40, 40), bool)
    flat = np.full_like(made, 500.0)
    taps = noise_taps(made, flat, inside, True)
    again = simulate_repeat(flat, True, taps, np.random.default_rng(1))
    np.testing.assert_allclose(lag1(again, inside), lag1(made, inside), atol=0.03)
    np.testing.assert_allclose(again.std(), made.std(), rtol=0.03)
    assert max(lag1(made, inside)) > 0.15


@pytest.mark.parametrize("rician", [False, True])
def test_a_low_signal_that_varies_is_no_correlation_of_the_noise(rician):
    """The mean of magnitudes lies above such a signal, that of real values does not."""
    clean = np.broadcast_to(np.linspace(0, 4, 60, dtype=np.float32)[:, None], (12, 24, 60, 4))
    real, imaginary = np.random.default_rng(2).standard_normal((2, *clean.shape)).astype(np.float32)
    array = np.hypot(clean + real, imaginary) if rician else clean + real
    assert noise_taps(array, clean, np.ones(clean.shape[:3], bool), rician) == (0, 0, 0)


def test_inserted_lesions_are_small_and_have_the_signal_of_other_voxels():
    mask = np.zeros((20, 30, 30), bool)
    mask[2:, :25, 5:] = True
    clean = np.zeros((*mask.shape, 2), np.float32)
    clean[..., 0] = np.arange(20)[:, None, None]
    clean[..., 1] = 100 - clean[..., 0]  # a copy keeps what volumes have in common
    inserted, fractions = insert_lesions(clean, mask, np.random.default_rng(0))
    assert np.array_equal(inserted[fractions == 0], clean[fractions == 0])
    assert not fractions[~mask].any()
    assert 0.5 * VOLUME_FRACTION < fractions[mask].mean() <= 1.1 * VOLUME_FRACTION  # some lie one upon the other
    assert 0.2 < (fractions[fractions > 0] < 1).mean() < 1  # partial volumes
    np.testing.assert_allclose(inserted.sum(axis=-1), 100, rtol=1e-5)
    assert np.abs(inserted - clean)[fractions == 1].mean() > 3
    alone = np.argwhere(fractions > 0).astype(float)
    far = np.linalg.norm(alone[:, None] - alone[None], axis=2) > 2 * RADII[1] + 2
    assert far.mean() > 0.9  # spread over the scan
    again = insert_lesions(clean, mask, np.random.default_rng(0))[0]
    np.testing.assert_array_equal(inserted, again)


@pytest.mark.parametrize("shape", [(6, 200, 200), (60, 60, 60), (300, 20, 20)])
def test_the_slabs_of_a_large_scan_cover_it_and_hold_a_crop(shape):
    mask = np.zeros(shape, bool)
    mask[1:-1] = True
    parts = slabs(mask)
    seen = np.zeros(shape[0], int)
    for part in parts:
        seen[part] += 1
        assert part.stop - part.start >= min(CROP, shape[0])
        assert 0 <= part.start < part.stop <= shape[0]
    assert (seen > 0).all()
    assert [part.stop - part.start for part in slabs(mask[:, :10, :10])] == [shape[0]] * 4
