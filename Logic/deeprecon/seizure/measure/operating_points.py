"""Sensitivity and false alarms of a method over its thresholds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from deeprecon.seizure.measure.scoring import Score, Track, score_users, total_score
from deeprecon.seizure.parameters import DEFAULT_MERGE

_DRAWS = 1000  # of users, with replacement


def operating_points(
    tracks: Sequence[Track], merge: float = DEFAULT_MERGE, count: int = 200
) -> list[tuple[float, Score]]:
    """(threshold, score) at quantiles of the values, from the minimum to the maximum."""
    return [(value, total_score(scores.values())) for value, scores in user_points(tracks, merge, count)]


def user_points(
    tracks: Sequence[Track], merge: float = DEFAULT_MERGE, count: int = 200
) -> list[tuple[float, dict[str, Score]]]:
    """(threshold, score of each user) at the thresholds of `operating_points`."""
    values = np.concatenate([track.values[np.isfinite(track.values)] for track in tracks])
    if not len(values):
        return []
    # false alarms are rare: half of the thresholds lie in the top hundredth
    shares = np.unique(np.concatenate([np.linspace(0, 1, count // 2), 1 - np.geomspace(1e-5, 1e-2, count // 2)]))
    thresholds = np.unique(np.quantile(values, shares))
    return [(value, score_users(tracks, value, merge)) for value in thresholds.tolist()]


def sensitivity_intervals(scores: Sequence[Mapping[str, Score]]) -> list[tuple[float, float]]:
    """95 % intervals of the sensitivity over users: the bootstrap, since seizures of one person resemble each other.

    Args:
        scores: of each user, at each of P thresholds.

    Returns:
        (low, high) at each threshold; NaN where no user has a seizure.
    """
    if not scores or not scores[0]:
        return [(math.nan, math.nan)] * len(scores)
    users = sorted(scores[0])
    detected = np.array([[one[user].detected for user in users] for one in scores], np.float64)
    seizures = np.array([scores[0][user].seizures for user in users], np.float64)
    drawn = np.random.default_rng(0).multinomial(len(users), np.full(len(users), 1 / len(users)), _DRAWS)
    counts = drawn @ seizures
    if not (counts > 0).any():
        return [(math.nan, math.nan)] * len(scores)
    found = (drawn @ detected.T)[counts > 0] / counts[counts > 0, None]
    low, high = np.quantile(found, (0.025, 0.975), axis=0)
    return list(zip(low.tolist(), high.tolist(), strict=True))


def best_threshold(points: Sequence[tuple[float, Score]]) -> tuple[float, Score]:
    """The point with the largest F1; the middle one of equal points.

    Args:
        points: of `operating_points`, at least one, with seizures.
    """
    best = max(one.f1 for _, one in points)
    tied = [point for point in points if point[1].f1 == best]
    return tied[len(tied) // 2]


def threshold_for_budget(points: Sequence[tuple[float, Score]], rate: float) -> tuple[float, Score]:
    """The point with the best sensitivity at no more than `rate` false alarms a day.

    Of equal points the one with the fewest false alarms, and of these the middle one. At the largest value there is no
    alarm at all, so that there is always such a point.

    Args:
        points: of `operating_points`, at least one.
        rate: false alarms in 24 h of monitored time.
    """
    allowed = [point for point in points if point[1].false_alarms_per_day <= rate]
    best = max(one.detected for _, one in allowed)
    tied = [point for point in allowed if point[1].detected == best]
    fewest = min(one.false_alarms for _, one in tied)
    tied = [point for point in tied if point[1].false_alarms == fewest]
    return tied[len(tied) // 2]


def sensitivity_at(points: Sequence[tuple[float, Score]], rate: float) -> float:
    """The best sensitivity with at most `rate` false alarms per day; 0 where there is no such point."""
    return max((one.sensitivity for _, one in points if one.false_alarms_per_day <= rate), default=0.0)


def rate_at(points: Sequence[tuple[float, Score]], sensitivity: float) -> float:
    """The fewest false alarms per day with at least this sensitivity; infinity where there is no such point."""
    return min((one.false_alarms_per_day for _, one in points if one.sensitivity >= sensitivity), default=math.inf)
