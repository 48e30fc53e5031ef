"""BCR-Net: a neural network with the structure of the nonstandard wavelet form, here from far field to contrast.

Fan, Orozco Bohorquez and Ying 2019 (J Comput Phys 384:1), used for inverse scattering as in Fan and Ying 2019 (arXiv
1911.13202): the data are a vector along the midpoint m, with the offsets as channels, the image is one along theta,
with the rings as channels, and the map between them is a convolution.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from deeprecon.scattering.networks.layers import Kernel
from deeprecon.scattering.networks.wavelets import InverseWavelet, Wavelet, start_as_db3


@dataclass(frozen=True)
class Shape:
    """What a `BcrNet` is built with.

    Attributes:
        angles: places along m and theta.
        inputs: channels of the data, twice the offsets: real and imaginary parts.
        rings: channels of the image.
        levels: of the wavelet transform; angles must be divisible by 2^levels.
        rank: channels on each scale ("alpha").
        kernels: nonlinear layers on each scale ("n_cnn").
        refinements: two-dimensional layers behind ("n_cnn3").
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
        """Why there is no such network, in words; empty when there is."""
        found = []
        if self.angles % 2**self.levels:
            found.append(f"{self.angles} angles cannot be halved {self.levels} times")
        elif self.levels and self.band // 2 > self.angles // 2**self.levels:
            found.append(f"{self.levels} levels leave {self.angles // 2**self.levels} places: fewer than kernels need")
        return found

    @property
    def coarse_band(self) -> int:
        """Width of the kernels on the coarsest scale, which connect all places."""
        return 2 * ((self.angles // int(2**self.levels) + 1) // 2) - 1


class BcrNet(nn.Module):
    """(B, inputs, angles) data to (B, angles, rings) contrast, both in units of the training data.

    Args:
        shape: see there.
        checkpointing: recompute the scales in the backward pass instead of keeping them, for less memory.
    """

    def __init__(self, shape: Shape, checkpointing: bool = False) -> None:
        super().__init__()
        if reasons := shape.reasons():
            raise ValueError("; ".join(reasons))
        self.shape, self.checkpointing = shape, checkpointing
        rank = shape.rank
        self.encoder = Kernel(1, shape.inputs, rank, 1)
        self.wavelets = nn.ModuleList(Wavelet(1, rank, rank, shape.taps) for _ in range(shape.levels))
        self.core = _stack(rank, shape.coarse_band, shape.kernels)
        self.details = nn.ModuleList(_stack(2 * rank, shape.band, shape.kernels) for _ in range(shape.levels))
        self.inverses = nn.ModuleList(InverseWavelet(1, rank, shape.taps // 2) for _ in range(shape.levels))
        self.decoder = Kernel(1, rank, shape.rings, 1)
        self.refinement = Refinement(shape.refinements)

    def forward(self, data: Tensor) -> tuple[Tensor, Tensor]:
        """The refined image, and the image before the refinement: both heads are trained."""
        scaling, scales = self.encoder(data), []
        for wavelet in self.wavelets:
            scales.append(wavelet(scaling))
            scaling = scales[-1][:, self.shape.rank :]
        coarse = self._run(self.core, scaling)
        for scale, details, inverse in zip(
            reversed(scales), reversed(list(self.details)), reversed(list(self.inverses)), strict=True
        ):
            seen = self._run(details, scale)
            wave, smooth = seen[:, : self.shape.rank], seen[:, self.shape.rank :]
            coarse = inverse(torch.cat([wave, smooth + coarse], dim=1))
        image = self.decoder(coarse).transpose(1, 2)
        return image + self.refinement(image), image

    def _run(self, layers: nn.Module, x: Tensor) -> Tensor:
        if self.checkpointing and self.training:
            return checkpoint(layers, x, use_reentrant=False)  # type: ignore[no-any-return]
        return layers(x)  # type: ignore[no-any-return]

    def start_as_wavelets(self) -> None:
        """Give the wavelet layers the coefficients of db3; the rest stays as it is."""
        for wavelet, inverse in zip(self.wavelets, self.inverses, strict=True):
            assert isinstance(wavelet, Wavelet)
            assert isinstance(inverse, InverseWavelet)
            start_as_db3(wavelet, inverse)


class Refinement(nn.Module):
    """(B, angles, rings) to the same: 3 x 3 convolutions, periodic in the angle, 0 beyond the rings on both sides."""

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
