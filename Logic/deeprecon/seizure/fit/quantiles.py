"""The Harrell-Davis estimate of a quantile over an ensemble (Harrell and Davis 1982, Biometrika 69:635).

A weighted mean of all ordered values, with weights from the beta distribution: smoother than picking one of them.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def harrell_davis(values: npt.NDArray[np.floating], quantile: float) -> Floats:
    """Quantile over the first axis.

    Args:
        values: (M, ...) at least one; NaN gives NaN.
        quantile: 0 (the least) to 1 (the largest).

    Returns:
        (...) the value itself where M is 1.
    """
    weights = harrell_davis_weights(len(values), quantile)
    ordered = np.sort(np.asarray(values, np.float64), axis=0)
    return np.asarray(np.tensordot(weights, ordered, axes=1), np.float64)


def harrell_davis_weights(count: int, quantile: float) -> Floats:
    """(count,) weights of the ordered values, from the least to the largest; they sum to 1."""
    if count == 1 or quantile in (0.0, 1.0):
        weights = np.zeros(count)
        weights[0 if quantile < 0.5 else -1] = 1
        return weights
    a, b = (count + 1) * quantile, (count + 1) * (1 - quantile)
    return np.diff([beta_cdf(index / count, a, b) for index in range(count + 1)])


def beta_cdf(x: float, a: float, b: float) -> float:
    """Distribution function of the beta distribution at 0 <= x <= 1 (Abramowitz and Stegun 26.5.8)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # the fraction converges quickly only below the mean
        return 1 - beta_cdf(1 - x, b, a)
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    # Lentz's evaluation of the continued fraction
    tiny = 1e-300
    c, d = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    total = d
    for m in range(1, 500):
        for numerator in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 / (1 + numerator * d or tiny)
            c = 1 + numerator / c or tiny
            total *= c * d
        if abs(c * d - 1) < 1e-16:
            break
    return front * total / a
