"""Similarity of a film and a projection whose gray values are related by an unknown monotone curve."""

from __future__ import annotations

import torch
from torch import Tensor

KNOTS = 64
"""Knots of the piecewise linear curve of `ranks`."""
FLAT = 1e-4
"""Product of the variances of two images of ranks below which they count as flat."""


def ranks(image: Tensor, weight: Tensor) -> Tensor:
    """The share of the weighted pixels below each pixel, 0 to 1: the same after every monotone display curve.

    Differentiable in the image along its cumulative histogram, which is held fixed.

    Args:
        image: (rows, columns).
        weight: (rows, columns) pixels above 0 count.
    """
    inside = image.detach()[weight > 0]
    levels = torch.linspace(0, 1, KNOTS, dtype=image.dtype)
    knots = torch.quantile(inside, levels)
    knots = knots + torch.linspace(0, 1e-4, KNOTS) * (1e-6 + knots[-1] - knots[0])  # equal values, as of air
    above = torch.searchsorted(knots, image.detach().contiguous()).clamp(1, KNOTS - 1)
    low, high = knots[above - 1], knots[above]
    share = ((image - low) / (high - low)).clamp(0, 1)
    return (above - 1 + share) / (KNOTS - 1)


def correlation(first: Tensor, second: Tensor, weight: Tensor) -> Tensor:
    """Pearson's correlation of the weighted pixels; the last two axes are rows and columns."""
    total = weight.sum((-2, -1), keepdim=True)
    a = first - (first * weight).sum((-2, -1), keepdim=True) / total
    b = second - (second * weight).sum((-2, -1), keepdim=True) / total
    products = [(weight * left * right).sum((-2, -1)) for left, right in ((a, b), (a, a), (b, b))]
    return products[0] / torch.sqrt(products[1] * products[2] + 1e-12)


def gaussian(count: int, sigma: float) -> Tensor:
    """(count, count) matrix that filters an axis by a Gaussian of `sigma` pixels, normalized within the image."""
    at = torch.arange(count, dtype=torch.float32)
    weights = torch.exp(-0.5 * ((at[:, None] - at[None, :]) / sigma) ** 2)
    return weights / weights.sum(dim=1, keepdim=True)


class LocalCorrelation:
    """Mean of Pearson's correlation in Gaussian windows (Cachier & Pennec 2000), of weighted pixels.

    Args:
        fixed: (rows, columns) image that others are compared with.
        weight: (rows, columns) of its pixels.
        sigma: of the window in pixels.
    """

    def __init__(self, fixed: Tensor, weight: Tensor, sigma: float) -> None:
        self._filters = [gaussian(count, sigma) for count in fixed.shape]
        self._fixed, self._weight = fixed, weight
        self._total = self._filtered(weight) + 1e-6
        self._mean = self._filtered(weight * fixed) / self._total
        self._variance = self._filtered(weight * fixed**2) / self._total - self._mean**2

    def __call__(self, moved: Tensor) -> Tensor:
        """Of another image, (..., rows, columns)."""
        mean = self._filtered(self._weight * moved) / self._total
        variance = self._filtered(self._weight * moved**2) / self._total - mean**2
        both = self._filtered(self._weight * moved * self._fixed) / self._total - mean * self._mean
        local = both / torch.sqrt(variance.clamp(min=0) * self._variance.clamp(min=0) + FLAT)
        return (local * self._weight).sum((-2, -1)) / self._weight.sum()

    def _filtered(self, image: Tensor) -> Tensor:
        return self._filters[0] @ image @ self._filters[1].T
