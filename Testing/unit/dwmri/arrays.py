"""Arrays with known signal and noise."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter

ALL = np.ones((12, 12, 12), bool)
"""A mask of every voxel."""


def white_noise(volumes: int, seed: int = 0, shape=(12, 12, 12)) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((*shape, volumes)).astype(np.float32)


def smooth_signal(volumes: int) -> np.ndarray:
    """Three smooth maps with a weight for each volume."""
    i = np.linspace(0, 1, 12)
    k, j, i = np.meshgrid(i, i, i, indexing="ij")
    maps = np.stack([np.ones_like(k), k + i, j * i], axis=-1)
    return (maps @ (20 * np.random.default_rng(3).standard_normal((3, volumes)))).astype(np.float32)


def blurred_scan(array: np.ndarray, sigma: float) -> np.ndarray:
    """A scan (k, j, i, V) whose volumes are blurred over `sigma` voxels."""
    return gaussian_filter(array, (sigma, sigma, sigma, 0), mode="nearest", truncate=3)
