"""An ensemble and OpenSeizureDetector over the same windows of recordings whose seizures are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.tables import write_table
from deeprecon.seizure.config import SAMPLE_RATE
from deeprecon.seizure.fit import osd
from deeprecon.seizure.fit.quantiles import harrell_davis
from deeprecon.seizure.measure.scoring import (
    Score,
    Track,
    best_threshold,
    operating_points,
    rate_at,
    score_tracks,
    sensitivity_at,
    total,
)
from deeprecon.seizure.pipeline import baseline
from deeprecon.seizure.read.dataset import of_users
from deeprecon.seizure.read.recordings import Recording

if TYPE_CHECKING:
    from deeprecon.seizure.networks.deepepi import DeepEpi

Floats = npt.NDArray[np.float64]

QUANTILES = (0.0, 0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, eq=False)
class Judged:
    """A recording with what both methods say about its windows.

    Attributes:
        recording: that was judged.
        times: (W,) s to each window's end.
        models: (M, W) probability of each network, NaN in gaps.
        osd: (W,) state of OpenSeizureDetector, NaN where the networks have none either.
        stride: s between windows.
    """

    recording: Recording
    times: Floats
    models: Floats
    osd: Floats
    stride: float

    def track(self, values: Floats) -> Track:
        one = self.recording
        return Track(one.user, self.times, values, one.seizures, one.uncertain, self.stride)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Both methods on the same windows.

    Attributes:
        ensemble, baseline: score of each user.
        points: (threshold, score) of the ensemble.
        quantiles: score of the ensemble at each of `QUANTILES`.
    """

    ensemble: dict[str, Score]
    baseline: dict[str, Score]
    points: list[tuple[float, Score]]
    quantiles: dict[float, Score]

    def figures(self) -> dict[str, Any]:
        """All that is said in one line a figure."""
        ours, theirs = total(self.ensemble.values()), total(self.baseline.values())
        found = {"users": len(self.ensemble), **ours.figures()}
        found |= {f"osd_{name}": value for name, value in theirs.figures().items() if name not in ("seizures", "hours")}
        if theirs.seizures and theirs.hours:
            found["sensitivity_at_osd_false_alarms"] = sensitivity_at(self.points, theirs.false_alarms_per_day)
            if np.isfinite(rate := rate_at(self.points, theirs.sensitivity)):
                found["false_alarms_per_day_at_osd_sensitivity"] = rate
        return found


def judge(
    networks: Sequence[DeepEpi],
    window: int,
    recordings: Sequence[Recording],
    stride: float,
    osd_threshold: float = 100.0,
    told: Callable[[float], None] = lambda share: None,
) -> list[Judged]:
    """Run both methods over recordings; those shorter than a window have none.

    Args:
        networks: in evaluation mode, on any device.
        window: samples.
        recordings: of any users.
        stride: s between the windows.
        osd_threshold: see `osd.analyze`.
        told: called with the share that is done.
    """
    from deeprecon.seizure.fit.inference import probabilities, window_ends

    step = round(stride * SAMPLE_RATE)
    made = []
    for number, recording in enumerate(recordings):
        ends = window_ends(len(recording.magnitude), window, step)
        if len(ends):
            models = np.array(
                [probabilities(network, recording.magnitude, recording.valid, window, step) for network in networks]
            )
            state = np.where(np.isnan(models[0]), np.nan, baseline(recording, ends, osd_threshold)[0])
            made.append(Judged(recording, ends / SAMPLE_RATE, models, state, stride))
        told((number + 1) / len(recordings))
    return made


def compare(judged: Sequence[Judged], quantile: float, threshold: float) -> Comparison:
    """Score both methods.

    Raises:
        InputError: no recording is as long as a window.
    """
    if not judged:
        raise InputError("No recording is as long as a window.", "Give longer recordings.")
    tracks = _tracks(judged, quantile)
    theirs = [one.track(np.where(np.isnan(one.osd), np.nan, (one.osd == osd.ALARM).astype(float))) for one in judged]
    return Comparison(
        score_tracks(tracks, threshold),
        score_tracks(theirs, 0.5),
        operating_points(tracks),
        {value: total(score_tracks(_tracks(judged, value), threshold).values()) for value in QUANTILES},
    )


