"""Event files: read without loss, joined to recordings, and refused with the reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.data.errors import InputError
from deeprecon.seizure.observe.recordings import load_recordings, recording_from_event
from deeprecon.seizure.read.osdb import ROW_SAMPLES, Event, parse_event_csv, read_event_json
from deeprecon.seizure.simulate.files import write_events

BEGIN = datetime(2024, 3, 1, 12, 0, 0, tzinfo=UTC)


def event(rows: int = 8, **changes: Any) -> dict[str, Any]:
    """An event of a resting arm in the layout of the database, made by hand."""
    points = [
        {
            "dataTime": (BEGIN + timedelta(seconds=5 * (number + 1))).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "rawData": [1000.0 + number] * 125,
            "rawData3D": [],
            "alarmState": 0,
        }
        for number in range(rows)
    ]
    whole = {"id": 7, "userId": 3, "type": "Seizure", "subType": "Tonic-Clonic", "dataSourceName": "Garmin"}
    times = {"dataTime": "2024-03-01T12:00:20Z", "sampleFreq": 25, "seizureTimes": [-10, 15]}
    return {**whole, **times, "datapoints": points, **changes}


def written(tmp_path: Path, *events: dict[str, Any]) -> Path:
    path = tmp_path / "events.json"
    path.write_text(json.dumps(list(events)), encoding="utf-8")
    return path


def event_csv(events: list[Event]) -> str:
    """The flattened CSV of events, in the columns of the database's tools."""
    columns = ["eventId", "userId", "typeStr", "type", "dataTime", "osdAlarmState", "osdSpecPower", "osdRoiPower", "hr"]
    columns += ["o2sat", *(f"{axis}{index:03d}" for axis in "MXYZ" for index in range(ROW_SAMPLES))]
    lines = [columns]
    for one in events:
        kind = f"{one.type}/{one.subtype}" if one.subtype else one.type
        for number, seconds in enumerate(one.row_times):
            logged = [one.alarm_state, one.spectrum_power, one.roi_power, one.heart_rate, one.oxygen]
            axes = np.zeros((ROW_SAMPLES, 3)) if one.axes is None else one.axes[number]
            numbers = [*(values[number] for values in logged), *one.magnitude[number], *axes.T.ravel()]
            at = (one.time + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
            lines.append([one.id, one.user, kind, "1", at, *("" if np.isnan(n) else f"{n:.17g}" for n in numbers)])
    return "\n".join(",".join(cells) for cells in lines) + "\n"


def test_published_event_is_read_without_loss(shared_data, tmp_path):
    path = shared_data / "epi" / "osdb_event_45781.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    raw = raw[0] if isinstance(raw, list) else raw
    (found,) = read_event_json(path)
    assert (found.id, found.user, found.type, found.subtype) == ("45781", "39", "Seizure", "Tonic-Clonic")
    assert found.seizure == (-50.0, 70.0)
    np.testing.assert_array_equal(found.magnitude, [point["rawData"] for point in raw["datapoints"]])
    np.testing.assert_array_equal(found.axes.reshape(30, 375), [point["rawData3D"] for point in raw["datapoints"]])
    np.testing.assert_array_equal(found.alarm_state, [point["alarmState"] for point in raw["datapoints"]])
    np.testing.assert_array_equal(found.heart_rate, [point["hr"] for point in raw["datapoints"]])
    np.testing.assert_allclose(found.magnitude, np.linalg.norm(found.axes, axis=2), atol=1e-3)
    write_events(tmp_path / "again.json", [found])
    (tmp_path / "again.csv").write_text(event_csv([found]))
    from_json = read_event_json(tmp_path / "again.json")
    for (other,) in (from_json, parse_event_csv(path, (tmp_path / "again.csv").read_text())):
        np.testing.assert_array_equal(other.magnitude, found.magnitude)
        np.testing.assert_array_equal(other.axes, found.axes)
        np.testing.assert_array_equal(np.diff(other.row_times), np.diff(found.row_times))
        np.testing.assert_array_equal(other.spectrum_power, found.spectrum_power)


def test_published_event_becomes_one_signal_with_its_seizure(shared_data):
    (event_,) = read_event_json(shared_data / "epi" / "osdb_event_45781.json")
    found = recording_from_event(event_)
    assert found.notes == ("1 overlapping rows were dropped",)
    assert found.valid.all()
    assert len(found.magnitude) == 29 * 125
    kept = np.delete(event_.magnitude, 14, axis=0)  # the row that was repeated when the alarm was pressed by hand
    np.testing.assert_array_equal(found.magnitude, (kept.ravel() / 1000).astype(np.float32))
    begin = (event_.time - found.start).total_seconds()
    assert found.seizures == ((begin - 50, 145.0),)


@pytest.mark.parametrize(
    "text", ["01-03-2024 12:00:20", "01/03/2024 12:00:20", "2024-03-01T12:00:20+00:00", "2024-03-01 12:00:20"]
)
def test_all_date_formats_are_read(text, tmp_path):
    (found,) = read_event_json(written(tmp_path, event(dataTime=text)))
    assert found.time == BEGIN + timedelta(seconds=20)
    assert recording_from_event(found).seizures == ((10.0, 35.0),)


def test_rows_are_sorted_gaps_masked_and_overlaps_dropped(tmp_path):
    raw = event(8)
    points = raw["datapoints"]
    points[2], points[3] = points[3], points[2]
    points[5]["dataTime"] = "2024-03-01T12:00:26Z"  # a second after the row before
    points[7]["dataTime"] = "2024-03-01T12:01:00Z"  # 20 s late, after 35 s
    recording = recording_from_event(read_event_json(written(tmp_path, raw))[0])
    assert set(recording.notes) == {
        "rows were put in order of time",
        "1 overlapping rows were dropped",
        "2 gaps were masked",
    }
    rows = recording.magnitude.reshape(-1, 125)[:, 0]
    np.testing.assert_allclose(rows[:5], [1.0, 1.001, 1.002, 1.003, 1.004])
    assert recording.seconds == 60.0
    assert [bool(recording.valid[25 * second]) for second in (24, 26, 31, 36, 54, 56)] == [
        True,
        False,
        True,
        False,
        False,
        True,
    ]
    assert (recording.magnitude[~recording.valid] == 0).all()


def test_row_one_second_late_gives_no_gap(tmp_path):
    raw = event(4)
    raw["datapoints"][2]["dataTime"] = "2024-03-01T12:00:16Z"
    assert recording_from_event(read_event_json(written(tmp_path, raw))[0]).valid.all()


def test_sum_of_three_axes_is_scaled_to_1_g_and_stated(tmp_path):
    raw = event(8)
    for number, point in enumerate(raw["datapoints"]):
        point["rawData"] = [1500.0 + number % 2] * 125
    recording = recording_from_event(read_event_json(written(tmp_path, raw))[0])
    np.testing.assert_allclose(recording.magnitude, 1.0, atol=1e-3)
    assert [(one.code, one.assumed) for one in recording.doubts] == [("sum-of-axes", True)]


def test_magnitude_is_computed_from_three_axes(tmp_path):
    raw = event(4)
    for point in raw["datapoints"]:
        point["rawData"] = [1400.0] * 125
        point["rawData3D"] = [600.0, 800.0, 0.0] * 125
    recording = recording_from_event(read_event_json(written(tmp_path, raw))[0])
    np.testing.assert_allclose(recording.magnitude, 1.0, atol=1e-6)
    assert "three axes" in recording.notes[0]


def test_seizure_at_an_unknown_time_is_marked(tmp_path):
    recording = recording_from_event(read_event_json(written(tmp_path, event(seizureTimes=None)))[0])
    assert recording.uncertain
    assert recording.seizures == ()
    other = recording_from_event(read_event_json(written(tmp_path, event(type="NDA", seizureTimes=None)))[0])
    assert not other.uncertain


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"datapoints": []}, "event 7 is empty"),
        ({"sampleFreq": 50}, "50 samples a second"),
        ({"dataTime": "yesterday"}, "'yesterday' is not a date"),
        ({"seizureTimes": [10, -10]}, "before they begin"),
        ({"seizureTimes": ["a", 1]}, "seizureTimes contains a value that is not a number"),
    ],
)
def test_unusable_event_is_named(change, words, tmp_path):
    with pytest.raises(InputError, match=words):
        read_event_json(written(tmp_path, event(**change)))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("rawData", ["x"] * 125, "datapoint 2: rawData contains a value that is not a number"),
        ("rawData", [1000.0] * 124, "datapoint 2: rawData has 124 values, expected 125"),
        ("rawData", [float("nan")] * 125, "not finite"),
        ("rawData", None, "rawData contains a value that is not a number"),
        ("rawData3D", [1.0] * 100, "rawData3D has 100 values"),
        ("dataTime", "?", "datapoint 2: the dataTime"),
        ("alarmState", "loud", "alarmState is 'loud'"),
    ],
)
def test_unusable_row_is_named(key, value, words, tmp_path):
    raw = event()
    raw["datapoints"][2][key] = value
    with pytest.raises(InputError, match=words):
        read_event_json(written(tmp_path, raw))


