"""Scar from intensities without a threshold: a mixture of tissues that is fitted to them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume
from deeprecon.scar.fit.field import likelihood_loss
from deeprecon.scar.observe.intensities import scar_fraction
from deeprecon.scar.observe.mixture.noise import Noise
from deeprecon.scar.observe.mixture.obstruction import obstructed
from deeprecon.scar.observe.mixture.shares import MixtureShares, mixture_shares
from deeprecon.scar.observe.mixture.tissues import SHARES
from deeprecon.scar.observe.observations import observe
from deeprecon.scar.observe.shares import observe_shares
from deeprecon.scar.parameters import Observation, ReconstructParameters
from deeprecon.scar.read.case import StackImages

SHAPE = (4, 40, 40)
HEALTHY, SCAR, BLOOD, AROUND = 60.0, 330.0, 231.0, 120.0
ROWS, COLUMNS = np.indices(SHAPE[1:]) - 19.5
RADIUS, ANGLE = np.hypot(ROWS, COLUMNS), np.degrees(np.arctan2(ROWS, COLUMNS))


def wall() -> np.ndarray:
    """A ring of nine pixels in every slice."""
    return np.broadcast_to((RADIUS >= 10) & (RADIUS < 19), SHAPE).astype(np.float32)


def infarct() -> np.ndarray:
    """A quarter of the ring's circumference, two inner slices, of the inner two thirds of the depth."""
    scar = np.broadcast_to((RADIUS >= 10) & (RADIUS < 16) & (np.abs(ANGLE) < 45), SHAPE).copy()
    scar[[0, -1]] = False
    return scar


def signal(scar: np.ndarray) -> np.ndarray:
    return np.where(wall() > 0, HEALTHY + (SCAR - HEALTHY) * scar, np.where(RADIUS < 10, BLOOD, AROUND))


def image(level: np.ndarray, noise: float = 45.0, magnitude: bool = True, seed: int = 0) -> Volume:
    parts = np.random.default_rng(seed).normal(0, noise, (2, *SHAPE))
    array = np.hypot(level + parts[0], parts[1]) if magnitude else level + parts[0]
    return Volume(array, np.diag([1.4, 1.4, 10, 1.0]), "LGE", slice_thickness=8.0)


def found_in(lge: Volume, remote: np.ndarray | None = None) -> MixtureShares:
    return mixture_shares(lge, wall(), remote, np.broadcast_to(RADIUS < 10, SHAPE))


def error(share: np.ndarray, scar: np.ndarray) -> float:
    """Root mean square over the wall."""
    return float(np.sqrt(np.mean((share - scar)[wall() > 0] ** 2)))


@pytest.mark.parametrize("level", [60.0, 200.0])
def test_the_signal_behind_rician_noise_is_found(level: float) -> None:
    noise, parts = Noise(rician=True), np.random.default_rng(0).normal(0, 50, (2, 20_000))
    values, signal_now, deviation = np.hypot(level + parts[0], parts[1]), 100.0, 80.0
    for _ in range(100):
        real = noise.expected_real(values, np.full(len(values), signal_now), deviation)
        deviation = float(np.sqrt(noise.squared_error(values, np.full(len(values), signal_now), real).mean()))
        signal_now = float(real.mean())
    assert signal_now == pytest.approx(level, abs=3)
    assert deviation == pytest.approx(50, abs=2)


def test_the_density_of_rician_values_is_one_over_all_values() -> None:
    values = np.linspace(0, 800, 4000)
    for level in (0.0, 60.0, 300.0):
        density = np.exp(Noise(rician=True).log_density(values, np.array(level), 50.0))
        assert density.sum() * (values[1] - values[0]) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("magnitude", [True, False])
