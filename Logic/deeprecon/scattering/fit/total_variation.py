"""Smoothed total variation of images in two and three dimensions (Rudin, Osher and Fatemi 1992, Physica D 60:259)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]


def total_variation(image: Floats, rounding: float) -> tuple[float, npt.NDArray[np.float64]]:
    """Integral of |grad q| over a region of side 1, and its gradient by the image.

    Args:
        image: (n,) * d, on pixels that fill the region.
        rounding: differences of neighbors below it count by their squares: |x| is (x^2 + rounding^2)^(1/2) - rounding.
    """
    d, scale = image.ndim, image.shape[0] ** (1 - image.ndim)
    steps = np.zeros((d, *image.shape))
    for axis in range(d):
        inner = tuple(slice(-1) if a == axis else slice(None) for a in range(d))
        steps[axis][inner] = np.diff(image, axis=axis)
    size = np.sqrt((steps**2).sum(axis=0) + rounding**2)
    steps /= size
    gradient = -steps.sum(axis=0)
    for axis in range(d):
        inner = tuple(slice(-1) if a == axis else slice(None) for a in range(d))
        outer = tuple(slice(1, None) if a == axis else slice(None) for a in range(d))
        gradient[outer] += steps[axis][inner]
    return float((size - rounding).sum()) * scale, gradient * scale
