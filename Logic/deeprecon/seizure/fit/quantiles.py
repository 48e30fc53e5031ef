"""The Harrell-Davis estimate of a quantile over an ensemble (Harrell and Davis 1982, Biometrika 69:635).

A weighted mean of all sorted values, with weights from the beta distribution: smoother than a single order statistic.
`scipy.stats.mstats.hdquantiles` is not used: it returns NaN for one value, and loops over the columns in Python.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def harrell_davis(values: npt.NDArray[np.floating], quantile: float) -> Floats:
    """Quantile over the first axis.

    Args:
        values: (M, ...), M >= 1; NaN gives NaN.
        quantile: 0 (minimum) to 1 (maximum).

    Returns:
        (...) the value itself where M is 1.
    """
    weights = harrell_davis_weights(len(values), quantile)
    ordered = np.sort(np.asarray(values, np.float64), axis=0)
    return np.asarray(np.tensordot(weights, ordered, axes=1), np.float64)


def harrell_davis_weights(count: int, quantile: float) -> Floats:
    """(count,) weights of the sorted values in ascending order; they sum to 1."""
    if count == 1 or quantile in (0.0, 1.0):
        weights = np.zeros(count)
        weights[0 if quantile < 0.5 else -1] = 1
        return weights
    from scipy.special import betainc

    edges = np.arange(count + 1) / count
    return np.diff(betainc((count + 1) * quantile, (count + 1) * (1 - quantile), edges))
