"""Fitting the regression of the posterior mean (`diffusion.posterior_mean`)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from deeprecon.ctpa.diffusion.posterior_mean import (
    MAX_DEVIATION_VOXELS,
    MAX_MEAN_VOXELS,
    PosteriorMean,
    PosteriorMeanShape,
    downsampled,
    voxels_of,
)
from deeprecon.ctpa.training.denoising import LatentCase, known_of
from deeprecon.training.devices import to_float64

MAX_ROWS = 80
"""Maximum rows of the image that enters the regression."""
MAX_RANK = 32
"""Maximum principal components of the deviation."""
STEPS, BATCH, RATE, DECAY = 1500, 50, 2e-3, 0.1
FOLDS = 5
INPUT_NOISE = 0.03
"""Standard deviation of the noise on the image components in training, in units of theirs."""


def fit_latent_regression(
    cases: Sequence[LatentCase], xrays: Tensor, shift: Tensor, scale: Tensor, seed: int
) -> tuple[PosteriorMean, Tensor]:
    """The posterior mean of standardized latents, and cross-fitted deviations (cases, latent, *coarse).

    Voxels that a case does not show are those of the mean over the cases that show them.

    Args:
        cases: of the training.
        xrays: (cases, 1, rows, columns).
        shift, scale: (latent, 1, 1, 1) mean and standard deviation of the latents.
        seed: see `fit_posterior_mean`.
    """
    total, weight, coarse, weights = torch.zeros(()), torch.zeros(()), [], []
    for case in cases:
        latent = (torch.from_numpy(case.latent()).float() - shift) / scale
        known = known_of(case, latent)
        total = total + downsampled(known * latent, MAX_MEAN_VOXELS)
        weight = weight + downsampled(known, MAX_MEAN_VOXELS)
        coarse.append(downsampled(known * latent, MAX_DEVIATION_VOXELS))
        weights.append(downsampled(known, MAX_DEVIATION_VOXELS))
    stacked, shown = torch.stack(coarse), torch.stack(weights)
    deviations = stacked - shown * (stacked.sum(dim=0) / shown.sum(dim=0).clamp_min(1e-6))
    model = fit_posterior_mean(xrays, deviations, total / weight.clamp_min(1e-6), seed, rank=MAX_RANK)
    return model, cross_fitted_deviations(xrays, deviations, seed, rank=MAX_RANK)


def fit_posterior_mean(
    xrays: Tensor, deviations: Tensor, mean: Tensor, seed: int, rank: int = 64, components: int = 64
) -> PosteriorMean:
    """Fit the regression: a ridge regression between principal components, and a network on its residual.

    Args:
        xrays: (cases, 1, rows, columns).
        deviations: (cases, latent, *coarse) of two or more latents from their mean, so that their own mean is 0.
        mean: (latent, *mean) of the latents.
        seed: of the network and the noise.
        rank, components: of deviation and image, at most half as many as cases each.
    """
    count = len(xrays)
    limit = max(1, count // 2)
    rows, columns = xrays.shape[2:]
    shrink = -(-rows // MAX_ROWS)
    shape = PosteriorMeanShape(
        pixels=(rows // shrink, columns // shrink),
        components=min(components, limit),
        latent=deviations.shape[1],
        mean=voxels_of(mean),
        coarse=voxels_of(deviations),
        rank=min(rank, limit),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = PosteriorMean(shape)
        generator = torch.Generator().manual_seed(seed)
        images = functional.adaptive_avg_pool2d(xrays.float(), shape.pixels).flatten(1)
        model.image_mean.copy_(images.mean(dim=0))
        axes, spread = _principal(images - model.image_mean, shape.components)
        model.image_axes.copy_(axes)
        model.image_spread.copy_(spread)
        model.mean.copy_(mean)
        flat = deviations.flatten(1).float()
        axes, _ = _principal(flat, shape.rank)
        targets = flat @ axes
        scale = targets.std().clamp_min(1e-6)
        model.axes.copy_((scale * axes.T).view_as(model.axes))
        targets = targets / scale
        inputs = model.image_components(xrays)
        gram = inputs.T @ inputs + 0.01 * count * torch.eye(shape.components)
        model.linear.copy_(torch.linalg.solve(gram, inputs.T @ targets))
        _fit_network(model, inputs, targets, generator)
    return model.eval().requires_grad_(False)


def cross_fitted_deviations(xrays: Tensor, deviations: Tensor, seed: int, **settings: Any) -> Tensor:
    """(cases, latent, *coarse) deviation predicted for each case by a regression, and a mean, fitted without it.

    Predictions for the cases of the fit are too near to the truth: a denoiser trained on them would rely on them too
    much for unseen cases.
    """
    order = torch.randperm(len(xrays), generator=torch.Generator().manual_seed(seed))
    result = torch.empty_like(deviations, dtype=torch.float32)
    for number, held_out in enumerate(order.chunk(min(FOLDS, len(xrays)))):
        rest = order[~torch.isin(order, held_out)]
        mean = deviations[rest].mean(dim=0)
        model = fit_posterior_mean(xrays[rest], deviations[rest] - mean, mean, seed + number, **settings)
        result[held_out] = mean + model.deviation(model(xrays[held_out]))
    return result


def _principal(centered: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(numbers, count) principal axes of cases (cases, numbers), and the standard deviation along each."""
    values, vectors = torch.linalg.eigh(to_float64(centered @ centered.T))
    values, vectors = values.flip(0)[:count].clamp_min(1e-12), vectors.flip(1)[:, :count]
    axes = centered.T @ (vectors / values.sqrt()).to(centered)
    return axes, (values / len(centered)).sqrt().to(centered)


def _fit_network(model: PosteriorMean, inputs: Tensor, targets: Tensor, generator: torch.Generator) -> None:
    """Seconds on a CPU, the same in every process, and without a held-out figure: none of what `fit` is for."""
    optimizer = torch.optim.AdamW(model.network.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    batch = min(BATCH, len(inputs))
    for _ in range(STEPS):
        chosen = torch.randperm(len(inputs), generator=generator)[:batch]
        noisy = inputs[chosen] + INPUT_NOISE * torch.randn((batch, inputs.shape[1]), generator=generator)
        loss = (model.components(noisy) - targets[chosen]).square().sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
