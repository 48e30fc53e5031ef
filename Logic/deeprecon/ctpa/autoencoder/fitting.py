"""Training an autoencoder: patches of a store or of phantoms, and a loss over all resolutions at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from deeprecon.ctpa.autoencoder.codebook import usage
from deeprecon.ctpa.autoencoder.loss import Adversary, PerceptualLoss
from deeprecon.ctpa.autoencoder.network import Autoencoder
from deeprecon.ctpa.grid import Grid, Hu, to_network
from deeprecon.ctpa.patches import Slices
from deeprecon.ctpa.simulate.chests import draw, make_anatomy
from deeprecon.ctpa.training.store import Case
from deeprecon.training.batches import Indices

NOISE = 0.05
"""Standard deviation of noise on the latent: the decoder shall not live on digits that no denoiser gets right."""
SMALLNESS, AGREEMENT, COMMITMENT = 1e-4, 0.1, 0.25
"""Weights: of the latent's mean square, of how far two resolutions' latents are apart, of the codebook's loss."""
ALIGNED = 8
"""Patches begin at multiples of so many voxels, as tiles do."""
FIRST_PHANTOM, FIRST_HELD_OUT = 10**9, 2 * 10**9
"""Numbers of anatomies, far from those of `ctpa phantom`."""
PER_ANATOMY = 4
"""Patches of one phantom: most of the time of a small patch goes into its anatomy."""
MIDDLE = 0.35
"""The middle of a phantom's patch lies within so much of the field from its middle, along x and y: beyond is air."""


@dataclass(frozen=True, eq=False)
class StorePatches:
    """Random patches of a store's volumes, for `training.batches.Draws`.

    Attributes:
        cases: to draw from.
        patch: voxels along each axis, cut to the volume where it is smaller.
        seed: of the choice.
    """

    cases: Sequence[Case]
    patch: int
    seed: int

    def __call__(self, numbers: Indices) -> Tensor:
        """(batch, 1, k, j, i) in -1 .. 1."""
        return _stacked([self._one(int(number)) for number in numbers])

    def held_out(self, count: int) -> Tensor:
        """The same patches each time."""
        return self(np.arange(count, dtype=np.int64))

    def _one(self, number: int) -> Hu:
        rng = np.random.default_rng([self.seed, 4, number])
        case = self.cases[int(rng.integers(len(self.cases)))]
        return case.patch(_window(case.grid.shape, self.patch, rng))


