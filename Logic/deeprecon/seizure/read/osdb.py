"""Event files of the Open Seizure Database: JSON, and the flattened CSV made by its tools.

Events are read unchanged; `observe.recordings.recording_from_event` joins the rows of one to a continuous signal.
"""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.seizure.read.text import read_text

Floats = npt.NDArray[np.float64]

_DATE_FORMATS = ("%d-%m-%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%d/%m/%Y %H:%M:%S")

ROW_SAMPLES = 125
"""Samples of a row: 5 s at 25 Hz."""


@dataclass(frozen=True, eq=False)
class Event:
    """An event as its file has it, in R rows of 5 s.

    Attributes:
        id, user, type, subtype, source: as in the file, as text.
        time: of the event, UTC where the file states no time zone.
        row_times: (R,) s from `time` to the end of each row.
        magnitude: (R, 125) mg.
        axes: (R, 125, 3) mg, NaN in rows without axes; None where no row has them.
        seizure: (start, end) in s from `time`, None where the file has no seizureTimes.
        alarm_state, spectrum_power, roi_power, heart_rate, oxygen: (R,) as the watch logged them; NaN where missing.
    """

    id: str
    user: str
    type: str
    subtype: str
    source: str
    time: datetime
    row_times: Floats
    magnitude: Floats
    axes: Floats | None
    seizure: tuple[float, float] | None
    alarm_state: Floats
    spectrum_power: Floats
    roi_power: Floats
    heart_rate: Floats
    oxygen: Floats

    @property
    def is_seizure(self) -> bool:
        """Whether the type is one of the seizure types."""
        return self.type.lower().startswith("seizure")


def read_event_json(path: Path) -> list[Event]:
    """Events of a JSON file: one event, or a list of them.

    Raises:
        InputError: the file cannot be read, or a value is invalid; the message names event and row.
    """
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not JSON: {error}.") from error
    entries = content if isinstance(content, list) else [content]
    if not entries or not all(isinstance(entry, dict) and "datapoints" in entry for entry in entries):
        raise InputError(
            f"{path} contains no events with datapoints.", "Give an event file of the Open Seizure Database."
        )
    return [_event_from_json(path, entry) for entry in entries]


def _event_from_json(path: Path, entry: dict[str, Any]) -> Event:
    name = f"{path}, event {entry.get('id', '?')}"
    rows = entry["datapoints"]
    if not isinstance(rows, list) or not rows:
        raise InputError(f"{name} is empty: it has no datapoints.", "Leave it out.")
    if entry.get("sampleFreq", 25) not in (25, None, "25"):
        raise InputError(f"{name} has {entry['sampleFreq']} samples a second; rows of 125 must be 5 s at 25 Hz.")
    magnitude, axes, times = [], [], []
    for number, row in enumerate(rows):
        where = f"{name}, datapoint {number}"
        times.append(_time(where, row.get("dataTime")))
        magnitude.append(_numbers(where, "rawData", row.get("rawData"), ROW_SAMPLES))
        flat = row.get("rawData3D") or []
        axes.append(_numbers(where, "rawData3D", flat, 3 * ROW_SAMPLES).reshape(ROW_SAMPLES, 3) if any(flat) else None)
    time = _time(name, entry.get("dataTime")) if entry.get("dataTime") else times[0]
    logged = {
        key: np.array([_number(f"{name}, datapoint {number}, {key}", row.get(key)) for number, row in enumerate(rows)])
        for key in ("alarmState", "specPower", "roiPower", "hr", "o2Sat")
    }
    return Event(
        str(entry.get("id", path.stem)),
        str(entry.get("userId", "unknown")),
        str(entry.get("type", "")),
        str(entry.get("subType") or ""),
        str(entry.get("dataSourceName") or ""),
        time,
        np.array([(at - time).total_seconds() for at in times]),
        np.array(magnitude),
        _stack_axes(axes),
        _seizure_times(name, entry.get("seizureTimes")),
        *logged.values(),
    )


def is_event_csv(text: str) -> bool:
    """Whether the text of a CSV file is that of flattened events."""
    return text.startswith("eventId,")


