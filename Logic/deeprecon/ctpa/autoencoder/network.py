"""Autoencoders between a CT of 512 x 512 x 608 voxels and a latent that is 4 or 8 times smaller along each axis.

No layer looks at the whole volume: what a voxel becomes depends on its surroundings alone. So a volume may be encoded
and decoded tile by tile and comes out as it would at once; a normalization over the volume (GroupNorm) would make each
tile its own. The finest levels have a way in and a way out of their own, so that a volume of half the resolution shares
the latent of the full one and costs an eighth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from deeprecon.ctpa.autoencoder.codebook import Codebook
from deeprecon.ctpa.grid import Hu, to_hu, to_network
from deeprecon.ctpa.patches import Shape, Slices

LOUDER = 3**0.5
"""Times PyTorch's initial weights of a convolution, each of which would make a signal so much smaller."""
TILED_LEVELS = 2
"""The finest levels that are worked on tile by tile; the coarser ones are small enough to be done at once."""


@dataclass(frozen=True)
class AutoencoderShape:
    """What an autoencoder is built with.

    Attributes:
        widths: channels at full, half, quarter ... resolution; one halving fewer than there are widths.
        latent: channels of the latent.
        blocks: residual blocks at each resolution.
        codes: of a codebook that the latent passes before it is decoded (VQ-GAN, Esser 2021); 0 for none.
    """

    widths: tuple[int, ...]
    latent: int
    blocks: int = 1
    codes: int = 0

    @property
    def factor(self) -> int:
        """Voxels along an axis that one latent voxel stands for."""
        return int(2 ** (len(self.widths) - 1))


