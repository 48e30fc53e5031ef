"""The loss of the autoencoder, over all resolutions at once."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional

from deeprecon.ctpa.autoencoder.codebook import codebook_usage
from deeprecon.ctpa.autoencoder.network import Autoencoder
from deeprecon.ctpa.training.auxiliary_losses import AdversarialLoss, PerceptualLoss

NOISE = 0.05
"""Standard deviation of noise on the latent: the decoder must tolerate errors of a denoiser."""
LATENT_WEIGHT, CONSISTENCY_WEIGHT, COMMITMENT_WEIGHT = 1e-4, 0.1, 0.25
"""Weights: of the latent's mean square, of the distance between the latents of two resolutions, of the codebook."""


class AutoencoderLoss(nn.Module):
    """Reconstruction errors of all resolutions, from the latents of all resolutions, and auxiliary losses.

    The discriminators' loss is a part of the sum; their gradients do not mix with those of the autoencoder.

    Args:
        autoencoder: to be trained.
        finest: halvings of the patches' resolution from the full grid.
        perceptual, perceptual_weight: the perceptual loss and its weight; None for none.
        adversary: see there; None for none.
    """

    def __init__(
        self,
        autoencoder: Autoencoder,
        finest: int,
        perceptual: PerceptualLoss | None = None,
        perceptual_weight: float = 0.0,
        adversary: AdversarialLoss | None = None,
    ) -> None:
        super().__init__()
        self.autoencoder, self._finest = autoencoder, finest
        self.perceptual, self._perceptual_weight = perceptual, perceptual_weight
        self.adversary = adversary

    def forward(self, patch: Tensor) -> Tensor:
        """The loss of patches (batch, 1, k, j, i)."""
        wanted = self._resolutions(patch)
        latent = self.autoencoder.encode(patch, self._finest)
        decoded, extra = self._decoded(latent, self._finest)
        total = extra + sum(_error(one, other) for one, other in zip(decoded, wanted, strict=True)) / len(wanted)
        for index in range(1, len(wanted)):
            other = self.autoencoder.encode(wanted[index], self._finest + index)
            decoded_again, extra = self._decoded(other, self._finest + index)
            errors = sum(_error(one, another) for one, another in zip(decoded_again, wanted[index:], strict=True))
            total = total + extra + errors / len(wanted) + CONSISTENCY_WEIGHT * functional.mse_loss(other, latent)
        if self.perceptual is not None:
            total = total + self._perceptual_weight * self.perceptual(decoded[0], patch)
        if self.adversary is not None:
            total = total + self.adversary(decoded[0], patch)
        return total

    def figures(self, patch: Tensor) -> list[Tensor]:
        """Mean squared errors, in -1 .. 1, of each resolution encoded and decoded by itself."""
        return [
            functional.mse_loss(self.autoencoder(volume, self._finest + index).float().clamp(-1, 1), volume)
            for index, volume in enumerate(self._resolutions(patch))
        ]

    @torch.no_grad()
    def codebook_figures(self, patches: Iterable[Tensor]) -> dict[str, float]:
        """See `codebook_usage`, of patches (batch, 1, k, j, i), in evaluation mode; empty without a codebook."""
        codebook = self.autoencoder.codebook
        if codebook is None:
            return {}
        chosen = [codebook(self.autoencoder.encode(patch, self._finest))[1].flatten() for patch in patches]
        share, perplexity = codebook_usage(torch.cat(chosen), len(codebook.codes))
        return {"codebook_usage": share, "codebook_perplexity": perplexity}

    def _resolutions(self, patch: Tensor) -> list[Tensor]:
        """The patch, and means over 2^3, 4^3 ... voxels, one for each input layer of the autoencoder."""
        volumes = [patch]
        while self._finest + len(volumes) < self.autoencoder.levels:
            volumes.append(functional.avg_pool3d(volumes[-1], 2))
        return volumes

    def _decoded(self, latent: Tensor, finest: int) -> tuple[list[Tensor], Tensor]:
        """Volumes of all resolutions from one pass, and the loss of the latent itself."""
        model = self.autoencoder
        extra = LATENT_WEIGHT * latent.square().mean()
        if model.codebook is not None:
            latent, _, commitment = model.codebook(latent)
            extra = extra + COMMITMENT_WEIGHT * commitment
        elif self.training:
            latent = latent + NOISE * torch.randn_like(latent)
        features, volumes = model.run(model.widen, latent), []
        for level in reversed(range(finest, model.levels)):
            features = model.run(model.up[level], features)
            volumes.append(model.heads[level](features))
        return volumes[::-1], extra


def _error(result: Tensor, truth: Tensor) -> Tensor:
    """Mean absolute plus mean squared error: the first for sharp edges, the second against large errors."""
    difference = result.float() - truth
    return difference.abs().mean() + difference.square().mean()
