"""Alarms as annotations that other tools read: SzCORE's events.tsv, and a summary of the Open Seizure Database."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

from deeprecon.data.files import write_text
from deeprecon.data.tables import without_formula
from deeprecon.seizure.fit.baseline import ALARM
from deeprecon.seizure.read.recording import Recording

_SZCORE_COLUMNS = ("onset", "duration", "eventType", "confidence", "channels", "dateTime", "recordingDuration")
_OSD_COLUMNS = (
    *("eventId", "userId", "dataTime", "type", "subType", "osdAlarmState", "dataSource"),
    *("phoneAppVersion", "watchAppVersion", "desc"),
)
_NONE = "n/a"


def write_annotations(folder: Path, alarms: Sequence[Mapping[str, Any]], recording: Recording) -> dict[str, Path]:
    """Write the alarms of a recording as annotations.

    Args:
        folder: exists.
        alarms: of `measure.alarms.alarm_rows`.
        recording: whose start and duration the files state.

    Returns:
        Paths by role: `events_szcore` (events.tsv; Dan et al. 2024, doi:10.1111/epi.18113, whose columns are those of
        BIDS events and more; without alarms one row of background) and `events_osd` (events_osd.csv; columns of
        Data_Structure.md in github.com/OpenSeizureDetector/OpenSeizureDatabase).
    """
    paths = {"events_szcore": folder / "events.tsv", "events_osd": folder / "events_osd.csv"}
    write_text(paths["events_szcore"], _table(_SZCORE_COLUMNS, _szcore_rows(alarms, recording), "\t"))
    write_text(paths["events_osd"], _table(_OSD_COLUMNS, _osd_rows(alarms, recording), ","))
    return paths


def _szcore_rows(alarms: Sequence[Mapping[str, Any]], recording: Recording) -> Iterable[tuple[str, ...]]:
    start = recording.start.strftime("%Y-%m-%d %H:%M:%S") if recording.start else _NONE
    seconds = f"{recording.seconds:.2f}"
    if not alarms:
        return [("0.00", seconds, "bckg", _NONE, _NONE, start, seconds)]
    return [
        (
            f"{alarm['onset_s']:.2f}",
            f"{alarm['duration_s']:.2f}",
            "sz",
            f"{alarm['peak_probability']:.4f}",
            _NONE,
            start,
            seconds,
        )
        for alarm in alarms
    ]


def _osd_rows(alarms: Sequence[Mapping[str, Any]], recording: Recording) -> Iterable[tuple[str, ...]]:
    for number, alarm in enumerate(alarms, start=1):
        at = recording.start + timedelta(seconds=alarm["onset_s"]) if recording.start else None
        text = (
            f"alarm of DeepRecon: {alarm['duration_s']:.0f} s from second {alarm['onset_s']:.2f}, "
            f"largest probability {alarm['peak_probability']:.3f}"
        )
        state = str(ALARM if alarm["osd_alarm"] else 0)
        time = at.strftime("%d-%m-%Y %H:%M:%S") if at else ""
        event = f"{recording.name}-{number}"
        yield event, recording.user, time, "Unknown", "", state, recording.name, "", "", text


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]], delimiter: str) -> str:
    text = StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([without_formula(value) for value in row] for row in rows)
    return text.getvalue()
