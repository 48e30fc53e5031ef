"""Filters of volumes (k, j, i); their edges are repeated beyond the grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

Floats = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]


def gaussian(array: Floats, sigma: float) -> Floats:
    """A volume smoothed by a Gaussian of `sigma` voxels, truncated at three sigma."""
    smoothed: Floats = gaussian_filter(array, sigma, mode="nearest", truncate=3.0)
    return smoothed


def smooth_in_mask(array: Floats, mask: Mask, sigma: float) -> Floats:
    """A volume smoothed by normalized convolution over the voxels of a mask, and extrapolated beyond it."""
    weight = gaussian(mask.astype(array.dtype), sigma)
    near = gaussian(np.where(mask, array, 0).astype(array.dtype), sigma) / np.maximum(weight, 1e-6)
    return np.where(weight > 1e-3, near, np.median(array[mask]) if mask.any() else 0).astype(array.dtype)


def gradient_magnitude(array: Floats, sigma: float) -> Floats:
    """Length of the gradient of a smoothed volume, per voxel."""
    smoothed = gaussian(array, sigma)
    squares = [np.gradient(smoothed, axis=axis) ** 2 for axis in range(3) if array.shape[axis] > 1]
    return np.asarray(np.sqrt(sum(squares, np.zeros_like(smoothed))), array.dtype)