AUTOENCODERS = {
    "small-8x": AutoencoderShape((8, 16, 32, 64), 8),
    "small-4x": AutoencoderShape((8, 16, 32), 4),
    "large-4x": AutoencoderShape((32, 64, 128), 4, 2),
    "vqgan": AutoencoderShape((32, 64, 128), 8, 2, 4096),
}
"""By `AutoencoderName`. The small ones suit CPUs; `vqgan` is the kind that medical latent diffusion began with."""


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What training needs of an autoencoder.

    Attributes:
        volume: (batch, 1, k, j, i) after encoding and decoding.
        latent: (batch, latent, k, j, i) before the codebook.
        commitment: how far the latent is from its codes, a scalar; zero without a codebook.
        chosen: (batch, k, j, i) numbers of the codes; None without a codebook.
    """

    volume: Tensor
    latent: Tensor
    commitment: Tensor
    chosen: Tensor | None


class Residual(nn.Module):
    """x + f(x), two convolutions wide; f is zero at first, which takes the place of a normalization (Zhang 2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv3d(channels, channels, 3, padding=1)
        self.second = nn.Conv3d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = x + self.second(functional.silu(self.first(functional.silu(x))))
        return result


class Upsample(nn.Module):
    """Twice as many voxels along each axis."""

    def __init__(self, channels: int, finer: int) -> None:
        super().__init__()
        self.convolution = nn.Conv3d(channels, finer, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.convolution(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
        return result


class Autoencoder(nn.Module):
    """(batch, 1, k, j, i) in -1 .. 1 to (batch, latent, k / factor, j / factor, i / factor) and back.

    Args:
        shape: see there.
        checkpointing: compute each level again in the backward pass, in place of keeping what it needs.
    """

    def __init__(self, shape: AutoencoderShape, checkpointing: bool = False) -> None:
        super().__init__()
        self.shape, self._checkpointing = shape, checkpointing
        widths = shape.widths
        self.stems, self.down, self.up, self.heads = (nn.ModuleList() for _ in range(4))
        for fine, coarse in pairwise(widths):
            self.stems.append(nn.Conv3d(1, fine, 3, padding=1))
            self.down.append(nn.Sequential(*_residuals(fine, shape.blocks), nn.Conv3d(fine, coarse, 2, stride=2)))
            self.up.append(nn.Sequential(Upsample(coarse, fine), *_residuals(fine, shape.blocks)))
            self.heads.append(nn.Sequential(nn.SiLU(), nn.Conv3d(fine, 1, 3, padding=1)))
        last = widths[-1]
        self.narrow = nn.Sequential(*_residuals(last, shape.blocks), nn.Conv3d(last, shape.latent, 1))
        self.widen = nn.Sequential(nn.Conv3d(shape.latent, last, 3, padding=1), *_residuals(last, shape.blocks))
        for layer in self.modules():
            if isinstance(layer, nn.Conv3d):
                layer.weight.data.mul_(LOUDER)
        self.codebook = Codebook(shape.codes, shape.latent) if shape.codes else None
        self.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # 2 to 3 times as fast on CPUs

    @property
    def levels(self) -> int:
        """Halvings; `coarser` is less than this."""
        return len(self.down)

    def encode(self, volume: Tensor, coarser: int = 0) -> Tensor:
        """The latent of a volume without its `coarser` finest levels: with voxels 2^coarser times as large."""
        return self.encode_coarse(self.encode_fine(volume, coarser), self.split(coarser))

    def decode(self, latent: Tensor, coarser: int = 0) -> Tensor:
        """The volume, not clipped, without its `coarser` finest levels."""
        return self.decode_fine(self.decode_coarse(latent, self.split(coarser)), coarser)

    def forward(self, volume: Tensor, coarser: int = 0) -> Reconstruction:
        """Encode and decode, with what the losses need."""
        latent = self.encode(volume, coarser)
        if self.codebook is None:
            return Reconstruction(self.decode(latent, coarser), latent, latent.new_zeros(()), None)
        quantized, chosen, commitment = self.codebook(latent)
        features = self.run(self.widen, quantized)
        for level in reversed(range(coarser, self.levels)):
            features = self.run(self.up[level], features)
        return Reconstruction(self.heads[coarser](features), latent, commitment, chosen)

    def encode_fine(self, volume: Tensor, coarser: int) -> Tensor:
        """Features behind the finest levels, the part that is done tile by tile."""
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
        """Features at level `split`; a codebook, where there is one, comes first."""
        if self.codebook is not None:
            latent = self.codebook(latent)[0]
        features = self.run(self.widen, latent.contiguous(memory_format=torch.channels_last_3d))
        for level in reversed(range(split, self.levels)):
            features = self.run(self.up[level], features)
        return features

    def decode_fine(self, features: Tensor, coarser: int) -> Tensor:
        """The volume out of features, the part that is done tile by tile."""
        for level in reversed(range(coarser, self.split(coarser))):
            features = self.run(self.up[level], features)
        volume: Tensor = self.heads[coarser](features)
        return volume

    def halo(self, coarser: int = 0) -> int:
        """Voxels of the features, on each side of a tile, that a decoded voxel depends on."""
        reach, step = 0.0, 1.0
        for _ in range(self.split(coarser) - coarser):
            step /= 2
            reach += step * (1 + 2 * self.shape.blocks)  # behind nearest-neighbor upsampling, then the blocks
        return int(np.ceil(reach + step))

    def rim(self, coarser: int = 0) -> int:
        """Voxels of the features, on each side of a tile, that an encoded voxel depends on."""
        reach, step = 1.0, 1.0  # in voxels of the volume: the stem
        for _ in range(self.split(coarser) - coarser):
            reach += step * 2 * self.shape.blocks
            step *= 2
        return int(np.ceil(reach / step))

    def split(self, coarser: int) -> int:
        """The level of the features between what is done tile by tile and what is done at once."""
        return min(coarser + TILED_LEVELS, self.levels)

    def run(self, part: nn.Module, x: Tensor) -> Tensor:
        """A part of the network, computed again in the backward pass where that is asked for."""
        if self._checkpointing and torch.is_grad_enabled():
            recomputed: Tensor = checkpoint(part, x, use_reentrant=False)
            return recomputed
        result: Tensor = part(x)
        return result


def _residuals(channels: int, count: int) -> list[nn.Module]:
    return [Residual(channels) for _ in range(count)]


def tiles(shape: Shape, size: Shape, halo: int) -> Iterator[tuple[Slices, Slices, Slices]]:
    """Tiles of a volume: where the tile with its rim lies, the tile within that, and where the tile alone lies.

    All have one shape, so that the same kernels do all of them: at the ends of an axis the rim is wider inwards.
    """
    axes = []
    for count, step in zip(shape, size, strict=True):
        whole = min(count, step + 2 * halo)
        parts = []
        for first in range(0, count, step):
            last = min(first + step, count)
            low = min(max(0, first - halo), count - whole)
            parts.append((slice(low, low + whole), slice(first - low, last - low), slice(first, last)))
        axes.append(parts)
    for k, j, i in product(*axes):
        yield (k[0], j[0], i[0]), (k[1], j[1], i[1]), (k[2], j[2], i[2])


@torch.no_grad()
def decode_tiled(
    model: Autoencoder,
    latent: Tensor,
    size: Shape,
    out: Hu | None = None,
    coarser: int = 0,
    after: Callable[[float], None] | None = None,
) -> Hu:
    """Decode one latent; the finest levels tile by tile. The result does not depend on the size of the tiles.

    Args:
        model: in evaluation mode, on the device and of the type of the latent.
        latent: (latent, k, j, i).
        size: latent voxels of a tile along k, j, i, without the rim.
        out: int16 to write to, such as a memory map; made if left out.
        coarser: finest levels to leave out.

    Returns:
        HU (k, j, i) int16.
    """
    split = model.split(coarser)
    features = model.decode_coarse(latent[None], split)
    inside = _tile(size, 2 ** (model.levels - split))
    shape = _shape(features)
    factor = 2 ** (split - coarser)
    if out is None:
        out = np.empty([count * factor for count in shape], np.int16)
    done, voxels = 0, float(np.prod(shape))
    for rim, inner, where in tiles(shape, inside, model.halo(coarser)):
        decoded = model.decode_fine(features[(..., *rim)], coarser)[0, 0]
        out[_times(where, factor)] = to_hu(decoded[_times(inner, factor)].float().cpu().numpy())
        done += int(np.prod([part.stop - part.start for part in where]))
        if after is not None:
            after(done / voxels)
    return out


@torch.no_grad()
def encode_tiled(model: Autoencoder, hu: npt.NDArray[np.int16], size: Shape, coarser: int = 0) -> Tensor:
    """Encode one volume; the finest levels tile by tile.

    Args:
        model: in evaluation mode.
        hu: (k, j, i) HU, such as a memory map.
        size: latent voxels of a tile along k, j, i, without the rim.
        coarser: how much coarser the volume is than the full grid.

    Returns:
        (latent, k, j, i) on the model's device.
    """
    weight = next(model.parameters())
    split = model.split(coarser)
    factor = 2 ** (split - coarser)
    k, j, i = (count // factor for count in hu.shape)
    features = torch.empty((1, model.shape.widths[split], k, j, i), dtype=weight.dtype, device=weight.device)
    for rim, inner, where in tiles((k, j, i), _tile(size, 2 ** (model.levels - split)), model.rim(coarser)):
        patch = torch.from_numpy(to_network(hu[_times(rim, factor)])).to(weight)
        features[(..., *where)] = model.encode_fine(patch[None, None], coarser)[(..., *inner)]
    return model.encode_coarse(features.contiguous(memory_format=torch.channels_last_3d), split)[0]


def _tile(size: Shape, factor: int) -> Shape:
    k, j, i = (count * factor for count in size)
    return k, j, i


def _shape(features: Tensor) -> Shape:
    k, j, i = (int(count) for count in features.shape[2:])
    return k, j, i


def _times(where: Slices, factor: int) -> Slices:
    k, j, i = (slice(part.start * factor, part.stop * factor) for part in where)
    return k, j, i
