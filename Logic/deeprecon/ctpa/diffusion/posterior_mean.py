"""What is to be expected of a latent after an X-ray: the mean, and principal components that a small network foretells.

A regression on principal components learns from tens of cases what a convolutional network needs thousands for: how
large and deep the body is, how full the lungs are. The denoiser then draws what differs from it, with its details.
The mean of all cases is kept finer than the deviations from it: there is one mean, but a volume for each component.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from deeprecon.ctpa.patches import Shape

FINEST_MEAN, FINEST = 40, 26
"""Most voxels along an axis: of the mean, and of the deviations from it."""
ROWS = 80
"""Most rows of the image that the regression sees."""
STEPS, BATCH, RATE, DECAY = 1500, 50, 2e-3, 0.1
FOLDS = 5
JITTER = 0.03
"""Noise on the image's components while training, in their standard deviations."""
REACH = 1.25
"""Longest vector of image components that is followed, over their root mean square length among the training cases."""
Places = tuple[Tensor, Tensor, Tensor]
"""Centers of voxels along k, j and i, from -1 to 1."""


@dataclass(frozen=True)
class ExpectationShape:
    """What an `Expectation` is built with.

    Attributes:
        pixels: (rows, columns) of the image that the regression sees.
        components: of the image.
        latent: channels of the latent.
        mean: (k, j, i) voxels of the mean latent.
        coarse: (k, j, i) voxels of the deviations from it.
        rank: components of the deviations.
        width: of the network's two hidden layers.
    """

    pixels: tuple[int, int]
    components: int
    latent: int
    mean: Shape
    coarse: Shape
    rank: int
    width: int = 256


