"""Local PCA with optimal shrinkage, in batches of overlapping windows.

Each window of (2 r + 1)^3 voxels is a matrix of voxels times volumes whose singular values are shrunk. Voxels are
covered by many windows, which are averaged with weights that favor windows with few components (Manjon et al. 2013,
PLoS ONE 8:e73021).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deeprecon.dwmri.noise.rician import signal_from_stabilized, stabilize
from deeprecon.dwmri.noise.singular_values import gram_matrices, shrinkage_factors
from deeprecon.dwmri.noise.windows import LARGE_MASK, map_batches, window_indices

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

MAX_COMPONENTS = 32
"""Components of a scan that are used: in scans of more volumes the others are noise."""
SIMILAR_PER_VOLUME, SIMILAR_LIMITS = 1.6, (24, 48)
"""Similar voxels of a window for each volume: more mix small lesions with what surrounds them."""


def local_pcas(
    array: Floats,
    mask: Mask,
    rician: bool,
    device: str,
    threads: int,
    stride: int | None = None,
    everywhere: bool = False,
) -> list[Floats]:
    """Three results (k, j, i, V) in units of the noise: windows of 3^3, of 5^3, and of the most similar of 5^3 voxels.

    Small windows keep edges, large ones average more noise out, and those of similar voxels do both, as the first two
    show what is similar; their errors differ, so that the mean is better than each.

    Args:
        array: (k, j, i, V) in units of the noise.
        mask: (k, j, i).
        rician: whether these are magnitudes: then their noise is stabilized first, and the results have no bias.
        device, threads: see `shrink`.
        stride: of the windows; by the size of the mask if left out.
        everywhere: see `shrink`.
    """
    large = mask.sum() > LARGE_MASK
    small_stride, large_stride = (1, 2 if large else 1) if stride is None else (stride, stride)
    if rician:
        array = stabilize(array)
    volumes = array.shape[-1]
    used = np.ones_like(mask) if everywhere else mask
    axes = principal_axes(array, used, MAX_COMPONENTS) if volumes > MAX_COMPONENTS else None
    data = array if axes is None else array @ axes
    similar = int(np.clip(SIMILAR_PER_VOLUME * volumes, *SIMILAR_LIMITS))
    small = shrink(data, mask, 1, small_stride, device, threads, everywhere)
    wide = shrink(data, mask, 2, large_stride, device, threads, everywhere)
    pilot = 0.5 * (small + wide)
    alike = shrink(data, mask, 2, large_stride, device, threads, everywhere, pilot, similar)
    parts = (part if axes is None else part @ axes.T for part in (small, wide, alike))
    return [signal_from_stabilized(part) if rician else part for part in parts]


def mean_of_results(results: list[Floats]) -> Floats:
    """Mean of the results of `local_pcas`, without a copy of all of them."""
    total = results[0].copy()
    for result in results[1:]:
        total += result
    total /= len(results)
    return total


def principal_axes(array: Floats, mask: Mask, count: int) -> Floats:
    """(V, C) orthonormal axes of the most variance of the volumes (k, j, i, V) in the mask, at most `count` of them."""
    products = np.zeros((array.shape[-1], array.shape[-1]))
    for part, inside in zip(array, mask, strict=True):  # a slice at a time, as all in double precision take much memory
        values = part[inside].astype(np.float64)
        products += values.T @ values
    _, vectors = np.linalg.eigh(products)
    return np.ascontiguousarray(vectors[:, ::-1][:, :count]).astype(np.float32)


def shrink(
    array: Floats,
    mask: Mask,
    radius: int,
    stride: int,
    device: str,
    threads: int = 1,
    everywhere: bool = False,
    pilot: Floats | None = None,
    similar: int = 0,
) -> Floats:
    """(k, j, i, V) denoised scan.

    Args:
        array: (k, j, i, V) in units of the noise: its standard deviation is 1 everywhere.
        mask: (k, j, i); windows that touch it are used, and voxels outside of all windows are returned as they are.
        radius: of the windows in voxels, smaller along axes that have fewer.
        stride: voxels from one window to the next.
        device: to compute on.
        threads: batches that are worked on at a time on a CPU.
        everywhere: whether the rest of the grid is denoised too, by windows that are further apart.
        pilot: (k, j, i, V) a first result. Of each window only the voxels are used that are most similar to its center
            there, so that edges do not mix tissues (Manjon et al. 2015, Med. Image Anal. 22:35).
        similar: how many these are, with a pilot.
    """
    volumes = array.shape[-1]
    flat, guide = (
        None if values is None else torch.from_numpy(np.ascontiguousarray(values)).to(device).reshape(-1, volumes)
        for values in (array, pilot)
    )
    assert flat is not None

    def denoise(index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if guide is not None:
            center = guide[index[:, index.shape[1] // 2]]
            distance = ((guide[index] - center[:, None]) ** 2).sum(dim=-1)
            nearest = distance.topk(min(similar, index.shape[1]), largest=False).indices
            index = index.gather(1, nearest)
        clean, components = _shrink_windows(flat[index])
        weight = 1 / (1 + components)
        weighted = (clean * weight[:, None, None]).reshape(-1, volumes)
        return index.reshape(-1), weighted, weight[:, None].expand(index.shape).reshape(-1, 1)

    total, weight = torch.zeros_like(flat), torch.zeros((len(flat), 1), device=device)
    windows = window_indices(mask, radius, stride, volumes, device, everywhere=everywhere)
    for places, values, weights in map_batches(denoise, windows, threads):
        total.index_add_(0, places, values)
        weight.index_add_(0, places, weights)
    result = torch.where(weight > 0, total.div_(weight.clamp_min(1e-12)), flat)
    return result.reshape(array.shape).cpu().numpy()


def _shrink_windows(windows: Tensor) -> tuple[Tensor, Tensor]:
    """Windows (B, n, V) with shrunk singular values, and (B,) the effective number of their components."""
    _, voxels, volumes = windows.shape
    mean = windows.mean(dim=1, keepdim=True)
    matrix = windows - mean
    values, vectors = torch.linalg.eigh(gram_matrices(matrix))
    values, vectors = values.clamp_min(0).flip(-1), vectors.flip(-1)
    factors = shrinkage_factors(values, voxels, volumes)
    if volumes <= voxels:
        clean = (matrix @ (vectors * factors[:, None, :])) @ vectors.transpose(1, 2)
    else:
        clean = vectors @ (factors[:, :, None] * (vectors.transpose(1, 2) @ matrix))
    return clean + mean, factors.sum(dim=1)
