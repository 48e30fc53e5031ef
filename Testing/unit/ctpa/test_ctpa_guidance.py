"""A CT is drawn towards its X-ray, and a phantom's truth is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.ctpa.diffusion.guidance import MAX_CHANGE, sart_step
from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.measure.metrics import mae
from deeprecon.ctpa.measure.projection_check import check_projection
from deeprecon.ctpa.observe.body import body_mask
from deeprecon.ctpa.observe.projection import Beam, Geometry, line_integrals
from deeprecon.ctpa.simulate.chests import draw_grid, make_anatomy

GRID = Grid((76, 64, 64))


@pytest.fixture(scope="module")
def chests():
    return [draw_grid(make_anatomy(seed), GRID)[0] for seed in (0, 3)]


@pytest.mark.parametrize("beam", list(Beam))
def test_the_projection_comes_nearer_to_the_xray_and_the_ct_to_the_truth(chests, beam):
    own, other = chests
    geometry = Geometry(beam)
    xray = 0.4 * line_integrals(own, GRID, geometry) - 1
    covered = np.ones(xray.shape, bool)
    changed = sart_step(other, xray, covered, GRID, geometry)
    before, after = (check_projection(hu, xray, GRID, geometry).nrmse for hu in (other, changed))
    assert after < 0.75 * before
    body = body_mask(other)
    assert mae(changed, own, body) < mae(other, own, body)
    assert np.abs(changed.astype(int) - other).max() <= MAX_CHANGE + 1
    np.testing.assert_array_equal(changed[~body], other[~body])


def test_what_fits_already_is_left_alone(chests):
    geometry = Geometry()
    xray = 2 * line_integrals(chests[0], GRID, geometry) + 3
    changed = sart_step(chests[0], xray, np.ones(xray.shape, bool), GRID, geometry)
    assert np.abs(changed.astype(int) - chests[0]).max() <= 1


def test_what_the_xray_does_not_show_is_left_alone(chests):
    geometry = Geometry(Beam.PARALLEL)
    xray = line_integrals(chests[0], GRID, geometry)
    covered = np.zeros(xray.shape, bool)
    covered[:40] = True
    changed = sart_step(chests[1], xray, covered, GRID, geometry)
    np.testing.assert_array_equal(changed[41:], chests[1][41:])
    assert (changed[:40] != chests[1][:40]).any()


def test_a_negative_of_the_xray_changes_nothing(chests):
    xray = -line_integrals(chests[0], GRID, Geometry())
    assert sart_step(chests[1], xray, np.ones(xray.shape, bool), GRID, Geometry()) is chests[1]
