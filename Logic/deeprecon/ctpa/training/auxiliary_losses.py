"""The perceptual and the adversarial loss of the autoencoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.parametrizations import spectral_norm

from deeprecon.ctpa.encoders.pretrained import ResNet50, load_trunk

STAGES = 3
"""Stages of the trunk that are compared; the last one encodes objects, not tissue."""


def random_slices(volume: Tensor, generator: torch.Generator | None = None) -> list[Tensor]:
    """One random slice across each axis: three of (batch, 1, rows, columns) from (batch, 1, k, j, i)."""
    found = []
    for axis in (2, 3, 4):
        index = int(torch.randint(volume.shape[axis], (), generator=generator))
        found.append(volume.select(axis, index))
    return found


def paired_slices(
    result: Tensor, truth: Tensor, generator: torch.Generator | None = None
) -> list[tuple[Tensor, Tensor]]:
    """The same random slices of two volumes."""
    both = random_slices(torch.cat([result, truth]), generator)
    return [(pair[: len(result)], pair[len(result) :]) for pair in both]


class PerceptualLoss(nn.Module):
    """Distance of slices in the features of a frozen ResNet-50, normalized over its channels (Zhang 2018, LPIPS).

    The weights are frozen, but gradients reach the result through all of the network.

    Args:
        weights: safetensors of a ResNet-50; see `encoders.CARDS`. None for random weights, in tests.

    Raises:
        InputError: a file of other content.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, weights: Path | None) -> None:
        super().__init__()
        self.trunk = ResNet50()
        mean, deviation = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        if weights is not None:
            layout = load_trunk(self.trunk, "resnet50", weights)
            mean, deviation = layout.mean, layout.deviation
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(deviation).view(1, 3, 1, 1))
        self.eval().requires_grad_(False)

    def train(self, mode: bool = True) -> PerceptualLoss:
        """The trunk stays in evaluation mode, so that its statistics are frozen."""
        super().train(mode)
        self.trunk.eval()
        return self

    def forward(self, result: Tensor, truth: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Of volumes (batch, 1, k, j, i) in -1 .. 1, from one random slice across each axis."""
        losses = []
        for one, other in paired_slices(result, truth, generator):
            with torch.no_grad():
                wanted = self._features(other)
            for a, b in zip(self._features(one), wanted, strict=True):
                losses.append((a - b).square().sum(dim=1).mean())
        return torch.stack(losses).mean()

    def _features(self, images: Tensor) -> list[Tensor]:
        normalized = ((images + 1) / 2 - self.mean) / self.deviation
        return [functional.normalize(stage, dim=1) for stage in self.trunk.stages(normalized)[:STAGES]]


class Discriminator(nn.Module):
    """A patch discriminator of images or volumes (Isola 2017).

    With spectral normalization (Miyato 2018) for stability; batch normalization would fail for batches of one.

    Args:
        dimensions: 2 for images, 3 for volumes.
        width: channels of the first layer.
        layers: halvings of the resolution.
    """

    def __init__(self, dimensions: int, width: int = 32, layers: int = 3) -> None:
        super().__init__()
        convolution: type[nn.Conv2d] | type[nn.Conv3d] = nn.Conv2d if dimensions == 2 else nn.Conv3d
        parts: list[nn.Module] = []
        channels = 1
        for layer in range(layers):
            parts += [spectral_norm(convolution(channels, width << layer, 4, 2, 1)), nn.LeakyReLU(0.2)]
            channels = width << layer
        self.layers = nn.Sequential(*parts, spectral_norm(convolution(channels, 1, 3, 1, 1)))

    def forward(self, x: Tensor) -> Tensor:
        """(batch, 1, rows, columns) or (batch, 1, k, j, i) to a map of logits, above zero for real."""
        logits: Tensor = self.layers(x)
        return logits


class AdversarialLoss(nn.Module):
    """A discriminator of slices and one of volumes, each with its weight; hinge losses (Lim and Ye 2017).

    One optimizer updates them and the autoencoder. `autoencoder_loss` has a gradient for the autoencoder alone, and
    `discriminator_loss` for the discriminators alone, so the two may be added; `fit` clips the two norms separately.

    Args:
        slice_weight, volume_weight: of the two discriminators in the autoencoder's loss; 0 for no such discriminator.
        start: training passes before they begin: an untrained autoencoder is too easily discriminated.
        width: channels of a discriminator's first layer.
    """

    passes: Tensor

    def __init__(self, slice_weight: float = 1.0, volume_weight: float = 1.0, start: int = 0, width: int = 32) -> None:
        super().__init__()
        self._slice_weight, self._volume_weight, self._start = slice_weight, volume_weight, start
        self.slices = Discriminator(2, width) if slice_weight else None
        self.volumes = Discriminator(3, width) if volume_weight else None
        self.register_buffer("passes", torch.zeros((), dtype=torch.int64))

    def forward(self, result: Tensor, truth: Tensor) -> Tensor:
        """The sum of both losses; 0 before the start, but with gradients, for which parallel processes wait."""
        begun = self.passes >= self._start
        self.passes += 1
        return begun * (self.autoencoder_loss(result) + self.discriminator_loss(result, truth))

    def autoencoder_loss(self, result: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The loss of the autoencoder; its gradient does not reach the discriminators' weights."""
        weights = self._slice_weight, self._volume_weight
        with frozen(self):
            return self._total(result, weights, lambda logits: -logits.mean(), generator)

    def discriminator_loss(self, result: Tensor, truth: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """The loss of the discriminators; its gradient does not reach the autoencoder."""
        fake = self._total(result.detach(), (1, 1), lambda logits: functional.relu(1 + logits).mean(), generator)
        real = self._total(truth.detach(), (1, 1), lambda logits: functional.relu(1 - logits).mean(), generator)
        return 0.5 * (fake + real)

    def _total(
        self,
        volume: Tensor,
        weights: tuple[float, float],
        measure: Callable[[Tensor], Tensor],
        generator: torch.Generator | None,
    ) -> Tensor:
        total = volume.new_zeros(())
        if self.slices is not None:
            losses = [measure(self.slices(image)) for image in random_slices(volume, generator)]
            total = total + weights[0] * torch.stack(losses).mean()
        if self.volumes is not None:
            total = total + weights[1] * measure(self.volumes(volume))
        return total


@contextmanager
def frozen(module: nn.Module) -> Iterator[None]:
    """Within this context the module's weights get no gradient, but gradients pass through it."""
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
