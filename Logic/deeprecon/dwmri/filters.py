"""Small filters on volumes, with numpy alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]


def gaussian(array: Floats, sigma: float) -> Floats:
    """An array (k, j, i, ...) after a Gaussian of `sigma` voxels over its first three axes, its rim repeated."""
    radius = max(1, int(3 * sigma + 0.5))
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    for axis in range(3):
        array = _along(array, weights, axis)
    return array


def _along(array: Floats, weights: Floats, axis: int) -> Floats:
    radius, count = len(weights) // 2, array.shape[axis]
    padded = np.pad(array, [(radius, radius) if a == axis else (0, 0) for a in range(array.ndim)], mode="edge")
    result = np.zeros_like(array)
    for shift, weight in enumerate(weights):
        window = [slice(None)] * array.ndim
        window[axis] = slice(shift, shift + count)
        result += array.dtype.type(weight) * padded[tuple(window)]
    return result


def smooth_in_mask(array: Floats, mask: Mask, sigma: float) -> Floats:
    """A volume (k, j, i) smoothed by what lies in the mask alone, and continued beyond it."""
    inside = mask.astype(array.dtype)
    weight = gaussian(inside, sigma)
    near = gaussian(np.where(mask, array, 0).astype(array.dtype), sigma) / np.maximum(weight, 1e-6)
    return np.where(weight > 1e-3, near, np.median(array[mask]) if mask.any() else 0).astype(array.dtype)


def median(array: Floats, radius: int) -> Floats:
    """A volume (k, j, i) after a median over cubes, its rim repeated."""
    size = 2 * radius + 1
    padded = np.pad(array, radius, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size, size))
    return np.stack([np.median(plane.reshape(*plane.shape[:2], -1), axis=-1) for plane in windows]).astype(array.dtype)


def gradient_magnitude(array: Floats, sigma: float) -> Floats:
    """(k, j, i) length of the gradient of a smoothed volume, per voxel."""
    smoothed = gaussian(array, sigma)
    squares = [np.gradient(smoothed, axis=axis) ** 2 for axis in range(3) if array.shape[axis] > 1]
    return np.asarray(np.sqrt(sum(squares, np.zeros_like(smoothed))), array.dtype)


def laplacian_of_gaussian(array: Floats, sigma: float) -> Floats:
    """(k, j, i) Laplacian of a smoothed volume, per voxel squared."""
    smoothed = np.pad(gaussian(array, sigma), 1, mode="edge")
    inner = (slice(1, -1),) * 3
    total = -6 * smoothed[inner]
    for axis in range(3):
        for step in (-1, 1):
            total = total + np.roll(smoothed, step, axis)[inner]
    return np.asarray(total, array.dtype)
