"""Correlation of the noise of neighboring voxels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.dwmri.noise.rician import rician_mean

Floats = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

MIN_CORRELATION = 0.03
"""Lag-1 correlation of a residual from which its noise is modeled as correlated."""
VOLUMES_FOR_TAPS = 16
"""Volumes of a scan that are enough to measure the correlation."""


def lag1(residual: Floats, mask: Mask) -> tuple[float, float, float]:
    """Mean correlation of neighbors along k, j and i over the volumes of a residual (k, j, i, W); 0 for white noise."""
    found = []
    for axis in range(3):
        first, second = [slice(None)] * 3, [slice(None)] * 3
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        both = mask[tuple(first)] & mask[tuple(second)]
        if both.sum() < 2:
            found.append(0.0)
            continue
        a = residual[tuple(first)][both].astype(np.float64)
        b = residual[tuple(second)][both].astype(np.float64)
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        size = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
        found.append(float(np.mean((a * b).sum(axis=0)[size > 0] / size[size > 0])) if (size > 0).any() else 0.0)
    return found[0], found[1], found[2]


def noise_taps(array: Floats, clean: Floats, mask: Mask, rician: bool) -> tuple[float, float, float]:
    """Weights a of the filters (a, 1, a) along k, j and i that give white noise the correlation of a scan's residual.

    Args:
        array, clean: (k, j, i, V) scan and result in units of the noise; some of the volumes are used.
        mask: (k, j, i).
        rician: whether the scan holds magnitudes, whose mean is not the signal.
    """
    chosen = slice(None, None, -(-array.shape[-1] // VOLUMES_FOR_TAPS))
    expected = rician_mean(clean[..., chosen]) if rician else clean[..., chosen]
    found = []
    for correlation in lag1((array[..., chosen] - expected).astype(np.float32), mask):
        r = min(correlation, 0.6)  # the inverse of `lag1_of_tap`, whose values are at most 1 / sqrt(2)
        found.append((1 - np.sqrt(1 - 2 * r * r)) / (2 * r) if r > MIN_CORRELATION else 0.0)
    return found[0], found[1], found[2]


def lag1_of_tap(tap: float) -> float:
    """Correlation of neighbors after the filter (tap, 1, tap) on white noise."""
    return 2 * tap / (1 + 2 * tap * tap)
