"""Singular values of noise in windows of voxels times volumes: the noise variance, and optimal shrinkage.

The singular values of noise follow the law of Marchenko and Pastur (Veraart et al. 2016, NeuroImage 142:394). Where the
variance is known, shrinkage gives the least squared error (Gavish and Donoho 2017, IEEE Trans. Inf. Theory 63:2137).
"""

from __future__ import annotations

import torch
from torch import Tensor


def gram_matrices(windows: Tensor) -> Tensor:
    """(B, M, M) products of the rows or of the columns of windows (B, n, V), whichever are fewer."""
    tall = windows.shape[2] <= windows.shape[1]
    return windows.transpose(1, 2) @ windows if tall else windows @ windows.transpose(1, 2)


def noise_variance(values: Tensor, voxels: Tensor, volumes: int) -> Tensor:
    """(B, 1) noise variance: the mean of the smallest eigenvalues that together are as wide as noise alone can be.

    Each signal component takes a row and a column of noise with it (Cordero-Grande et al. 2019, NeuroImage 200:391).

    Args:
        values: (B, M) squared singular values in descending order.
        voxels: (B, 1) of each window, less one for its mean.
        volumes: number of them.
    """
    rows, columns = voxels.clamp(1, volumes), voxels.clamp_min(volumes)
    places = torch.arange(values.shape[1], device=values.device)[None]
    noisy = (rows - places).clamp_min(1) * (columns - places).clamp_min(1)
    valid = places < rows
    tail = torch.where(valid, values, 0.0).flip(-1).cumsum(-1).flip(-1) / noisy
    width = (values - values.gather(1, rows - 1)) / (4 * noisy.to(values.dtype).sqrt())
    first = ((width <= tail) & valid).to(torch.uint8).argmax(dim=-1, keepdim=True)
    return tail.gather(1, first)


def shrinkage_factors(values: Tensor, voxels: int, volumes: int) -> Tensor:
    """(B, M) factor of each singular value, for noise of variance 1.

    Args:
        values: (B, M) squared singular values of windows whose mean over the voxels was subtracted.
        voxels, volumes: of a window.
    """
    rows, columns = sorted((max(voxels - 1, 1), volumes))  # the mean takes one degree of freedom
    beta = rows / columns
    y = torch.sqrt(values / columns)
    inner = ((y**2 - beta - 1) ** 2 - 4 * beta).clamp_min(0)
    kept = torch.sqrt(inner) / (y**2).clamp_min(1e-12)
    return torch.where(y > 1 + beta**0.5, kept, torch.zeros_like(kept))
