"""Alarms compared with the known seizures (rules of Spahr 2025, doi 10.1111/epi.18406)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.seizure.measure.alarms import find_alarms

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Interval = tuple[float, float]

MARGIN_BEFORE, MARGIN_AFTER = 120.0, 10.0
"""s before and after a seizure in which an alarm counts as its detection."""

MAX_FALSE_ALARM = 150.0
"""s; a longer false alarm counts as several."""


@dataclass(frozen=True)
class Score:
    """Counts of detected seizures and false alarms over some recordings.

    Attributes:
        seizures: with at least one window in their interval, margins included.
        detected: seizures with an alarm in their interval.
        uncovered: seizures without any window in their interval; not part of `seizures`.
        false_alarms: outside of all intervals, in pieces of at most 150 s.
        hours: of windows outside of all intervals.
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
        """False alarms in 24 h of windows; NaN without windows."""
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


def score_recording(
    times: Floats, positive: Bools, known: Bools, seizures: Sequence[Interval], stride: float, uncertain: bool = False
) -> Score:
    """Score one recording.

    Args:
        times: (W,) s, ends of the windows in order.
        positive: (W,) windows above the threshold.
        known: (W,) windows without a gap.
        seizures: (start, end) in s.
        stride: s between windows.
        uncertain: the recording contains a seizure at an unknown time: false and missed alarms are undefined, and only
            the event is counted.
    """
    if not known.any():
        return Score(uncovered=len(seizures))
    alarmed = int((positive & known).any())
    if seizures or uncertain:
        event = Score(seizure_events=1, alarmed_seizure_events=alarmed)
    else:
        event = Score(other_events=1, alarmed_other_events=alarmed)
    if uncertain:
        return event
    extended = [(start - MARGIN_BEFORE, end + MARGIN_AFTER) for start, end in seizures]
    free = known.copy()
    detected, uncovered = 0, 0
    latencies = []
    for (start, _), (first, last) in zip(seizures, extended, strict=True):
        inside = (times >= first) & (times <= last) & known
        free &= ~inside
        hits = times[inside & positive]
        if not inside.any():
            uncovered += 1
        elif len(hits):
            detected += 1
            latencies.append(float(hits[0] - start))
    false = find_alarms(times, np.where(free & positive, 1.0, np.where(free, 0.0, np.nan)), 0.5)
    pieces = sum(max(1, math.ceil((alarm.end - alarm.begin + stride) / MAX_FALSE_ALARM)) for alarm in false)
    count = len(seizures) - uncovered
    return event + Score(count, detected, uncovered, pieces, float(free.sum()) * stride / 3600, tuple(latencies))


@dataclass(frozen=True, eq=False)
class Track:
    """The values of one method for a recording.

    Attributes:
        user: who wore the watch.
        times: (W,) s, ends of the windows.
        values: (W,) probability or another score, NaN in gaps.
        seizures, uncertain: see `Recording`.
        stride: s between windows.
    """

    user: str
    times: Floats
    values: Floats
    seizures: tuple[Interval, ...]
    uncertain: bool
    stride: float


def score_users(tracks: Iterable[Track], threshold: float) -> dict[str, Score]:
    """The score of each user, sorted by name."""
    scores: dict[str, Score] = {}
    for track in tracks:
        known = np.isfinite(track.values)
        positive = np.nan_to_num(track.values, nan=-np.inf) > threshold
        found = score_recording(track.times, positive, known, track.seizures, track.stride, track.uncertain)
        scores[track.user] = scores.get(track.user, Score()) + found
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