def parse_event_csv(path: Path, text: str) -> list[Event]:
    """Events of a flattened CSV file; rows of one event follow each other.

    Args:
        path: of the file, for messages.
        text: its content.

    Raises:
        InputError: as `read_event_json`; columns are missing, or contain history (`M000_t-1`).
    """
    reader = csv.DictReader(io.StringIO(text), strict=True)
    header = reader.fieldnames or []
    missing = [name for name in ("eventId", "userId", "type", "dataTime", "M000", "M124") if name not in header]
    if missing:
        hint = "Columns with history cannot be read: give the file before it was added."
        raise InputError(f"{path} lacks the columns {', '.join(missing)}.", hint)
    groups: dict[str, list[dict[str, Any]]] = {}
    try:
        for number, row in enumerate(reader, start=2):
            if None in row or None in row.values():
                raise InputError(f"{path}, row {number}, does not have {len(header)} values.")
            groups.setdefault(row["eventId"], []).append(row)
    except csv.Error as error:
        raise InputError(f"{path} is not a CSV file: {error}.") from error
    if not groups:
        raise InputError(f"{path} has no rows.")
    return [_event_from_csv_rows(path, key, rows) for key, rows in groups.items()]


def _event_from_csv_rows(path: Path, key: str, rows: list[dict[str, str]]) -> Event:
    name = f"{path}, event {key}"
    times = [_time(f"{name}, row {number}", row["dataTime"]) for number, row in enumerate(rows)]

    def block(letter: str, number: int) -> list[str]:
        return [rows[number].get(f"{letter}{index:03d}", "") for index in range(ROW_SAMPLES)]

    where = [f"{name}, row {number}" for number in range(len(rows))]
    magnitude = [
        _numbers(where[number], "M000 to M124", block("M", number), ROW_SAMPLES) for number in range(len(rows))
    ]
    axes: list[Floats | None] = []
    for number in range(len(rows)):
        blocks = [block(letter, number) for letter in "XYZ"]
        found = any(text not in ("", "0", "0.0") for one in blocks for text in one)
        axes.append(
            np.stack([_numbers(where[number], "X, Y, Z", one, ROW_SAMPLES) for one in blocks], axis=1)
            if found
            else None
        )
    names = {"1": "Seizure", "1.0": "Seizure", "0": "False Alarm", "0.0": "False Alarm"}
    kind = rows[0].get("typeStr") or names.get(rows[0]["type"], "Other")
    logged = [
        np.array([_number(f"{where[number]}, {column}", row.get(column)) for number, row in enumerate(rows)])
        for column in ("osdAlarmState", "osdSpecPower", "osdRoiPower", "hr", "o2sat")
    ]
    main, _, sub = kind.partition("/")
    seconds = np.array([(at - times[0]).total_seconds() for at in times])
    return Event(
        key, rows[0]["userId"], main, sub, "", times[0], seconds, np.array(magnitude), _stack_axes(axes), None, *logged
    )


def _time(where: str, text: Any) -> datetime:
    """A time in any format of the database; UTC where it states no time zone."""
    value = str(text).strip()
    try:
        found = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        for pattern in _DATE_FORMATS:
            try:
                found = datetime.strptime(value, pattern)
                break
            except ValueError:
                continue
        else:
            raise InputError(f"{where}: the dataTime {text!r} is not a date and time.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _numbers(where: str, key: str, values: Any, count: int) -> Floats:
    try:
        numbers = np.array([float(value) for value in values], np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{where}: {key} contains a value that is not a number.") from None
    if len(numbers) != count:
        raise InputError(f"{where}: {key} has {len(numbers)} values, expected {count}.")
    if not np.isfinite(numbers).all():
        raise InputError(f"{where}: {key} contains values that are not finite.")
    return numbers


def _number(where: str, value: Any) -> float:
    if value is None or value == "":
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"{where} is {value!r}, which is not a number.") from None


def _stack_axes(axes: list[Floats | None]) -> Floats | None:
    if all(one is None for one in axes):
        return None
    return np.array([np.full((ROW_SAMPLES, 3), np.nan) if one is None else one for one in axes])


def _seizure_times(name: str, values: Any) -> tuple[float, float] | None:
    if values in (None, []):
        return None
    start, end = _numbers(name, "seizureTimes", values, 2).tolist()
    if not start < end:
        raise InputError(f"{name}: seizureTimes end at {end:g} s, before they begin at {start:g} s.")
    return start, end
