"""Files of a detection: probability.csv, events.csv and plot.png."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deeprecon.data.files import write_text
from deeprecon.data.tables import write_table
from deeprecon.seizure.fit.baseline import ALARM
from deeprecon.seizure.fit.detection import Detection
from deeprecon.seizure.measure.alarms import alarm_rows
from deeprecon.seizure.parameters import ScoreParameters
from deeprecon.seizure.write.probability_table import write_probability_table

_EVENT_COLUMNS = ("onset_s", "end_s", "duration_s", "alarm_s", "peak_probability", "osd_alarm")


def write_detection(
    folder: Path, detection: Detection, parameters: ScoreParameters, threshold: float, title: str
) -> tuple[dict[str, Path], dict[str, Any]]:
    """Score a detection and write it.

    Args:
        folder: exists.
        detection: with at least one window without a gap.
        parameters: quantile and merge; the threshold is given apart.
        threshold: probability above which there is an alarm.
        title: of the plot.

    Returns:
        Paths by role, and the figures.
    """
    quantile = parameters.quantile
    paths = {"probability": folder / "probability.csv", "events": folder / "events.csv", "plot": folder / "plot.png"}
    write_probability_table(paths["probability"], detection, quantile, threshold)
    events = alarm_rows(detection, quantile, threshold, parameters.merge)
    if events:
        write_table(paths["events"], events)
    else:  # a table without rows still has its header
        write_text(paths["events"], ",".join(_EVENT_COLUMNS) + "\n")
    paths["plot"].write_bytes(_plot(detection, quantile, threshold, events, title))
    known = int(np.isfinite(detection.models[0]).sum())
    return paths, {
        "windows_not_monitored_share": 1 - known / len(detection.times),
        "events": len(events),
        "windows": len(detection.times),
        "windows_in_gaps": len(detection.times) - known,
        "networks": len(detection.models),
        "largest_probability": float(np.nanmax(detection.probability(quantile))),
        "osd_alarm_windows": int((detection.osd == ALARM).sum()),
        "quantile": quantile,
        "threshold": threshold,
    }


def _plot(
    detection: Detection, quantile: float, threshold: float, events: Sequence[Mapping[str, Any]], title: str
) -> bytes:
    """PNG: probability with its alarms and the range over the networks, and below it the movement."""
    from deeprecon.reporting.figures import png, pyplot

    plt = pyplot()
    unit, scale = ("h", 3600) if detection.times[-1] > 7200 else ("min", 60)
    times = detection.times / scale
    figure, (upper, lower) = plt.subplots(
        2, 1, figsize=(9.5, 4.6), layout="constrained", sharex=True, height_ratios=(2, 1)
    )
    blind = np.isnan(detection.models[0])
    edges = np.flatnonzero(np.diff(np.pad(blind, 1).astype(np.int8)))
    for first, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        for axis in (upper, lower):
            axis.axvspan(times[max(first - 1, 0)], times[end - 1], color="#bbbbbb", lw=0)
    for event in events:
        upper.axvspan(event["onset_s"] / scale, event["end_s"] / scale, color="#d55e00", alpha=0.25, lw=0)
    if len(detection.models) > 1:
        upper.fill_between(
            times, detection.models.min(axis=0), detection.models.max(axis=0), color="#0072b2", alpha=0.25, lw=0
        )
    upper.plot(times, detection.probability(quantile), color="#0072b2", lw=1.2, label=f"quantile {quantile:g}")
    upper.axhline(threshold, color="black", lw=0.8, ls="--", label=f"threshold {threshold:.3g}")
    alarm = np.where(detection.osd == ALARM, 1.03, np.nan)
    upper.plot(times, alarm, ".", color="#009e73", ms=4, label="alarm of OpenSeizureDetector")
    upper.set(ylabel="seizure probability", ylim=(-0.03, 1.08), title=f"{title}. Research only, no alarm device.")
    if blind.any():
        upper.fill_between([], [], color="#bbbbbb", lw=0, label="not monitored")
    figure.legend(loc="outside lower center", ncols=4, fontsize=8, frameon=False)
    lower.plot(times, detection.movement, color="#555555", lw=0.8)
    lower.set(ylabel="movement, g", xlabel=f"time, {unit}")
    return png(figure)
