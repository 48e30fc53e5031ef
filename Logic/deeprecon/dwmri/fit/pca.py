"""Local PCA with optimal shrinkage, in batches of overlapping windows.

Each window of (2 r + 1)^3 voxels is a matrix of voxels times volumes whose small singular values are noise. The first
pass finds the noise level where the singular values follow the law of Marchenko and Pastur (Veraart et al. 2016,
NeuroImage 142:394); the second one knows it, and shrinks the singular values as is best for the squared error (Gavish
and Donoho 2017, IEEE Trans. Inf. Theory 63:2137). Voxels are covered by many windows, which are averaged with weights
that favor simple ones (Manjon et al. 2013, PLoS ONE 8:e73021).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
T = TypeVar("T")

LARGE = 60_000
"""Voxels in the mask from which on windows are further apart: it costs 0.1 dB and saves most of the time."""
NOISE_STEPS = (1, 2, 2)
"""Voxels along k (from slice to slice), j and i from one voxel of a window to the next, where noise is measured."""
NUMBERS_A_BATCH = 4_000_000
"""Matrix entries that are worked on at a time: 16 MB."""
LARGEST_BATCHED = 32
"""Size of the matrices up to which CUDA solves a batch at once; larger ones it takes one by one, slower than a CPU."""


def noise_map(array: Floats, mask: Mask, radius: int, stride: int, device: str, threads: int = 1) -> Floats:
    """(k, j, i) noise level of (k, j, i, V) from each window's smallest singular values; 0 where none looked.

    Windows take every second voxel of a slice. Next neighbors share noise where a scanner fills k-space with zeros or
    filters it; then part of the noise looks like signal, and the level comes out up to a fifth too low.

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
        products = _gram(matrix)
        solver = device if products.shape[-1] <= LARGEST_BATCHED else "cpu"
        values = torch.linalg.eigvalsh(products.to(solver)).to(device).clamp_min(0).flip(-1)
        sigma = _marchenko_pastur(values, count - 1, flat.shape[1]).sqrt()
        return index.reshape(-1), (sigma * inside).reshape(-1), inside.float().reshape(-1)

    total, weight = torch.zeros(len(flat), device=device), torch.zeros(len(flat), device=device)
    windows = _windows(mask, radius, stride, flat.shape[1], device, NOISE_STEPS)
    for places, values, shares in _each(measure, windows, threads):
        total.index_add_(0, places, values)
        weight.index_add_(0, places, shares)
    return (total / weight.clamp_min(1)).reshape(mask.shape).cpu().numpy()


