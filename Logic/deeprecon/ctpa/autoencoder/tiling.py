"""Encoding and decoding a CT tile by tile, with the same result as at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product

import numpy as np
import torch
from torch import Tensor

from deeprecon.ctpa.autoencoder.network import Autoencoder
from deeprecon.ctpa.grid import Hu, to_hu, to_network
from deeprecon.ctpa.patches import Shape, Slices


def tiles(shape: Shape, size: Shape, halo: int) -> Iterator[tuple[Slices, Slices, Slices]]:
    """Tiles of a volume: the tile with its halo in the volume, the tile within that, and the tile in the volume.

    All have one shape, so that the same kernels compute all of them: at the ends of an axis the halo extends inwards.
    """
    axes = []
    for count, step in zip(shape, size, strict=True):
        extent = min(count, step + 2 * halo)
        parts = []
        for first in range(0, count, step):
            last = min(first + step, count)
            low = min(max(0, first - halo), count - extent)
            parts.append((slice(low, low + extent), slice(first - low, last - low), slice(first, last)))
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
    """Decode one latent, the finest levels tile by tile. The result does not depend on the size of the tiles.

    Args:
        model: in evaluation mode, on the device and of the type of the latent.
        latent: (latent, k, j, i).
        size: latent voxels of a tile along k, j, i, without the halo.
        out: int16 output, such as a memory map; allocated if left out.
        coarser: finest levels to leave out.
        after: called with the share that is done.

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
    for outer, inner, tile in tiles(shape, inside, model.decoder_halo(coarser)):
        decoded = model.decode_fine(features[(..., *outer)], coarser)[0, 0]
        out[_scaled(tile, factor)] = to_hu(decoded[_scaled(inner, factor)].float().cpu().numpy())
        done += int(np.prod([part.stop - part.start for part in tile]))
        if after is not None:
            after(done / voxels)
    return out


@torch.no_grad()
def encode_tiled(model: Autoencoder, hu: Hu, size: Shape, coarser: int = 0) -> Tensor:
    """Encode one volume, the finest levels tile by tile.

    Args:
        model: in evaluation mode.
        hu: (k, j, i), such as a memory map.
        size: latent voxels of a tile along k, j, i, without the halo.
        coarser: halvings of the volume's resolution from the full grid.

    Returns:
        (latent, k, j, i) on the model's device.
    """
    weight = next(model.parameters())
    split = model.split(coarser)
    factor = 2 ** (split - coarser)
    k, j, i = (count // factor for count in hu.shape)
    features = torch.empty((1, model.shape.widths[split], k, j, i), dtype=weight.dtype, device=weight.device)
    for outer, inner, tile in tiles((k, j, i), _tile(size, 2 ** (model.levels - split)), model.encoder_halo(coarser)):
        patch = torch.from_numpy(to_network(hu[_scaled(outer, factor)])).to(weight)
        features[(..., *tile)] = model.encode_fine(patch[None, None], coarser)[(..., *inner)]
    return model.encode_coarse(features.contiguous(memory_format=torch.channels_last_3d), split)[0]


def _tile(size: Shape, factor: int) -> Shape:
    k, j, i = (count * factor for count in size)
    return k, j, i


def _shape(features: Tensor) -> Shape:
    k, j, i = (int(count) for count in features.shape[2:])
    return k, j, i


def _scaled(where: Slices, factor: int) -> Slices:
    k, j, i = (slice(part.start * factor, part.stop * factor) for part in where)
    return k, j, i
