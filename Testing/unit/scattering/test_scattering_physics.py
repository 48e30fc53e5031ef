"""Forward solvers and linear operators: conservation laws, independent solutions, coordinates."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import special

from deeprecon.data.errors import InputError
from deeprecon.scattering.fit.linear import LinearInversion
from deeprecon.scattering.physics.born import BornOperator, PolarBorn, born_factor
from deeprecon.scattering.physics.directions import (
    directions,
    from_midpoint,
    high_order_share,
    max_angular_order,
    remove_noise_orders,
    required_directions,
    resample_directions,
    to_midpoint,
)
from deeprecon.scattering.physics.discs import disc_far_field
from deeprecon.scattering.physics.image_grids import pixel_centers, ring_weights, to_polar, to_square
from deeprecon.scattering.physics.scene import (
    Ellipse,
    Scene,
    are_separate_discs,
    disc,
    rasterize_polar,
    rasterize_square,
    rotated,
)
from deeprecon.scattering.physics.volume_integral import VolumeIntegral, gmres
from deeprecon.scattering.simulate.families import FAMILIES, random_discs

K = 16.0
SCENE: Scene = (disc(0.3, 0.2, 0.25, 0.6), disc(-0.4, 0.1, 0.2, 0.3), disc(0.05, -0.5, 0.15, 0.8))
ANGLES = directions(128)


@pytest.fixture(scope="module")
def exact() -> np.ndarray:
    return disc_far_field(K, SCENE, ANGLES, ANGLES)


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


# ---- the exact solver


def test_reciprocity(exact: np.ndarray) -> None:
    back = (np.arange(128) + 64) % 128
    np.testing.assert_allclose(exact, exact.T[back][:, back], rtol=0, atol=1e-12)


def test_scattering_operator_is_unitary(exact: np.ndarray) -> None:
    """The scattering operator of a lossless scatterer is unitary."""
    step = 2 * math.pi / 128
    operator = np.eye(128) + np.exp(0.25j * math.pi) * math.sqrt(K / (2 * math.pi)) * exact * step
    assert np.abs(operator @ operator.conj().T - np.eye(128)).max() < 1e-12


def test_the_optical_theorem_holds(exact: np.ndarray) -> None:
    scattered = (np.abs(exact) ** 2).sum(axis=0) * 2 * math.pi / 128
    forward = -math.sqrt(8 * math.pi / K) * (np.exp(0.25j * math.pi) * np.diag(exact)).real
    np.testing.assert_allclose(scattered, forward, rtol=1e-12)


def test_centered_disc_equals_the_mie_series() -> None:
    a, q = 0.4, 0.5
    n, inner = np.arange(-40, 41), K * math.sqrt(1.5)
    j, dj, h, dh = (f(n, K * a) for f in (special.jv, special.jvp, special.hankel1, special.h1vp))
    j1, dj1 = special.jv(n, inner * a), special.jvp(n, inner * a)
    t = -(K * dj * j1 - inner * j * dj1) / (K * dh * j1 - inner * h * dj1)
    series = np.exp(1j * np.outer(ANGLES, n)) @ t
    expected = math.sqrt(2 / (math.pi * K)) * np.exp(-0.25j * math.pi) * series
    found = disc_far_field(K, (disc(0, 0, a, q),), ANGLES, np.zeros(1))[:, 0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_translation_multiplies_the_far_field_by_a_phase(exact: np.ndarray) -> None:
    shift = (0.11, -0.07)
    moved = tuple(Ellipse(e.x + shift[0], e.y + shift[1], e.a, e.b, e.contrast) for e in SCENE)
    phase = np.exp(-1j * K * (np.cos(ANGLES) * shift[0] + np.sin(ANGLES) * shift[1]))
    found = disc_far_field(K, moved, ANGLES, ANGLES)
    np.testing.assert_allclose(found, phase[:, None] * exact * phase.conj()[None], rtol=0, atol=1e-12)


def test_weak_contrast_approaches_the_born_approximation() -> None:
    """The gap to the Born approximation falls with the contrast, to first order."""
    axis = pixel_centers(200)
    born = BornOperator(K, axis, ANGLES[:8], ANGLES[:8])
    gaps = []
    for weaker in (1e-1, 1e-2):
        scene = tuple(Ellipse(e.x, e.y, e.a, e.b, weaker * e.contrast) for e in SCENE)
        fine = (
            disc_far_field(K, tuple(Ellipse(e.x, e.y, e.a, e.b, 1e-5 * e.contrast) for e in SCENE), ANGLES, ANGLES)
            * 1e5
        )
        gaps.append(relative(disc_far_field(K, scene, ANGLES, ANGLES), weaker * fine))
        assert relative(born.forward(rasterize_square(scene, axis)), weaker * fine[:8, :8]) < 3e-3
    assert 9.5 < gaps[0] / gaps[1] < 10.5


def test_overlapping_discs_and_ellipses_are_refused() -> None:
    for scene in ((disc(0, 0, 0.3, 0.1), disc(0.1, 0, 0.3, 0.1)), (Ellipse(0, 0, 0.3, 0.2, 0.1),)):
        assert not are_separate_discs(scene)
        with pytest.raises(InputError, match="discs that do not touch"):
            disc_far_field(K, scene, ANGLES, ANGLES)


def test_random_discs_are_separate_and_inside_the_unit_disc() -> None:
    rng = np.random.default_rng(0)
    scenes = [random_discs(rng) for _ in range(200)]
    assert {len(scene) for scene in scenes} == {1, 2, 3}
    assert all(are_separate_discs(scene) for scene in scenes)
    assert max(math.hypot(e.x, e.y) + e.a for scene in scenes for e in scene) <= 1
    assert all(0.1 <= e.contrast <= 0.8 for scene in scenes for e in scene)


# ---- the Lippmann-Schwinger equation


@pytest.mark.parametrize(("n", "bound"), [(64, 1e-2), (128, 3e-3)])
def test_the_volume_integral_agrees_with_the_exact_solver(n: int, bound: float, exact: np.ndarray) -> None:
    axis = pixel_centers(n)
    some = ANGLES[::32]
    found = VolumeIntegral(K, axis).far_field(rasterize_square(SCENE, axis, 8), ANGLES, some)
    assert relative(found, exact[:, ::32]) < bound


def test_smooth_contrast_converges_spectrally() -> None:
    some = ANGLES[::64]

    def solved(n: int) -> np.ndarray:
        axis = pixel_centers(n)
        x, y = np.meshgrid(axis, axis)
        bump = 0.5 * np.exp(-(((x - 0.1) / 0.25) ** 2) - ((y + 0.1) / 0.2) ** 2)
        return VolumeIntegral(K, axis, double=True).far_field(bump, ANGLES[::16], some, tolerance=1e-10)

    assert relative(solved(48), solved(72)) < 1e-6


def test_solving_all_directions_at_once_equals_solving_each() -> None:
    axis = pixel_centers(32)
    q = rasterize_square(SCENE, axis)
    solver = VolumeIntegral(8.0, axis, double=True)
    together = solver.solve(q, ANGLES[:3], 1e-10)
    alone = torch.cat([solver.solve(q, ANGLES[i : i + 1], 1e-10).fields for i in range(3)])
    torch.testing.assert_close(together.fields, alone, rtol=1e-8, atol=1e-8)
    assert together.residual <= 1e-10


def test_far_field_without_contrast_is_zero() -> None:
    axis = pixel_centers(16)
    assert not VolumeIntegral(8.0, axis).far_field(np.zeros((16, 16)), ANGLES[:4], ANGLES[:4]).any()


def test_gmres_solves_each_row() -> None:
    rng = np.random.default_rng(1)
    matrix = torch.from_numpy(np.eye(12) * 4 + rng.normal(size=(12, 12)) + 1j * rng.normal(size=(12, 12)))
    given = torch.from_numpy(rng.normal(size=(3, 12)) + 1j * rng.normal(size=(3, 12)))
    found, iterations, residual = gmres(lambda x: x @ matrix.T, given, 1e-12)
    torch.testing.assert_close(found @ matrix.T, given, rtol=1e-10, atol=1e-10)
    assert iterations <= 12
    assert residual <= 1e-12


def test_gmres_goes_on_where_some_rows_are_solved() -> None:
    matrix = torch.diag(torch.arange(1, 7).to(torch.complex64))
    given = torch.stack([torch.eye(6)[2], torch.zeros(6), torch.ones(6)]).to(torch.complex64)
    found, iterations, residual = gmres(lambda x: x @ matrix.T, given, 1e-5)
    assert iterations > 3
    assert residual <= 1e-5
    torch.testing.assert_close(found, given / torch.arange(1, 7), atol=1e-4, rtol=0)


def test_gmres_gives_the_same_bits_whatever_was_in_memory() -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.eye(12) + 0.2 * torch.randn(12, 12, dtype=torch.complex64, generator=generator)
    given = torch.randn(16, 12, dtype=torch.complex64, generator=generator)
    first = gmres(lambda x: x @ matrix.T, given, 1e-6)[0]
    for size in range(1, 21):
        torch.randint(0, 99, (size,), dtype=torch.int32)  # left behind in freed memory
        assert torch.equal(gmres(lambda x: x @ matrix.T, given, 1e-6)[0], first)


# ---- the linear operators


def complex_noise(*shape: int) -> np.ndarray:
    rng = np.random.default_rng(sum(shape))
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


def test_the_adjoint_on_the_square_passes_the_dot_test() -> None:
    born = BornOperator(8.0, pixel_centers(20), ANGLES[::4], ANGLES[::8])
    q, d = complex_noise(20, 20), complex_noise(32, 16)
    one, other = np.vdot(d, born.forward(q)), np.vdot(born.adjoint(d), q)
    assert abs(one - other) < 1e-12 * abs(one)


def test_the_adjoint_in_polar_coordinates_passes_the_dot_test() -> None:
    born = PolarBorn(8.0, 32, 12)
    q, d = complex_noise(32, 12), complex_noise(32, 32)
    one, other = np.vdot(d, born.forward(q)), np.vdot(born.adjoint(d), q)
    assert abs(one - other) < 1e-12 * abs(one)


def test_both_linear_operators_agree() -> None:
    axis = pixel_centers(128)
    scene = (disc(0.3, 0.1, 0.3, 1.0),)
    direct = BornOperator(8.0, axis, directions(64), directions(64)).forward(rasterize_square(scene, axis))
    polar = PolarBorn(8.0, 64, 64).forward(rasterize_polar(scene, 64, 64))
    assert relative(polar, to_midpoint(direct)) < 1e-2


def test_born_factor_is_that_of_weak_discs() -> None:
    weak = disc_far_field(K, (disc(0, 0, 0.2, 1e-6),), np.zeros(1), np.zeros(1))[0, 0] / 1e-6
    assert abs(weak / born_factor(K) - math.pi * 0.04) < 1e-5


def test_back_projection_finds_weak_smooth_contrast_exactly() -> None:
    """Inside the Ewald disc nothing is missing: a Gaussian wider than the resolution limit comes back."""
    n, rings = 128, 64
    theta, rho = np.meshgrid(directions(n), (np.arange(rings) + 0.5) / rings, indexing="ij")
    x, y = rho * np.cos(theta) - 0.2, rho * np.sin(theta) + 0.1
    q = np.exp(-(x**2 + y**2) / (2 * 0.12**2))
    born = PolarBorn(K, n, rings)
    assert relative(LinearInversion(K, n, rings).backprojection(born.forward(q)), q) < 2e-2


def test_tikhonov_without_regularization_inverts_and_with_it_shrinks() -> None:
    born, inversion = PolarBorn(8.0, 64, 8), LinearInversion(8.0, 64, 8)
    q = rasterize_polar((disc(0.2, 0.0, 0.5, 1.0),), 64, 8)
    data = born.forward(q)
    errors = [relative(born.forward(inversion.tikhonov(data, strength)), data) for strength in (1e-6, 0.1, 1.0)]
    assert errors == sorted(errors)
    assert errors[0] < 1e-6
    assert np.linalg.norm(inversion.tikhonov(data, 1.0)) < np.linalg.norm(inversion.tikhonov(data, 0.1))


def test_linear_inversions_of_strong_contrast_have_the_known_errors() -> None:
    rng = np.random.default_rng(5)
    scenes = [random_discs(rng) for _ in range(60)]
    data = to_midpoint(np.stack([disc_far_field(8.0, scene, directions(64), directions(64)) for scene in scenes]))
    truth = np.stack([rasterize_polar(scene, 64, 32) for scene in scenes])
    weights = ring_weights(32)
    inversion = LinearInversion(8.0, 64, 32)

    def error(found: np.ndarray) -> float:
        return float(np.sqrt(((found - truth) ** 2 * weights).sum((1, 2)) / (truth**2 * weights).sum((1, 2))).mean())

    assert error(inversion.backprojection(data)) == pytest.approx(0.50, abs=0.03)
    assert error(inversion.tikhonov(data, 3.0)) == pytest.approx(0.50, abs=0.03)


# ---- coordinates


def test_midpoint_transform_is_invertible(exact: np.ndarray) -> None:
    np.testing.assert_allclose(from_midpoint(to_midpoint(exact)), exact, rtol=0, atol=1e-13)


def test_rotating_the_object_shifts_the_midpoint(exact: np.ndarray) -> None:
    step = 2 * math.pi / 128
    moved = disc_far_field(K, rotated(SCENE, 5 * step), ANGLES, ANGLES)
    np.testing.assert_allclose(to_midpoint(moved), np.roll(to_midpoint(exact), 5, axis=0), rtol=0, atol=1e-12)


def test_midpoints_between_directions_are_exact(exact: np.ndarray) -> None:
    """Odd offsets have midpoints between the directions; the solver computes the far field at those angles."""
    step = 2 * math.pi / 128
    m = np.arange(0, 128, 16) * step
    direct = disc_far_field(K, SCENE, m + step / 2, m - step / 2)
    np.testing.assert_allclose(to_midpoint(exact)[::16, 1], np.diag(direct), rtol=0, atol=1e-12)


@pytest.mark.parametrize("k", [2.0, 8.0, 16.0])
def test_removing_noise_orders_keeps_far_fields_and_reduces_noise(k: float) -> None:
    rim = (disc(0.75, 0.0, 0.25, 0.8), disc(-0.5, -0.55, 0.25, 0.8))  # reaches as far as anything can
    found = disc_far_field(k, rim, ANGLES, ANGLES)
    assert relative(remove_noise_orders(found, k), found) < 1e-5
    noise = complex_noise(128, 128)
    share = np.linalg.norm(remove_noise_orders(noise, k)) ** 2 / np.linalg.norm(noise) ** 2
    assert share == pytest.approx(((2 * max_angular_order(k) + 1) / 128) ** 2, rel=0.1)
    few = found[::32, ::32]  # directions that hold no such orders
    np.testing.assert_array_equal(remove_noise_orders(few, k), few)


@pytest.mark.parametrize("n", [96, 128, 160])
def test_directions_are_resampled_without_error(n: int, exact: np.ndarray) -> None:
    start = (-math.pi, 0.3)
    given = disc_far_field(K, SCENE, start[0] + directions(99), start[1] + directions(99))
    wanted = disc_far_field(K, SCENE, directions(n), directions(n))
    np.testing.assert_allclose(resample_directions(given, start, n), wanted, rtol=0, atol=1e-8)


def test_too_few_directions_have_a_high_order_share() -> None:
    few = directions(24)
    assert high_order_share(disc_far_field(K, SCENE, few, few)) > 1e-2
    enough = directions(required_directions(K))
    assert len(enough) == 128
    assert high_order_share(disc_far_field(K, SCENE, enough, enough)) < 1e-10


def test_polar_and_square_images_are_equivalent() -> None:
    axis = pixel_centers(64)
    x, y = np.meshgrid(axis, axis)
    scene = (disc(0.3, -0.2, 0.4, 1.0), disc(-0.3, 0.4, 0.25, -0.5))
    square, polar = rasterize_square(scene, axis), rasterize_polar(scene, 128, 64)
    inside = np.hypot(x, y) < 0.95
    assert relative(to_square(polar, axis)[inside], square[inside]) < 0.15  # edges
    assert relative(to_polar(square, axis, 128, 64), polar) < 0.2
    smooth = np.cos(2 * x) * np.sin(1 + y)
    back = to_square(to_polar(smooth, axis, 128, 64), axis)
    assert relative(back[inside], smooth[inside]) < 1e-3


def test_the_mean_over_the_disc_is_kept_by_the_ring_weights() -> None:
    weights = ring_weights(32)
    assert weights.sum() == pytest.approx(1)
    area = (rasterize_polar((disc(0.2, 0.3, 0.4, 1.0),), 128, 32) * weights).mean(axis=0).sum()
    assert area == pytest.approx(0.16, rel=1e-2)


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_every_family_lies_inside_the_disc(family: str) -> None:
    rng = np.random.default_rng(2)
    axis = pixel_centers(48)
    x, y = np.meshgrid(axis, axis)
    for _ in range(5):
        image = rasterize_square(FAMILIES[family](rng, (0.1, 0.8)), axis)
        assert image.max() > 0.05
        assert image.min() > -0.05
        assert not image[np.hypot(x, y) > 1.03].any()
