"""From probabilities over time to alarms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.seizure.fit.baseline import ALARM
from deeprecon.seizure.fit.detection import Detection

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Alarm:
    """Windows above the threshold.

    Attributes:
        begin, end: s, ends of its first and last window: the times at which it can be raised and lowered.
        peak: largest probability.
    """

    begin: float
    end: float
    peak: float


def find_alarms(times: Floats, probability: Floats, threshold: float, merge: float = 0.0) -> list[Alarm]:
    """Runs of windows above the threshold.

    Args:
        times: (W,) s, ends of the windows in order.
        probability: (W,), NaN in gaps.
        threshold: to be exceeded.
        merge: runs less than this many s apart are joined.
    """
    above = np.flatnonzero(np.nan_to_num(probability, nan=-1.0) > threshold)
    if not len(above):
        return []
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    breaks = np.flatnonzero(np.diff(times[above]) > max(1.5 * step, merge)) + 1
    return [
        Alarm(float(times[run[0]]), float(times[run[-1]]), float(probability[run].max()))
        for run in np.split(above, breaks)
    ]


def alarm_rows(detection: Detection, quantile: float, threshold: float, merge: float) -> list[dict[str, Any]]:
    """A row for each alarm of a detection.

    `onset_s`, `end_s` and `duration_s` are of what the windows of the alarm show, from the start of the first one to
    the end of the last; `alarm_s` is the end of the first one, at which the alarm can be raised.
    """
    rows = []
    for alarm in find_alarms(detection.times, detection.probability(quantile), threshold, merge):
        inside = (detection.times >= alarm.begin) & (detection.times <= alarm.end)
        onset = alarm.begin - detection.window
        rows.append(
            {
                "onset_s": onset,
                "end_s": alarm.end,
                "duration_s": alarm.end - onset,
                "alarm_s": alarm.begin,
                "peak_probability": alarm.peak,
                "osd_alarm": int((detection.osd[inside] == ALARM).any()),
            }
        )
    return rows
