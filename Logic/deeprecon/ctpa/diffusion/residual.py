"""A denoiser that draws what differs from an expectation of the latent."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deeprecon.ctpa.diffusion.denoiser import Denoiser, DenoiserShape, Rays
from deeprecon.ctpa.diffusion.posterior_mean import Expectation
from deeprecon.ctpa.diffusion.processes import Process


class ExpectingDenoiser(Denoiser):
    """A `Denoiser` of x_t less what is expected of it, with the expectation before its eyes.

    x_t = a x_0 + s noise is made of the expectation m and the difference d = x_0 - m: a m + (a d + s noise). The UNet
    sees the second part and foretells of it what its process asks for; the share of m is added, being known. So the
    process stays one on latents, and sampling needs to know nothing of this.

    Args:
        shape, factor, encoder, checkpointing: see `Denoiser`.
        expectation: see there; it stays as it is.
        process: that the denoiser is trained with.
    """

    def __init__(
        self,
        shape: DenoiserShape,
        factor: int,
        expectation: Expectation,
        process: Process,
        encoder: nn.Module | None = None,
        checkpointing: bool = False,
    ) -> None:
        super().__init__(shape, factor, encoder, checkpointing)
        enter = nn.Conv3d(2 * shape.latent, shape.widths[0], 3, padding=1)
        self.enter = enter.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.expectation = expectation
        self._process = process

    def features(self, xray: Tensor, withheld: Tensor | None = None) -> Tensor:
        """As of `Denoiser`, and behind them the components of the expectation, the same at every pixel."""
        found = super().features(xray, withheld)
        components = self.expectation(xray)
        if withheld is not None:
            components = components.masked_fill(withheld[:, None], 0)  # without an X-ray the mean is expected
        wide = components[:, :, None, None].expand(-1, -1, *found.shape[2:])
        return torch.cat([found, wide.to(found.dtype)], dim=1)

    def null_features(self, features: Tensor) -> Tensor:
        """What stands for no X-ray, in the shape of the features of one."""
        own, components = self._parts(features)
        return torch.cat([super().null_features(own), torch.zeros_like(components)], dim=1)

    def denoise(self, x: Tensor, t: Tensor, features: Tensor, where: Rays) -> Tensor:
        """See `Denoiser`."""
        own, components = self._parts(features)
        return self.denoise_beside(x, t, own, where, self.expectation.deviation(components[:, :, 0, 0]))

    def denoise_beside(self, x: Tensor, t: Tensor, features: Tensor, where: Rays, deviation: Tensor) -> Tensor:
        """The same with the expected deviation (batch, latent, *coarse), and features without its components."""
        mean = self.expectation.volume(deviation, where.axes).to(x)
        time = t.to(x).view(-1, *[1] * (x.ndim - 1))
        scale, _ = self._process.scales(time)
        foretold = super().denoise(torch.cat([x - scale * mean, mean], dim=1), t, features, where)
        return foretold + self._process.target(mean, torch.zeros_like(mean), time)

    def _parts(self, features: Tensor) -> tuple[Tensor, Tensor]:
        count = self.shape.features
        return features[:, :count], features[:, count:]
