"""A codebook for latents, learned as a moving average (van den Oord 2017, appendix A.1), with code restarts."""

from __future__ import annotations

import torch
from torch import Tensor, distributed, nn

from deeprecon.training.devices import to_float64

CHUNK = 65536
"""Vectors that are compared with the codes at a time."""


class Codebook(nn.Module):
    """Vector quantization with a straight-through gradient: each latent vector is replaced by the nearest code.

    In training, each code moves to the mean of the vectors assigned to it, over all processes. A code assigned fewer
    than `dead` times a batch, on a moving average, is reset to a vector of the batch (Williams 2020).
    """

    codes: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, codes: int, channels: int, decay: float = 0.99, dead: float = 0.1) -> None:
        super().__init__()
        self._decay, self._dead = decay, dead
        start = torch.randn(codes, channels)
        self.register_buffer("codes", start)
        self.register_buffer("counts", torch.ones(codes))
        self.register_buffer("sums", start.clone())

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(batch, channels, k, j, i) to the quantized latent, the indices of its codes, and the commitment loss."""
        vectors = latent.movedim(1, -1).reshape(-1, latent.shape[1])
        flat, codes = vectors.detach().float(), self.codes.float()
        squared = codes.square().sum(1)
        chosen = torch.cat([(squared - 2 * part @ codes.T).argmin(dim=1) for part in torch.split(flat, CHUNK)])
        quantized = codes[chosen].to(latent.dtype)
        if self.training:
            self._update(flat, chosen)
        commitment = (vectors - quantized).square().mean()
        passed = vectors + (quantized - vectors).detach()
        shape = (latent.shape[0], *latent.shape[2:])
        return passed.view(*shape, -1).movedim(-1, 1), chosen.view(shape), commitment

    @torch.no_grad()
    def _update(self, vectors: Tensor, chosen: Tensor) -> None:
        counts = torch.bincount(chosen, minlength=len(self.codes)).float()
        sums = torch.zeros_like(self.sums).index_add_(0, chosen, vectors)
        parallel = distributed.is_available() and distributed.is_initialized()
        if parallel:
            distributed.all_reduce(counts)
            distributed.all_reduce(sums)
        self.counts.lerp_(counts, 1 - self._decay)
        self.sums.lerp_(sums, 1 - self._decay)
        self.codes.copy_(self.sums / self.counts.clamp_min(1e-5)[:, None])
        dead = self.counts < self._dead
        restarted = int(dead.sum())
        if not restarted:
            return
        picked = vectors[torch.randint(len(vectors), (restarted,), device=vectors.device)]
        if parallel:
            distributed.broadcast(picked, 0)
        self.codes[dead] = picked
        self.sums[dead] = picked
        self.counts[dead] = 1.0


def codebook_usage(chosen: Tensor, codes: int) -> tuple[float, float]:
    """Share of the codes that are used, and their perplexity."""
    share = to_float64(torch.bincount(chosen.reshape(-1), minlength=codes))
    share = share / share.sum()
    entropy = -(share * share.clamp_min(1e-12).log()).sum()
    return float(to_float64(share > 0).mean()), float(entropy.exp())
