"""Detection in one recording: the ensemble over all of it, OpenSeizureDetector beside it, alarms, and a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.files import write_text
from deeprecon.data.tables import read_table, write_table
from deeprecon.jobs.run import Run, Stopped
from deeprecon.seizure import osd
from deeprecon.seizure.config import SAMPLE_RATE
from deeprecon.seizure.quantiles import harrell_davis
from deeprecon.seizure.recordings import Recording
from deeprecon.seizure.scoring import alarms

if TYPE_CHECKING:
    from deeprecon.seizure.network import DeepEpi

Floats = npt.NDArray[np.float64]

MODEL = "model_"
"""What the columns of the single networks are called, with a number."""


@dataclass(frozen=True, eq=False)
class Detection:
    """What was found in a recording, window by window.

    Attributes:
        times: (W,) s from the first sample to each window's end.
        models: (M, W) probability of each network, NaN in gaps.
        osd: (W,) state of OpenSeizureDetector at that time, NaN in gaps.
        roi_power, ratio: (W,) its figures, NaN in gaps.
        movement: (W,) standard deviation of the magnitude in the last 5 s, g.
    """

    times: Floats
    models: Floats
    osd: Floats
    roi_power: Floats
    ratio: Floats
    movement: Floats

    def probability(self, quantile: float) -> Floats:
        """(W,) quantile over the networks."""
        return harrell_davis(self.models, quantile)

    def events(self, quantile: float, threshold: float, merge: float) -> list[dict[str, Any]]:
        """A row for each alarm."""
        return [
            {
                "onset_s": alarm.begin,
                "end_s": alarm.end,
                "duration_s": alarm.end - alarm.begin,
                "peak_probability": alarm.peak,
                "osd_alarm": int(self._osd_between(alarm.begin, alarm.end)),
            }
            for alarm in alarms(self.times, self.probability(quantile), threshold, merge)
        ]

    def _osd_between(self, begin: float, end: float) -> bool:
        return bool((self.osd[(self.times >= begin) & (self.times <= end)] == osd.ALARM).any())

    def rows(self, quantile: float) -> list[dict[str, Any]]:
        """The rows of probability.csv; empty cells in gaps."""
        columns: dict[str, Floats] = {
            "time_s": self.times,
            "probability": self.probability(quantile),
            **{f"{MODEL}{number:02d}": values for number, values in enumerate(self.models)},
            "osd_state": self.osd,
            "osd_roi_power": self.roi_power,
            "osd_ratio": self.ratio,
            "movement_g": self.movement,
        }
        cells = {
            name: ["" if math.isnan(value) else _short(value) for value in values.tolist()]
            for name, values in columns.items()
        }
        return [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]


def detect(
    networks: Sequence[DeepEpi], window: int, recording: Recording, stride: float, osd_threshold: float, run: Run
) -> Detection:
    """Run an ensemble over a recording.

    Args:
        networks: in evaluation mode; moved to the run's device.
        window: samples.
        recording: at least one window long.
        stride: s between the windows.
        osd_threshold: see `osd.analyze`.
        run: device and reporter.

    Raises:
        InputError: the recording is too short, or has no window without a gap.
        Stopped: the run was asked to stop.
    """
    from deeprecon.seizure.infer import probabilities, window_ends

    step = round(stride * SAMPLE_RATE)
    ends = window_ends(len(recording.magnitude), window, step)
    if not len(ends):
        raise InputError(
            f"The recording {recording.name} lasts {recording.seconds:.1f} s, shorter than a window of "
            f"{window / SAMPLE_RATE:g} s.",
            "Give a longer one.",
        )
    found = []
    for number, network in enumerate(networks):
        if run.should_stop():
            raise Stopped
        run.reporter.status(f"Network {number + 1} of {len(networks)}")
        found.append(probabilities(network.to(run.device), recording.magnitude, recording.valid, window, step))
        run.reporter.progress((number + 1) / len(networks))
    if np.isnan(found[0]).all():
        raise InputError(
            f"The recording {recording.name} has no {window / SAMPLE_RATE:g} s without a gap.",
            "Look at its times: samples must come at a steady rate.",
        )
    state, roi, ratio, movement = baseline(recording, ends, osd_threshold)
    return Detection(ends / SAMPLE_RATE, np.array(found), state, roi, ratio, movement)


def baseline(
    recording: Recording, ends: npt.NDArray[np.int64], threshold: float
) -> tuple[Floats, Floats, Floats, Floats]:
    """OpenSeizureDetector's state, power, ratio, and the movement in g, at samples of a recording: those of the last
    row of 5 s that is over; (W,) each, NaN where that row has a gap."""
    rows, continuous = recording.rows()
    found = osd.analyze(rows, threshold, continuous=continuous)
    gap = np.isnan(rows).any(axis=1)
    last = ends // osd.ROW - 1
    columns = (found.state.astype(np.float64), found.roi_power, found.ratio, rows.std(axis=1) / 1000)
    state, roi, ratio, movement = (np.where(gap, np.nan, column)[last] for column in columns)
    return state, roi, ratio, movement


def write_detection(
    folder: Path, detection: Detection, quantile: float, threshold: float, merge: float, title: str
) -> tuple[dict[str, Path], dict[str, Any]]:
    """Write probability.csv, events.csv and plot.png; returns the paths and the figures."""
    paths = {name: folder / file for name, file in FILES.items()}
    write_table(paths["probability"], detection.rows(quantile))
    found = detection.events(quantile, threshold, merge)
    if found:
        write_table(paths["events"], found)
    else:  # a table without rows still names its columns
        write_text(paths["events"], ",".join(EVENT_COLUMNS) + "\n")
    paths["plot"].write_bytes(picture(detection, quantile, threshold, found, title))
    known = int(np.isfinite(detection.models[0]).sum())
    return paths, {
        "events": len(found),
        "windows": len(detection.times),
        "windows_in_gaps": len(detection.times) - known,
        "networks": len(detection.models),
        "largest_probability": float(np.nanmax(detection.probability(quantile))),
        "osd_alarm_windows": int((detection.osd == osd.ALARM).sum()),
        "quantile": quantile,
        "threshold": threshold,
    }


FILES = {"probability": "probability.csv", "events": "events.csv", "plot": "plot.png"}
EVENT_COLUMNS = ("onset_s", "end_s", "duration_s", "peak_probability", "osd_alarm")


def read_detection(path: Path) -> Detection:
    """Read probability.csv, to score it at another quantile or threshold without the networks.

    Raises:
        InputError: no such table, or what it holds.
    """
    return detection_of(read_table(path), str(path))


def detection_of(rows: Sequence[Mapping[str, Any]], name: str) -> Detection:
    """The detection in the rows of probability.csv.

    Raises:
        InputError: columns are missing, or a cell is no number.
    """
    hint = "Give the probability.csv that seizure detect wrote."
    if not rows:
        raise InputError(f"{name} has no rows.", hint)
    models = sorted(column for column in rows[0] if column.startswith(MODEL))
    wanted = ["time_s", *models, "osd_state", "osd_roi_power", "osd_ratio", "movement_g"]
    missing = [column for column in wanted if column not in rows[0]] + ([] if models else [f"{MODEL}00"])
    if missing:
        raise InputError(f"{name} lacks the columns {', '.join(missing)}.", hint)
    try:
        table = np.array([[float("nan" if row[key] in ("", None) else row[key]) for key in wanted] for row in rows])
    except ValueError as error:
        raise InputError(f"{name} holds what is no number: {error}.", hint) from error
    values = table[:, 1 : 1 + len(models)]
    if np.isnan(table[:, 0]).any() or (np.diff(table[:, 0]) <= 0).any() or (np.nan_to_num(values) > 1).any():
        raise InputError(f"{name} is damaged: its times or probabilities make no sense.", hint)
    return Detection(table[:, 0], values.T, *table[:, 1 + len(models) :].T)


def picture(
    detection: Detection, quantile: float, threshold: float, events: Sequence[Mapping[str, Any]], title: str
) -> bytes:
    """PNG: the probability with its alarms and the range over the networks, and the movement."""
    from deeprecon.reporting.figures import png, pyplot

    plt = pyplot()
    unit, scale = ("h", 3600) if detection.times[-1] > 7200 else ("min", 60)
    times = detection.times / scale
    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(9.5, 4.6), layout="constrained", sharex=True, height_ratios=(2, 1)
    )
    for event in events:
        upper.axvspan(event["onset_s"] / scale, event["end_s"] / scale, color="#d55e00", alpha=0.25, lw=0)
    if len(detection.models) > 1:
        upper.fill_between(
            times, detection.models.min(axis=0), detection.models.max(axis=0), color="#0072b2", alpha=0.25, lw=0
        )
    upper.plot(times, detection.probability(quantile), color="#0072b2", lw=1.2, label=f"quantile {quantile:g}")
    upper.axhline(threshold, color="black", lw=0.8, ls="--", label=f"threshold {threshold:g}")
    alarm = np.where(detection.osd == osd.ALARM, 1.03, np.nan)
    upper.plot(times, alarm, ".", color="#009e73", ms=4, label="alarm of OpenSeizureDetector")
    upper.set(ylabel="seizure probability", ylim=(-0.03, 1.08), title=f"{title}. Research only, no alarm device.")
    upper.legend(loc="upper left", fontsize=8, frameon=False)
    lower.plot(times, detection.movement, color="#555555", lw=0.8)
    lower.set(ylabel="movement, g", xlabel=f"time, {unit}")
    return png(figure)


def _short(value: float) -> float | int:
    return int(value) if value == int(value) else float(f"{value:.9g}")
