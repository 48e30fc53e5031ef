"""Autoencoders between a CT of 512 x 512 x 608 voxels and a latent that is 4 or 8 times smaller along each axis.

Every layer has a finite receptive field, and none normalizes over the volume (such as GroupNorm), so that a volume can
be encoded and decoded tile by tile with the same result. The finest levels have input and output layers of their own,
so that a volume of half the resolution shares the latent of the full one and costs an eighth.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from deeprecon.ctpa.autoencoder.codebook import Codebook
from deeprecon.training.layers.convolution import Conv3d

INITIAL_GAIN = 3**0.5
"""Factor on PyTorch's initial weights of a convolution, which would reduce the signal by as much."""
TILED_LEVELS = 2
"""Finest levels that are computed tile by tile; the coarser ones fit into memory at once."""


@dataclass(frozen=True)
class AutoencoderShape:
    """Hyperparameters of an autoencoder.

    Attributes:
        widths: channels at full, half, quarter ... resolution; one halving fewer than there are widths.
        latent: channels of the latent.
        blocks: residual blocks at each resolution.
        codes: size of the codebook that quantizes the latent (VQ-GAN, Esser 2021); 0 for none.
    """

    widths: tuple[int, ...]
    latent: int
    blocks: int = 1
    codes: int = 0

    @property
    def factor(self) -> int:
        """Voxels per latent voxel along an axis."""
        return int(2 ** (len(self.widths) - 1))


AUTOENCODERS = {
    "small-8x": AutoencoderShape((8, 16, 32, 64), 8),
    "small-4x": AutoencoderShape((8, 16, 32), 4),
    "large-4x": AutoencoderShape((32, 64, 128), 4, 2),
    "vqgan": AutoencoderShape((32, 64, 128), 8, 2, 4096),
}
"""By `AutoencoderName`. The small ones suit CPUs; `vqgan` is that of Khader 2023."""


class Residual(nn.Module):
    """x + f(x) with two convolutions; f is zero at first, in place of a normalization (Zhang 2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = Conv3d(channels, channels, 3, padding=1)
        self.second = Conv3d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.second(functional.silu(self.first(functional.silu(x))))
        return result


class Upsample(nn.Module):
    """Twice as many voxels along each axis."""

    def __init__(self, channels: int, finer: int) -> None:
        super().__init__()
        self.convolution = Conv3d(channels, finer, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.convolution(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
        return result


class Autoencoder(nn.Module):
    """(batch, 1, k, j, i) in -1 .. 1 to (batch, latent, k / factor, j / factor, i / factor) and back.

    Args:
        shape: see there.
        checkpointing: recompute each level in the backward pass instead of keeping its activations.
    """

    def __init__(self, shape: AutoencoderShape, checkpointing: bool = False) -> None:
        super().__init__()
        self.shape, self._checkpointing = shape, checkpointing
        widths = shape.widths
        self.stems, self.down, self.up, self.heads = (nn.ModuleList() for _ in range(4))
        for fine, coarse in pairwise(widths):
            self.stems.append(Conv3d(1, fine, 3, padding=1))
            self.down.append(nn.Sequential(*_residuals(fine, shape.blocks), Conv3d(fine, coarse, 2, stride=2)))
            self.up.append(nn.Sequential(Upsample(coarse, fine), *_residuals(fine, shape.blocks)))
            self.heads.append(nn.Sequential(nn.SiLU(), Conv3d(fine, 1, 3, padding=1)))
        last = widths[-1]
        self.narrow = nn.Sequential(*_residuals(last, shape.blocks), Conv3d(last, shape.latent, 1))
        self.widen = nn.Sequential(Conv3d(shape.latent, last, 3, padding=1), *_residuals(last, shape.blocks))
        for layer in self.modules():
            if isinstance(layer, nn.Conv3d):
                layer.weight.data.mul_(INITIAL_GAIN)
        self.codebook = Codebook(shape.codes, shape.latent) if shape.codes else None
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # 2 to 3 times as fast on CPUs

    @property
    def levels(self) -> int:
        """Number of halvings; `coarser` is less than this."""
        return len(self.down)

    def encode(self, volume: Tensor, coarser: int = 0) -> Tensor:
        """The latent of a volume without its `coarser` finest levels: of voxels 2^coarser times as large."""
        return self.encode_coarse(self.encode_fine(volume, coarser), self.split(coarser))

    def decode(self, latent: Tensor, coarser: int = 0) -> Tensor:
        """The volume, not clipped, without its `coarser` finest levels."""
        return self.decode_fine(self.decode_coarse(latent, self.split(coarser)), coarser)

    def forward(self, volume: Tensor, coarser: int = 0) -> Tensor:
        """Encode and decode."""
        return self.decode(self.encode(volume, coarser), coarser)

    def encode_fine(self, volume: Tensor, coarser: int) -> Tensor:
        """Features after the finest levels, which are computed tile by tile."""
        features: Tensor = self.stems[coarser](volume.contiguous(memory_format=torch.channels_last_3d))
        for level in range(coarser, self.split(coarser)):
            features = self.run(self.down[level], features)
        return features

    def encode_coarse(self, features: Tensor, split: int) -> Tensor:
        """The latent of features at level `split`."""
        for level in range(split, self.levels):
            features = self.run(self.down[level], features)
        return self.run(self.narrow, features)

    def decode_coarse(self, latent: Tensor, split: int) -> Tensor:
        """Features at level `split`, after quantization by the codebook, if any."""
        if self.codebook is not None:
            latent = self.codebook(latent)[0]
        features = self.run(self.widen, latent.contiguous(memory_format=torch.channels_last_3d))
        for level in reversed(range(split, self.levels)):
            features = self.run(self.up[level], features)
        return features

    def decode_fine(self, features: Tensor, coarser: int) -> Tensor:
        """The volume from features at level `split`, computed tile by tile."""
        for level in reversed(range(coarser, self.split(coarser))):
            features = self.run(self.up[level], features)
        volume: Tensor = self.heads[coarser](features)
        return volume

    def decoder_halo(self, coarser: int = 0) -> int:
        """Voxels of the features, on each side of a tile, that decoded voxels depend on."""
        reach, step = 0.0, 1.0
        for _ in range(self.split(coarser) - coarser):
            step /= 2
            reach += step * (1 + 2 * self.shape.blocks)  # nearest-neighbor upsampling, then the blocks
        return int(np.ceil(reach + step))

    def encoder_halo(self, coarser: int = 0) -> int:
        """Voxels of the features, on each side of a tile, that encoded voxels depend on."""
        reach, step = 1.0, 1.0  # in voxels of the volume: the stem
        for _ in range(self.split(coarser) - coarser):
            reach += step * 2 * self.shape.blocks
            step *= 2
        return int(np.ceil(reach / step))

    def split(self, coarser: int) -> int:
        """The level of the features between the tiled and the untiled part."""
        return min(coarser + TILED_LEVELS, self.levels)

    def run(self, part: nn.Module, x: Tensor) -> Tensor:
        """Run a part of the network, with activation checkpointing where it is on."""
        if self._checkpointing and torch.is_grad_enabled():
            recomputed: Tensor = checkpoint(part, x, use_reentrant=False)
            return recomputed
        result: Tensor = part(x)
        return result


def _residuals(channels: int, count: int) -> list[nn.Module]:
    return [Residual(channels) for _ in range(count)]
