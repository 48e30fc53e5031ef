"""The posterior mean of a latent given an X-ray: the mean over all cases plus a regression on principal components.

A regression on principal components learns from tens of cases what a convolutional network needs thousands for: size
and depth of the body, inflation of the lungs. The denoiser then samples the residual, which holds the details. The mean
over all cases has a finer grid than the deviations from it: there is one mean, but one volume for each component.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from deeprecon.ctpa.patches import Shape

MAX_MEAN_VOXELS, MAX_DEVIATION_VOXELS = 40, 26
"""Maximum voxels along an axis: of the mean, and of the deviations from it."""
MAX_NORM = 1.25
"""Maximum norm of the image components, over their root mean square norm in the training cases."""
AxisCoordinates = tuple[Tensor, Tensor, Tensor]
"""Centers of voxels along k, j and i, from -1 to 1."""


@dataclass(frozen=True)
class PosteriorMeanShape:
    """Hyperparameters of a `PosteriorMean`.

    Attributes:
        pixels: (rows, columns) of the image that enters the regression.
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


class PosteriorMean(nn.Module):
    """Predicts the components of a latent's deviation from the mean; fitted by `training.posterior_mean_fit`."""

    image_mean: Tensor
    image_axes: Tensor
    image_spread: Tensor
    linear: Tensor
    mean: Tensor
    axes: Tensor

    def __init__(self, shape: PosteriorMeanShape) -> None:
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
        """(batch, components) of X-rays (batch, 1, rows, columns), of about unit variance; always in fp32.

        The norm is clipped to `MAX_NORM`: the regression is not extrapolated beyond its training cases.
        """
        with torch.autocast(xray.device.type, enabled=False):
            components = self._centered(xray) @ self.image_axes.float() / self._spread()
            norm = components.norm(dim=1, keepdim=True)
            clipped: Tensor = components * (MAX_NORM * self.shape.components**0.5 / norm.clamp_min(1e-9)).clamp_max(1)
            return clipped

    def embedding(self, xray: Tensor) -> Tensor:
        """(batch, components + 1): the components, and the root mean square of the image that they do not explain."""
        with torch.autocast(xray.device.type, enabled=False):
            image = self._centered(xray)
            components = image @ self.image_axes.float()
            rest = (image - components @ self.image_axes.float().T).square().mean(dim=1, keepdim=True).sqrt()
            return torch.cat([components / self._spread(), rest], dim=1)

    def _centered(self, xray: Tensor) -> Tensor:
        return functional.adaptive_avg_pool2d(xray.float(), self.shape.pixels).flatten(1) - self.image_mean.float()

    def _spread(self) -> Tensor:
        """Standard deviations of the components, with a floor of 2 % of the largest: the last ones are noise."""
        return self.image_spread.float() + 0.02 * self.image_spread[0].float()

    def components(self, image_components: Tensor) -> Tensor:
        """(batch, rank) components of the deviation, from those of the image (batch, components)."""
        inputs = image_components.to(self.linear)
        result: Tensor = inputs @ self.linear + self.network(inputs)
        return result

    def forward(self, xray: Tensor) -> Tensor:
        """(batch, rank) components of the deviation for X-rays (batch, 1, rows, columns)."""
        return self.components(self.image_components(xray))

    def deviation(self, components: Tensor) -> Tensor:
        """(batch, latent, *coarse) from the mean, of components (batch, rank)."""
        deviation: Tensor = torch.tensordot(components.to(self.axes), self.axes, 1)
        return deviation

    def volume(self, deviation: Tensor, axes: AxisCoordinates) -> Tensor:
        """(batch, latent, k, j, i) posterior mean at the voxels of `axes`, from deviations (batch, latent, *coarse)."""
        return interpolate_axes(self.mean[None].to(deviation), axes) + interpolate_axes(deviation, axes)

    @torch.no_grad()
    def rescale(self, scale: Tensor) -> None:
        """Predict latents that are divided by `scale` (latent, 1, 1, 1) from now on."""
        self.mean.div_(scale)
        self.axes.div_(scale)


def interpolate_axes(coarse: Tensor, axes: AxisCoordinates) -> Tensor:
    """Linear interpolation of a coarse volume (batch, channels, k, j, i) at other voxel centers, axis by axis."""
    for axis, coordinates in enumerate(axes, start=2):
        count = coarse.shape[axis]
        index = ((coordinates + 1) * (0.5 * count) - 0.5).clamp(0, count - 1)
        weights = (1 - (index[:, None] - torch.arange(count, device=index.device)).abs()).clamp_min(0)
        coarse = torch.tensordot(coarse, weights.to(coarse), ([axis], [1])).movedim(-1, axis)
    return coarse


def downsampled(latent: Tensor, maximum: int) -> Tensor:
    """A latent (..., k, j, i), averaged so that no axis has more than `maximum` voxels."""
    k, j, i = voxels_of(latent)
    factor = -(-max(k, j, i) // maximum)
    return functional.adaptive_avg_pool3d(latent, (-(-k // factor), -(-j // factor), -(-i // factor)))


def voxels_of(latent: Tensor) -> Shape:
    """(k, j, i) of a latent (..., k, j, i)."""
    k, j, i = (int(count) for count in latent.shape[-3:])
    return k, j, i
