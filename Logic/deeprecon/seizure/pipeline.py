"""Detection in one recording: the ensemble over all of it, OpenSeizureDetector beside it, alarms, and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.files import write_text
from deeprecon.data.tables import write_table
from deeprecon.jobs.run import Run, Stopped
from deeprecon.seizure.config import SAMPLE_RATE
from deeprecon.seizure.fit import osd
from deeprecon.seizure.fit.detection import EVENT_COLUMNS, Detection
from deeprecon.seizure.read.recordings import Recording

if TYPE_CHECKING:
    from deeprecon.seizure.networks.deepepi import DeepEpi

Floats = npt.NDArray[np.float64]

FILES = {"probability": "probability.csv", "events": "events.csv", "plot": "plot.png"}


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
    from deeprecon.seizure.fit.inference import probabilities, window_ends

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
    """OpenSeizureDetector's state, power and ratio, and the movement in g, at samples of a recording.

    Args:
        recording: any.
        ends: (W,) samples; what was found in the last 5 s that were over by then counts.
        threshold: see `osd.analyze`.

    Returns:
        Four arrays (W,), NaN where those 5 s have a gap.
    """
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
    write_table(paths["probability"], detection.rows(quantile, threshold))
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
    upper.axhline(threshold, color="black", lw=0.8, ls="--", label=f"threshold {threshold:.3g}")
    alarm = np.where(detection.osd == osd.ALARM, 1.03, np.nan)
    upper.plot(times, alarm, ".", color="#009e73", ms=4, label="alarm of OpenSeizureDetector")
    upper.set(ylabel="seizure probability", ylim=(-0.03, 1.08), title=f"{title}. Research only, no alarm device.")
    figure.legend(loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    lower.plot(times, detection.movement, color="#555555", lw=0.8)
    lower.set(ylabel="movement, g", xlabel=f"time, {unit}")
    return png(figure)
