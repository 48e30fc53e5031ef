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
    """An interval above the threshold.

    Attributes:
        begin, end: s, ends of its first and last window.
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
    """A row (onset, end, duration, peak probability, alarm of OpenSeizureDetector) for each alarm of a detection."""
    rows = []
    for alarm in find_alarms(detection.times, detection.probability(quantile), threshold, merge):
        inside = (detection.times >= alarm.begin) & (detection.times <= alarm.end)
        rows.append(
            {
                "onset_s": alarm.begin,
                "end_s": alarm.end,
                "duration_s": alarm.end - alarm.begin,
                "peak_probability": alarm.peak,
                "osd_alarm": int((detection.osd[inside] == ALARM).any()),
            }
        )
    return rows