def pool(comparisons: Sequence[Comparison], judged: Sequence[Judged], quantile: float) -> Comparison:
    """One comparison of several ensembles over different users, each at the threshold of its own."""
    return Comparison(
        {user: one for comparison in comparisons for user, one in comparison.ensemble.items()},
        {user: one for comparison in comparisons for user, one in comparison.baseline.items()},
        operating_points(_tracks(judged, quantile)),
        {value: total(comparison.quantiles[value] for comparison in comparisons) for value in QUANTILES},
    )


def choose_threshold(
    networks: Sequence[DeepEpi],
    window: int,
    recordings: Sequence[Recording],
    validation: Sequence[Sequence[str]],
    stride: float,
) -> tuple[float, Score]:
    """The threshold with the best F1 of events, each network judged on its own validation users, all taken together.

    Args:
        networks, window, recordings, stride: see `judge`.
        validation: users of each network, none of whom it was trained on.

    Returns:
        The threshold, and the score there: a little too good, since the weights were selected on the same users.
    """
    tracks = []
    for network, users in zip(networks, validation, strict=True):
        found = judge([network], window, of_users(recordings, users), stride)
        tracks += [one.track(one.models[0]) for one in found]
    return best_threshold(operating_points(tracks))


def _tracks(judged: Sequence[Judged], quantile: float) -> list[Track]:
    return [one.track(harrell_davis(one.models, quantile)) for one in judged]


def write_comparison(folder: Path, comparison: Comparison, quantile: float) -> dict[str, Path]:
    """Write evaluation.csv, users.csv, quantiles.csv, thresholds.csv and roc.png; returns the paths."""
    paths = {
        "evaluation": folder / "evaluation.csv",
        "users": folder / "users.csv",
        "quantiles": folder / "quantiles.csv",
        "thresholds": folder / "thresholds.csv",
        "roc": folder / "roc.png",
    }
    write_table(paths["evaluation"], _rows(comparison))
    write_table(
        paths["users"],
        [
            {"user": user, **score.figures(), **_named("osd_", comparison.baseline[user])}
            for user, score in comparison.ensemble.items()
        ],
    )
    write_table(paths["quantiles"], [{"quantile": q, **one.figures()} for q, one in comparison.quantiles.items()])
    write_table(paths["thresholds"], [{"threshold": value, **one.figures()} for value, one in comparison.points])
    paths["roc"].write_bytes(_picture(comparison, quantile))
    return paths


def _rows(comparison: Comparison) -> list[dict[str, Any]]:
    ours, theirs = total(comparison.ensemble.values()), total(comparison.baseline.values())
    return [{"method": "DeepEpi", **ours.figures()}, {"method": "OpenSeizureDetector", **theirs.figures()}]


def _named(prefix: str, score: Score) -> dict[str, Any]:
    wanted = ("detected", "sensitivity", "false_alarms", "false_alarms_per_day")
    return {prefix + name: value for name, value in score.figures().items() if name in wanted}


def _picture(comparison: Comparison, quantile: float) -> bytes:
    """PNG of sensitivity over false alarms per day, with the baseline as a point."""
    from deeprecon.reporting.figures import png, pyplot

    plt = pyplot()
    theirs = total(comparison.baseline.values())
    figure, axis = plt.subplots(figsize=(6.4, 4.2), layout="constrained")
    rates = sorted({one.false_alarms_per_day for _, one in comparison.points})
    best = [sensitivity_at(comparison.points, rate) for rate in rates]
    axis.step(rates, best, where="post", label=f"DeepEpi, quantile {quantile:g}, best threshold for each rate")
    axis.plot([theirs.false_alarms_per_day], [theirs.sensitivity], "s", label="OpenSeizureDetector")
    axis.set(xlabel="false alarms per day", ylabel="sensitivity", ylim=(-0.02, 1.03))
    axis.set_xscale("symlog", linthresh=1)
    axis.set_xlim(left=0)
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, loc="lower right")
    return png(figure)
