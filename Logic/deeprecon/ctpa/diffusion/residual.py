"""A denoiser of the residual: what differs between a latent and its posterior mean."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deeprecon.ctpa.diffusion.denoiser import Denoiser, DenoiserShape, RayWeights
from deeprecon.ctpa.diffusion.posterior_mean import PosteriorMean
from deeprecon.ctpa.diffusion.processes import Process
from deeprecon.training.layers.convolution import Conv3d


class ResidualDenoiser(Denoiser):
    """A `Denoiser` of x_t minus the posterior mean's share of it, with the posterior mean as further input channels.

    With the posterior mean m and the residual d = x_0 - m, x_t = a x_0 + s noise is a m + (a d + s noise). The UNet
    takes the second part and predicts the target of its process for it; the share of m is added. So this is a process
    on latents like any other, and samplers need no change.

    Args:
        shape, factor, encoder, checkpointing: see `Denoiser`.
        posterior_mean: fitted before; it is not trained further.
        process: that the denoiser is trained with.
    """

    def __init__(
        self,
        shape: DenoiserShape,
        factor: int,
        posterior_mean: PosteriorMean,
        process: Process,
        encoder: nn.Module | None = None,
        checkpointing: bool = False,
    ) -> None:
        super().__init__(shape, factor, encoder, checkpointing)
        enter = Conv3d(2 * shape.latent, shape.widths[0], 3, padding=1)
        self.enter = enter.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
        self.posterior_mean = posterior_mean
        self.process = process

    def features(self, xray: Tensor, withheld: Tensor | None = None) -> Tensor:
        """As of `Denoiser`, followed by the components of the posterior mean, the same at every pixel."""
        spatial = super().features(xray, withheld)
        components = self.posterior_mean(xray)
        if withheld is not None:
            components = components.masked_fill(withheld[:, None], 0)  # without an X-ray: the mean of all cases
        broadcast = components[:, :, None, None].expand(-1, -1, *spatial.shape[2:])
        return torch.cat([spatial, broadcast.to(spatial.dtype)], dim=1)

    def null_features(self, features: Tensor) -> Tensor:
        """The features without an X-ray, in the shape of those of one."""
        spatial, components = self._split(features)
        return torch.cat([super().null_features(spatial), torch.zeros_like(components)], dim=1)

    def denoise(self, x: Tensor, t: Tensor, features: Tensor, rays: RayWeights) -> Tensor:
        """See `Denoiser`."""
        spatial, components = self._split(features)
        return self.denoise_residual(x, t, spatial, rays, self.posterior_mean.deviation(components[:, :, 0, 0]))

    def denoise_residual(self, x: Tensor, t: Tensor, features: Tensor, rays: RayWeights, deviation: Tensor) -> Tensor:
        """As `denoise`, for a given deviation (batch, latent, *coarse) and features without its components."""
        mean = self.posterior_mean.volume(deviation, rays.axes).to(x)
        time = t.to(x).view(-1, *[1] * (x.ndim - 1))
        scale, _ = self.process.scales(time)
        predicted = super().denoise(torch.cat([x - scale * mean, mean], dim=1), t, features, rays)
        return predicted + self.process.target(mean, torch.zeros_like(mean), time)

    def _split(self, features: Tensor) -> tuple[Tensor, Tensor]:
        count = self.shape.features
        return features[:, :count], features[:, count:]
