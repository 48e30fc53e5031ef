"""OpenSeizureDetector's algorithm, the baseline: the power of the movement between 3 and 8 Hz.

Implemented from its description (github.com/OpenSeizureDetector, the spectrum of 5 s at 25 Hz); it has no trained
parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.seizure.read.osdb import ROW_SAMPLES
from deeprecon.seizure.read.recording import Recording

Floats = npt.NDArray[np.float64]

OK, WARNING, ALARM = 0, 1, 2
_LOW_BIN, _HIGH_BIN = 15, 40  # bins of 0.2 Hz: 3 Hz to 8 Hz, the latter excluded
_ROW_SECONDS = 5
_WARNING_SECONDS, _ALARM_SECONDS = 5, 10  # duration of movement that must be exceeded


@dataclass(frozen=True, eq=False)
class RowAnalysis:
    """Result of the algorithm for rows of 5 s.

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
        """(R,) ten times the share of power between 3 and 8 Hz; 0 where the total power is 0."""
        return np.divide(
            10 * self.roi_power, self.spectrum_power, out=np.zeros_like(self.roi_power), where=self.spectrum_power > 0
        )


def row_powers(rows: npt.NDArray[np.floating]) -> tuple[Floats, Floats]:
    """Power of the full spectrum and of 3 to 8 Hz.

    Args:
        rows: (R, 125) magnitude of the acceleration in mg.

    Returns:
        Two arrays (R,), in the unit of the watch's log.
    """
    power = np.abs(np.fft.rfft(np.asarray(rows, np.float64), axis=1)) ** 2
    return power[:, 1:61].sum(axis=1) / ROW_SAMPLES / 2 / 1000, power[:, _LOW_BIN:_HIGH_BIN].mean(axis=1) / 1000


def analyze_rows(
    rows: npt.NDArray[np.floating],
    threshold: float = 100.0,
    ratio: float = 57.0,
    continuous: npt.NDArray[np.bool_] | None = None,
) -> RowAnalysis:
    """Run the algorithm over rows in order of time.

    Args:
        rows: (R, 125) magnitude in mg; a row with NaN is a gap, which ends a movement.
        threshold: power between 3 and 8 Hz above which there may be a seizure.
        ratio: ten times the share of power there, above which there may be one.
        continuous: (R,) False where a row does not directly follow the one before; the state is then reset.
    """
    total, roi = row_powers(rows)
    movement = (roi > threshold) & (10 * roi > ratio * total)
    state = np.zeros(len(rows), np.int64)
    duration, current = 0, OK
    for index, moving in enumerate(movement.tolist()):
        if continuous is not None and not continuous[index]:
            duration, current = 0, OK
        if moving:
            duration += _ROW_SECONDS
            current = ALARM if duration > _ALARM_SECONDS else WARNING if duration > _WARNING_SECONDS else current
        elif current == ALARM:
            current, duration = WARNING, _ROW_SECONDS
        else:
            current, duration = OK, 0
        state[index] = current
    return RowAnalysis(total, roi, state)


def recording_rows(recording: Recording) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """A recording in rows of 5 s.

    Returns:
        (R, 125) mg, NaN where a row touches a gap; (R,) True where neither the row nor the one before has a gap.
    """
    count = len(recording.magnitude) // ROW_SAMPLES
    rows = 1000.0 * recording.magnitude[: count * ROW_SAMPLES].reshape(count, ROW_SAMPLES).astype(np.float64)
    complete = np.asarray(recording.valid[: count * ROW_SAMPLES].reshape(count, ROW_SAMPLES).all(axis=1))
    rows[~complete] = np.nan
    continuous = complete.copy()
    continuous[1:] &= complete[:-1]
    return rows, continuous


def analyze_recording(
    recording: Recording, ends: npt.NDArray[np.int64], threshold: float
) -> tuple[Floats, Floats, Floats, Floats]:
    """OpenSeizureDetector's state, power and ratio, and the movement, at samples of a recording.

    Args:
        recording: at least as long as the last of `ends`.
        ends: (W,) samples; the values are those of the last row of 5 s that was complete by then.
        threshold: see `analyze_rows`.

    Returns:
        State, power between 3 and 8 Hz, ratio, and standard deviation of the magnitude in g: four arrays (W,), NaN
        where the row has a gap.
    """
    rows, continuous = recording_rows(recording)
    found = analyze_rows(rows, threshold, continuous=continuous)
    gap = np.isnan(rows).any(axis=1)
    last = ends // ROW_SAMPLES - 1
    columns = (found.state.astype(np.float64), found.roi_power, found.ratio, rows.std(axis=1) / 1000)
    state, roi, ratio, movement = (np.where(gap, np.nan, column)[last] for column in columns)
    return state, roi, ratio, movement
