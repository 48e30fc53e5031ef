"""Extrapolation of pixel values beyond the pixels that have one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_NEIGHBORS = tuple((dj, di) for dj in (0, 1, 2) for di in (0, 1, 2))


def fill_from_neighbors(
    values: npt.NDArray[np.floating], known: npt.NDArray[np.bool_], wanted: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Fill pixels from their nearest known ones, ring by ring, each as the mean of its known neighbors (of 8).

    Args:
        values: (k, j, i); each slice is filled by itself.
        known: (k, j, i), where `values` are valid.
        wanted: (k, j, i), which pixels are needed. Those of a slice without any known pixel keep their value.
    """
    known = known.copy()
    result = np.where(known, values, 0.0)
    reachable = wanted & known.any(axis=(1, 2), keepdims=True)
    rows, columns = values.shape[1:]
    while (reachable & ~known).any():
        padded = np.pad(result, ((0, 0), (1, 1), (1, 1)))
        padded_known = np.pad(known.astype(np.float64), ((0, 0), (1, 1), (1, 1)))
        total = sum(padded[:, dj : dj + rows, di : di + columns] for dj, di in _NEIGHBORS)
        count = sum(padded_known[:, dj : dj + rows, di : di + columns] for dj, di in _NEIGHBORS)
        ring = ~known & (count > 0)
        result[ring] = (total / np.maximum(count, 1))[ring]
        known |= ring
    return np.where(known, result, values)
