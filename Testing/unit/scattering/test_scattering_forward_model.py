"""Scattered fields of any arrangement: exact series, order of convergence, adjoint and gradient, in 2D and 3D."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.scattering.fit.total_variation import total_variation
from deeprecon.scattering.physics.arrangement import Arrangement
from deeprecon.scattering.physics.forward_model import ForwardModel
from deeprecon.scattering.physics.green import far_field_factor, green_function
from deeprecon.scattering.physics.region import Region

from .conftest import circle  # isort: skip  it also finds the folder of the benchmarks

from scattering_mie import ball_field, cylinder_far_field, cylinder_field

CENTER = np.array([0.011, -0.013])
RADIUS, SIDE, K = 0.03, 0.1, 100.0


def near(views: int = 3, receivers: int = 24) -> Arrangement:
    return Arrangement(circle(views, 0.3), np.broadcast_to(circle(receivers, 0.25, 0.1), (views, receivers, 2)))


def far(views: int = 3, receivers: int = 24) -> Arrangement:
    directions = np.broadcast_to(circle(receivers, 1.0, 0.1), (views, receivers, 2))
    return Arrangement(circle(views, 1.0), directions, plane_waves=True, far_field=True)


def ball_arrangement(views: int = 2, receivers: int = 20, seed: int = 0) -> Arrangement:
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((views + receivers, 3))
    points *= 0.3 / np.linalg.norm(points, axis=1, keepdims=True)
    return Arrangement(points[:views], np.broadcast_to(points[views:], (views, receivers, 3)))


def filled(region: Region, center: np.ndarray, radius: float, fine: int = 16) -> np.ndarray:
    """Share of each pixel that lies in a disc or ball."""
    step = ((np.arange(fine) + 0.5) / fine - 0.5) * region.spacing
    line = (region.line()[:, None] + step).ravel()
    axes = np.meshgrid(*[line] * region.dimension, indexing="ij", sparse=True)[::-1]
    inside = sum((axis - c) ** 2 for axis, c in zip(axes, center, strict=True)) < radius**2
    n, d = region.n, region.dimension
    return inside.reshape((n, fine) * d).mean(axis=tuple(range(1, 2 * d, 2)))


def error(found: np.ndarray, exact: np.ndarray) -> float:
    return float(np.linalg.norm(found - exact) / np.linalg.norm(exact))


@pytest.mark.parametrize("contrast", [0.1, 0.8, 3.0])
@pytest.mark.parametrize("kind", ["near", "far"])
def test_fields_converge_to_the_exact_series_of_a_cylinder(contrast: float, kind: str) -> None:
    arrangement = near() if kind == "near" else far()
    exact = (cylinder_field if kind == "near" else cylinder_far_field)(
        K, RADIUS, contrast, arrangement.source, arrangement.receiver[0], CENTER
    )
    errors = []
    for n in (32, 128):
        region = Region(np.zeros(2), SIDE, n)
        model = ForwardModel(K, arrangement, region, double=True, tolerance=1e-8)
        errors.append(error(model.scattered(contrast * filled(region, CENTER, RADIUS)), exact))
    assert np.log2(errors[0] / errors[1]) / 2 > 1.8
    assert errors[1] < 0.01


def test_fields_of_a_ball_are_near_the_exact_series() -> None:
    arrangement = ball_arrangement()
    center = np.array([0.01, -0.005, 0.008])
    exact = ball_field(60.0, RADIUS, 0.5, arrangement.source, arrangement.receiver[0], center)
    errors = []
    for n in (10, 20):
        region = Region(np.zeros(3), SIDE, n)
        model = ForwardModel(60.0, arrangement, region, tolerance=1e-5)
        errors.append(error(model.scattered(0.5 * filled(region, center, RADIUS, 6)), exact))
    assert errors[1] < 0.02
    assert errors[1] < 0.5 * errors[0]


def test_far_fields_are_the_limit_of_near_fields() -> None:
    region = Region(np.zeros(2), SIDE, 24)
    q, directions = 0.5 * filled(region, CENTER, RADIUS, 4), circle(8, 1.0)
    plane = Arrangement(circle(2, 1.0), np.broadcast_to(directions, (2, 8, 2)), True, True)
    distant = Arrangement(circle(2, -1e4), np.broadcast_to(1e4 * directions, (2, 8, 2)))
    expected = ForwardModel(K, plane, region).scattered(q)
    found = ForwardModel(K, distant, region, double=True).scattered(q)
    strength = green_function(K, np.array([1e4]), 2) * green_function(K, np.array([1e4]), 2) / far_field_factor(K, 2)
    assert error(found / strength, expected) < 1e-3


@pytest.mark.parametrize("dimension", [2, 3])
def test_the_adjoint_is_exact(dimension: int) -> None:
    rng = np.random.default_rng(3)
    arrangement = near(3, 9) if dimension == 2 else ball_arrangement(3, 9)
    region = Region(np.zeros(dimension), SIDE, {2: 20, 3: 9}[dimension])
    for k in (30.0, 70.0):  # frequencies
        model = ForwardModel(k, arrangement, region, double=True, tolerance=1e-13)
        q, change = rng.uniform(-0.4, 1.5, (2, *region.shape))
        data = rng.standard_normal((3, 9)) + 1j * rng.standard_normal((3, 9))
        one = np.vdot(data, model.linearized(q, change))
        other = np.vdot(model.adjoint(q, data), change)
        assert abs(one - other) < 1e-10 * abs(one)


def test_the_gradient_is_that_of_the_misfit() -> None:
    rng = np.random.default_rng(1)
    region, arrangement = Region(np.zeros(2), SIDE, 16), near()
    model = ForwardModel(50.0, arrangement, region, double=True, tolerance=1e-12)
    q, change = rng.uniform(0, 1, (2, *region.shape))
    data, used = model.scattered(rng.uniform(0, 1, region.shape)), rng.uniform(size=(3, 24)) > 0.3
    _, gradient = model.misfit_and_gradient(q, data, used)
    h = 1e-6
    more, less = (model.misfit_and_gradient(q + sign * h * change, data, used)[0] for sign in (1, -1))
    assert (more - less) / (2 * h) == pytest.approx((gradient * change).sum(), rel=1e-6)


def test_the_derivative_of_the_fields_is_the_limit_of_differences() -> None:
    rng = np.random.default_rng(2)
    region = Region(np.zeros(2), SIDE, 16)
    model = ForwardModel(50.0, near(), region, double=True, tolerance=1e-12)
    q, change = rng.uniform(0, 1, (2, *region.shape))
    h = 1e-5
    difference = (model.scattered(q + h * change) - model.scattered(q - h * change)) / (2 * h)
    assert error(model.linearized(q, change), difference) < 1e-7


def test_a_weak_contrast_scatters_as_the_born_matrix_says() -> None:
    region = Region(np.zeros(2), SIDE, 16)
    model = ForwardModel(50.0, near(), region, double=True)
    q = 1e-5 * filled(region, CENTER, RADIUS, 4)
    expected = (model.born_matrix() @ q.ravel()).reshape(3, 24)
    assert error(model.scattered(q), expected) < 1e-4


@pytest.mark.parametrize("dimension", [2, 3])
def test_total_variation_and_its_gradient(dimension: int) -> None:
    n = 12
    step = np.zeros((n,) * dimension)
    step[: n // 2] = 1.0
    assert total_variation(step, 1e-6)[0] == pytest.approx(1.0, abs=1e-4)  # the area of the edge
    rng = np.random.default_rng(0)
    image, change = rng.uniform(0, 1, (2, *step.shape))
    h = 1e-6
    more, less = (total_variation(image + sign * h * change, 0.05)[0] for sign in (1, -1))
    assert (more - less) / (2 * h) == pytest.approx((total_variation(image, 0.05)[1] * change).sum(), rel=1e-6)
