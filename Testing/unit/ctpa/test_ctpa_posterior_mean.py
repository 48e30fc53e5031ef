"""The posterior mean of a latent, its regression, and the denoiser of the residual."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from deeprecon.ctpa.diffusion.denoiser import DenoiserShape, ray_weights
from deeprecon.ctpa.diffusion.posterior_mean import (
    MAX_DEVIATION_VOXELS,
    MAX_MEAN_VOXELS,
    PosteriorMean,
    downsampled,
    interpolate_axes,
)
from deeprecon.ctpa.diffusion.processes import PROCESSES
from deeprecon.ctpa.diffusion.residual import ResidualDenoiser
from deeprecon.ctpa.grid import FULL, PREVIEW, Grid
from deeprecon.ctpa.observe.projection import Geometry
from deeprecon.ctpa.training.posterior_mean_fit import cross_fitted_deviations, fit_posterior_mean

GRID = Grid((12, 8, 8))
SHAPE = DenoiserShape(2, (8, 16), 1, 4)


def cases(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """X-rays (count, 1, 24, 16) and latents (count, 2, 12, 8, 8) that follow from two hidden numbers each."""
    generator = torch.Generator().manual_seed(1)
    patterns, solids = torch.randn(2, 24 * 16, generator=generator), torch.randn(2, 2 * 12 * 8 * 8, generator=generator)
    hidden = torch.randn(count, 2, generator=torch.Generator().manual_seed(100 + seed))
    curved = torch.stack([hidden[:, 0], hidden[:, 1] + 0.3 * hidden[:, 0] ** 2], dim=1)
    return (hidden @ patterns).view(count, 1, 24, 16), (curved @ solids).view(count, 2, 12, 8, 8)


def fitted(count: int, seed: int = 0, rank: int = 64) -> PosteriorMean:
    xrays, latents = cases(count)
    mean = latents.mean(dim=0)
    return fit_posterior_mean(xrays, latents - mean, mean, seed, rank, rank)


def predicted(model: PosteriorMean, components: Tensor) -> Tensor:
    return model.volume(model.deviation(components), ray_weights(GRID, Geometry()).axes)


@pytest.fixture(scope="module")
def posterior_mean() -> PosteriorMean:
    return fitted(120, rank=4)


def test_a_curved_relation_is_learned_from_few_cases(posterior_mean: PosteriorMean) -> None:
    xrays, latents = cases(50, seed=1)
    error = (predicted(posterior_mean, posterior_mean(xrays)) - latents).square().mean()
    linear = predicted(posterior_mean, posterior_mean.image_components(xrays) @ posterior_mean.linear) - latents
    assert error < 0.02 * latents.var()
    assert error < 0.3 * linear.square().mean()


def test_the_regression_is_not_extrapolated_beyond_its_training_cases(posterior_mean: PosteriorMean) -> None:
    """Trap: a regression goes on in straight lines, and draws chests of 10 dB after the X-ray of another clinic."""
    xrays, _ = cases(50, seed=1)
    typical, strange = (
        predicted(posterior_mean, posterior_mean(scale * xrays)).flatten(1).norm(dim=1) for scale in (1, 20)
    )
    assert strange.max() < 1.5 * typical.max()
    lengths = [posterior_mean.embedding(scale * xrays)[:, :4].norm(dim=1).median() for scale in (1, 20)]
    assert lengths[1] > 15 * lengths[0]  # its strangeness is seen all the same


def test_a_fit_is_the_same_for_the_same_seed_and_leaves_the_generators_alone() -> None:
    before = torch.get_rng_state()
    first, second = (fitted(20, 3) for _ in range(2))
    assert torch.equal(before, torch.get_rng_state())
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_a_cross_fitted_deviation_does_not_depend_on_its_own_case() -> None:
    """Trap: a denoiser that sees fitted values in training trusts them too much afterwards."""
    xrays, latents = cases(10)
    crossed = latents.mean(dim=0) + cross_fitted_deviations(xrays, latents - latents.mean(dim=0), 0)
    latents[7] += 100
    again = latents.mean(dim=0) + cross_fitted_deviations(xrays, latents - latents.mean(dim=0), 0)
    torch.testing.assert_close(crossed[7], again[7], rtol=1e-3, atol=1e-3)
    assert (crossed - again).abs().amax() > 1


def test_rescaling_divides_the_posterior_mean(posterior_mean: PosteriorMean) -> None:
    xrays, own = cases(30)[0], fitted(30)
    whole = predicted(own, own(xrays))
    scale = torch.tensor([2.0, 4.0]).view(-1, 1, 1, 1)
    own.rescale(scale)
    torch.testing.assert_close(predicted(own, own(xrays)), whole / scale)


def test_an_unlike_xray_has_an_unlike_embedding(posterior_mean: PosteriorMean) -> None:
    usual = posterior_mean.embedding(cases(50, seed=2)[0])
    odd = posterior_mean.embedding(cases(1)[0].flip(3))[0]
    distance = ((odd - usual.mean(dim=0)) / usual.std(dim=0)).square().mean().sqrt()
    assert distance > 10


def test_interpolation_follows_a_plane_and_a_window_is_part_of_the_whole() -> None:
    coarse, fine = Grid((6, 4, 4)), Grid((24, 16, 16))
    k, j, i = ray_weights(coarse, Geometry()).axes
    plane = (2 * k[:, None, None] - j[None, :, None] + 3 * i[None, None, :])[None, None]
    whole = interpolate_axes(plane, ray_weights(fine, Geometry()).axes)[0, 0]
    k, j, i = ray_weights(fine, Geometry()).axes
    wanted = 2 * k[:, None, None] - j[None, :, None] + 3 * i[None, None, :]
    inner = (slice(2, -2),) * 3  # beyond the outermost centers it stays as it is
    torch.testing.assert_close(whole[inner], wanted[inner])
    where = (slice(4, 20), slice(0, 8), slice(6, 14))
    torch.testing.assert_close(interpolate_axes(plane, ray_weights(fine, Geometry(), where).axes)[0, 0], whole[where])


def test_the_posterior_mean_is_coarse_and_the_same_for_both_presets() -> None:
    assert PREVIEW.coarser(4).shape == FULL.coarser(8).shape == (76, 64, 64)
    assert downsampled(torch.zeros(2, 76, 64, 64), MAX_MEAN_VOXELS).shape == (2, 38, 32, 32)
    assert downsampled(torch.zeros(2, 76, 64, 64), MAX_DEVIATION_VOXELS).shape == (2, 26, 22, 22)
    small = torch.randn(2, 14, 12, 12)
    assert torch.equal(downsampled(small, MAX_DEVIATION_VOXELS), small)


@pytest.mark.parametrize("name", list(PROCESSES))
def test_the_process_stays_one_on_latents(name: str, posterior_mean: PosteriorMean) -> None:
    """Moving latent and posterior mean alike moves the prediction as the process requires."""
    process = PROCESSES[name]
    torch.manual_seed(0)
    denoiser = ResidualDenoiser(SHAPE, 2, posterior_mean, process).eval()
    with torch.no_grad():
        denoiser.enter.weight[:, SHAPE.latent :] = 0  # it does not use the posterior mean itself
        x, t, moved = torch.randn(2, 2, 12, 8, 8), torch.tensor([0.3, 0.8]), torch.randn(2, 2, 12, 8, 8)
        features, where = torch.randn(2, 4, 12, 8), ray_weights(GRID, Geometry())
        scale, _ = process.scales(t.view(-1, 1, 1, 1, 1))
        plain = denoiser.denoise_residual(x, t, features, where, torch.zeros_like(moved))
        result = denoiser.denoise_residual(x + scale * moved, t, features, where, moved)
    predicted = process.target(moved, torch.zeros_like(moved), t.view(-1, 1, 1, 1, 1))
    torch.testing.assert_close(result - plain, predicted, rtol=1e-4, atol=1e-4)


def test_without_an_xray_the_prediction_is_the_mean(posterior_mean: PosteriorMean) -> None:
    torch.manual_seed(0)
    denoiser = ResidualDenoiser(SHAPE, 2, posterior_mean, PROCESSES["rectified-flow"]).eval()
    xrays, where = cases(2)[0], ray_weights(GRID, Geometry())
    x, t = torch.randn(2, 2, 12, 8, 8), torch.full((2,), 0.5)
    with torch.no_grad():
        features = denoiser.features(xrays)
        null = denoiser.null_features(features)
        torch.testing.assert_close(
            denoiser.features(xrays, torch.tensor([True, False])), torch.cat([null[:1], features[1:]])
        )
        wanted = denoiser.denoise_residual(x, t, null[:, :4], where, torch.zeros_like(x))
        torch.testing.assert_close(denoiser.denoise(x, t, null, where), wanted)
