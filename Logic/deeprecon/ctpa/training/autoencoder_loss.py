"""The loss of the autoencoder, over all resolutions at once."""

from __future__ import annotations

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
            total = total + extra + errors / len(wanted) + CONSISTENCY_WEIGHT * functional.mse_loss(other, latent)
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
    """Absolute and squared error: edges stay sharp, and large errors rare."""
    difference = result.float() - truth
    return difference.abs().mean() + difference.square().mean()
