"""Event files: read without loss, and refused in words."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.data.errors import InputError
from deeprecon.seizure.read.osdb import FLAT_COLUMNS, read_flat, read_json, write_flat, write_json
from deeprecon.seizure.read.recordings import from_event, read_recordings

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


def test_the_published_event_is_read_without_loss(shared_data, tmp_path):
    path = shared_data / "epi" / "osdb_event_45781.json"
    raw = json.loads(path.read_text(encoding="utf-8"))
    raw = raw[0] if isinstance(raw, list) else raw
    (found,) = read_json(path)
    assert (found.id, found.user, found.type, found.subtype) == ("45781", "39", "Seizure", "Tonic-Clonic")
    assert found.seizure == (-50.0, 70.0)
    np.testing.assert_array_equal(found.magnitude, [point["rawData"] for point in raw["datapoints"]])
    np.testing.assert_array_equal(found.axes.reshape(30, 375), [point["rawData3D"] for point in raw["datapoints"]])
    np.testing.assert_array_equal(found.alarm_state, [point["alarmState"] for point in raw["datapoints"]])
    np.testing.assert_array_equal(found.heart_rate, [point["hr"] for point in raw["datapoints"]])
    np.testing.assert_allclose(found.magnitude, np.linalg.norm(found.axes, axis=2), atol=1e-3)
    for write, read in ((write_json, read_json), (write_flat, read_flat)):
        again = tmp_path / ("again.json" if write is write_json else "again.csv")
        write(again, [found])
        (other,) = read(again)
        np.testing.assert_array_equal(other.magnitude, found.magnitude)
        np.testing.assert_array_equal(other.axes, found.axes)
        np.testing.assert_array_equal(np.diff(other.row_times), np.diff(found.row_times))
        np.testing.assert_array_equal(other.spectrum_power, found.spectrum_power)


def test_the_published_event_becomes_one_signal_with_its_seizure(shared_data):
    (event_,) = read_json(shared_data / "epi" / "osdb_event_45781.json")
    found = from_event(event_)
    assert found.notes == ("1 overlapping rows were dropped",)
    assert found.valid.all()
    assert len(found.magnitude) == 29 * 125
    kept = np.delete(event_.magnitude, 14, axis=0)  # the row that was repeated when the alarm was pressed by hand
    np.testing.assert_array_equal(found.magnitude, (kept.ravel() / 1000).astype(np.float32))
    begin = (event_.time - found.start).total_seconds()
    assert found.seizures == ((begin - 50, 145.0),)


def test_a_flattened_file_has_the_510_columns():
    assert len(FLAT_COLUMNS) == len(set(FLAT_COLUMNS)) == 510
    assert FLAT_COLUMNS[:2] == ("eventId", "userId")
    assert FLAT_COLUMNS[10] == "M000"
    assert FLAT_COLUMNS[-1] == "Z124"


@pytest.mark.parametrize("text", ["01-03-2024 12:00:20", "2024-03-01T12:00:20+00:00", "2024-03-01 12:00:20"])
def test_times_are_read_in_all_their_spellings(text, tmp_path):
    (found,) = read_json(written(tmp_path, event(dataTime=text)))
    assert found.time == BEGIN + timedelta(seconds=20)
    assert from_event(found).seizures == ((10.0, 35.0),)


def test_rows_are_sorted_gaps_masked_and_overlaps_dropped(tmp_path):
    raw = event(8)
    points = raw["datapoints"]
    points[2], points[3] = points[3], points[2]
    points[5]["dataTime"] = "2024-03-01T12:00:26Z"  # a second after the row before
    points[7]["dataTime"] = "2024-03-01T12:01:00Z"  # 20 s late, after 35 s
    recording = from_event(read_json(written(tmp_path, raw))[0])
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


def test_a_row_that_comes_a_second_late_leaves_no_gap(tmp_path):
    raw = event(4)
    raw["datapoints"][2]["dataTime"] = "2024-03-01T12:00:16Z"
    assert from_event(read_json(written(tmp_path, raw))[0]).valid.all()


def test_a_sum_of_three_axes_is_scaled_to_one_g_and_said(tmp_path):
    raw = event(8)
    for point in raw["datapoints"]:
        point["rawData"] = [1500.0] * 125
    recording = from_event(read_json(written(tmp_path, raw))[0])
    np.testing.assert_allclose(recording.magnitude, 1.0, atol=1e-6)
    assert "sum of three axes" in recording.notes[0]


def test_with_three_axes_their_length_is_taken(tmp_path):
    raw = event(4)
    for point in raw["datapoints"]:
        point["rawData"] = [1400.0] * 125
        point["rawData3D"] = [600.0, 800.0, 0.0] * 125
    recording = from_event(read_json(written(tmp_path, raw))[0])
    np.testing.assert_allclose(recording.magnitude, 1.0, atol=1e-6)
    assert "three axes" in recording.notes[0]


def test_a_seizure_at_an_unknown_time_is_marked(tmp_path):
    recording = from_event(read_json(written(tmp_path, event(seizureTimes=None)))[0])
    assert recording.uncertain
    assert recording.seizures == ()
    other = from_event(read_json(written(tmp_path, event(type="NDA", seizureTimes=None)))[0])
    assert not other.uncertain


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"datapoints": []}, "event 7 is empty"),
        ({"sampleFreq": 50}, "50 samples a second"),
        ({"dataTime": "yesterday"}, "'yesterday' is no date"),
        ({"seizureTimes": [10, -10]}, "before they begin"),
        ({"seizureTimes": ["a", 1]}, "seizureTimes holds what is no number"),
    ],
)
def test_an_unusable_event_is_named(change, words, tmp_path):
    with pytest.raises(InputError, match=words):
        read_json(written(tmp_path, event(**change)))


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("rawData", ["x"] * 125, "datapoint 2: rawData holds what is no number"),
        ("rawData", [1000.0] * 124, "datapoint 2: rawData has 124 values, expected 125"),
        ("rawData", [float("nan")] * 125, "not finite"),
        ("rawData", None, "rawData holds what is no number"),
        ("rawData3D", [1.0] * 100, "rawData3D has 100 values"),
        ("dataTime", "?", "datapoint 2: the dataTime"),
        ("alarmState", "loud", "alarmState is 'loud'"),
    ],
)
def test_an_unusable_row_is_named(key, value, words, tmp_path):
    raw = event()
    raw["datapoints"][2][key] = value
    with pytest.raises(InputError, match=words):
        read_json(written(tmp_path, raw))


def test_a_seizure_outside_of_its_event_is_refused(tmp_path):
    with pytest.raises(InputError, match="seizureTimes lie outside"):
        from_event(read_json(written(tmp_path, event(seizureTimes=[500, 600])))[0])


def test_magnitudes_in_another_unit_are_refused(tmp_path):
    raw = event()
    for point in raw["datapoints"]:
        point["rawData"] = [1.0] * 125  # g, where mg are expected
    with pytest.raises(InputError, match="not in mg"):
        from_event(read_json(written(tmp_path, raw))[0])


@pytest.mark.parametrize(
    ("text", "words"), [("{", "is no JSON"), ("[]", "holds no events"), ('[{"id": 1}]', "holds no events")]
)
def test_what_is_no_event_file_is_refused(text, words, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=words):
        read_recordings(tmp_path / "a.json")


def test_flattened_files_with_faults_are_refused(tmp_path):
    good = tmp_path / "good.csv"
    write_flat(good, read_json(written(tmp_path, event())))
    lines = good.read_text().splitlines()
    bad = tmp_path / "bad.csv"
    for change, words in (
        (lambda rows: [rows[0].replace("M000", "M000_t-0"), *rows[1:]], "lacks the columns M000"),
        (lambda rows: [rows[0], rows[1].replace("1000,", "much,", 1), *rows[2:]], "holds what is no number"),
        (lambda rows: [rows[0], rows[1] + ",1"], "row 2, does not have 510 values"),
        (lambda rows: rows[:1], "has no rows"),
    ):
        bad.write_text("\n".join(change(lines)) + "\n")
        with pytest.raises(InputError, match=words):
            read_recordings(bad)
