"""Files of simulated users: events of the Open Seizure Database, and a long recording with its seizures."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from deeprecon.data.files import atomic_path, write_text
from deeprecon.data.tables import write_table
from deeprecon.seizure.configuration import SAMPLE_RATE
from deeprecon.seizure.read.osdb import Event
from deeprecon.seizure.simulate.recordings import simulate_events, simulate_long_recording


def write_phantom(folder: Path, users: int, seizures: int, minutes: float, hours: float, seed: int) -> dict[str, Path]:
    """Write events.json and, where `hours` is above 0, recording.csv (t,x,y,z) with seizures.csv; returns the paths.

    The long recording is of a person who is not among the users.
    """
    paths = {"events": folder / "events.json"}
    write_events(paths["events"], simulate_events(users, seizures, minutes, seed))
    if hours:
        axes, times = simulate_long_recording(hours, users, seed)
        paths |= {"recording": folder / "recording.csv", "table": folder / "seizures.csv"}
        seconds = np.arange(len(axes)) / SAMPLE_RATE
        with atomic_path(paths["recording"]) as part:
            table = np.column_stack([seconds, axes])
            np.savetxt(part, table, "%.2f,%.3f,%.3f,%.3f", header="t,x,y,z", comments="", encoding="utf-8")
        columns = ("recording", "user", "start", "end")
        rows = [
            dict(zip(columns, ("recording", str(users + 1), round(start, 2), round(end, 2)), strict=True))
            for start, end in times
        ]
        write_table(paths["table"], rows or [dict.fromkeys(columns, "")])
    return paths


def write_events(path: Path, events: Sequence[Event]) -> None:
    """Write events as a JSON file of the Open Seizure Database, atomically."""
    entries = []
    for event in events:
        points = []
        for number, seconds in enumerate(event.row_times):
            at = datetime.fromtimestamp(event.time.timestamp() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            point: dict[str, Any] = {"dataTime": at, "rawData": event.magnitude[number].tolist()}
            if event.axes is not None and np.isfinite(event.axes[number]).all():
                point["rawData3D"] = event.axes[number].ravel().tolist()
            for key, values in (
                ("alarmState", event.alarm_state),
                ("specPower", event.spectrum_power),
                ("roiPower", event.roi_power),
                ("hr", event.heart_rate),
                ("o2Sat", event.oxygen),
            ):
                if math.isfinite(values[number]):
                    point[key] = values[number]
            points.append(point)
        entry: dict[str, Any] = {
            "id": int(event.id) if event.id.isdecimal() else event.id,
            "userId": int(event.user) if event.user.isdecimal() else event.user,
            "type": event.type,
            "subType": event.subtype,
            "dataSourceName": event.source,
            "dataTime": event.time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "sampleFreq": 25,
        }
        if event.seizure is not None:
            entry["seizureTimes"] = list(event.seizure)
        entries.append({**entry, "datapoints": points})
    write_text(path, json.dumps(entries, allow_nan=False) + "\n")
