"""What is measured on a synthetic CT without a true one, compared with chests whose truth is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deeprecon.ctpa.diffusion.thresholds import Thresholds
from deeprecon.ctpa.grid import FULL, Grid
from deeprecon.ctpa.measure.anatomy import ORGAN_LIMITS, organ_medians
from deeprecon.ctpa.measure.metrics import seam_ratio
from deeprecon.ctpa.measure.projection_check import ProjectionCheck, check_projection
from deeprecon.ctpa.measure.quality import (
    DEMONSTRATOR,
    NO_DEPTH,
    NO_EMBOLI,
    NOT_CALIBRATED,
    RESEARCH_ONLY,
    STATEMENTS,
    QualityLevel,
    assess_atlas,
    assess_quality,
    geometry_doubts,
)
from deeprecon.ctpa.measure.summary import VolumeSummary
from deeprecon.ctpa.observe.projection import Beam, Geometry, View, expose, line_integrals
from deeprecon.ctpa.patches import Windows
from deeprecon.ctpa.simulate.chests import Label, draw_grid, make_anatomy
from deeprecon.ctpa.training.validation import prediction_limit

GRID = Grid((76, 64, 64))
GOOD = {"lung": -830.0, "blood": 250.0, "bone": 350.0}
LIMITS = Thresholds(nrmse=0.2, distance=1.5)


@pytest.fixture(scope="module")
def chests():
    return {seed: draw_grid(make_anatomy(seed), GRID) for seed in range(6)}


# ---- projection check


@pytest.mark.parametrize("beam", list(Beam))
def test_the_true_ct_passes_whatever_gain_and_offset(chests, beam):
    geometry = Geometry(beam)
    xray = 3.7 * line_integrals(chests[0][0], GRID, geometry) - 12
    check = check_projection(chests[0][0], xray, GRID, geometry)
    assert check.nrmse < 1e-4
    assert check.ncc == pytest.approx(1)
    assert check.ssim == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(check.projected, xray, atol=1e-2)
    assert np.abs(check.difference).max() < 1e-2


def test_another_patient_and_a_mirrored_one_have_larger_errors(chests):
    geometry = Geometry()
    exposed = expose(line_integrals(chests[0][0], GRID, geometry), np.random.default_rng(0))
    own = check_projection(chests[0][0], exposed, GRID, geometry)
    other = check_projection(chests[3][0], exposed, GRID, geometry)
    mirrored = check_projection(chests[0][0][:, :, ::-1], exposed, GRID, geometry)
    for wrong in (other, mirrored):
        assert wrong.nrmse > 1.5 * own.nrmse
        assert wrong.ncc < own.ncc
        assert wrong.ssim < own.ssim


def test_an_opacity_shows_where_it_is(chests):
    """A bead that the synthetic CT lacks is dark in the difference, at its place."""
    geometry = Geometry(Beam.PARALLEL)
    hu = chests[1][0].astype(np.float32)
    with_bead = hu.copy()
    with_bead[50:54, 30:34, 20:24] += 2000
    check = check_projection(hu, line_integrals(with_bead, GRID, geometry), GRID, geometry)
    row, column = np.unravel_index(check.difference.argmin(), check.difference.shape)
    assert 50 <= row < 54
    assert 20 <= column < 24


def test_what_the_xray_does_not_show_does_not_count(chests):
    geometry = Geometry()
    xray = line_integrals(chests[0][0], GRID, geometry)
    covered = np.zeros(xray.shape, bool)
    covered[10:66, 4:60] = True
    torn = np.where(covered, xray, 99).astype(np.float32)
    assert check_projection(chests[0][0], torn, GRID, geometry, covered).nrmse < 1e-4
    assert check_projection(chests[0][0], torn, GRID, geometry).nrmse > 0.5
    assert not check_projection(chests[0][0], torn, GRID, geometry, covered).difference[~covered].any()


def test_a_finer_xray_is_compared_on_the_grid_of_the_ct(chests):
    geometry = Geometry()
    xray = line_integrals(chests[0][0], GRID, geometry)
    finer = np.kron(xray, np.ones((4, 4), np.float32))
    finer[::2] += 0.5  # what averages out
    finer[1::2] -= 0.5
    check = check_projection(chests[0][0], finer, GRID, geometry)
    assert check.nrmse < 1e-4
    assert check.xray.shape == (76, 64)


def test_an_empty_ct_has_no_correlation():
    xray = np.random.default_rng(0).normal(size=(76, 64)).astype(np.float32)
    check = check_projection(np.full(GRID.shape, -1000, np.int16), xray, GRID, Geometry())
    assert check.ncc == 0
    assert check.nrmse == pytest.approx(1, abs=0.01)


# ---- organs


def test_organs_are_found_without_labels(chests):
    """Within a few HU of the medians over the true labels, in every chest."""
    for hu, labels in chests.values():
        found = organ_medians(hu, GRID)
        for name, label, tolerance in (("lung", Label.LUNG, 15), ("blood", Label.HEART, 30), ("bone", Label.BONE, 90)):
            assert found[name] == pytest.approx(float(np.median(hu[labels == label])), abs=tolerance), name


def test_organs_that_are_not_there_are_not_found():
    assert organ_medians(np.full(GRID.shape, -1000, np.int16), GRID) == {"lung": None, "blood": None, "bone": None}
    hu = draw_grid(make_anatomy(0), GRID)[0]
    assert organ_medians(np.minimum(hu, 100), GRID)["bone"] is None


# ---- seams


def test_a_summary_of_slabs_equals_that_of_the_volume(chests):
    hu = chests[2][0]
    surveys = []
    for planes in (4, 10, 76):
        survey = VolumeSummary(GRID)
        for first in range(0, 76, planes):
            survey.add(hu[first : first + planes])
        surveys.append(survey)
    windows = Windows((19, 16, 16), (8, 8, 8), (6, 6, 6))
    assert len({survey.seam_ratio(windows) for survey in surveys}) == 1
    for survey in surveys:
        np.testing.assert_array_equal(survey.coarse, hu)
        z, y, x = GRID.axes()
        np.testing.assert_array_equal(survey.axial, hu[np.abs(z - 10).argmin()])
        np.testing.assert_array_equal(survey.coronal, hu[:, np.abs(y).argmin()])
        np.testing.assert_array_equal(survey.sagittal, hu[:, :, np.abs(x - 5).argmin()])


def test_the_copy_of_a_full_volume_is_its_mean_over_cubes():
    survey = VolumeSummary(FULL, 2)
    slab = np.random.default_rng(0).integers(-1000, 1000, (2, 512, 512)).astype(np.int16)
    for _ in range(304):
        survey._sums = [total * 0 for total in survey._sums]
        survey.add(slab)
        if survey._next >= 4:
            break
    assert survey.coarse.shape == (304, 256, 256)
    assert survey.coarse[1, 3, 5] == pytest.approx(slab[:, 6:8, 10:12].mean(), abs=0.5)


def test_seams_differ_from_smooth_volumes_and_from_a_decoders_own_pattern():
    rng = np.random.default_rng(3)
    smooth = np.cumsum(rng.normal(0, 3, (64, 64, 64)), axis=0) + np.cumsum(rng.normal(0, 3, (64, 64, 64)), axis=1)
    smooth = np.clip(smooth, -900, 900)
    smooth += 30 * (np.indices(smooth.shape) // 4 % 2).sum(axis=0)  # steps at every latent voxel
    windows = Windows((16, 16, 16), (6, 6, 6), (5, 5, 5))

    def ratio(volume):
        survey = VolumeSummary(Grid((64, 64, 64)))
        survey.add(np.rint(volume).astype(np.int16))
        return survey.seam_ratio(windows)

    torn = smooth.copy()
    torn[20:] += 60  # between latent voxels 4 and 5, where the second window begins
    assert ratio(smooth) == pytest.approx(1, abs=0.1)
    assert ratio(torn) > ratio(smooth) + 0.1
    assert seam_ratio(smooth, Windows((64, 64, 64), (24, 24, 24), (20, 20, 20))) > 1.5  # the pattern taken for seams
    assert VolumeSummary(Grid((64, 64, 64))).seam_ratio(Windows((16, 16, 16), (16, 16, 16), (16, 16, 16))) == 1


# ---- traffic light


def check_of(nrmse):
    image = np.zeros((4, 4), np.float32)
    return ProjectionCheck(image, image, image, nrmse, 0.9, 0.9)


def level_of(
    nrmse=0.1, organs=None, seams=1.0, distance=1.0, thresholds=LIMITS, notes=(), doubts=(), demonstrator=False
):
    return assess_quality(
        check_of(nrmse), GOOD | (organs or {}), seams, distance, thresholds, notes, doubts, demonstrator
    )


@pytest.mark.parametrize("count", [3, 9, 60])
def test_a_prediction_limit_is_exceeded_by_one_of_a_hundred_others(count):
    """Trap: the largest of nine held-out cases, or their 99th percentile, is passed by every tenth."""
    rng = np.random.default_rng(count)
    figures = np.exp(rng.normal(-2, 0.2, (20_000, count + 1)))
    passed = np.mean([row[-1] > prediction_limit(row[:-1]) for row in figures])
    assert 0.006 < passed < 0.014
    assert np.mean(figures[:, -1] > np.quantile(figures[:, :-1], 0.99, axis=1)) > 0.015


def test_two_cases_have_no_limit():
    assert prediction_limit([0.1, 0.2]) is None


@pytest.mark.parametrize(("correlation", "level"), [(0.99, QualityLevel.AMBER), (0.5, QualityLevel.RED)])
def test_a_fitted_atlas_is_never_green_while_its_limits_are_not_calibrated(correlation, level):
    organs = {name: sum(limits) / 2 for name, limits in ORGAN_LIMITS.items()}
    found, reasons = assess_atlas(correlation, organs, 1.0, [])
    assert found is level
    assert NOT_CALIBRATED in [reason.text for reason in reasons]


def test_nothing_against_it_is_green():
    assert level_of() == (QualityLevel.GREEN, [])


@pytest.mark.parametrize(
    ("given", "light", "words"),
    [
        ({"distance": 1.6}, QualityLevel.RED, "unlike those that the model was trained on"),
        ({"nrmse": 0.25}, QualityLevel.RED, "differs from the X-ray"),
        ({"organs": {"lung": None}}, QualityLevel.RED, "No lung"),
        ({"organs": {"bone": None}}, QualityLevel.AMBER, "No bone"),
        ({"organs": {"blood": 620.0}}, QualityLevel.AMBER, "measures 620 HU"),
        ({"seams": 1.3}, QualityLevel.AMBER, "Seams"),
        ({"thresholds": None}, QualityLevel.AMBER, "held-out"),
        ({"notes": ("It is taken as a PA view.",)}, QualityLevel.AMBER, "Assumed: It is taken as a PA view."),
        ({"doubts": ("The view is AP.",)}, QualityLevel.AMBER, "The view is AP."),
        ({"demonstrator": True}, QualityLevel.AMBER, "not anatomy of a patient"),
    ],
)
def test_each_reason_is_a_sentence(given, light, words):
    found, reasons = level_of(**given)
    assert found is light
    assert len(reasons) == 1
    assert words in reasons[0].text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, None),
        ({"source_distance": 1950.0}, None),
        ({"source_distance": 1550.0}, None),
        ({"source_distance": 2100.0}, "was 2100 mm from the detector; in training 1700 to 1800 mm"),
        ({"source_distance": 1000.0}, "was 1000 mm"),
        ({"view": View.AP, "source_distance": 1000.0}, "The view is AP; the model was trained on PA views alone"),
        ({"beam": Beam.PARALLEL}, "taken as parallel"),
    ],
)
def test_a_geometry_unlike_the_training_is_doubted(changes, words):
    found, trained = replace(Geometry(), **changes), (Geometry(), Geometry(source_distance=1700.0))
    doubts = geometry_doubts(found, trained)
    assert [words in doubt for doubt in doubts] == ([] if words is None else [True])
    assert geometry_doubts(found, (*trained, found)) == []


def test_the_red_reason_comes_first_and_sets_the_level():
    light, reasons = level_of(demonstrator=True, notes=("It is taken as a PA view.",), distance=9.0)
    assert light is QualityLevel.RED
    assert [reason.level for reason in reasons] == [QualityLevel.RED, QualityLevel.AMBER, QualityLevel.AMBER]


def test_every_result_states_its_limitations():
    assert STATEMENTS == (RESEARCH_ONLY, NO_EMBOLI, NO_DEPTH)
    assert "SYNTHETIC" in RESEARCH_ONLY
    assert "cannot be recovered from a radiograph" in NO_EMBOLI
    assert "does not determine depth" in NO_DEPTH
    assert "phantom-trained demonstrator" in DEMONSTRATOR
