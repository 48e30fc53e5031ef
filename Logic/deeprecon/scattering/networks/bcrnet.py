"""BCR-Net: a neural network with the structure of the nonstandard wavelet form, here from far field to contrast.

Fan, Orozco Bohorquez and Ying 2019 (J Comput Phys 384:1), used for inverse scattering as in Fan and Ying 2019 (arXiv
1911.13202): the data are a vector along the midpoint m with the offsets as channels, the image is a vector along
theta with the rings as channels, and the map between them is a convolution.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from deeprecon.scattering.networks.layers import Kernel
from deeprecon.scattering.networks.wavelets import InverseWavelet, Wavelet, initialize_db3


@dataclass(frozen=True)
class Architecture:
    """Hyperparameters of a `BcrNet`.

    Attributes:
        angles: points along m and theta.
        inputs: channels of the data, twice the offsets: real and imaginary parts.
        rings: channels of the image.
        levels: of the wavelet transform; angles must be divisible by 2^levels.
        rank: channels on each scale ("alpha").
        kernels: nonlinear layers on each scale ("n_cnn").
        refinements: two-dimensional layers of the refinement ("n_cnn3").
        taps: of the wavelets.
        band: width of the kernels on each scale ("n_b").
    """

    angles: int
    inputs: int
    rings: int
    levels: int
    rank: int
    kernels: int = 6
    refinements: int = 5
    taps: int = 6
    band: int = 5

    def reasons(self) -> list[str]:
        """Reasons why no such network exists; empty if it does."""
        reasons = []
        if self.angles % 2**self.levels:
            reasons.append(f"{self.angles} angles cannot be halved {self.levels} times")
        elif self.levels and self.band // 2 > self.angles // 2**self.levels:
            reasons.append(
                f"{self.levels} levels leave {self.angles // 2**self.levels} points: fewer than kernels need"
            )
        return reasons

    @property
    def coarse_band(self) -> int:
        """Width of the kernels on the coarsest scale, which connect all points."""
        return 2 * ((self.angles // int(2**self.levels) + 1) // 2) - 1


class BcrNet(nn.Module):
    """(B, inputs, angles) data to (B, angles, rings) contrast, both in units of the training data.

    Args:
        architecture: hyperparameters.
        checkpointing: recompute the activations of the scales in the backward pass, for less memory.
    """

    def __init__(self, architecture: Architecture, checkpointing: bool = False) -> None:
        super().__init__()
        if reasons := architecture.reasons():
            raise ValueError("; ".join(reasons))
        self.architecture, self.checkpointing = architecture, checkpointing
        rank = architecture.rank
        self.encoder = Kernel(1, architecture.inputs, rank, 1)
        self.wavelets = nn.ModuleList(Wavelet(1, rank, rank, architecture.taps) for _ in range(architecture.levels))
        self.core = _stack(rank, architecture.coarse_band, architecture.kernels)
        self.details = nn.ModuleList(
            _stack(2 * rank, architecture.band, architecture.kernels) for _ in range(architecture.levels)
        )
        self.inverses = nn.ModuleList(
            InverseWavelet(1, rank, architecture.taps // 2) for _ in range(architecture.levels)
        )
        self.decoder = Kernel(1, rank, architecture.rings, 1)
        self.refinement = Refinement(architecture.refinements)

    def forward(self, data: Tensor) -> tuple[Tensor, Tensor]:
        """The refined image, and the image before the refinement; both are trained."""
        scaling, scales = self.encoder(data), []
        for wavelet in self.wavelets:
            scales.append(wavelet(scaling))
            scaling = scales[-1][:, self.architecture.rank :]
        coarse = self._run(self.core, scaling)
        for scale, details, inverse in zip(
            reversed(scales), reversed(list(self.details)), reversed(list(self.inverses)), strict=True
        ):
            detail = self._run(details, scale)
            wave, smooth = detail[:, : self.architecture.rank], detail[:, self.architecture.rank :]
            coarse = inverse(torch.cat([wave, smooth + coarse], dim=1))
        image = self.decoder(coarse).transpose(1, 2)
        return image + self.refinement(image), image

    def _run(self, layers: nn.Module, x: Tensor) -> Tensor:
        if self.checkpointing and self.training:
            return checkpoint(layers, x, use_reentrant=False)  # type: ignore[no-any-return]
        return layers(x)  # type: ignore[no-any-return]

    def initialize_wavelets(self) -> None:
        """Set the wavelet layers to the coefficients of db3; other layers are unchanged."""
        for wavelet, inverse in zip(self.wavelets, self.inverses, strict=True):
            assert isinstance(wavelet, Wavelet)
            assert isinstance(inverse, InverseWavelet)
            initialize_db3(wavelet, inverse)


class Refinement(nn.Module):
    """(B, angles, rings) to the same shape: 3 x 3 convolutions, periodic in the angle, padded with 0 in the radius."""

    def __init__(self, layers: int, channels: int = 4) -> None:
        super().__init__()
        sizes = [1, *[channels] * (layers - 1), 1]
        self.convs = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 3, padding=(0, 1)) for inputs, outputs in itertools.pairwise(sizes)
        )

    def forward(self, image: Tensor) -> Tensor:
        y = image[:, None]
        for index, conv in enumerate(self.convs):
            y = conv(nn.functional.pad(y, (0, 0, 1, 1), mode="circular"))
            if index < len(self.convs) - 1:
                y = nn.functional.relu(y)
        return y[:, 0]


def _stack(channels: int, w: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(Kernel(1, channels, channels, w, relu=True) for _ in range(count)))


def parameter_count(network: nn.Module) -> int:
    """Number of trainable values."""
    return sum(values.numel() for values in network.parameters() if values.requires_grad)
