"""Resampling with a band limit, at arbitrary times.

scipy.signal resamples onto a grid that starts with the first sample, by a rational factor. A gap may start at any time
and a watch's rate is measured, so neither applies.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_ZERO_CROSSINGS = 12  # of the sinc on each side
_KAISER_BETA = 7.0  # side lobes of about -70 dB
_CHUNK = 100_000


def resample(values: Floats, rate: float, new_rate: float, times: Floats) -> Floats:
    """Values at `times` by interpolation with a windowed sinc (Smith, Digital Audio Resampling).

    Args:
        values: (N,) evenly spaced, the first at 0 s; the ends are extended by reflection.
        rate: of the values, Hz.
        new_rate: of the result, Hz; frequencies above half of it are removed.
        times: (M,) s from 0 to (N - 1) / rate.

    Returns:
        (M,) the values themselves where rates and times are the same.
    """
    positions = np.asarray(times, np.float64) * rate
    if abs(rate / new_rate - 1) < 1e-9 and np.abs(positions - np.round(positions)).max(initial=0.0) < 1e-6:
        return np.asarray(values, np.float64)[np.round(positions).astype(np.int64)]
    cutoff = min(1.0, 0.95 * new_rate / rate)  # share of the old Nyquist frequency
    half_width = math.ceil(_ZERO_CROSSINGS / cutoff)
    half_width = min(half_width, len(values) - 1)
    padded = np.pad(
        np.asarray(values, np.float64), half_width + 1, mode="reflect" if len(values) > half_width + 1 else "edge"
    )
    result = np.empty(len(positions))
    taps = np.arange(-half_width, half_width + 1)
    for first in range(0, len(positions), _CHUNK):
        position = positions[first : first + _CHUNK]
        nearest = np.round(position).astype(np.int64)
        distance = (nearest - position)[:, None] + taps
        window = np.i0(_KAISER_BETA * np.sqrt(np.maximum(0.0, 1 - (distance / (half_width + 1)) ** 2)))
        kernel = np.sinc(cutoff * distance) * window
        kernel /= kernel.sum(axis=1, keepdims=True)  # a constant is preserved
        result[first : first + _CHUNK] = (padded[nearest[:, None] + taps + half_width + 1] * kernel).sum(axis=1)
    return result
