"""Whether the intensities of a wall are one population, or healthy and enhanced wall."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MIN_PREFERENCE = 10.0
"""Difference of the Bayesian information criterion that is very strong evidence (Kass & Raftery 1995, JASA 90:773)."""
_BINS = 512
_ROUNDS = 300
_SPLITS = (50, 75, 90, 97, 99.5)
"""Percentiles at which the two populations are divided to begin with."""


def are_two_populations(values: Floats) -> bool:
    """Whether a mixture of two normal distributions is preferred over one by a BIC of `MIN_PREFERENCE`.

    Args:
        values: (N,) intensities, not all the same.
    """
    counts, edges = np.histogram(values, _BINS)
    x, weights = (edges[1:] + edges[:-1])[counts > 0] / 2, counts[counts > 0].astype(np.float64)
    narrowest = edges[1] - edges[0]
    one = _log_likelihood(x, weights, *_normal(x, weights, narrowest))
    ranks = np.searchsorted(np.cumsum(weights), np.array(_SPLITS) / 100 * len(values))
    splits = {*x[np.minimum(ranks, len(x) - 2)].tolist(), float(x[0] + x[-1]) / 2}
    two = max(_fit_mixture(x, weights, split, narrowest) for split in splits)
    return bool(2 * (two - one) - 3 * np.log(len(values)) > MIN_PREFERENCE)  # 5 parameters instead of 2


def _normal(x: Floats, weights: Floats, narrowest: float) -> tuple[Floats, Floats, Floats]:
    """Share, mean and deviation of one population."""
    mean = float(np.average(x, weights=weights))
    deviation = max(float(np.sqrt(np.average((x - mean) ** 2, weights=weights))), narrowest)
    return np.array([1.0]), np.array([mean]), np.array([deviation])


def _log_densities(x: Floats, share: Floats, mean: Floats, deviation: Floats) -> Floats:
    """(N, P) logarithm of each population's share of the density, without the common constant."""
    parts: Floats = np.log(share / deviation) - 0.5 * ((x[:, None] - mean) / deviation) ** 2
    return parts


def _log_likelihood(x: Floats, weights: Floats, share: Floats, mean: Floats, deviation: Floats) -> float:
    return float(weights @ np.logaddexp.reduce(_log_densities(x, share, mean, deviation), axis=1))


def _fit_mixture(x: Floats, weights: Floats, split: float, narrowest: float) -> float:
    """Log likelihood of two populations, fitted by expectation and maximization from a division at `split`."""
    belongs = np.stack([x <= split, x > split], axis=1).astype(np.float64)
    likelihood = -np.inf
    for _ in range(_ROUNDS):
        mass = np.maximum(weights @ belongs, 1e-9)
        mean = (weights * x) @ belongs / mass
        spread = weights @ (belongs * (x[:, None] - mean) ** 2) / mass
        populations = mass / mass.sum(), mean, np.maximum(np.sqrt(spread), narrowest)
        parts = _log_densities(x, *populations)
        total = np.logaddexp.reduce(parts, axis=1)
        belongs = np.exp(parts - total[:, None])
        before, likelihood = likelihood, float(weights @ total)
        if likelihood - before < 1e-6 * abs(likelihood):
            break
    return likelihood