@pytest.mark.parametrize("ratio", [4, 10])
def test_levels_and_noise_are_found(magnitude: bool, ratio: int) -> None:
    noise = (SCAR - HEALTHY) / ratio
    found = found_in(image(signal(infarct()), noise, magnitude)).intensities
    assert found.noise == pytest.approx(noise, rel=0.12)
    assert found.levels["scar"] - found.levels["healthy wall"] == pytest.approx(SCAR - HEALTHY, rel=0.15)
    assert found.levels["blood"] == pytest.approx(BLOOD, rel=0.1)
    assert sum(expected.sum() for expected in found.tissues.values()) == pytest.approx(found.counts.sum(), rel=0.05)


@pytest.mark.parametrize("ratio", [4, 10])
def test_scar_is_nearer_to_the_truth_than_by_any_rule(ratio: int) -> None:
    lge = image(signal(infarct()), (SCAR - HEALTHY) / ratio)
    rules = [error(scar_fraction(lge, wall(), None, rule, soft=True), infarct()) for rule in ("nsd:3", "fwhm", "otsu")]
    assert error(found_in(lge).scar, infarct()) < 0.7 * min(rules)


def test_an_offset_of_a_phase_sensitive_image_changes_nothing() -> None:
    first, moved = (found_in(image(signal(infarct()) + one, magnitude=False)).scar for one in (-250.0, 4096.0))
    np.testing.assert_allclose(moved, first, atol=0.02)


def test_shading_and_a_level_per_slice_are_no_scar() -> None:
    rng = np.random.default_rng(1)
    level = signal(infarct()) * (1 + 0.15 * COLUMNS / 20) + HEALTHY * rng.uniform(-0.1, 0.1, (SHAPE[0], 1, 1)) * (
        wall() > 0
    )
    assert error(found_in(image(level)).scar, infarct()) < 0.15


@pytest.mark.parametrize("magnitude", [True, False])
@pytest.mark.parametrize("seed", range(3))
def test_without_scar_nothing_is_found_and_that_is_said(magnitude: bool, seed: int) -> None:
    found = found_in(image(signal(np.zeros(SHAPE)), noise=(67.5, 27.0)[seed % 2], magnitude=magnitude, seed=seed))
    assert not found.scar.any()
    assert [doubt.code for doubt in found.doubts] == ["no-enhanced-wall"]
    assert (found.likelihood[wall() > 0].argmax(axis=1) == 0).all()


def test_a_dark_core_counts_as_scar() -> None:
    scar, dark = infarct(), infarct() & (RADIUS < 13) & (np.abs(ANGLE) < 30)
    found = found_in(image(np.where(dark, 0.5 * HEALTHY, signal(scar)), noise=27.0))
    assert (found.obstruction & dark).sum() > 0.8 * dark.sum()
    assert (found.scar > 0.5)[dark].mean() > 0.95
    assert not (found.obstruction & ~scar).any()


def test_a_channel_of_healthy_wall_through_scar_is_no_obstruction() -> None:
    ring, blood = wall() > 0, np.broadcast_to(RADIUS < 10, SHAPE)
    scar = ring & (np.abs(ANGLE) < 60) & (np.abs(ANGLE) > 10)
    assert not obstructed(scar, ring, blood).any()
    layer = ring & (np.abs(ANGLE) < 40) & (RADIUS > 13) & (RADIUS < 16)  # healthy wall on both sides
    assert not obstructed(layer, ring, blood).any()


def test_border_zone_of_its_own_level_is_told_from_core_and_from_partial_pixels() -> None:
    core = infarct() & (np.abs(ANGLE) < 20)
    both = signal(infarct()) - 0.5 * (SCAR - HEALTHY) * (infarct() & ~core)
    found = found_in(image(both, noise=20.0))
    assert found.core is not None
    assert found.core_likelihood is not None
    assert error(found.scar, infarct()) < 0.2
    assert error(found.core, core) < 0.2
    assert (found.core <= found.scar + 1e-6).all()
    assert "border zone" in found.intensities.levels
    assert found_in(image(signal(infarct()), noise=20.0)).core is None


