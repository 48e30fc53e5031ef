"""Alarms compared with the known seizures (rules of Spahr 2025, doi 10.1111/epi.18406).

An alarm in the interval of a seizure is its detection, and the rest of the same alarm is not a false one: windows of
30 s stay above the threshold for some time after a seizure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.seizure.measure.alarms import Alarm, find_alarms
from deeprecon.seizure.parameters import DEFAULT_MERGE

Floats = npt.NDArray[np.float64]
Interval = tuple[float, float]

MARGIN_BEFORE, MARGIN_AFTER = 120.0, 10.0
"""s before and after a seizure in which an alarm counts as its detection."""

MAX_FALSE_ALARM = 150.0
"""s; a longer false alarm counts as several. So far beyond the interval of a seizure an alarm can still be its own: an
alarm that never ends is not without false alarms."""


@dataclass(frozen=True)
class Score:
    """Counts of detected seizures and false alarms over some recordings.

    Attributes:
        seizures: with at least one window in their interval, margins included.
        detected: seizures with an alarm in their interval.
        uncovered: seizures without any window in their interval; not part of `seizures`.
        false_alarms: that do not touch the interval of a seizure, in pieces of at most 150 s.
        hours: of monitored recording time, seizures included.
        latencies: s from the start of each detected seizure to its first alarm.
        seizure_events, alarmed_seizure_events: recordings with a seizure, at a known or unknown time, and those of
            them with any alarm (as nnTraining2 counts, which does not use the times).
        other_events, alarmed_other_events: the same for recordings without a seizure.
    """

    seizures: int = 0
    detected: int = 0
    uncovered: int = 0
    false_alarms: int = 0
    hours: float = 0.0
    latencies: tuple[float, ...] = ()
    seizure_events: int = 0
    alarmed_seizure_events: int = 0
    other_events: int = 0
    alarmed_other_events: int = 0

    def __add__(self, other: Score) -> Score:
        return Score(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    @property
    def sensitivity(self) -> float:
        """Share of seizures detected; NaN without seizures."""
        return _share(self.detected, self.seizures)

    @property
    def false_alarms_per_day(self) -> float:
        """False alarms in 24 h of monitored time; NaN without any."""
        return self.false_alarms / self.hours * 24 if self.hours else math.nan

    @property
    def f1(self) -> float:
        """Harmonic mean of sensitivity and precision, each false alarm counted once; NaN without seizures."""
        return 2 * self.detected / (self.seizures + self.detected + self.false_alarms) if self.seizures else math.nan

    def figures(self) -> dict[str, Any]:
        """All figures by name, with 95 % confidence intervals; undefined ones are left out."""
        low, high = share_interval(self.detected, self.seizures)
        rate_low, rate_high = (
            24 * bound / self.hours if self.hours else math.nan for bound in count_interval(self.false_alarms)
        )
        found: dict[str, Any] = {
            "seizures": self.seizures,
            "detected": self.detected,
            "uncovered": self.uncovered,
            "sensitivity": self.sensitivity,
            "sensitivity_low": low,
            "sensitivity_high": high,
            "false_alarms": self.false_alarms,
            "hours": self.hours,
            "false_alarms_per_day": self.false_alarms_per_day,
            "false_alarms_per_day_low": rate_low,
            "false_alarms_per_day_high": rate_high,
            "f1": self.f1,
            "median_latency_s": float(np.median(self.latencies)) if self.latencies else math.nan,
            "event_sensitivity": _share(self.alarmed_seizure_events, self.seizure_events),
            "event_false_positive_rate": _share(self.alarmed_other_events, self.other_events),
        }
        return {name: value for name, value in found.items() if not (isinstance(value, float) and math.isnan(value))}


def _share(part: int, count: int) -> float:
    return part / count if count else math.nan


@dataclass(frozen=True, eq=False)
class Track:
    """The values of one method for a recording.

    Attributes:
        user: who wore the watch.
        times: (W,) s, ends of the windows.
        values: (W,) probability or another score, NaN where it is unknown.
        seizures, uncertain: see `Recording`.
        stride: s between windows.
        seconds: monitored time of the recording.
    """

    user: str
    times: Floats
    values: Floats
    seizures: tuple[Interval, ...]
    uncertain: bool
    stride: float
    seconds: float


def score_recording(track: Track, threshold: float, merge: float = DEFAULT_MERGE) -> Score:
    """Score one recording.

    Args:
        track: values of the windows. Of a recording with a seizure at an unknown time only the event is counted, since
            false and missed alarms are undefined.
        threshold: to be exceeded by an alarm.
        merge: alarms less than this many s apart are one, as in `seizure detect`.
    """
    known = np.isfinite(track.values)
    if not known.any():
        return Score(uncovered=len(track.seizures))
    alarms = find_alarms(track.times, track.values, threshold, merge)
    if track.seizures or track.uncertain:
        event = Score(seizure_events=1, alarmed_seizure_events=int(bool(alarms)))
    else:
        event = Score(other_events=1, alarmed_other_events=int(bool(alarms)))
    if track.uncertain:
        return event
    times = track.times
    positive = np.nan_to_num(track.values, nan=-np.inf) > threshold
    explained = np.zeros(len(times), np.bool_)
    detected, uncovered = 0, 0
    latencies = []
    for start, end in track.seizures:
        inside = (times >= start - MARGIN_BEFORE) & (times <= end + MARGIN_AFTER) & known
        hits = times[inside & positive]
        if not inside.any():
            uncovered += 1
        elif len(hits):
            detected += 1
            latencies.append(float(hits[0] - start))
            explained |= _explained_windows(times, alarms, hits, (start, end))
    false = find_alarms(times, np.where(positive & ~explained, 1.0, 0.0), 0.5, merge)
    pieces = sum(math.ceil((alarm.end - alarm.begin + track.stride) / MAX_FALSE_ALARM) for alarm in false)
    count = len(track.seizures) - uncovered
    return event + Score(count, detected, uncovered, pieces, track.seconds / 3600, tuple(latencies))


def _explained_windows(
    times: Floats, alarms: Sequence[Alarm], hits: Floats, seizure: Interval
) -> npt.NDArray[np.bool_]:
    """(W,) windows of the alarms with one of `hits`, up to `MAX_FALSE_ALARM` beyond the interval of the seizure."""
    before, after = MARGIN_BEFORE + MAX_FALSE_ALARM, MARGIN_AFTER + MAX_FALSE_ALARM
    near = (times >= seizure[0] - before) & (times <= seizure[1] + after)
    explained = np.zeros(len(times), np.bool_)
    for alarm in alarms:
        if ((hits >= alarm.begin) & (hits <= alarm.end)).any():
            explained |= near & (times >= alarm.begin) & (times <= alarm.end)
    return explained


def score_users(tracks: Iterable[Track], threshold: float, merge: float = DEFAULT_MERGE) -> dict[str, Score]:
    """The score of each user, sorted by name."""
    scores: dict[str, Score] = {}
    for track in tracks:
        scores[track.user] = scores.get(track.user, Score()) + score_recording(track, threshold, merge)
    return dict(sorted(scores.items()))


def total_score(scores: Iterable[Score]) -> Score:
    """The sum over users."""
    return sum(scores, Score())


def share_interval(hits: int, count: int) -> Interval:
    """95 % interval by Wilson of hits / count (Wilson 1927, J Am Stat Assoc 22:209); NaN where `count` is 0."""
    from scipy.stats import binomtest

    if not count:
        return math.nan, math.nan
    low, high = binomtest(hits, count).proportion_ci(method="wilson")
    return float(low), float(high)


def count_interval(count: int) -> Interval:
    """Exact 95 % interval of the mean of a Poisson distribution from one count (Garwood 1936, Biometrika 28:437)."""
    from scipy.special import gammaincinv

    low = float(gammaincinv(count, 0.025)) if count else 0.0
    return low, float(gammaincinv(count + 1, 0.975))
