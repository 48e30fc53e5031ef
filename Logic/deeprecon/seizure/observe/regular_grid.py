"""Samples with time stamps on the regular grid of 25 Hz: short gaps bridged, jitter of the stamps removed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from deeprecon.seizure.configuration import SAMPLE_RATE
from deeprecon.seizure.observe.resampling import resample

Floats = npt.NDArray[np.float64]

MAX_BRIDGED = 1.0
"""s; in shorter gaps the signal is interpolated linearly, longer ones stay gaps."""

_BLOCK = 60 * SAMPLE_RATE  # samples of the grid that share one clock: a watch's clock drifts with its temperature
_MARGIN = 2.0  # s of samples on both sides of a block, for its filter


def to_regular_grid(
    times: Floats, values: Floats, rate: float, count: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_], float]:
    """Resample to 25 Hz.

    Args:
        times: (N,) s from the first sample of the grid, increasing.
        values: (N,) at these times.
        rate: typical number of samples a second.
        count: samples of the grid.

    Returns:
        (count,) signal, 0 in gaps; (count,) False in gaps; bridged time in s.
    """
    signal, valid = np.zeros(count, np.float32), np.zeros(count, np.bool_)
    bridged = 0.0
    breaks = np.flatnonzero(np.diff(times) > MAX_BRIDGED + 1 / rate + 1e-6) + 1
    for part in np.split(np.arange(len(times)), breaks):
        if len(part) < 2:
            continue
        begin, end = times[part[0]], times[part[-1]]
        last = min(count - 1, int(np.floor(end * SAMPLE_RATE + 1e-6)))
        for first, stop in _blocks(int(np.ceil(begin * SAMPLE_RATE - 1e-6)), last + 1):
            wanted = np.arange(first, stop) / SAMPLE_RATE
            low = max(part[0], int(np.searchsorted(times, wanted[0] - _MARGIN)))
            high = min(part[-1] + 1, int(np.searchsorted(times, wanted[-1] + _MARGIN, side="right")))
            signal[first:stop], lost = _resample_block(times[low:high], values[low:high], rate, wanted)
            valid[first:stop] = True
            bridged += lost
    return signal, valid, bridged


def _blocks(first: int, stop: int) -> Iterator[tuple[int, int]]:
    for start in range(first, stop, _BLOCK):
        yield start, min(start + _BLOCK, stop)


def _resample_block(times: Floats, values: Floats, rate: float, wanted: Floats) -> tuple[Floats, float]:
    """The signal at the times `wanted`, and the time among them in s for which samples were missing."""
    found = _clock(times, rate)
    if found is not None:
        index, clock, start = found
        missing = np.setdiff1d(np.arange(index[-1] + 1), index) / clock + start
        lost = float(((missing >= wanted[0]) & (missing <= wanted[-1])).sum()) / clock
        even = np.interp(np.arange(index[-1] + 1), index, values)
    else:  # samples at irregular times: interpolated linearly between their stamps
        clock, start, lost = rate, float(times[0]), 0.0
        even = np.interp(np.arange(int((times[-1] - start) * rate + 1e-6) + 1) / rate + start, times, values)
    return resample(even, clock, SAMPLE_RATE, np.clip(wanted - start, 0, (len(even) - 1) / clock)), lost


def _clock(times: Floats, rate: float) -> tuple[npt.NDArray[np.int64], float, float] | None:
    """The steady clock behind jittered stamps, of which single samples may be missing.

    Returns:
        (N,) number of each sample, samples a second, and time of sample 0; None where there is no such clock.
    """
    index = np.arange(len(times))
    slope, start = np.polyfit(index, times, 1)
    if np.abs(times - start - index * slope).max() < 0.5 * slope:
        return index, 1 / float(slope), float(start)
    slope, start = 1 / rate, float(times[0])
    seconds = 1.0
    while True:  # a line through the first samples tells the numbers of the next ones
        part = times[: np.searchsorted(times, times[0] + seconds, side="right")]
        index = np.rint((part - start) / slope).astype(np.int64)
        if len(part) > 2:
            slope, start = (float(value) for value in np.polyfit(index, part, 1))
        if len(part) == len(times):
            break
        seconds *= 2
    index = np.rint((times - start) / slope).astype(np.int64)
    if (np.diff(index) <= 0).any() or abs(slope * rate - 1) > 0.1:
        return None
    return index - index[0], 1 / slope, start + int(index[0]) * slope
