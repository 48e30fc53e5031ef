from __future__ import annotations

import math

import numpy as np
import pytest
from vtkmodules.vtkCommonDataModel import VTK_HEXAHEDRON
from vtkmodules.vtkFiltersSources import vtkPlaneSource

from deeprecon.data.mesh.mesh import Mesh
from deeprecon.scar.measure import metrics
from deeprecon.scar.simulate.ventricle import grid_mesh


def box(count: int, spacing: float, reach: float = 0.0) -> Mesh:
    """A cube of cubes; with `reach`, its cells grow along x from 1 to 1 + reach times the spacing."""
    steps = np.arange(count + 1.0)
    x = steps + reach * steps**2 / (2 * count)
    nodes = np.stack(np.meshgrid(x, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3) * spacing
    cells = np.stack(np.meshgrid(*3 * [np.arange(count)], indexing="ij"), axis=-1).reshape(-1, 3)
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])
    ids = np.ravel_multi_index(tuple((cells[:, None] + corners).reshape(-1, 3).T), 3 * (count + 1,)).reshape(-1, 8)
    return grid_mesh(nodes, [(VTK_HEXAHEDRON, ids)], "box")


def test_dice_and_volume_error_weigh_nodes_by_volume() -> None:
    prediction, truth = np.array([True, True, False, False]), np.array([True, False, True, False])
    weights = np.array([4.0, 1.0, 2.0, 100.0])
    assert metrics.dice(prediction, truth, weights) == pytest.approx(2 * 4 / (5 + 6))
    assert metrics.volume_error(prediction, truth, weights) == pytest.approx(-1)


def test_dice_of_two_empty_masks_is_one_and_of_one_empty_mask_zero() -> None:
    empty, full = np.zeros(3, dtype=bool), np.ones(3, dtype=bool)
    assert metrics.dice(empty, empty, np.ones(3)) == 1
    assert metrics.dice(empty, full, np.ones(3)) == 0


def test_parallel_borders_lie_their_distance_apart() -> None:
    mesh = box(20, 1.5)
    x = mesh.points[:, 0]
    one, other = 1 / (1 + np.exp(x - 10)), 1 / (1 + np.exp(x - 13))
    apart = metrics.surface_distances(mesh, one, other)
    assert metrics.hd95(*apart) == pytest.approx(3, abs=0.05)
    assert metrics.assd(*apart) == pytest.approx(3, abs=0.05)
    assert metrics.hd95(*metrics.surface_distances(mesh, one, one)) == pytest.approx(0, abs=1e-6)


def test_95_percent_of_the_border_are_within_hd95() -> None:
    distances = np.array([5.0, 1.0, 3.0])
    assert metrics.hd95(distances, np.array([0.08, 0.5, 0.42])) == 5
    assert metrics.hd95(distances, np.array([0.04, 0.5, 0.46])) == 3


def test_surface_distances_weigh_by_area_not_by_mesh_density() -> None:
    mesh = box(24, 1.0, reach=3.0)  # four times coarser at one end
    x, y, _ = mesh.points.T
    tilt = 4 * x / x.max()  # the second border leaves the first one by 0 to 4 mm, most where cells are large
    distances, shares = metrics.surface_distances(mesh, 0.5 + (10.3 - y) / 100, 0.5 + (10.3 + tilt - y) / 100)
    assert shares.sum() == pytest.approx(1)
    assert distances @ shares == pytest.approx(2, abs=0.1)


def test_one_missing_border_gives_no_distance() -> None:
    mesh = box(6, 1.0)
    half = (mesh.points[:, 0] > 3).astype(float)
    nowhere = np.zeros(mesh.n_points)
    assert math.isnan(metrics.hd95(*metrics.surface_distances(mesh, half, nowhere)))
    assert math.isnan(metrics.assd(*metrics.surface_distances(mesh, nowhere, nowhere)))


def test_brier_is_the_weighted_mean_square() -> None:
    value = metrics.brier(np.array([0.2, 0.9]), np.array([False, True]), np.array([1.0, 3.0]))
    assert value == pytest.approx((0.04 + 3 * 0.01) / 4)


