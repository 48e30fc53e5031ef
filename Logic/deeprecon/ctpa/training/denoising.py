"""Training a denoiser: its samples, each of which is a function of its number alone, and its loss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from deeprecon.ctpa.diffusion.denoiser import Rays, rays
from deeprecon.ctpa.diffusion.posterior_mean import PosteriorMean
from deeprecon.ctpa.diffusion.processes import Process
from deeprecon.ctpa.diffusion.residual import ResidualDenoiser
from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.observe.projection import Geometry
from deeprecon.ctpa.patches import Slices
from deeprecon.training.batches import Indices

GOLDEN_RATIO = 0.5 * (5**0.5 - 1)
"""Multiples of it, less their whole parts, fill 0 .. 1 evenly however many there are (Kronecker sequence)."""
MIN_RESIDUAL_DEVIATION = 0.02
"""Least share of a channel's standard deviation that an expectation is taken to leave."""
Batch = dict[str, Any]


class LatentCase(Protocol):
    """What training needs of a case; `store.Case` is one."""

    @property
    def geometry(self) -> Geometry: ...
    def latent(self) -> Any: ...


@dataclass(frozen=True, eq=False)
class NoisyLatents:
    """Latents with noise, for `training.batches.Draws`.

    Attributes:
        cases: see `LatentCase`.
        xrays: (cases, 1, rows, columns).
        deviations: (cases, channels, *coarse) that are expected, see `expectation.cross_fitted_deviations`.
        shift, scale: (channels, 1, 1, 1) of the latents.
        grid: of the latents.
        process: see there.
        withheld: share of samples whose X-ray is withheld.
        patch: latent voxels of a patch along each axis; 0 for whole latents.
        divisor: of the denoiser; patches begin at multiples of it.
        group: consecutive samples that share window and geometry: those of one step.
        seed: of all that is drawn.
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
        """The samples of these numbers, all of one group: x, t, target, xray, withheld, deviation, and the rays."""
        rng = np.random.default_rng([self.seed, 1, int(numbers[0]) // self.group])
        geometry = self.cases[int(rng.integers(len(self.cases)))].geometry
        alike = [number for number, case in enumerate(self.cases) if case.geometry == geometry]
        chosen, noise, without = [], [], []
        for number in numbers:
            own = np.random.default_rng([self.seed, 2, int(number)])
            chosen.append(alike[int(own.integers(len(alike)))])
            without.append(bool(own.random() < self.withheld))
            noise.append(torch.from_numpy(own.standard_normal((len(self.shift), *self.grid.shape), np.float32)))
        where = self._window(rng)
        t = torch.tensor([self.process.start * ((int(number) * GOLDEN_RATIO) % 1.0) for number in numbers])
        return self.batch(chosen, torch.stack(noise), t.float(), torch.tensor(without), where)

    def batch(self, chosen: Sequence[int], noise: Tensor, t: Tensor, withheld: Tensor, where: Slices | None) -> Batch:
        """Samples of cases that have one geometry, with given noise and times.

        Args:
            chosen: numbers of the cases.
            noise: (batch, channels, k, j, i) of the whole latent.
            t, withheld: (batch,).
            where: window, None for all.
        """
        data = torch.stack([torch.from_numpy(self.cases[index].latent()) for index in chosen])
        data = (data.float() - self.shift) / self.scale
        if where is not None:
            data, noise = data[(..., *where)], noise[(..., *where)]
        scale, spread = self.process.scales(t.view(-1, 1, 1, 1, 1))
        deviation = self.deviations[list(chosen)].clone()
        deviation[withheld] = 0
        part = rays(self.grid, self.cases[chosen[0]].geometry, where)
        return {
            "x": scale * data + spread * noise,
            "t": t,
            "target": self.process.target(data, noise, t.view(-1, 1, 1, 1, 1)),
            "xray": self.xrays[list(chosen)],
            "withheld": withheld,
            "deviation": deviation,
            "rays": [part.rows, part.columns, part.place, *part.axes],
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
    """Mean squared error of what a denoiser predicts of a `Batch`, over the mean square of what it should predict.

    Each sample counts by its own mean square: without an X-ray there is far more to predict.
    """

    def __init__(self, denoiser: ResidualDenoiser) -> None:
        super().__init__()
        self.denoiser = denoiser

    def forward(self, batch: Batch) -> Tensor:
        rows, columns, place, *axes = batch["rays"]
        where = Rays(rows, columns, place, (axes[0], axes[1], axes[2]))
        # of the denoiser's own features, since those of the expectation have to come from one that is cross-fitted
        features = super(ResidualDenoiser, self.denoiser).features(batch["xray"], batch["withheld"])
        predicted = self.denoiser.denoise_residual(batch["x"], batch["t"], features, where, batch["deviation"])
        target = batch["target"]
        error = (predicted.float() - target).square().flatten(1).mean(dim=1)
        relative: Tensor = (error / target.square().flatten(1).mean(dim=1)).mean()
        return relative


def latent_statistics(cases: Sequence[LatentCase]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel over all voxels of all cases, (channels, 1, 1, 1)."""
    means, squares = [], []
    for case in cases:
        latent = np.asarray(case.latent(), np.float64)
        means.append(latent.mean(axis=(1, 2, 3)))
        squares.append((latent**2).mean(axis=(1, 2, 3)))
    mean = np.mean(means, axis=0)
    variance = np.mean(squares, axis=0) - mean**2
    return _channels(mean), _channels(np.sqrt(np.maximum(variance, 1e-12)))


def residual_deviation(
    cases: Sequence[LatentCase], expectation: PosteriorMean, deviations: Tensor, shift: Tensor, scale: Tensor, grid: Grid
) -> Tensor:
    """Standard deviation (channels, 1, 1, 1) of what an expectation leaves of standardized latents.

    Args:
        cases: see `LatentCase`.
        expectation: whose mean it is.
        deviations: (cases, channels, *coarse) expected by one that has not seen them.
        shift, scale: of the latents.
        grid: of the latents.
    """
    places = rays(grid, cases[0].geometry).axes
    squares = []
    for case, deviation in zip(cases, deviations, strict=True):
        expected = expectation.volume(deviation[None], places)[0]
        rest = (torch.from_numpy(case.latent()).float() - shift) / scale - expected
        squares.append(rest.square().mean(dim=(1, 2, 3)))
    return torch.stack(squares).mean(dim=0).sqrt().clamp_min(MIN_RESIDUAL_DEVIATION).view(-1, 1, 1, 1)


def _channels(values: Any) -> Tensor:
    return torch.from_numpy(np.asarray(values)).float().view(-1, 1, 1, 1)
