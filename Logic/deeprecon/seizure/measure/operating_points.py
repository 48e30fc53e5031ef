"""Sensitivity and false alarms of a method over its thresholds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from deeprecon.seizure.measure.scoring import Score, Track, score_users, total_score
from deeprecon.seizure.parameters import DEFAULT_MERGE


def operating_points(
    tracks: Sequence[Track], merge: float = DEFAULT_MERGE, count: int = 200
) -> list[tuple[float, Score]]:
    """(threshold, score) at quantiles of the values, from the minimum to the maximum."""
    values = np.concatenate([track.values[np.isfinite(track.values)] for track in tracks])
    if not len(values):
        return []
    # false alarms are rare: half of the thresholds lie in the top hundredth
    shares = np.unique(np.concatenate([np.linspace(0, 1, count // 2), 1 - np.geomspace(1e-5, 1e-2, count // 2)]))
    thresholds = np.unique(np.quantile(values, shares))
    return [(value, total_score(score_users(tracks, value, merge).values())) for value in thresholds.tolist()]


def best_threshold(points: Sequence[tuple[float, Score]]) -> tuple[float, Score]:
    """The point with the largest F1; the middle one of equal points.

    Args:
        points: of `operating_points`, at least one, with seizures.
    """
    best = max(one.f1 for _, one in points)
    tied = [point for point in points if point[1].f1 == best]
    return tied[len(tied) // 2]


def sensitivity_at(points: Sequence[tuple[float, Score]], rate: float) -> float:
    """The best sensitivity with at most `rate` false alarms per day; 0 where there is no such point."""
    return max((one.sensitivity for _, one in points if one.false_alarms_per_day <= rate), default=0.0)


def rate_at(points: Sequence[tuple[float, Score]], sensitivity: float) -> float:
    """The fewest false alarms per day with at least this sensitivity; infinity where there is no such point."""
    return min((one.false_alarms_per_day for _, one in points if one.sensitivity >= sensitivity), default=math.inf)
