"""Phantom, projection, metrics and ridge regression, against analytic truth."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.ctpa_baselines import blend, fit_ridge

from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.measure import anatomy, metrics
from deeprecon.ctpa.measure.projection_check import check_projection
from deeprecon.ctpa.observe.body import body_mask
from deeprecon.ctpa.observe.projection import Beam, Geometry, View, detector_axes, expose, line_integrals
from deeprecon.ctpa.patches import Blending, Windows
from deeprecon.ctpa.simulate.chests import TEXTURE, Anatomy, Capsule, Ellipsoid, Label, draw, draw_grid, make_anatomy

GRID = Grid((76, 64, 64))
STILL = np.array([[0.0, 0.0, 0.0, np.pi / 2]])  # a texture of nothing
PARALLEL = Geometry(Beam.PARALLEL)


def only(*solids):
    return Anatomy(solids, STILL)


# ---- phantom


def test_solids_have_their_volume_at_every_grid():
    solid = Ellipsoid(0, Label.MUSCLE, (20, -10, 15), (60, 40, 70), 0.4)
    tube = Capsule(0, Label.VESSEL, (-90, 0, -60), (-60, 30, 60), 9)
    length = np.linalg.norm([30, 30, 120])
    expected = 4 / 3 * np.pi * 60 * 40 * 70 + np.pi * 81 * length + 4 / 3 * np.pi * 9**3
    for shape in ((38, 32, 32), (76, 64, 64), (152, 128, 128)):
        grid = Grid(shape)
        hu, _ = draw_grid(only(solid, tube), grid)
        volume = (hu.astype(float) + 1000).sum() / 1000 * np.prod(grid.spacing)
        assert volume == pytest.approx(expected, rel=0.02)


def test_a_patch_equals_that_part_of_the_volume():
    anatomy = make_anatomy(3)
    whole, labels = draw_grid(anatomy, GRID)
    z, y, x = GRID.axes()
    part, part_labels = draw(anatomy, (z[20:45], y[10:40], x[30:60]))
    np.testing.assert_array_equal(part, whole[20:45, 10:40, 30:60])
    np.testing.assert_array_equal(part_labels, labels[20:45, 10:40, 30:60])


def test_chests_are_anatomically_right_and_repeat():
    for seed in range(2):
        hu, labels = draw_grid(make_anatomy(seed), GRID)
        organs = anatomy.organ_hu(hu, labels)
        assert {"lung", "heart", "vessel", "bone", "muscle"} <= set(organs)
        assert anatomy.implausible_organs(organs) == []
        _, y, x = GRID.axes()
        place = np.argwhere(labels == Label.HEART).mean(axis=0)
        assert x[int(place[2])] > 0 > y[int(place[1])]  # to the left and front
        spine = np.argwhere(labels == Label.BONE)
        assert (y[spine[:, 1]] > 40).mean() > 0.3  # at the back
        np.testing.assert_array_equal(hu, draw_grid(make_anatomy(seed), GRID)[0])
    assert not np.array_equal(draw_grid(make_anatomy(0), GRID)[0], draw_grid(make_anatomy(1), GRID)[0])


def test_vessels_branch_down_to_a_millimeter_and_half_of_the_chests_have_emboli():
    anatomies = [make_anatomy(seed) for seed in range(20)]
    radii = [solid.radius for solid in anatomies[0].solids if solid.label is Label.VESSEL]
    assert len(radii) > 200
    assert 1 <= min(radii) < 1.4
    assert max(radii) > 10
    assert 5 <= sum(anatomy.has_embolus for anatomy in anatomies) <= 15


def test_texture_has_its_documented_deviation():
    anatomy = Anatomy((Ellipsoid(0, Label.MUSCLE, (0, 0, 0), (1e4, 1e4, 1e4)),), make_anatomy(0).waves)
    z = np.linspace(-20, 20, 81)
    assert draw(anatomy, (z, z, z))[0].std() == pytest.approx(TEXTURE, rel=0.15)


# ---- projection


def test_a_parallel_projection_of_a_ball_is_the_length_of_its_chords():
    hu, _ = draw_grid(only(Ellipsoid(0, Label.MUSCLE, (0, 0, 0), (80, 80, 80))), Grid((152, 128, 128)))
    grid = Grid((152, 128, 128))
    found = line_integrals(hu, grid, PARALLEL)
    z, _, x = grid.axes()
    chord = 2 * np.sqrt(np.maximum(80**2 - z[:, None] ** 2 - x[None, :] ** 2, 0))
    inside = chord > 40
    np.testing.assert_allclose(found[inside], 0.02 * chord[inside], atol=0.03)


@pytest.mark.parametrize(("view", "nearer"), [(View.PA, -1), (View.AP, 1)])
def test_a_cone_magnifies_what_is_far_from_the_detector(view, nearer):
    """Two beads, in front and at the back: SID / (SID - d) (PA: the detector is in front)."""
    grid = Grid((152, 128, 128))
    geometry = Geometry(Beam.CONE, view, 1000, 200)
    for y in (-100.0, 100.0):
        hu, _ = draw_grid(only(Ellipsoid(2000, Label.BONE, (80, y, 60), (8, 8, 8))), grid)
        image = line_integrals(hu, grid, geometry)
        v, u = detector_axes(grid, geometry)
        distance = 200 + (y if view is View.PA else -y)
        assert distance == (100 if np.sign(y) == nearer else 300)
        factor = 1000 / (1000 - distance)
        assert (image.sum(axis=0) @ u) / image.sum() == pytest.approx(80 * factor, abs=0.5)
        assert (image.sum(axis=1) @ v) / image.sum() == pytest.approx(60 * factor, abs=0.5)


def test_an_oblique_ray_has_a_longer_path_through_water():
    grid, geometry = Grid((38, 32, 32)), Geometry(Beam.CONE, View.PA, 600, 200)
    found = line_integrals(np.zeros(grid.shape), grid, geometry)
    v, u = detector_axes(grid, geometry)
    path = 0.02 * 358 * np.sqrt(1 + (np.hypot(v[:, None], u[None, :]) / 600) ** 2)
    inner = slice(8, -8), slice(8, -8)  # rays that do not leave the water through its sides
    np.testing.assert_allclose(found[inner], path[inner], rtol=1e-5)
    assert path[inner].max() > 1.04 * path.min()


def test_a_cone_from_afar_is_parallel():
    hu, _ = draw_grid(make_anatomy(1), GRID)
    far = line_integrals(hu, GRID, Geometry(Beam.CONE, View.PA, 1e7, 200))
    np.testing.assert_allclose(far, line_integrals(hu, GRID, PARALLEL), atol=2e-3)


def test_exposure_without_scatter_gain_and_blur_has_photon_noise_alone():
    rng = np.random.default_rng(0)
    level = np.full((200, 200), 2.0, np.float32)
    image = expose(level, rng, photons=1e4, scatter=0, gain=0, blur=0)
    assert image.mean() == pytest.approx(2, abs=0.01)
    assert image.std() == pytest.approx(1 / np.sqrt(1e4 * np.exp(-2)), rel=0.05)
    np.testing.assert_allclose(expose(level, rng, 0, 0, 0, 0), level, atol=1e-6)
    scattered = expose(level, rng, 0, 0.5, 0, 0)
    assert scattered.mean() < 2


# ---- metrics


def test_psnr_has_a_fixed_range_and_a_mask():
    truth = np.zeros((10, 10, 10))
    assert metrics.psnr(truth + 20, truth) == pytest.approx(40)
    outlier = truth.copy()
    outlier[0, 0, 0] = 30_000  # must not widen the range
    assert metrics.psnr(outlier + 20, truth + 0) < 40
    mask = np.ones_like(truth, bool)
    mask[0] = False
    assert metrics.psnr(outlier + 20, truth, mask) == pytest.approx(40)
    assert metrics.psnr(truth, truth) == np.inf


def test_air_around_the_patient_does_not_count_in_the_body_mask():
    hu, labels = draw_grid(make_anatomy(2), GRID)
    mask = body_mask(hu)
    assert mask[labels == Label.LUNG].mean() > 0.99
    assert mask[labels == Label.AIR].mean() < 0.08
    wrong = np.where(mask, hu + 100, hu)
    assert metrics.psnr(wrong, hu) > metrics.psnr(wrong, hu, mask) + 2
    assert metrics.psnr(wrong, hu, mask) == pytest.approx(26, abs=0.2)


def test_ssim_is_that_of_its_formula():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 200, (2, 7, 7, 7))
    c1, c2 = (0.01 * 2000) ** 2, (0.03 * 2000) ** 2
    covariance = np.cov(a.ravel(), b.ravel())
    expected = (2 * a.mean() * b.mean() + c1) * (2 * covariance[0, 1] + c2)
    expected /= (a.mean() ** 2 + b.mean() ** 2 + c1) * (covariance[0, 0] + covariance[1, 1] + c2)
    assert metrics.ssim(a, b)[0] == pytest.approx(expected, rel=1e-5)
    assert metrics.ssim(a, a)[0] == pytest.approx(1)
    shifted = np.full((20, 20, 20), 100.0)
    assert metrics.ssim(shifted, shifted + 800)[0] < 0.5  # a Pearson correlation would not see it


def test_the_projection_error_of_the_true_ct_is_zero_despite_gain_and_offset():
    geometry = Geometry()
    first, second = (draw_grid(make_anatomy(seed), GRID)[0] for seed in (0, 1))
    xray = 1.3 * line_integrals(first, GRID, geometry) + 0.4
    right = check_projection(first, xray, GRID, geometry)
    wrong = check_projection(second, xray, GRID, geometry)
    assert right.nrmse < 1e-4
    assert right.ncc == pytest.approx(1, abs=1e-5)
    assert np.abs(right.difference).max() < 1e-3
    assert wrong.nrmse > 0.1
    nothing = check_projection(np.full(GRID.shape, -1000), xray, GRID, geometry)
    assert (nothing.nrmse, nothing.ncc) == (pytest.approx(1), 0)


def test_seams_show_and_hann_hides_them_even_where_the_anatomy_is_wrong():
    chests = [draw_grid(make_anatomy(seed), GRID)[0].astype(np.float32) for seed in range(3)]
    windows = Windows(GRID.shape, (24, 24, 24), (18, 18, 18))

    def patches(kind):
        rng = np.random.default_rng(0)
        return blend(windows, lambda where: chests[rng.integers(3)][where][None], 1, kind)[0]

    one = metrics.seam_ratio(chests[0], windows)
    assert one == pytest.approx(1, abs=0.2)
    assert metrics.seam_ratio(patches(Blending.CONSTANT), windows) > one + 0.2
    mixed = patches(Blending.HANN)
    assert metrics.seam_ratio(mixed, windows) < one + 0.2
    assert min(metrics.mae(mixed, chest) for chest in chests) > 20


def test_organs_of_wrong_hu_are_named():
    assert anatomy.implausible_organs({"lung": -850.0, "bone": 30.0}) == [
        "bone has a median of 30 HU, expected 150 to 1000"
    ]


# ---- ridge regression


def test_ridge_finds_a_linear_map_and_beats_the_mean_on_chests():
    rng = np.random.default_rng(0)
    images, linear = rng.normal(size=(60, 4, 5)), rng.normal(size=(20, 27))
    volumes = (images.reshape(60, 20) @ linear + 7).reshape(60, 3, 3, 3)
    ridge = fit_ridge(images[:50], volumes[:50], 1e-3)
    np.testing.assert_allclose(ridge.predict(images[50:]), volumes[50:], atol=1e-2)

    grid = Grid((20, 16, 16))
    cts = np.stack([draw_grid(make_anatomy(seed), grid)[0] for seed in range(50)])
    xrays = np.stack([line_integrals(ct, grid, PARALLEL) for ct in cts])
    ridge = fit_ridge(xrays[:40], cts[:40], 30)
    found, mean = ridge.predict(xrays[40:]), cts[:40].mean(axis=0)
    ours = np.mean([metrics.psnr(a, b) for a, b in zip(found, cts[40:], strict=True)])
    theirs = np.mean([metrics.psnr(mean, b) for b in cts[40:]])
    shuffled = np.mean([metrics.psnr(a, b) for a, b in zip(np.roll(found, 1, axis=0), cts[40:], strict=True)])
    assert ours > theirs + 1
    assert ours > shuffled + 2


def test_the_cardiothoracic_ratio_is_that_of_the_labels():
    for seed in range(3):
        hu, labels = draw_grid(make_anatomy(seed), GRID)
        widths = [np.ptp(np.flatnonzero((labels == label).any(axis=(0, 1)))) + 1 for label in (Label.HEART, Label.LUNG)]
        assert anatomy.cardiothoracic_ratio(hu, GRID) == pytest.approx(widths[0] / widths[1], abs=0.07)
    assert anatomy.cardiothoracic_ratio(np.full_like(hu, -1000), GRID) is None


def test_vessels_that_are_gone_or_elsewhere_are_not_recalled():
    hu, labels = draw_grid(make_anatomy(0), GRID)
    assert anatomy.vessel_recall(hu, hu, labels) > 0.9
    assert anatomy.vessel_recall(np.where(labels == Label.VESSEL, -850, hu), hu, labels) == 0
    assert anatomy.vessel_recall(hu[:, :, ::-1], hu, labels) < 0.6
    assert anatomy.vessel_recall(hu, hu, np.zeros_like(labels)) is None
