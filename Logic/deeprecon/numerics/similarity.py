"""How alike two arrays are: structural similarity, peak signal-to-noise ratio, correlation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_SLAB = 32
"""Planes of the first axis whose structural similarity is computed at once: a full CT must not be copied."""


def ssim(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    data_range: float,
    mask: Mask | None = None,
    size: int = 7,
) -> float:
    """Mean structural similarity (Wang et al. 2004, IEEE Trans Image Process 13:600; K1 0.01, K2 0.03).

    Args:
        first, second: of one shape, with any number of axes.
        data_range: of both, from the least to the largest value that they can have.
        mask: of the same shape; windows count whose center lies in it. All windows when left out.
        size: of the uniform windows along each axis, odd. Only windows that lie within the array count.
    """
    return ssim_in_masks(first, second, data_range, [mask], size)[0]


def ssim_in_masks(
    first: npt.ArrayLike,
    second: npt.ArrayLike,
    data_range: float,
    masks: Sequence[Mask | None],
    size: int = 7,
) -> list[float]:
    """`ssim` in each of several masks, for little more time than in one; 0 in a mask without a window."""
    a, b = np.asarray(first), np.asarray(second)
    half = size // 2
    sums, counts = np.zeros(len(masks)), np.zeros(len(masks))
    for start in range(0, len(a) - size + 1, _SLAB):
        planes = slice(start, start + _SLAB + size - 1)
        similarity = _similarity(a[planes].astype(float), b[planes].astype(float), data_range, size)
        inner = (slice(start + half, start + half + len(similarity)), *(slice(half, n - half) for n in a.shape[1:]))
        for place, mask in enumerate(masks):
            part = similarity if mask is None else similarity[mask[inner]]
            sums[place] += part.sum()
            counts[place] += part.size
    return [float(value) for value in sums / np.maximum(counts, 1)]


def _similarity(a: Floats, b: Floats, data_range: float, size: int) -> Floats:
    """Structural similarity of each window that lies within the arrays; variances are over n - 1 values."""
    from scipy.ndimage import uniform_filter

    inner = (slice(size // 2, -(size // 2)),) * a.ndim

    def mean(values: Floats) -> Floats:
        windows: Floats = uniform_filter(values, size)[inner]
        return windows

    count = size**a.ndim
    scale = count / (count - 1)
    mean_a, mean_b = mean(a), mean(b)
    variances = scale * (mean(a * a) - mean_a**2 + mean(b * b) - mean_b**2)
    covariance = scale * (mean(a * b) - mean_a * mean_b)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    similarity: Floats = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    similarity /= (mean_a**2 + mean_b**2 + c1) * (variances + c2)
    return similarity


def psnr(result: npt.ArrayLike, truth: npt.ArrayLike, data_range: float, mask: Mask | None = None) -> float:
    """Peak signal-to-noise ratio in dB, over a mask or all values; infinite where both are equal.

    Args:
        result, truth: of one shape.
        data_range: the peak.
        mask: bool, of the shape of their first axes.
    """
    error = np.asarray(result) - np.asarray(truth)
    return psnr_of_error(float(np.mean((error if mask is None else error[mask]).astype(np.float64) ** 2)), data_range)


def psnr_of_error(mean_square: float, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB of a mean squared error."""
    return float("inf") if mean_square == 0 else 10 * float(np.log10(data_range**2 / mean_square))


def correlation(first: npt.ArrayLike, second: npt.ArrayLike, constant: float = 0.0) -> float:
    """Pearson's correlation of two arrays of one shape; `constant` where one has the same value everywhere."""
    a, b = (np.asarray(values, np.float64).ravel() for values in (first, second))
    if a.size < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return constant
    return float(np.corrcoef(a, b)[0, 1])