def test_calibration_error_separates_calibrated_from_overconfident() -> None:
    rng = np.random.default_rng(1)
    probability = rng.uniform(0, 1, 40_000)
    truth = rng.uniform(0, 1, 40_000) < probability
    weights = rng.uniform(0.5, 2, 40_000)
    assert metrics.expected_calibration_error(probability, truth, weights) < 0.02
    overconfident = np.where(probability > 0.5, 1.0, 0.0)
    assert metrics.expected_calibration_error(overconfident, truth, weights) == pytest.approx(0.25, abs=0.02)


def test_reliability_bins_hold_equal_weight_and_keep_ties_together() -> None:
    predicted, observed, share = metrics.reliability_curve(
        np.linspace(0, 1, 1000), np.ones(1000, dtype=bool), np.ones(1000)
    )
    assert share == pytest.approx(np.full(10, 0.1), abs=0.002)
    assert predicted == pytest.approx(np.arange(0.05, 1, 0.1), abs=0.01)
    assert (observed == 1).all()
    tied = np.repeat([0.0, 1.0], [900, 100])
    predicted, observed, share = metrics.reliability_curve(tied, tied > 0.5, np.ones(1000))
    assert share == pytest.approx([0.9, 0.1])
    assert observed == pytest.approx([0, 1])


def test_auroc_equals_the_pairwise_definition() -> None:
    rng = np.random.default_rng(2)
    score = rng.integers(0, 6, 60).astype(float)
    positive = rng.uniform(size=60) < 0.4
    weights = rng.uniform(0.5, 2, 60)
    wins = (score[positive][:, None] > score[~positive]) + 0.5 * (score[positive][:, None] == score[~positive])
    pairs = weights[positive][:, None] * weights[~positive]
    assert metrics.auroc(score, positive, weights) == pytest.approx((wins * pairs).sum() / pairs.sum())
    assert math.isnan(metrics.auroc(score, np.zeros(60, dtype=bool), weights))


def test_evaluate_a_perfect_and_a_shifted_result() -> None:
    mesh = box(20, 1.5)
    x = mesh.points[:, 0]
    truth = x < 12
    perfect = metrics.evaluate(mesh, truth.astype(float), np.zeros(mesh.n_points), truth)
    assert perfect["dice"] == 1
    assert perfect["hd95_mm"] == pytest.approx(0, abs=1e-6)
    assert perfect["ece"] == perfect["brier"] == perfect["volume_error_ml"] == 0
    assert "uncertainty_auroc" not in perfect  # there is no error to find
    shifted = metrics.evaluate(mesh, (x < 15).astype(float), np.exp(-np.abs(x - 13)), truth)
    assert shifted["hd95_mm"] == pytest.approx(3, abs=0.01)
    assert shifted["volume_error_ml"] == pytest.approx(2.7)
    assert shifted["volume_error_percent"] == pytest.approx(2.7 / shifted["true_ml"] * 100)
    assert shifted["uncertainty_auroc"] > 0.95


def test_the_border_follows_the_cutoff() -> None:
    mesh = box(20, 1.5)
    x = mesh.points[:, 0]
    figures = metrics.evaluate(mesh, 1 - x / 30, np.zeros(mesh.n_points), x < 8, cutoff=0.75)  # 0.75 lies at 7.5 mm
    assert figures["hd95_mm"] == pytest.approx(0.75, abs=0.05)  # the border of the 0/1 truth lies between 7.5 and 9 mm


def test_a_scar_that_is_not_there_leaves_out_what_is_undefined() -> None:
    mesh = box(6, 1.0)
    nowhere = np.zeros(mesh.n_points)
    figures = metrics.evaluate(mesh, nowhere, nowhere, nowhere > 0)
    assert figures["dice"] == 1
    assert not {"hd95_mm", "assd_mm", "volume_error_percent", "uncertainty_auroc"} & set(figures)
    assert all(math.isfinite(value) for value in figures.values())


def test_surface_meshes_are_judged_by_area_and_border_lines() -> None:
    source = vtkPlaneSource()
    source.SetOrigin(0, 0, 0)
    source.SetPoint1(30, 0, 0)
    source.SetPoint2(0, 30, 0)
    source.SetResolution(30, 30)
    source.Update()
    mesh = Mesh(source.GetOutput(), "plane")
    x = mesh.points[:, 0]
    figures = metrics.evaluate(mesh, (x < 18.5).astype(float), np.zeros(mesh.n_points), x < 15.5)
    assert figures["hd95_mm"] == pytest.approx(3, abs=1e-3)
    assert "area_error_cm2" in figures
    assert not any(name.endswith("_ml") for name in figures)
