"""A signal at another rate, without the frequencies that the new rate cannot carry."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_ZEROS = 12  # zero crossings of the sinc on each side
_BETA = 7.0  # of the Kaiser window: about -70 dB
_CHUNK = 100_000


def resample(values: Floats, rate: float, new_rate: float, times: Floats) -> Floats:
    """Values at `times` by interpolation with a windowed sinc (Smith, Digital Audio Resampling).

    Args:
        values: (N,) evenly spaced, the first at 0 s; the ends are continued by their mirror image.
        rate: of the values, Hz.
        new_rate: of the result, Hz; what lies above half of it is taken away.
        times: (M,) s from 0 to (N - 1) / rate.

    Returns:
        (M,) the values themselves where rates and places are the same.
    """
    places = np.asarray(times, np.float64) * rate
    if abs(rate / new_rate - 1) < 1e-9 and np.abs(places - np.round(places)).max(initial=0.0) < 1e-6:
        return np.asarray(values, np.float64)[np.round(places).astype(np.int64)]
    cutoff = min(1.0, 0.95 * new_rate / rate)  # share of the old half rate
    reach = math.ceil(_ZEROS / cutoff)
    reach = min(reach, len(values) - 1)
    padded = np.pad(np.asarray(values, np.float64), reach + 1, mode="reflect" if len(values) > reach + 1 else "edge")
    result = np.empty(len(places))
    taps = np.arange(-reach, reach + 1)
    for first in range(0, len(places), _CHUNK):
        place = places[first : first + _CHUNK]
        middle = np.round(place).astype(np.int64)
        away = (middle - place)[:, None] + taps
        window = np.i0(_BETA * np.sqrt(np.maximum(0.0, 1 - (away / (reach + 1)) ** 2)))
        kernel = np.sinc(cutoff * away) * window
        kernel /= kernel.sum(axis=1, keepdims=True)  # a constant stays what it is
        result[first : first + _CHUNK] = (padded[middle[:, None] + taps + reach + 1] * kernel).sum(axis=1)
    return result
