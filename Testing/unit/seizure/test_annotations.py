"""Alarms as annotations for other tools."""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

import deeprecon
from deeprecon.seizure.read.recording import Recording
from deeprecon.seizure.simulate.recordings import simulate_long_recording
from deeprecon.seizure.write.annotations import write_annotations

BEGIN = datetime(2024, 3, 5, 23, 59, 0, tzinfo=UTC)


def rows(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


@pytest.fixture
def recording() -> Recording:
    return Recording("night, 1", "P1", np.ones(3000, np.float32), np.ones(3000, np.bool_), BEGIN)


def test_alarms_are_those_of_the_table_with_the_date_of_the_recording(recording, tmp_path):
    alarm = {"onset_s": 90.2, "duration_s": 30.0, "peak_probability": 0.98765, "osd_alarm": 1}
    paths = write_annotations(tmp_path, [alarm, {**alarm, "onset_s": 20.0, "osd_alarm": 0}], recording)
    szcore = rows(paths["events_szcore"], "\t")
    assert szcore[0] == {
        "onset": "90.20",
        "duration": "30.00",
        "eventType": "sz",
        "confidence": "0.9877",
        "channels": "n/a",
        "dateTime": "2024-03-05 23:59:00",
        "recordingDuration": "120.00",
    }
    osd = rows(paths["events_osd"])
    assert [one["dataTime"] for one in osd] == ["06-03-2024 00:00:30", "05-03-2024 23:59:20"]
    assert [one["osdAlarmState"] for one in osd] == ["2", "0"]
    assert (osd[0]["eventId"], osd[0]["userId"], osd[0]["type"]) == ("night, 1-1", "P1", "Unknown")


def test_without_alarms_there_is_background_alone(recording, tmp_path):
    paths = write_annotations(tmp_path, [], recording)
    (only,) = rows(paths["events_szcore"], "\t")
    assert (only["onset"], only["duration"], only["eventType"]) == ("0.00", "120.00", "bckg")
    assert rows(paths["events_osd"]) == []


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_detect_writes_both(threshold, bundle, tmp_path):
    axes = simulate_long_recording(0.05, 3, 1)[0]
    lines = [f"{(BEGIN + timedelta(seconds=n / 25)).isoformat()},{x},{y},{z}" for n, (x, y, z) in enumerate(axes)]
    (tmp_path / "night.csv").write_text("\n".join(["t,x,y,z", *lines]))
    found = deeprecon.seizure.detect(tmp_path / "night.csv", bundle, threshold=threshold)
    szcore = [one for one in rows(found.outputs["events_szcore"], "\t") if one["eventType"] == "sz"]
    assert bool(szcore) == (threshold == 0)
    assert [float(one["onset"]) for one in szcore] == [float(one["onset_s"]) for one in found.alarms]
    assert [float(one["duration"]) for one in szcore] == [float(one["duration_s"]) for one in found.alarms]
    assert len(rows(found.outputs["events_osd"])) == len(found.alarms)