def shrink(
    array: Floats,
    mask: Mask,
    radius: int,
    stride: int,
    device: str,
    threads: int = 1,
    pilot: Floats | None = None,
    similar: int = 0,
) -> Floats:
    """(k, j, i, V) denoised scan.

    Args:
        array: (k, j, i, V) in units of the noise: its standard deviation is 1 everywhere.
        mask: (k, j, i); windows that touch it are used, and voxels off all of them are returned as they are.
        radius: of the windows in voxels, smaller along axes that have fewer.
        stride: voxels from one window to the next.
        device: to compute on.
        threads: batches that are worked on at a time on a CPU.
        pilot: (k, j, i, V) a first result. Of each window only the voxels count that are most like its middle there, so
            that edges do not mix tissues (Manjon et al. 2015, Med. Image Anal. 22:35).
        similar: how many these are, with a pilot.
    """
    data = torch.from_numpy(np.ascontiguousarray(array)).to(device)
    volumes = array.shape[-1]
    flat = data.reshape(-1, volumes)
    guide = None if pilot is None else torch.from_numpy(np.ascontiguousarray(pilot)).to(device).reshape(-1, volumes)

    def denoise(index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if guide is not None:
            middle = guide[index[:, index.shape[1] // 2]]
            distance = ((guide[index] - middle[:, None]) ** 2).sum(dim=-1)
            nearest = distance.topk(min(similar, index.shape[1]), largest=False).indices
            index = index.gather(1, nearest)
        matrix, mean = _centered(flat, index)
        values, vectors = _spectrum(matrix)
        kept = _shrinkage(values, *_sizes(index.shape[1], volumes))
        if matrix.shape[2] <= matrix.shape[1]:
            clean = (matrix @ (vectors * kept[:, None, :])) @ vectors.transpose(1, 2)
        else:
            clean = vectors @ (kept[:, :, None] * (vectors.transpose(1, 2) @ matrix))
        share = 1 / (1 + kept.sum(dim=1))
        weighted = ((clean + mean) * share[:, None, None]).reshape(-1, volumes)
        return index.reshape(-1), weighted, share[:, None].expand(index.shape).reshape(-1, 1)

    total, weight = torch.zeros_like(flat), torch.zeros((len(flat), 1), device=device)
    for places, values, shares in _each(denoise, _windows(mask, radius, stride, volumes, device), threads):
        total.index_add_(0, places, values)
        weight.index_add_(0, places, shares)
    result = torch.where(weight > 0, total.div_(weight.clamp_min(1e-12)), flat)
    return result.reshape(array.shape).cpu().numpy()


def _each(work: Callable[[Tensor], T], batches: Iterable[Tensor], threads: int) -> Iterator[T]:
    """`work` on each batch, several at a time, in order.

    Each batch is computed on one thread: the solver's own threads wait for each other on matrices this small.
    """
    if threads == 1:
        yield from map(_alone(work), batches)
        return
    with ThreadPoolExecutor(threads) as pool:
        running: deque[Future[T]] = deque()
        for batch in batches:
            running.append(pool.submit(_alone(work), batch))
            if len(running) > threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def _alone(work: Callable[[Tensor], T]) -> Callable[[Tensor], T]:
    def run(batch: Tensor) -> T:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return work(batch)
        finally:
            torch.set_num_threads(before)

    return run


def _windows(
    mask: Mask, radius: int, stride: int, volumes: int, device: str, steps: tuple[int, int, int] = (1, 1, 1)
) -> Iterator[Tensor]:
    """(B, n) flat voxel numbers of the windows that touch the mask, batch after batch.

    Args:
        mask: (k, j, i).
        radius: voxels of a window on each side of its middle, fewer along axes that are short.
        stride: voxels from one window to the next.
        volumes: of the scan, for the size of a batch.
        device: where the numbers are wanted.
        steps: voxels along k, j and i from one voxel of a window to the next.
    """
    shape = mask.shape
    widths = [2 * min(radius, (count - 1) // (2 * step)) * step for count, step in zip(shape, steps, strict=True)]
    starts = [
        np.unique(np.append(np.arange(0, count - width, stride), count - width - 1))
        for count, width in zip(shape, widths, strict=True)
    ]
    chosen: npt.NDArray[Any] = mask
    for axis, (width, step) in enumerate(zip(widths, steps, strict=True)):
        views = np.lib.stride_tricks.sliding_window_view(chosen, width + 1, axis)
        chosen = np.asarray(views[..., ::step].any(axis=-1))
    grid = np.stack(np.meshgrid(*starts, indexing="ij"), axis=-1).reshape(-1, 3)
    grid = grid[chosen[tuple(grid.T)]]
    places = [np.arange(0, width + 1, step) for width, step in zip(widths, steps, strict=True)]
    offsets = np.stack(np.meshgrid(*places, indexing="ij"), axis=-1).reshape(-1, 3)
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    first, inside = (torch.from_numpy(voxels @ strides).to(device) for voxels in (grid, offsets))
    size = max(1, NUMBERS_A_BATCH // (len(offsets) * volumes))
    for start in range(0, len(first), size):
        yield first[start : start + size, None] + inside[None]


def _centered(data: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """(B, n, V) windows of the voxels (N, V) with the mean over their voxels taken off, and that mean."""
    matrix = data[index]
    mean = matrix.mean(dim=1, keepdim=True)
    return matrix - mean, mean


def _sizes(voxels: int, volumes: int) -> tuple[int, int]:
    """The smaller and the larger side of the random part: taking the mean off costs one voxel."""
    voxels = max(voxels - 1, 1)
    return min(voxels, volumes), max(voxels, volumes)


def _spectrum(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Squared singular values from the largest down, and the vectors on the shorter side."""
    values, vectors = torch.linalg.eigh(_gram(matrix))
    return values.clamp_min(0).flip(-1), vectors.flip(-1)


def _gram(matrix: Tensor) -> Tensor:
    """(B, M, M) products of the rows or of the columns (B, n, V), whichever are fewer."""
    tall = matrix.shape[2] <= matrix.shape[1]
    return matrix.transpose(1, 2) @ matrix if tall else matrix @ matrix.transpose(1, 2)


def _marchenko_pastur(values: Tensor, voxels: Tensor, volumes: int) -> Tensor:
    """(B, 1) noise variance: the mean of the smallest eigenvalues that together are as wide as noise alone can be.

    Each signal component takes a row and a column of noise with it (Cordero-Grande et al. 2019, NeuroImage 200:391).

    Args:
        values: (B, M) squared singular values, from the largest down.
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


def _shrinkage(values: Tensor, rows: int, columns: int) -> Tensor:
    """Share of each singular value that is kept, for noise of variance 1."""
    beta = rows / columns
    y = torch.sqrt(values / columns)
    inner = ((y**2 - beta - 1) ** 2 - 4 * beta).clamp_min(0)
    kept = torch.sqrt(inner) / (y**2).clamp_min(1e-12)
    return torch.where(y > 1 + beta**0.5, kept, torch.zeros_like(kept))