def test_seizure_outside_of_its_event_is_refused(tmp_path):
    path = written(tmp_path, event(seizureTimes=[500, 600]))
    with pytest.raises(InputError, match=rf"{path.name}, event .*: its seizureTimes lie outside"):
        load_recordings(path)


def test_magnitudes_in_g_are_refused(tmp_path):
    raw = event()
    for point in raw["datapoints"]:
        point["rawData"] = [1.0] * 125  # g, where mg are expected
    with pytest.raises(InputError, match="not in mg"):
        recording_from_event(read_event_json(written(tmp_path, raw))[0])


@pytest.mark.parametrize(
    ("text", "words"), [("{", "is not JSON"), ("[]", "contains no events"), ('[{"id": 1}]', "contains no events")]
)
def test_other_json_files_are_refused(text, words, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=words):
        load_recordings(tmp_path / "a.json")


def test_invalid_flattened_files_are_refused(tmp_path):
    lines = event_csv(read_event_json(written(tmp_path, event()))).splitlines()
    assert len(lines[0].split(",")) == 510
    bad = tmp_path / "bad.csv"
    for change, words in (
        (lambda rows: [rows[0].replace("M000", "M000_t-0"), *rows[1:]], "lacks the columns M000"),
        (
            lambda rows: [rows[0], rows[1].replace("1000,", "much,", 1), *rows[2:]],
            "contains a value that is not a number",
        ),
        (lambda rows: [rows[0], rows[1] + ",1"], "row 2, does not have 510 values"),
        (lambda rows: rows[:1], "has no rows"),
    ):
        bad.write_text("\n".join(change(lines)) + "\n")
        with pytest.raises(InputError, match=words):
            load_recordings(bad)
