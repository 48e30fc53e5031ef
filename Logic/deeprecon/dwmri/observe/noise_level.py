"""The noise level of a scan, voxel by voxel."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deeprecon.dwmri.filters import smooth_in_mask
from deeprecon.dwmri.noise.rician import stabilize
from deeprecon.dwmri.noise.singular_values import gram_matrices, noise_variance
from deeprecon.dwmri.noise.windows import LARGE_MASK, map_batches, window_indices
from deeprecon.dwmri.observe.independent import independent_volumes

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

RADIUS, STRIDES = 2, (2, 3)
"""Of the windows in voxels; the second stride is that of large scans, whose noise map is as exact with it."""
NOISE_STEPS = (1, 2, 2)
"""Voxels along k (from slice to slice), j and i from one voxel of a window to the next."""
MAX_BATCHED_SIZE = 32
"""Size of the matrices up to which CUDA solves a batch at once; larger ones it takes one by one, slower than a CPU."""
ROUNDS = 2
"""Repetitions of the estimate on magnitudes that are stabilized with the last one."""
SMOOTHING = 2.0
"""Voxels over which the noise map is smoothed: coil sensitivities are smooth, and single windows are not exact."""


def estimate_noise(
    array: Floats, mask: Mask, device: str, threads: int = 1, rician: bool = True, independent: Mask | None = None
) -> Floats:
    """(k, j, i) noise of the real and the imaginary part, smooth, everywhere above 0.

    Magnitudes vary less where the signal is low: with `rician` the level is estimated again on magnitudes stabilized
    with the first estimate (4 % of bias without, with a shell of b = 2500).

    Where no window fits into the mask, and in scans with under four volumes, which have too few small singular values,
    the level comes from the differences of neighbors instead.

    Args:
        array: (k, j, i, V).
        mask: (k, j, i).
        device, threads: see `noise_map`.
        rician: whether these are magnitudes.
        independent: (V,) volumes with independent noise, which alone are used; found if left out.
    """
    array = array[..., independent_volumes(array, mask) if independent is None else independent]
    level = _level(array, mask, device, threads)
    for _ in range(ROUNDS if rician else 0):
        level = level * _level(stabilize(array / level[..., None]), mask, device, threads)
    return level


def noise_map(array: Floats, mask: Mask, radius: int, stride: int, device: str, threads: int = 1) -> Floats:
    """(k, j, i) noise level of (k, j, i, V) from the smallest singular values of windows; 0 where there is no window.

    Windows take every second voxel of a slice. Next neighbors share noise where a scanner fills k-space with zeros or
    filters it; then part of the noise would count as signal, and the level be up to a fifth too low.

    Only voxels in the mask count: where there is no signal, magnitudes vary less than the noise. Windows of which less
    than half lies in the mask are left out.
    """
    data = torch.from_numpy(np.ascontiguousarray(array)).to(device)
    flat, within = data.reshape(-1, array.shape[-1]), torch.from_numpy(mask.reshape(-1)).to(device)

    def measure(index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        index = index[within[index].float().mean(dim=1) >= 0.5]
        inside = within[index]
        count = inside.sum(dim=1, keepdim=True)
        matrix = torch.where(inside[..., None], flat[index], 0.0)
        matrix = torch.where(inside[..., None], matrix - matrix.sum(dim=1, keepdim=True) / count[..., None], 0.0)
        products = gram_matrices(matrix)
        solver = device if products.shape[-1] <= MAX_BATCHED_SIZE else "cpu"
        values = torch.linalg.eigvalsh(products.to(solver)).to(device).clamp_min(0).flip(-1)
        sigma = noise_variance(values, count - 1, flat.shape[1]).sqrt()
        return index.reshape(-1), (sigma * inside).reshape(-1), inside.float().reshape(-1)

    total, weight = torch.zeros(len(flat), device=device), torch.zeros(len(flat), device=device)
    windows = window_indices(mask, radius, stride, flat.shape[1], device, NOISE_STEPS)
    for places, values, weights in map_batches(measure, windows, threads):
        total.index_add_(0, places, values)
        weight.index_add_(0, places, weights)
    return (total / weight.clamp_min(1)).reshape(mask.shape).cpu().numpy()


def _level(array: Floats, mask: Mask, device: str, threads: int) -> Floats:
    found = np.zeros(mask.shape, np.float32)
    if array.shape[-1] >= 4:
        stride = STRIDES[int(mask.sum() > LARGE_MASK)]
        found = noise_map(array, mask, RADIUS, stride, device, threads)
    if not (found > 0).any():
        return np.full(mask.shape, _from_differences(array, mask), np.float32)
    return np.maximum(smooth_in_mask(found, found > 0, SMOOTHING), 1e-6 * float(found.max())).astype(np.float32)


def _from_differences(array: Floats, mask: Mask) -> float:
    """Noise from the second differences along i and j, by their median (Immerkaer 1996)."""
    data = array.astype(np.float64)
    for axis in (1, 2):
        if data.shape[axis] >= 3:
            data = np.diff(data, 2, axis) / np.sqrt(6)
    crop = tuple(slice((a - b) // 2, (a - b) // 2 + b) for a, b in zip(mask.shape, data.shape[:3], strict=True))
    inside: npt.NDArray[Any] = data[mask[crop]] if mask[crop].any() else data
    return max(float(np.median(np.abs(inside))) / 0.6745, 1e-6 * max(float(np.abs(array).max()), 1e-6))
