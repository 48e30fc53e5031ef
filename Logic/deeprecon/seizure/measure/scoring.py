"""From probabilities over time to alarms, and how many are right (rules of Spahr 2025, doi 10.1111/epi.18406)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Interval = tuple[float, float]

BEFORE, AFTER = 120.0, 10.0
"""s before and after a seizure in which an alarm belongs to it."""

LONGEST = 150.0
"""s; a longer false alarm counts as several."""

DAY = 86_400.0


@dataclass(frozen=True)
class Alarm:
    """A time above the threshold: begin and end in s (ends of its first and last window), and largest probability."""

    begin: float
    end: float
    peak: float


def alarms(times: Floats, probability: Floats, threshold: float, merge: float = 0.0) -> list[Alarm]:
    """Runs of windows above the threshold.

    Args:
        times: (W,) s, ends of the windows in order.
        probability: (W,), NaN where there is none.
        threshold: that is exceeded.
        merge: runs less than this many s apart become one.
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


@dataclass(frozen=True)
class Score:
    """How the alarms of some recordings hold against their seizures.

    Attributes:
        seizures: with at least one window in their time.
        detected: of them.
        uncovered: seizures without any window: nobody could have seen them, and they are not counted.
        false_alarms: outside of the seizures' times, pieces of 150 s at most.
        hours: of windows outside of the seizures' times.
        latencies: s from the seizure's begin to the first alarm, of each detected one.
        seizure_events, alarmed_seizure_events: recordings with a seizure, at a known time or not, and those of them
            with any alarm: how nnTraining2 counts, which knows no time of day and no time of the seizure.
        other_events, alarmed_other_events: the same of recordings without one.
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
        """Detected of all seizures; NaN without any."""
        return self.detected / self.seizures if self.seizures else math.nan

    @property
    def false_alarms_per_day(self) -> float:
        """Of 24 h of windows; NaN without any."""
        return self.false_alarms / self.hours * 24 if self.hours else math.nan

    @property
    def f1(self) -> float:
        """Harmonic mean of sensitivity and precision, an alarm that is false counted as one; NaN without seizures."""
        return 2 * self.detected / (self.seizures + self.detected + self.false_alarms) if self.seizures else math.nan

    def figures(self) -> dict[str, Any]:
        """All figures by name, with 95 % intervals; what is not defined is left out."""
        low, high = wilson(self.detected, self.seizures)
        fewest, most = (24 * bound / self.hours if self.hours else math.nan for bound in poisson(self.false_alarms))
        of_events, of_others = self._shares_of_events()
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
            "false_alarms_per_day_low": fewest,
            "false_alarms_per_day_high": most,
            "f1": self.f1,
            "median_latency_s": float(np.median(self.latencies)) if self.latencies else math.nan,
            "event_sensitivity": of_events,
            "event_false_positive_rate": of_others,
        }
        return {name: value for name, value in found.items() if not (isinstance(value, float) and math.isnan(value))}

    def _shares_of_events(self) -> tuple[float, float]:
        """Alarmed of the events with a seizure and of those without; NaN of none."""
        pairs = (
            (self.alarmed_seizure_events, self.seizure_events),
            (self.alarmed_other_events, self.other_events),
        )
        seizures, others = (hits / count if count else math.nan for hits, count in pairs)
        return seizures, others


def score(
    times: Floats, positive: Bools, known: Bools, seizures: Sequence[Interval], stride: float, uncertain: bool = False
) -> Score:
    """Score one recording.

    Args:
        times: (W,) s, ends of the windows in order.
        positive: (W,) windows that raise the alarm.
        known: (W,) windows that could be judged, which have no gap.
        seizures: (start, end) in s.
        stride: s that one window stands for.
        uncertain: a seizure is somewhere in the recording: nothing in it can be a false alarm, and none is missed; only
            the event counts.
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
    extended = [(start - BEFORE, end + AFTER) for start, end in seizures]
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
    false = alarms(times, np.where(free & positive, 1.0, np.where(free, 0.0, np.nan)), 0.5)
    pieces = sum(max(1, math.ceil((alarm.end - alarm.begin + stride) / LONGEST)) for alarm in false)
    count = len(seizures) - uncovered
    return event + Score(count, detected, uncovered, pieces, float(free.sum()) * stride / 3600, tuple(latencies))


