"""OpenSeizureDetector's own algorithm, the baseline: how much of the movement lies between 3 and 8 Hz.

Rewritten from its description (github.com/OpenSeizureDetector, the spectrum of 5 s at 25 Hz); nothing is learned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

ROW = 125
"""Samples of one analysis: 5 s at 25 Hz."""

OK, WARNING, ALARM = 0, 1, 2
_LOW, _HIGH = 15, 40  # bins of 0.2 Hz: 3 Hz up to, not with, 8 Hz
_SECONDS = 5
_WARNING_AFTER, _ALARM_AFTER = 5, 10  # s of movement that must be exceeded


@dataclass(frozen=True, eq=False)
class Analysis:
    """What the algorithm finds in rows of 5 s.

    Attributes:
        spectrum_power: (R,) mean power of all frequencies.
        roi_power: (R,) mean power between 3 and 8 Hz.
        state: (R,) OK, WARNING or ALARM.
    """

    spectrum_power: Floats
    roi_power: Floats
    state: npt.NDArray[np.int64]

    @property
    def ratio(self) -> Floats:
        """(R,) ten times the share of power between 3 and 8 Hz; 0 where nothing moves."""
        return np.divide(
            10 * self.roi_power, self.spectrum_power, out=np.zeros_like(self.roi_power), where=self.spectrum_power > 0
        )


def powers(rows: npt.NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Power of the whole spectrum and of 3 to 8 Hz.

    Args:
        rows: (R, 125) magnitude of the acceleration in mg.

    Returns:
        Two arrays (R,), in the unit of the watch's log.
    """
    power = np.abs(np.fft.rfft(np.asarray(rows, np.float64), axis=1)) ** 2
    return power[:, 1:61].sum(axis=1) / ROW / 2 / 1000, power[:, _LOW:_HIGH].mean(axis=1) / 1000


def analyze(
    rows: npt.NDArray[np.floating],
    threshold: float = 100.0,
    ratio: float = 57.0,
    continuous: npt.NDArray[np.bool_] | None = None,
) -> Analysis:
    """Run the algorithm over rows in order of time.

    Args:
        rows: (R, 125) magnitude in mg; a row with NaN is a gap, which ends a movement.
        threshold: power between 3 and 8 Hz above which there may be a seizure.
        ratio: ten times the share of power there, above which there may be one.
        continuous: (R,) False where a row does not follow at once on the one before; the state then starts anew.
    """
    whole, roi = powers(rows)
    like = (roi > threshold) & (10 * roi > ratio * whole)
    state = np.zeros(len(rows), np.int64)
    count, now = 0, OK
    for index, movement in enumerate(like.tolist()):
        if continuous is not None and not continuous[index]:
            count, now = 0, OK
        if movement:
            count += _SECONDS
            now = ALARM if count > _ALARM_AFTER else WARNING if count > _WARNING_AFTER else now
        elif now == ALARM:
            now, count = WARNING, _SECONDS
        else:
            now, count = OK, 0
        state[index] = now
    return Analysis(whole, roi, state)