@dataclass(frozen=True, eq=False)
class PhantomPatches:
    """Patches of phantoms that never come twice, drawn at the voxels of a grid.

    Attributes:
        patch: voxels along each axis.
        seed: of the phantoms.
        grid: see there.
    """

    patch: int
    seed: int
    grid: Grid

    def __call__(self, numbers: Indices) -> Tensor:
        """(batch, 1, k, j, i) in -1 .. 1."""
        return _stacked([self._one(FIRST_PHANTOM, int(number)) for number in numbers])

    def held_out(self, count: int) -> Tensor:
        """Patches of phantoms that training never draws."""
        return _stacked([self._one(FIRST_HELD_OUT, PER_ANATOMY * number) for number in range(count)])

    def _one(self, first: int, number: int) -> Hu:
        anatomy = make_anatomy(first + self.seed + number // PER_ANATOMY)
        rng = np.random.default_rng([self.seed, first, number])
        limits = (0.5, MIDDLE, MIDDLE)
        parts = []
        for count, limit in zip(self.grid.shape, limits, strict=True):
            size = min(self.patch, count)
            start = count * (0.5 + rng.uniform(-limit, limit)) - 0.5 * size
            start = int(np.clip(start, 0, count - size)) // ALIGNED * ALIGNED
            parts.append(slice(start, start + size))
        z, y, x = (axis[part] for axis, part in zip(self.grid.axes(), parts, strict=True))
        return draw(anatomy, (z, y, x))[0]


class AutoencoderLoss(nn.Module):
    """What training makes small: errors of all resolutions, from the latents of all resolutions.

    The discriminators are part of it, as another half of one loss: their gradients never mix with the autoencoder's.

    Args:
        autoencoder: to be trained.
        finest: how much coarser the patches are than the full grid.
        perceptual, perceptual_weight: and its weight; None for none.
        adversary: see there; None for none.
    """

    def __init__(
        self,
        autoencoder: Autoencoder,
        finest: int,
        perceptual: PerceptualLoss | None = None,
        perceptual_weight: float = 0.0,
        adversary: Adversary | None = None,
    ) -> None:
        super().__init__()
        self.autoencoder, self._finest = autoencoder, finest
        self.perceptual, self._perceptual_weight = perceptual, perceptual_weight
        self.adversary = adversary

    def forward(self, patch: Tensor) -> Tensor:
        """Of patches (batch, 1, k, j, i)."""
        wanted = self._resolutions(patch)
        latent = self.autoencoder.encode(patch, self._finest)
        decoded, extra = self._decoded(latent, self._finest)
        total = extra + sum(_error(one, other) for one, other in zip(decoded, wanted, strict=True)) / len(wanted)
        for index in range(1, len(wanted)):
            other = self.autoencoder.encode(wanted[index], self._finest + index)
            seen, extra = self._decoded(other, self._finest + index)
            errors = sum(_error(one, another) for one, another in zip(seen, wanted[index:], strict=True))
            total = total + extra + errors / len(wanted) + AGREEMENT * functional.mse_loss(other, latent)
        if self.perceptual is not None:
            total = total + self._perceptual_weight * self.perceptual(decoded[0], patch)
        if self.adversary is not None:
            total = total + self.adversary(decoded[0], patch)
        return total

    def figures(self, patch: Tensor) -> list[Tensor]:
        """Mean squared errors, in -1 .. 1, of each resolution when it is encoded and decoded by itself."""
        return [
            functional.mse_loss(self.autoencoder(volume, self._finest + index).volume.float().clamp(-1, 1), volume)
            for index, volume in enumerate(self._resolutions(patch))
        ]

    @torch.no_grad()
    def codebook_figures(self, patches: Iterable[Tensor]) -> dict[str, float]:
        """See `codebook.usage`, of patches (batch, 1, k, j, i), in evaluation mode; empty without a codebook."""
        codebook = self.autoencoder.codebook
        if codebook is None:
            return {}
        chosen = [codebook(self.autoencoder.encode(patch, self._finest))[1].flatten() for patch in patches]
        share, perplexity = usage(torch.cat(chosen), len(codebook.codes))
        return {"codebook_usage": share, "codebook_perplexity": perplexity}

    def _resolutions(self, patch: Tensor) -> list[Tensor]:
        """The patch, and means over 2^3, 4^3 ... voxels, as many as the autoencoder has ways in."""
        volumes = [patch]
        while self._finest + len(volumes) < self.autoencoder.levels:
            volumes.append(functional.avg_pool3d(volumes[-1], 2))
        return volumes

    def _decoded(self, latent: Tensor, finest: int) -> tuple[list[Tensor], Tensor]:
        """Volumes of all resolutions from one pass, and what the latent itself costs."""
        model = self.autoencoder
        extra = SMALLNESS * latent.square().mean()
        if model.codebook is not None:
            latent, _, commitment = model.codebook(latent)
            extra = extra + COMMITMENT * commitment
        elif self.training:
            latent = latent + NOISE * torch.randn_like(latent)
        features, volumes = model.run(model.widen, latent), []
        for level in reversed(range(finest, model.levels)):
            features = model.run(model.up[level], features)
            volumes.append(model.heads[level](features))
        return volumes[::-1], extra


def _error(result: Tensor, truth: Tensor) -> Tensor:
    """Absolute and squared error: edges stay sharp, and large errors rare."""
    difference = result.float() - truth
    return difference.abs().mean() + difference.square().mean()


def _window(shape: tuple[int, int, int], patch: int, rng: np.random.Generator) -> Slices:
    parts = []
    for count in shape:
        size = min(patch, count)
        start = ALIGNED * int(rng.integers((count - size) // ALIGNED + 1))
        parts.append(slice(start, start + size))
    return parts[0], parts[1], parts[2]


def _stacked(volumes: Sequence[Hu]) -> Tensor:
    return torch.from_numpy(np.stack([to_network(volume) for volume in volumes]))[:, None]
