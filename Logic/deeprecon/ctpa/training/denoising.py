"""The training batches and the loss of a denoiser; each sample is a function of its number alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deeprecon.ctpa.diffusion.denoiser import RayWeights, ray_weights
from deeprecon.ctpa.diffusion.posterior_mean import PosteriorMean, voxels_of
from deeprecon.ctpa.diffusion.processes import Process
from deeprecon.ctpa.diffusion.residual import ResidualDenoiser
from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.observe.projection import Geometry
from deeprecon.ctpa.patches import Shape, Slices
from deeprecon.training.batches import Indices

GOLDEN_RATIO = 0.5 * (5**0.5 - 1)
"""The fractional parts of its multiples fill 0 .. 1 evenly for any count (Kronecker sequence)."""
MIN_RESIDUAL_DEVIATION = 0.02
"""Minimum standard deviation of a channel's residual, as a share of that of the channel."""
Batch = dict[str, Any]


class LatentCase(Protocol):
    """The part of `store.Case` that training needs."""

    @property
    def geometry(self) -> Geometry: ...
    def latent(self) -> Any: ...
    def known(self, shape: Shape) -> npt.NDArray[np.bool_]: ...


@dataclass(frozen=True, eq=False)
class NoisyLatents:
    """Latents with noise, for `training.batches.RandomBatches`.

    Attributes:
        cases: see `LatentCase`.
        xrays: (cases, 1, rows, columns).
        deviations: (cases, channels, *coarse), see `posterior_mean_fit.cross_fitted_deviations`.
        shift, scale: (channels, 1, 1, 1) of the latents.
        grid: of the latents.
        process: see there.
        withheld: share of samples whose X-ray is withheld.
        patch: latent voxels of a patch along each axis; 0 for whole latents.
        divisor: of the denoiser; patches begin at multiples of it.
        group: consecutive samples that share window and geometry: those of one step.
        seed: of all random numbers.
    """

    cases: Sequence[LatentCase]
    xrays: Tensor
    deviations: Tensor
    shift: Tensor
    scale: Tensor
    grid: Grid
    process: Process
    withheld: float
    patch: int
    divisor: int
    group: int
    seed: int

    def __call__(self, numbers: Indices) -> Batch:
        """The samples of these numbers, all of one group: x, t, target, known, xray, withheld, deviation, rays."""
        rng = np.random.default_rng([self.seed, 1, int(numbers[0]) // self.group])
        geometry = self.cases[int(rng.integers(len(self.cases)))].geometry
        alike = [number for number, case in enumerate(self.cases) if case.geometry == geometry]
        chosen, noise, without = [], [], []
        for number in numbers:
            own = np.random.default_rng([self.seed, 2, int(number)])
            chosen.append(alike[int(own.integers(len(alike)))])
            without.append(bool(own.random() < self.withheld))
            noise.append(torch.from_numpy(own.standard_normal((len(self.shift), *self.grid.shape), np.float32)))
        window = self._window(rng)
        t = torch.tensor([self.process.start * ((int(number) * GOLDEN_RATIO) % 1.0) for number in numbers])
        return self.batch(chosen, torch.stack(noise), t.float(), torch.tensor(without), window)

    def batch(self, chosen: Sequence[int], noise: Tensor, t: Tensor, withheld: Tensor, window: Slices | None) -> Batch:
        """Samples of cases that have one geometry, with given noise and times.

        Args:
            chosen: indices of the cases.
            noise: (batch, channels, k, j, i) of the whole latent.
            t, withheld: (batch,).
            window: of the latents; None for the whole.
        """
        data = torch.stack([torch.from_numpy(self.cases[index].latent()) for index in chosen])
        data = (data.float() - self.shift) / self.scale
        known = torch.stack([known_of(self.cases[index], data) for index in chosen])
        if window is not None:
            data, noise, known = (values[(..., *window)] for values in (data, noise, known))
        scale, spread = self.process.scales(t.view(-1, 1, 1, 1, 1))
        deviation = self.deviations[list(chosen)].clone()
        deviation[withheld] = 0
        rays = ray_weights(self.grid, self.cases[chosen[0]].geometry, window)
        return {
            "x": scale * data + spread * noise,
            "t": t,
            "target": self.process.target(data, noise, t.view(-1, 1, 1, 1, 1)),
            "known": known,
            "xray": self.xrays[list(chosen)],
            "withheld": withheld,
            "deviation": deviation,
            "rays": [rays.rows, rays.columns, rays.position, *rays.axes],
        }

    def held_out(self, count: int) -> list[Batch]:
        """A batch for each of at most `count` cases, at times spread evenly over the process."""
        batches = []
        count = min(count, len(self.cases))
        for index in range(count):
            rng = np.random.default_rng([self.seed, 3, index])
            noise = torch.from_numpy(rng.standard_normal((1, len(self.shift), *self.grid.shape), np.float32))
            t = torch.tensor([self.process.start * (index + 0.5) / count])
            batches.append(self.batch([index], noise, t, torch.tensor([False]), self._window(rng)))
        return batches

    def _window(self, rng: np.random.Generator) -> Slices | None:
        if not self.patch or all(self.patch >= count for count in self.grid.shape):
            return None
        parts = []
        for count in self.grid.shape:
            size = min(self.patch, count)
            steps = (count - size) // self.divisor
            start = self.divisor * int(rng.integers(steps + 1)) if steps else 0
            parts.append(slice(start, start + size))
        return parts[0], parts[1], parts[2]


class DenoisingLoss(nn.Module):
    """Mean squared error of a denoiser's prediction for a `Batch`, over the mean square of the target, per sample.

    Relative errors, as the target is far larger for samples without an X-ray; both where the scan is known.
    """

    def __init__(self, denoiser: ResidualDenoiser) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, batch: Batch) -> Tensor:
        rows, columns, position, *axes = batch["rays"]
        rays = RayWeights(rows, columns, position, (axes[0], axes[1], axes[2]))
        # the spatial features only: the components have to be those of the cross-fitted deviations
        features = super(ResidualDenoiser, self.denoiser).features(batch["xray"], batch["withheld"])
        predicted = self.denoiser.denoise_residual(batch["x"], batch["t"], features, rays, batch["deviation"])
        return relative_error(predicted.float(), batch["target"], batch["known"])


def relative_error(predicted: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """Mean over samples of the squared error over the square of the target, both where a sample is known.

    Args:
        predicted, target: (batch, channels, k, j, i).
        known: (batch, 1, k, j, i) 1 or 0.
    """
    error = (known * (predicted - target)).square().flatten(1).mean(dim=1)
    return (error / (known * target).square().flatten(1).mean(dim=1).clamp_min(1e-12)).mean()


def latent_statistics(cases: Sequence[LatentCase]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel over the known voxels of all cases, (channels, 1, 1, 1)."""
    means, squares = [], []
    for case in cases:
        latent = np.asarray(case.latent(), np.float64)
        known = case.known(latent.shape[1:])
        values = latent if known.all() else latent[:, known][:, :, None, None]
        means.append(values.mean(axis=(1, 2, 3)))
        squares.append((values**2).mean(axis=(1, 2, 3)))
    mean = np.mean(means, axis=0)
    variance = np.mean(squares, axis=0) - mean**2
    return _channels(mean), _channels(np.sqrt(np.maximum(variance, 1e-12)))


def residual_deviation(
    cases: Sequence[LatentCase],
    posterior_mean: PosteriorMean,
    deviations: Tensor,
    shift: Tensor,
    scale: Tensor,
    grid: Grid,
) -> Tensor:
    """Standard deviation (channels, 1, 1, 1) of the residual of standardized latents.

    Args:
        cases: see `LatentCase`.
        posterior_mean: see there.
        deviations: (cases, channels, *coarse), cross-fitted.
        shift, scale: of the latents.
        grid: of the latents.
    """
    axes = ray_weights(grid, cases[0].geometry).axes
    squares = []
    for case, deviation in zip(cases, deviations, strict=True):
        mean = posterior_mean.volume(deviation[None], axes)[0]
        residual = (torch.from_numpy(case.latent()).float() - shift) / scale - mean
        known = known_of(case, residual)
        squares.append((known * residual).square().mean(dim=(1, 2, 3)) / known.mean())
    return torch.stack(squares).mean(dim=0).sqrt().clamp_min(MIN_RESIDUAL_DEVIATION).view(-1, 1, 1, 1)


def known_of(case: LatentCase, latent: Tensor) -> Tensor:
    """(1, k, j, i) 1 for the voxels of a case's latent (..., k, j, i) that its scan shows, else 0."""
    return torch.from_numpy(case.known(voxels_of(latent))).float()[None]


def _channels(values: Any) -> Tensor:
    return torch.from_numpy(np.asarray(values)).float().view(-1, 1, 1, 1)
