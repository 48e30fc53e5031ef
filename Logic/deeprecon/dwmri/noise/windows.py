"""Overlapping windows of a scan, worked on in batches: the noise map and local PCA go through them alike."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Mask = npt.NDArray[np.bool_]
T = TypeVar("T")

LARGE_MASK = 60_000
"""Voxels in the mask from which on windows are further apart: it costs 0.1 dB and saves most of the time."""
BATCH_ELEMENTS = 4_000_000
"""Matrix entries that are worked on at a time: 16 MB."""


def window_indices(
    mask: Mask,
    radius: int,
    stride: int,
    volumes: int,
    device: str,
    steps: tuple[int, int, int] = (1, 1, 1),
    everywhere: bool = False,
) -> Iterator[Tensor]:
    """(B, n) flat voxel indices of the windows that touch the mask, batch after batch.

    Args:
        mask: (k, j, i).
        radius: voxels of a window on each side of its center, fewer along axes that are short.
        stride: voxels from one window to the next.
        volumes: of the scan, for the size of a batch.
        device: where the indices are needed.
        steps: voxels along k, j and i from one voxel of a window to the next.
        everywhere: whether windows that do not touch the mask follow, as far apart as covers the rest of the grid.
    """
    shape = mask.shape
    widths = [2 * min(radius, (count - 1) // (2 * step)) * step for count, step in zip(shape, steps, strict=True)]
    touched: npt.NDArray[Any] = mask
    for axis, (width, step) in enumerate(zip(widths, steps, strict=True)):
        views = np.lib.stride_tricks.sliding_window_view(touched, width + 1, axis)
        touched = np.asarray(views[..., ::step].any(axis=-1))
    grid = _starts(shape, widths, stride)
    grid = grid[touched[tuple(grid.T)]]
    if everywhere:
        rest = _starts(shape, widths, max(stride, 2 * radius))
        grid = np.concatenate([grid, rest[~touched[tuple(rest.T)]]])
    places = [np.arange(0, width + 1, step) for width, step in zip(widths, steps, strict=True)]
    offsets = np.stack(np.meshgrid(*places, indexing="ij"), axis=-1).reshape(-1, 3)
    strides = np.array([shape[1] * shape[2], shape[2], 1])
    first, inside = (torch.from_numpy(voxels @ strides).to(device) for voxels in (grid, offsets))
    size = max(1, BATCH_ELEMENTS // (len(offsets) * volumes))
    for start in range(0, len(first), size):
        yield first[start : start + size, None] + inside[None]


def _starts(shape: tuple[int, ...], widths: list[int], stride: int) -> npt.NDArray[np.int64]:
    """(N, 3) first voxels of windows `stride` voxels apart; the last ones end with the grid."""
    along = [
        np.unique(np.append(np.arange(0, count - width, stride), count - width - 1))
        for count, width in zip(shape, widths, strict=True)
    ]
    return np.stack(np.meshgrid(*along, indexing="ij"), axis=-1).reshape(-1, 3)


def map_batches(work: Callable[[Tensor], T], batches: Iterable[Tensor], threads: int) -> Iterator[T]:
    """`work` on each batch, several at a time, in order.

    Each batch is computed on one thread: the eigenvalue solver's own threads wait for each other on small matrices.
    """
    if threads == 1:
        yield from map(_single_threaded(work), batches)
        return
    with ThreadPoolExecutor(threads) as pool:
        running: deque[Future[T]] = deque()
        for batch in batches:
            running.append(pool.submit(_single_threaded(work), batch))
            if len(running) > threads:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


def _single_threaded(work: Callable[[Tensor], T]) -> Callable[[Tensor], T]:
    def run(batch: Tensor) -> T:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return work(batch)
        finally:
            torch.set_num_threads(before)

    return run
