"""Comparison of an ensemble with OpenSeizureDetector over the same windows of recordings with known seizures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.seizure.fit.baseline import ALARM
from deeprecon.seizure.fit.detection import Detection
from deeprecon.seizure.measure.operating_points import (
    best_threshold,
    operating_points,
    rate_at,
    sensitivity_at,
    sensitivity_intervals,
    threshold_for_budget,
    user_points,
)
from deeprecon.seizure.measure.scoring import Score, Track, score_users, total_score
from deeprecon.seizure.parameters import DEFAULT_MERGE
from deeprecon.seizure.read.recording import Recording, select_users

if TYPE_CHECKING:
    from deeprecon.seizure.networks.deepepi import DeepEpi

Floats = npt.NDArray[np.float64]

QUANTILES = (0.0, 0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, eq=False)
class EvaluatedRecording:
    """A recording with the results of both methods for its windows.

    Attributes:
        recording: with its seizures.
        detection: of both methods.
        stride: s between windows.
    """

    recording: Recording
    detection: Detection
    stride: float

    def track(self, values: Floats) -> Track:
        """Values (W,) of the windows, to be scored."""
        one = self.recording
        return Track(
            one.user, self.detection.times, values, one.seizures, one.uncertain, self.stride, one.monitored_seconds
        )

    def ensemble_track(self, quantile: float) -> Track:
        """The ensemble's probability."""
        return self.track(self.detection.probability(quantile))

    def baseline_track(self) -> Track:
        """1 where OpenSeizureDetector raises the alarm, else 0; NaN where the networks have no value either."""
        gap = np.isnan(self.detection.models[0]) | np.isnan(self.detection.osd)
        return self.track(np.where(gap, np.nan, (self.detection.osd == ALARM).astype(float)))


@dataclass(frozen=True, eq=False)
class Comparison:
    """Both methods on the same windows.

    Attributes:
        ensemble, baseline: score of each user.
        points: (threshold, score) of the ensemble.
        intervals: (low, high) of the sensitivity at each of the points, over users.
        quantiles: score of the ensemble at each of `QUANTILES`.
    """

    ensemble: dict[str, Score]
    baseline: dict[str, Score]
    points: list[tuple[float, Score]]
    intervals: list[tuple[float, float]]
    quantiles: dict[float, Score]

    def figures(self) -> dict[str, Any]:
        """The figures of both methods by name."""
        ensemble, baseline = total_score(self.ensemble.values()), total_score(self.baseline.values())
        found = {"users": len(self.ensemble), **ensemble.figures()}
        low, high = sensitivity_intervals([self.ensemble])[0]
        if np.isfinite(low):
            found |= {"sensitivity_users_low": low, "sensitivity_users_high": high}
        found |= {
            f"osd_{name}": value for name, value in baseline.figures().items() if name not in ("seizures", "hours")
        }
        if baseline.seizures and baseline.hours:
            found["sensitivity_at_osd_false_alarms"] = sensitivity_at(self.points, baseline.false_alarms_per_day)
            if np.isfinite(rate := rate_at(self.points, baseline.sensitivity)):
                found["false_alarms_per_day_at_osd_sensitivity"] = rate
        return found


def evaluate_recordings(
    networks: Sequence[DeepEpi],
    window: int,
    recordings: Sequence[Recording],
    stride: float,
    osd_threshold: float = 100.0,
    on_progress: Callable[[float], None] = lambda share: None,
) -> list[EvaluatedRecording]:
    """Run both methods over recordings; those shorter than a window are left out.

    Args:
        networks: in evaluation mode, on any device.
        window: samples.
        recordings: of any users.
        stride: s between the windows.
        osd_threshold: see `baseline.analyze_rows`.
        on_progress: called with the share that is done.
    """
    from deeprecon.seizure.fit.inference import detect_in_recording

    evaluated = []
    for number, recording in enumerate(recordings):
        detection = detect_in_recording(networks, window, recording, stride, osd_threshold)
        if len(detection.times):
            evaluated.append(EvaluatedRecording(recording, detection, stride))
        on_progress((number + 1) / len(recordings))
    return evaluated


def compare_methods(
    evaluated: Sequence[EvaluatedRecording], quantile: float, threshold: float, merge: float = DEFAULT_MERGE
) -> Comparison:
    """Score both methods; alarms less than `merge` s apart are one.

    Raises:
        InputError: no recording is as long as a window.
    """
    if not evaluated:
        raise InputError("No recording is as long as a window.", "Give longer recordings.")
    tracks = _ensemble_tracks(evaluated, quantile)
    return Comparison(
        score_users(tracks, threshold, merge),
        score_users([one.baseline_track() for one in evaluated], 0.5, merge),
        *_curve(tracks, merge),
        {
            value: total_score(score_users(_ensemble_tracks(evaluated, value), threshold, merge).values())
            for value in QUANTILES
        },
    )


def pool_comparisons(
    comparisons: Sequence[Comparison], evaluated: Sequence[EvaluatedRecording], quantile: float
) -> Comparison:
    """One comparison of several ensembles over different users, each at its own threshold."""
    return Comparison(
        {user: score for comparison in comparisons for user, score in comparison.ensemble.items()},
        {user: score for comparison in comparisons for user, score in comparison.baseline.items()},
        *_curve(_ensemble_tracks(evaluated, quantile), DEFAULT_MERGE),
        {value: total_score(comparison.quantiles[value] for comparison in comparisons) for value in QUANTILES},
    )


def choose_threshold(
    networks: Sequence[DeepEpi],
    window: int,
    recordings: Sequence[Recording],
    validation: Sequence[Sequence[str]],
    stride: float,
    alarms_per_day: float | None = None,
) -> tuple[float, Score]:
    """The threshold on validation users, each network on its own, all pooled.

    Args:
        networks, window, recordings, stride: see `evaluate_recordings`.
        validation: users of each network, none of whom it was trained on.
        alarms_per_day: false alarms a day that are allowed; None for the best F1 of events.

    Returns:
        The threshold, and the score there: slightly optimistic, since the weights were selected on the same users.
    """
    tracks = []
    for network, users in zip(networks, validation, strict=True):
        evaluated = evaluate_recordings([network], window, select_users(recordings, users), stride)
        tracks += [one.ensemble_track(0.5) for one in evaluated]
    points = operating_points(tracks)
    return best_threshold(points) if alarms_per_day is None else threshold_for_budget(points, alarms_per_day)


def _curve(tracks: Sequence[Track], merge: float) -> tuple[list[tuple[float, Score]], list[tuple[float, float]]]:
    found = user_points(tracks, merge)
    points = [(value, total_score(scores.values())) for value, scores in found]
    return points, sensitivity_intervals([scores for _, scores in found])


def _ensemble_tracks(evaluated: Sequence[EvaluatedRecording], quantile: float) -> list[Track]:
    return [one.ensemble_track(quantile) for one in evaluated]