@dataclass(frozen=True, eq=False)
class Track:
    """One recording with what a method said about it.

    Attributes:
        user: who wore the watch.
        times: (W,) s, ends of the windows.
        values: (W,) probability or any other score, NaN in gaps.
        seizures, uncertain: of the recording.
        stride: s between windows.
    """

    user: str
    times: Floats
    values: Floats
    seizures: tuple[Interval, ...]
    uncertain: bool
    stride: float


def score_tracks(tracks: Iterable[Track], threshold: float) -> dict[str, Score]:
    """The score of each user, in order."""
    of: dict[str, Score] = {}
    for track in tracks:
        known = np.isfinite(track.values)
        positive = np.nan_to_num(track.values, nan=-np.inf) > threshold
        one = score(track.times, positive, known, track.seizures, track.stride, track.uncertain)
        of[track.user] = of.get(track.user, Score()) + one
    return dict(sorted(of.items()))


def total(scores: Iterable[Score]) -> Score:
    """The sum over users."""
    return sum(scores, Score())


def operating_points(tracks: Sequence[Track], count: int = 200) -> list[tuple[float, Score]]:
    """(threshold, score) at thresholds from below the least to the largest value, spread over the upper values."""
    found = np.concatenate([track.values[np.isfinite(track.values)] for track in tracks])
    if not len(found):
        return []
    # false alarms are rare: half of the thresholds lie in the top hundredth
    shares = np.unique(np.concatenate([np.linspace(0, 1, count // 2), 1 - np.geomspace(1e-5, 1e-2, count // 2)]))
    thresholds = np.unique(np.quantile(found, shares))
    return [(float(value), total(score_tracks(tracks, float(value)).values())) for value in thresholds]


def best_threshold(points: Sequence[tuple[float, Score]]) -> tuple[float, Score]:
    """The point with the largest F1, the middle one of several.

    Args:
        points: of `operating_points`, with seizures; at least one.
    """
    best = max(one.f1 for _, one in points)
    tied = [point for point in points if point[1].f1 == best]
    return tied[len(tied) // 2]


def sensitivity_at(points: Sequence[tuple[float, Score]], rate: float) -> float:
    """The best sensitivity with at most so many false alarms a day; 0 where there is no such point."""
    return max((one.sensitivity for _, one in points if one.false_alarms_per_day <= rate), default=0.0)


def rate_at(points: Sequence[tuple[float, Score]], sensitivity: float) -> float:
    """The fewest false alarms a day with at least this sensitivity; infinity where there is no such point."""
    return min((one.false_alarms_per_day for _, one in points if one.sensitivity >= sensitivity), default=math.inf)


def wilson(hits: int, count: int, z: float = 1.959963984540054) -> Interval:
    """95 % interval of a share (Wilson 1927, J Am Stat Assoc 22:209); NaN of none."""
    if not count:
        return math.nan, math.nan
    share, squared = hits / count, z * z
    middle = (share + squared / (2 * count)) / (1 + squared / count)
    half = z / (1 + squared / count) * math.sqrt(share * (1 - share) / count + squared / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def poisson(count: int, z: float = 1.959963984540054) -> Interval:
    """95 % interval of a number of rare events, Byar's approximation (Breslow and Day 1987, p. 69)."""

    def bound(n: int, sign: float) -> float:
        return n * (1 - 1 / (9 * n) + sign * z / (3 * math.sqrt(n))) ** 3

    return (bound(count, -1) if count else 0.0), bound(count + 1, 1)
