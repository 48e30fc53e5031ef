"""The bias of magnitude images: the mean of a Rician signal lies above the signal, the more so the nearer to the noise.

Koay and Basser 2006, J. Magn. Reson. 179:317.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

FLOOR = float(np.sqrt(np.pi / 2))
"""Mean of a magnitude without signal, in units of sigma."""
_LARGEST = 40.0
"""Signal in units of sigma from which the bias is taken to be 1 / (2 signal)."""


def rician_mean(signal: Floats) -> npt.NDArray[np.float64]:
    """Mean of the magnitude of a signal with complex Gaussian noise; both in units of sigma."""
    signals, means = _table()
    large = np.maximum(np.asarray(signal, np.float64), 1.0)
    return np.where(signal < _LARGEST, np.interp(signal, signals, means), large + 1 / (2 * large))


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


@lru_cache(maxsize=1)
def _table() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Signals and the means of their magnitudes, in units of sigma."""
    signals = np.linspace(0, _LARGEST, 8001)
    x = signals**2 / 4
    # exp(-x) times the modified Bessel functions I0 and I1, by the trapezoid rule, which converges geometrically
    angle = np.linspace(0, np.pi, 2 * int(_LARGEST) + 1)
    weight = np.full(len(angle), 1 / (len(angle) - 1))
    weight[[0, -1]] /= 2
    kernel = np.exp(np.multiply.outer(x, np.cos(angle) - 1))
    i0, i1 = kernel @ weight, kernel @ (weight * np.cos(angle))
    return signals, FLOOR * ((1 + 2 * x) * i0 + 2 * x * i1)
