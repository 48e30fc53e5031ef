"""Rician statistics of magnitude images: near the noise floor the mean lies above the signal, and the noise is weaker.

The bias is that of Koay and Basser 2006, J. Magn. Reson. 179:317. Local PCA assumes the same noise everywhere: before
it, a variance-stabilizing transform of the magnitude (Foi 2011, IEEE ISBI:1809), whose inverse is exact for the mean.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import i0e, i1e

Floats = npt.NDArray[np.floating[Any]]
Doubles = npt.NDArray[np.float64]

NOISE_FLOOR = float(np.sqrt(np.pi / 2))
"""Mean of a magnitude without signal, in units of sigma."""
_TABLE_END = 40.0
"""Signal in units of sigma from which the bias is taken to be 1 / (2 signal)."""
_TABLE_STEPS = 1 << 15


def rician_mean(signal: Floats) -> npt.NDArray[np.float64]:
    """Mean of the magnitude of a signal with complex Gaussian noise; both in units of sigma."""
    signals, means = _table()
    large = np.maximum(np.asarray(signal, np.float64), 1.0)
    return np.where(signal < _TABLE_END, np.interp(signal, signals, means), large + 1 / (2 * large))


def correct_bias(mean: Floats, sigma: Floats) -> npt.NDArray[np.float32]:
    """The signal whose magnitude has this mean; 0 where the mean is not above that of noise alone.

    Args:
        mean: (k, j, i, V) denoised magnitudes.
        sigma: (k, j, i) noise of the real and the imaginary part; where it is 0 the mean is returned.
    """
    signals, means = _table()
    result = np.empty(mean.shape, np.float32)
    safe = np.where(sigma > 0, sigma, 1.0)
    for volume in range(mean.shape[-1]):  # one at a time: the interpolation computes in double precision
        ratio = mean[..., volume] / safe
        signal = np.interp(ratio, means, signals)
        high = ratio > means[-1]
        signal[high] = 0.5 * (ratio[high] + np.sqrt(ratio[high] ** 2 - 2))  # inverse of s + 1 / (2 s)
        result[..., volume] = np.where(sigma > 0, signal * safe, mean[..., volume])
    return result


def rician_std(signal: Floats) -> npt.NDArray[np.float64]:
    """Standard deviation of the magnitude of a signal with complex Gaussian noise; both in units of sigma."""
    near = np.minimum(signal, _TABLE_END)
    near_std = np.sqrt(np.maximum(2 + np.asarray(near, np.float64) ** 2 - rician_mean(near) ** 2, 0))
    # the difference of large squares is not exact
    return np.where(np.asarray(signal) < 10, near_std, np.sqrt(1 - 0.5 / np.maximum(signal, 1.0) ** 2))


def stabilize(magnitude: Floats) -> npt.NDArray[np.float32]:
    """A function of magnitudes (in units of sigma) whose noise has a standard deviation of about 1 at any signal."""
    magnitudes, stable, _, _ = _stable_table()
    return _interpolated(magnitude, magnitudes, stable)


def signal_from_stabilized(stabilized: Floats) -> npt.NDArray[np.float32]:
    """The signal whose stabilized magnitude has this mean, both in units of sigma; 0 where noise alone has more."""
    _, _, signals, means = _stable_table()
    return _interpolated(stabilized, means, signals)


def _interpolated(values: Floats, points: Doubles, results: Doubles) -> npt.NDArray[np.float32]:
    """Values (k, j, i, V) interpolated in a table that continues with a slope of 1.

    The table is resampled to even steps, which need no search: four times as fast as `numpy.interp`.
    """
    start, end, offset = (np.float32(value) for value in (points[0], points[-1], results[-1] - points[-1]))
    even = np.interp(np.linspace(points[0], points[-1], _TABLE_STEPS + 1), points, results).astype(np.float32)
    slope, per_unit = np.diff(even), np.float32(_TABLE_STEPS / (points[-1] - points[0]))
    found = np.empty(values.shape, np.float32)
    for part, into in zip(values, found, strict=True):  # a slice at a time stays in the cache
        place = np.clip((part - start) * per_unit, 0, _TABLE_STEPS - 1).astype(np.float32)
        index = place.astype(np.int32)
        into[...] = np.where(part < end, even[index] + (place - index) * slope[index], part + offset)
    return found


@lru_cache(maxsize=1)
def _stable_table() -> tuple[npt.NDArray[np.float64], ...]:
    """Magnitudes and their `stabilize` values; signals and the means of their stabilized magnitudes, in units of sigma.

    The function's slope is 1 over the standard deviation of magnitudes with this mean; below the noise floor it is
    linear. Its mean is taken over a grid of complex noise.
    """
    signals = np.concatenate([np.linspace(0, 6, 121), np.geomspace(6, _TABLE_END, 80)[1:]])
    magnitudes = np.concatenate([[0.0], rician_mean(signals)])
    spread = rician_std(np.concatenate([[0.0], signals]))
    slope = 2 / (spread[1:] + spread[:-1])
    stable = np.concatenate([[0.0], np.cumsum(np.diff(magnitudes) * slope)])
    noise = np.linspace(-5.5, 5.5, 111)
    weight = np.exp(-(noise**2) / 2) / np.exp(-(noise**2) / 2).sum()
    means = np.empty(len(signals))
    offset = stable[-1] - magnitudes[-1]
    for place, signal in enumerate(signals):
        size = np.hypot(signal + noise[:, None], noise)
        values = np.where(size < magnitudes[-1], np.interp(size, magnitudes, stable), size + offset)
        means[place] = weight @ values @ weight
    return magnitudes, stable, signals, means


@lru_cache(maxsize=1)
def _table() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Signals and the means of their magnitudes, in units of sigma."""
    signals = np.linspace(0, _TABLE_END, 8001)
    x = signals**2 / 4
    return signals, NOISE_FLOOR * ((1 + 2 * x) * i0e(x) + 2 * x * i1e(x))
