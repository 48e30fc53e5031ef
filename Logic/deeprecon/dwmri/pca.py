"""Local PCA with optimal shrinkage, in batches of overlapping windows.

Each window of (2 r + 1)^3 voxels is a matrix of voxels times volumes whose small singular values are noise. The first
pass finds the noise level where the singular values follow the law of Marchenko and Pastur (Veraart et al. 2016,
NeuroImage 142:394); the second one knows it, and shrinks the singular values as is best for the squared error (Gavish
and Donoho 2017, IEEE Trans. Inf. Theory 63:2137). Voxels are covered by many windows, which are averaged with weights
that favor simple ones (Manjon et al. 2013, PLoS ONE 8:e73021).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Mask = npt.NDArray[np.bool_]

NUMBERS_A_BATCH = 4_000_000
"""Matrix entries that are worked on at a time: 16 MB."""


def noise_map(array: npt.NDArray[np.float32], mask: Mask, radius: int, stride: int, device: str) -> npt.NDArray[Any]:
    """(k, j, i) float32 noise level of (k, j, i, V) from each window's smallest singular values; 0 where none looked.

    Only windows that lie within the mask count: where there is no signal, magnitudes vary less than the noise.
    """
    data = torch.from_numpy(array).to(device)
    total = torch.zeros(data[..., 0].numel(), device=device)
    weight = torch.zeros_like(total)
    for index in _windows(mask, radius, stride, array.shape[-1], device, whole=True):
        values, _ = _spectrum(_centered(data, index)[0])
        rows, columns = _sizes(index.shape[1], array.shape[-1])
        sigma = _marchenko_pastur(values, rows, columns).sqrt()
        spread = sigma[:, None].expand(index.shape).reshape(-1)
        total.index_add_(0, index.reshape(-1), spread)
        weight.index_add_(0, index.reshape(-1), torch.ones_like(spread))
    return (total / weight.clamp_min(1)).reshape(mask.shape).cpu().numpy()


def shrink(array: npt.NDArray[np.float32], mask: Mask, radius: int, stride: int, device: str) -> npt.NDArray[Any]:
    """(k, j, i, V) float32 denoised scan.

    Args:
        array: (k, j, i, V) in units of the noise: its standard deviation is 1 everywhere.
        mask: (k, j, i); windows that touch it are used, and voxels off all of them are returned as they are.
        radius: of the windows in voxels, smaller along axes that have fewer.
        stride: voxels from one window to the next.
        device: to compute on.
    """
    data = torch.from_numpy(np.ascontiguousarray(array)).to(device)
    volumes = array.shape[-1]
    total = torch.zeros((data[..., 0].numel(), volumes), device=device)
    weight = torch.zeros((len(total), 1), device=device)
    for index in _windows(mask, radius, stride, volumes, device):
        matrix, mean = _centered(data, index)
        rows, columns = _sizes(index.shape[1], volumes)
        values, vectors = _spectrum(matrix)
        kept = _shrinkage(values, rows, columns)
        if matrix.shape[2] <= matrix.shape[1]:
            clean = (matrix @ (vectors * kept[:, None, :])) @ vectors.transpose(1, 2)
        else:
            clean = vectors @ (kept[:, :, None] * (vectors.transpose(1, 2) @ matrix))
        share = 1 / (1 + kept.sum(dim=1))
        flat = index.reshape(-1)
        total.index_add_(0, flat, ((clean + mean) * share[:, None, None]).reshape(-1, volumes))
        weight.index_add_(0, flat, share[:, None].expand(index.shape).reshape(-1, 1))
    flat = data.reshape(-1, volumes)
    return torch.where(weight > 0, total / weight.clamp_min(1e-12), flat).reshape(array.shape).cpu().numpy()


def _windows(mask: Mask, radius: int, stride: int, volumes: int, device: str, whole: bool = False) -> Iterator[Tensor]:
    """(B, n) flat voxel numbers of the windows that touch the mask, or lie in it as a whole, batch after batch."""
    shape = mask.shape
    radii = [min(radius, (count - 1) // 2) for count in shape]
    starts = [
        np.unique(np.append(np.arange(0, count - 2 * r, stride), count - 2 * r - 1))
        for count, r in zip(shape, radii, strict=True)
    ]
    chosen: npt.NDArray[Any] = mask
    for axis, r in enumerate(radii):
        along = np.lib.stride_tricks.sliding_window_view(chosen, 2 * r + 1, axis)
        chosen = np.asarray(along.all(axis=-1) if whole else along.any(axis=-1))
    grid = np.stack(np.meshgrid(*starts, indexing="ij"), axis=-1).reshape(-1, 3)
    grid = grid[chosen[tuple(grid.T)]]
    offsets = np.stack(np.meshgrid(*[np.arange(2 * r + 1) for r in radii], indexing="ij"), axis=-1).reshape(-1, 3)
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    first, inside = (torch.from_numpy(places @ strides).to(device) for places in (grid, offsets))
    size = max(1, NUMBERS_A_BATCH // (len(offsets) * volumes))
    for start in range(0, len(first), size):
        yield first[start : start + size, None] + inside[None]


def _centered(data: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """(B, n, V) windows with the mean over their voxels taken off, and that mean."""
    matrix = data.reshape(-1, data.shape[-1])[index]
    mean = matrix.mean(dim=1, keepdim=True)
    return matrix - mean, mean


def _sizes(voxels: int, volumes: int) -> tuple[int, int]:
    """The smaller and the larger side of the random part: taking the mean off costs one voxel."""
    voxels = max(voxels - 1, 1)
    return min(voxels, volumes), max(voxels, volumes)


def _spectrum(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Squared singular values from the largest down, and the vectors on the shorter side."""
    tall = matrix.shape[2] <= matrix.shape[1]
    gram = matrix.transpose(1, 2) @ matrix if tall else matrix @ matrix.transpose(1, 2)
    values, vectors = torch.linalg.eigh(gram)
    return values.clamp_min(0).flip(-1), vectors.flip(-1)


def _marchenko_pastur(values: Tensor, rows: int, columns: int) -> Tensor:
    """(B,) noise variance: the mean of the smallest eigenvalues that together are as wide as noise alone can be.

    Each signal component takes a row and a column of noise with it (Cordero-Grande et al. 2019, NeuroImage 200:391).
    """
    places = torch.arange(rows, device=values.device, dtype=values.dtype)
    values = values[:, :rows]
    left = columns - places
    tail = values.flip(-1).cumsum(-1).flip(-1) / ((rows - places) * left)
    width = (values - values[:, -1:]) / (4 * torch.sqrt((rows - places) * left))
    first = (width < tail).to(torch.uint8).argmax(dim=-1, keepdim=True)
    return tail.gather(1, first)[:, 0]


def _shrinkage(values: Tensor, rows: int, columns: int) -> Tensor:
    """Share of each singular value that is kept, for noise of variance 1."""
    beta = rows / columns
    y = torch.sqrt(values / columns)
    inner = ((y**2 - beta - 1) ** 2 - 4 * beta).clamp_min(0)
    kept = torch.sqrt(inner) / (y**2).clamp_min(1e-12)
    return torch.where(y > 1 + beta**0.5, kept, torch.zeros_like(kept))