class Expectation(nn.Module):
    """From an X-ray to components of the latent's deviation from the mean, and to the latent; see `fit_expectation`."""

    image_mean: Tensor
    image_axes: Tensor
    image_spread: Tensor
    linear: Tensor
    mean: Tensor
    axes: Tensor

    def __init__(self, shape: ExpectationShape) -> None:
        super().__init__()
        self.shape = shape
        pixels = int(np.prod(shape.pixels))
        self.register_buffer("image_mean", torch.zeros(pixels))
        self.register_buffer("image_axes", torch.zeros(pixels, shape.components))
        self.register_buffer("image_spread", torch.ones(shape.components))
        self.register_buffer("linear", torch.zeros(shape.components, shape.rank))
        self.register_buffer("mean", torch.zeros(shape.latent, *shape.mean))
        self.register_buffer("axes", torch.zeros(shape.rank, shape.latent, *shape.coarse))
        self.network = nn.Sequential(
            nn.Linear(shape.components, shape.width),
            nn.SiLU(),
            nn.Dropout(0.2),
            nn.Linear(shape.width, shape.width),
            nn.SiLU(),
            nn.Dropout(0.2),
            nn.Linear(shape.width, shape.rank),
        )
        for parameter in self.network[-1].parameters():
            nn.init.zeros_(parameter)

    def image_components(self, xray: Tensor) -> Tensor:
        """(batch, components) of X-rays (batch, 1, rows, columns), of about unit variance; in fp32 throughout.

        Those of an X-ray unlike all of the training are shortened: a regression is not followed beyond its cases.
        """
        with torch.autocast(xray.device.type, enabled=False):
            seen = self._centered(xray) @ self.image_axes.float() / self._spread()
            length = seen.norm(dim=1, keepdim=True)
            shortened: Tensor = seen * (REACH * self.shape.components**0.5 / length.clamp_min(1e-9)).clamp_max(1)
            return shortened

    def embedding(self, xray: Tensor) -> Tensor:
        """(batch, components + 1): the components, and how much of the image they leave unexplained."""
        with torch.autocast(xray.device.type, enabled=False):
            seen = self._centered(xray)
            along = seen @ self.image_axes.float()
            left = (seen - along @ self.image_axes.float().T).square().mean(dim=1, keepdim=True).sqrt()
            return torch.cat([along / self._spread(), left], dim=1)

    def _centered(self, xray: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(xray.float(), self.shape.pixels).flatten(1) - self.image_mean.float()

    def _spread(self) -> Tensor:
        """Standard deviations of the components, those of the noisiest taken larger."""
        return self.image_spread.float() + 0.02 * self.image_spread[0].float()

    def components(self, seen: Tensor) -> Tensor:
        """(batch, rank) of the deviation, from those of the image."""
        seen = seen.to(self.linear)
        found: Tensor = seen @ self.linear + self.network(seen)
        return found

    def forward(self, xray: Tensor) -> Tensor:
        """(batch, rank) components of the deviation after X-rays (batch, 1, rows, columns)."""
        return self.components(self.image_components(xray))

    def deviation(self, components: Tensor) -> Tensor:
        """(batch, latent, *coarse) from the mean, of components (batch, rank)."""
        deviation: Tensor = torch.tensordot(components.to(self.axes), self.axes, 1)
        return deviation

    def volume(self, deviation: Tensor, places: Places) -> Tensor:
        """(batch, latent, k, j, i) expected at voxels, see `Places`, after deviations (batch, latent, *coarse)."""
        return interpolated(self.mean[None].to(deviation), places) + interpolated(deviation, places)

    @torch.no_grad()
    def divide(self, scale: Tensor) -> None:
        """From now on expect latents that are divided by `scale` (latent, 1, 1, 1)."""
        self.mean.div_(scale)
        self.axes.div_(scale)


def interpolated(coarse: Tensor, places: Places) -> Tensor:
    """A coarse volume (batch, channels, k, j, i) at voxels whose centers along k, j, i are given from -1 to 1."""
    for axis, place in enumerate(places, start=2):
        count = coarse.shape[axis]
        index = ((place + 1) * (0.5 * count) - 0.5).clamp(0, count - 1)
        weights = (1 - (index[:, None] - torch.arange(count, device=index.device)).abs()).clamp_min(0)
        coarse = torch.tensordot(coarse, weights.to(coarse), ([axis], [1])).movedim(-1, axis)
    return coarse


def coarsened(latent: Tensor, most: int) -> Tensor:
    """A latent (..., k, j, i) with voxels so many times as large that no axis has more than `most`."""
    k, j, i = _voxels(latent)
    times = -(-max(k, j, i) // most)
    return functional.adaptive_avg_pool3d(latent, (-(-k // times), -(-j // times), -(-i // times)))


def fit_expectation(
    xrays: Tensor, deviations: Tensor, mean: Tensor, seed: int, rank: int = 64, components: int = 64
) -> Expectation:
    """Fit the regression.

    The components of both are principal ones. A ridge regression leads from one to the other, and the network learns
    what it misses; its inputs get noise, so that it does not learn the cases by heart.

    Args:
        xrays: (cases, 1, rows, columns).
        deviations: (cases, latent, *coarse) of two or more latents from their mean, so that their own mean is 0.
        mean: (latent, *mean) of the latents.
        seed: of the network and the noise.
        rank, components: of deviation and image, at most half as many as cases each.
    """
    count = len(xrays)
    most = max(1, count // 2)
    rows, columns = xrays.shape[2:]
    shrink = -(-rows // ROWS)
    shape = ExpectationShape(
        pixels=(rows // shrink, columns // shrink),
        components=min(components, most),
        latent=deviations.shape[1],
        mean=_voxels(mean),
        coarse=_voxels(deviations),
        rank=min(rank, most),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Expectation(shape)
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
        seen = model.image_components(xrays)
        gram = seen.T @ seen + 0.01 * count * torch.eye(shape.components)
        model.linear.copy_(torch.linalg.solve(gram, seen.T @ targets))
        _fit_network(model, seen, targets, generator)
    return model.eval().requires_grad_(False)


def cross_fitted(xrays: Tensor, deviations: Tensor, seed: int, **settings: Any) -> Tensor:
    """(cases, latent, *coarse) deviation expected of each case by a regression, and a mean, that have not seen it.

    What a regression expects of the cases that it was fitted to is too near to the truth: a denoiser trained on that
    would be too sure of unseen ones.
    """
    order = torch.randperm(len(xrays), generator=torch.Generator().manual_seed(seed))
    result = torch.empty_like(deviations, dtype=torch.float32)
    for number, held_out in enumerate(order.chunk(min(FOLDS, len(xrays)))):
        rest = order[~torch.isin(order, held_out)]
        mean = deviations[rest].mean(dim=0)
        model = fit_expectation(xrays[rest], deviations[rest] - mean, mean, seed + number, **settings)
        result[held_out] = mean + model.deviation(model(xrays[held_out]))
    return result


def _voxels(latent: Tensor) -> Shape:
    k, j, i = (int(count) for count in latent.shape[-3:])
    return k, j, i


def _principal(centered: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """(numbers, count) principal axes of cases (cases, numbers), and the standard deviation along each."""
    values, vectors = torch.linalg.eigh((centered @ centered.T).double())
    values, vectors = values.flip(0)[:count].clamp_min(1e-12), vectors.flip(1)[:, :count]
    axes = centered.T @ (vectors / values.sqrt()).float()
    return axes, (values / len(centered)).sqrt().float()


def _fit_network(model: Expectation, seen: Tensor, targets: Tensor, generator: torch.Generator) -> None:
    optimizer = torch.optim.AdamW(model.network.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS)
    batch = min(BATCH, len(seen))
    for _ in range(STEPS):
        chosen = torch.randperm(len(seen), generator=generator)[:batch]
        inputs = seen[chosen] + JITTER * torch.randn((batch, seen.shape[1]), generator=generator)
        loss = (model.components(inputs) - targets[chosen]).square().sum(dim=1).mean()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