def test_a_remote_region_is_healthy() -> None:
    remote = infarct().astype(np.float32)
    assert found_in(image(signal(infarct())), remote).scar[infarct()].max() < 0.1


def test_likelihoods_beside_a_remote_region_are_finite_and_say_that_it_is_healthy() -> None:
    remote = np.roll(infarct(), infarct().shape[2] // 2, axis=2)[:, ::-1, ::-1] & wall().astype(bool) & ~infarct()
    assert remote.sum() > 20
    found = found_in(image(signal(infarct())), remote.astype(np.float32)).likelihood
    assert np.isfinite(found).all()
    assert found[remote][:, 0].min() == 0 > found[remote][:, 1:].max()


def test_partial_pixels_of_the_wall_are_not_taken_for_scar() -> None:
    """Half blood, half healthy wall, along the inner border of a drawn wall."""
    mixed = np.broadcast_to((RADIUS >= 10) & (RADIUS < 11), SHAPE)
    level = np.where(mixed, 0.5 * (HEALTHY + BLOOD), signal(infarct()))
    found = found_in(image(level, noise=27.0)).scar
    assert (found > 0.5)[mixed & ~infarct()].mean() < 0.05


def test_the_loss_of_the_field_is_least_at_the_likeliest_share() -> None:
    shares = torch.linspace(0, 1, 21, requires_grad=True)
    table = torch.tensor([[-4.0, -1.0, 0.0, -2.0, -9.0]])  # of 0, 1/4, 1/2, 3/4 and 1
    losses = torch.stack([likelihood_loss(share.view(1, 1), table, torch.ones(1)) for share in shares])
    assert losses.argmin() == 10
    assert losses[0].item() == pytest.approx(4)
    assert losses[-1].item() == pytest.approx(9)
    losses.sum().backward()
    assert shares.grad is not None
    assert (shares.grad[:9] < 0).all()
    assert (shares.grad[11:] > 0).all()


def stack_images(lge: Volume) -> StackImages:
    return StackImages(replace(lge, array=wall(), name="wall"), lge=lge)


def test_the_mixture_is_the_default_and_a_threshold_selects_its_rule() -> None:
    images = stack_images(image(signal(infarct()), noise=27.0))
    (stack,), warnings = observe_shares([images], ReconstructParameters())
    observations = observe([stack])
    assert stack.mixture is not None
    assert observations.likelihood is not None
    assert observations.likelihood.shape == (len(observations), len(SHARES))
    assert not warnings
    for fields in ({"threshold": "nsd:5"}, {"core_threshold": "max:60"}):
        (ruled,), _ = observe_shares([images], ReconstructParameters(**fields))
        expected = scar_fraction(images.lge, wall(), None, "nsd:5", soft=True)
        np.testing.assert_array_equal(ruled.scar, expected)
        assert observe([ruled]).likelihood is None
    (rounded,), _ = observe_shares([images], ReconstructParameters(observation=Observation.BINARY))
    assert set(np.unique(rounded.scar)) == {0, 1}
    assert rounded.likelihood is None


def test_an_obstruction_is_stated() -> None:
    dark = infarct() & (RADIUS < 13) & (np.abs(ANGLE) < 30)
    images = stack_images(image(np.where(dark, 0.5 * HEALTHY, signal(infarct())), noise=27.0))
    _, warnings = observe_shares([images], ReconstructParameters())
    assert any("enclosed by scar" in warning and "microvascular obstruction" in warning for warning in warnings)


def test_bad_images_are_refused_in_words() -> None:
    broken = image(signal(infarct()))
    broken.array[0, 19, 33] = np.nan
    with pytest.raises(InputError, match="1 wall pixels are not numbers"):
        found_in(broken)
    with pytest.raises(InputError, match="the intensity 7"):
        found_in(image(np.full(SHAPE, 7.0), noise=0.0))
    with pytest.raises(InputError, match="remote region holds 0 pixels"):
        found_in(image(signal(infarct())), np.zeros(SHAPE, np.float32))
