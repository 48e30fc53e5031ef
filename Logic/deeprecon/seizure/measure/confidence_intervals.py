"""95 % confidence intervals of a share and of a count."""

from __future__ import annotations

import math

Interval = tuple[float, float]


def share_interval(hits: int, count: int) -> Interval:
    """Wilson's interval of hits / count (Wilson 1927, J Am Stat Assoc 22:209); NaN where `count` is 0."""
    from scipy.stats import binomtest

    if not count:
        return math.nan, math.nan
    low, high = binomtest(hits, count).proportion_ci(method="wilson")
    return float(low), float(high)


def count_interval(count: int) -> Interval:
    """Exact interval of the mean of a Poisson distribution from one count (Garwood 1936, Biometrika 28:437)."""
    from scipy.special import gammaincinv

    low = float(gammaincinv(count, 0.025)) if count else 0.0
    return low, float(gammaincinv(count + 1, 0.975))
