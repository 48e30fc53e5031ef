"""Time in which a watch records nothing of its wearer: zeros, a constant signal, a dead axis, saturation, not worn."""

from __future__ import annotations

import itertools
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from deeprecon.seizure.observe.regular_grid import MAX_BRIDGED

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Causes = npt.NDArray[np.uint8]


class Cause(IntEnum):
    """Why a sample is not monitored."""

    MONITORED = 0
    GAP = 1
    ZEROS = 2
    CONSTANT = 3
    DEAD_AXIS = 4
    SATURATION = 5
    NOT_WORN = 6

    @property
    def words(self) -> str:
        """For messages and tables."""
        return self.name.lower().replace("_", " ")


_ZERO = 0.02  # g; largest value on each axis
_MIN_CONSTANT = 30.0  # s without any change on all axes; a worn sensor has noise
_MIN_DEAD = 60.0  # s without any change of an axis while another one moves
_MOVEMENT = 0.2  # g; change of the other axis
_MIN_RANGE = 1.2  # g; no sensor is limited to less, and a resting arm stays below
_SATURATION_BLOCK = 5.0  # s
_SATURATED_SHARE = 0.05  # of the samples of a block
_NOISE = 0.013  # g; standard deviation within a second on each axis of a watch at rest (van Hees 2013)
_DRIFT = 0.0015  # g; standard deviation of means over 1 s: breathing moves a worn watch by more
_POSITION = 0.010  # g; change from one minute to the next
_MIN_NOT_WORN = 10  # min


def find_unmonitored(times: Floats, values: Floats, rate: float) -> Causes:
    """The cause for each sample, `Cause.MONITORED` for most.

    Args:
        times: (N,) s, increasing.
        values: (N, 3) g on the axes, or (N, 1) magnitude: then a dead axis and a watch that is not worn are only found
            where the magnitude is constant.
        rate: typical number of samples a second.
    """
    causes = np.zeros(len(times), np.uint8)

    def mark(flags: Bools, cause: Cause) -> None:
        causes[flags & (causes == Cause.MONITORED)] = cause

    mark(_long_runs(np.asarray((np.abs(values) < _ZERO).all(axis=1)), times, MAX_BRIDGED), Cause.ZEROS)
    unchanged = np.zeros(values.shape, np.bool_)
    unchanged[1:] = values[1:] == values[:-1]
    mark(_constant_runs(np.asarray(unchanged.all(axis=1)), times, _MIN_CONSTANT), Cause.CONSTANT)
    if values.shape[1] == 3:
        mark(_dead_axis(unchanged, values, times), Cause.DEAD_AXIS)
    mark(_saturated(times, values), Cause.SATURATION)
    if values.shape[1] == 3:
        mark(_not_worn(times, values, rate), Cause.NOT_WORN)
    return causes


def _runs(flags: Bools) -> list[tuple[int, int]]:
    """(first, end) of the runs of True; `end` is the first index after the run."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def _long_runs(flags: Bools, times: Floats, seconds: float) -> Bools:
    """(N,) True in runs of True that last longer than `seconds`."""
    long = np.zeros(len(flags), np.bool_)
    for first, end in _runs(flags):
        long[first:end] = times[end - 1] - times[first] > seconds
    return long


def _constant_runs(unchanged: Bools, times: Floats, seconds: float) -> Bools:
    """(N,) True in runs of at least `seconds` with one value; `unchanged` is False at the first sample of a run."""
    constant = np.zeros(len(unchanged), np.bool_)
    for first, end in _runs(unchanged):
        constant[first - 1 : end] = times[end - 1] - times[first - 1] >= seconds
    return constant


def _dead_axis(unchanged: Bools, values: Floats, times: Floats) -> Bools:
    dead = np.zeros(len(times), np.bool_)
    for axis in range(3):
        others = np.delete(values, axis, axis=1)
        for first, end in _runs(_constant_runs(unchanged[:, axis], times, _MIN_DEAD)):
            dead[first:end] |= bool(np.ptp(others[first:end], axis=0).max() > _MOVEMENT)
    return dead


def _saturated(times: Floats, values: Floats) -> Bools:
    """(N,) True in blocks of 5 s with more than 5 % of the samples at the limit of the sensor.

    A limit is a largest or smallest value that is met several times in a row.
    """
    clipped = np.zeros(len(times), np.bool_)
    for signed in (values, -values):
        limit = float(signed.max())
        at_limit = np.asarray((signed >= limit - 1e-6 * abs(limit)).any(axis=1))
        if limit > _MIN_RANGE and sum(end - first > 1 for first, end in _runs(at_limit)) >= 3:
            clipped |= at_limit
    block = (times / _SATURATION_BLOCK).astype(np.int64)
    share = np.bincount(block, clipped) / np.maximum(np.bincount(block), 1)
    return np.asarray(share[block] > _SATURATED_SHARE)


def _not_worn(times: Floats, values: Floats, rate: float) -> Bools:
    """(N,) True in at least 10 min without the movement of breathing, except for the last minute before a movement.

    A watch on a table shows only the white noise of its sensor; on a sleeping wrist, means over a second vary by more
    than this noise explains.
    """
    worn = np.ones(len(times), np.bool_)
    second = times.astype(np.int64)
    minutes = int(second[-1] + 1) // 60
    if minutes < _MIN_NOT_WORN:
        return ~worn
    samples = np.bincount(second, minlength=minutes * 60)[: minutes * 60]
    means, variances = np.empty((minutes * 60, 3)), np.empty((minutes * 60, 3))
    for axis in range(3):
        total, square = (
            np.bincount(second, values[:, axis] ** power, minlength=minutes * 60)[: minutes * 60] for power in (1, 2)
        )
        means[:, axis] = total / np.maximum(samples, 1)
        variances[:, axis] = square / np.maximum(samples, 1) - means[:, axis] ** 2
    by_minute = means.reshape(minutes, 60, 3)
    noise = np.sqrt(np.maximum(variances, 0).reshape(minutes, 60, 3).mean(axis=1))
    drift = by_minute.std(axis=1)
    still = ((noise < _NOISE) & (drift < np.maximum(_DRIFT, 1.2 * noise / np.sqrt(rate)))).all(axis=1)
    still &= (samples.reshape(minutes, 60) > 0).all(axis=1)
    position = by_minute.mean(axis=1)
    moved = np.concatenate([[False], (np.abs(np.diff(position, axis=0)) > _POSITION).any(axis=1)])
    for first, end in _runs(still):
        starts = [first, *(first + np.flatnonzero(moved[first:end])).tolist(), end]
        for begin, stop in itertools.pairwise(starts):
            if stop - begin >= _MIN_NOT_WORN:
                # up to the end of the file, or to the minute before a movement, which a window may need
                until = times[-1] + 1 if stop == minutes else 60.0 * (stop - 1)
                worn[(times >= 60 * begin) & (times < until)] = False
    return ~worn
