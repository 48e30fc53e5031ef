"""Event files of the Open Seizure Database: JSON, and the flattened CSV that its tools make of it.

An event is read as it stands; `recordings.from_event` makes one continuous signal of it.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.files import write_text
from deeprecon.seizure.fit.osd import ROW

Floats = npt.NDArray[np.float64]

_DATES = ("%d-%m-%Y %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%d/%m/%Y %H:%M:%S")
_FIELDS = ("eventId", "userId", "typeStr", "type", "dataTime", "osdAlarmState", "osdSpecPower", "osdRoiPower", "hr")
_TYPES = {"seizure": 1, "false alarm": 0, "nda": 0}
FLAT_COLUMNS = (*_FIELDS, "o2sat", *(f"{axis}{index:03d}" for axis in "MXYZ" for index in range(ROW)))
"""The 510 columns of a flattened file."""


@dataclass(frozen=True, eq=False)
class Event:
    """An event as its file has it; each of R rows holds 5 s that end at its time.

    Attributes:
        id, user, type, subtype, source: as in the file, as text.
        time: of the event, UTC where the file does not say.
        row_times: (R,) s of each row's end after `time`.
        magnitude: (R, 125) mg.
        axes: (R, 125, 3) mg, None where no row has them; NaN in rows that have none.
        seizure: (start, end) s after `time`, None where the file does not tell.
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
        return self.type.lower().startswith("seizure")


def read_json(path: Path) -> list[Event]:
    """Events of a JSON file: one event, or a list of them.

    Raises:
        InputError: no such file, or what it holds; the message names event and row.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    except ValueError as error:
        raise InputError(f"{path} is no JSON: {error}.") from error
    entries = content if isinstance(content, list) else [content]
    if not entries or not all(isinstance(entry, dict) and "datapoints" in entry for entry in entries):
        raise InputError(f"{path} holds no events with datapoints.", "Give an event file of the Open Seizure Database.")
    return [_event(path, entry) for entry in entries]


def _event(path: Path, entry: dict[str, Any]) -> Event:
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
        magnitude.append(_numbers(where, "rawData", row.get("rawData"), ROW))
        flat = row.get("rawData3D") or []
        axes.append(_numbers(where, "rawData3D", flat, 3 * ROW).reshape(ROW, 3) if any(flat) else None)
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
        _stack(axes),
        _seizure_times(name, entry.get("seizureTimes")),
        *logged.values(),
    )


def read_flat(path: Path) -> list[Event]:
    """Events of a flattened CSV file; rows of one event follow each other.

    Raises:
        InputError: as `read_json`; columns are missing, or hold history (`M000_t-1`).
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            header = reader.fieldnames or []
            missing = [name for name in ("eventId", "userId", "type", "dataTime", "M000", "M124") if name not in header]
            if missing:
                hint = "Columns with history cannot be read: give the file before it was added."
                raise InputError(f"{path} lacks the columns {', '.join(missing)}.", hint)
            groups: dict[str, list[dict[str, Any]]] = {}
            for number, row in enumerate(reader, start=2):
                if None in row or None in row.values():
                    raise InputError(f"{path}, row {number}, does not have {len(header)} values.")
                groups.setdefault(row["eventId"], []).append(row)
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no CSV file in UTF-8: {error}.") from error
    if not groups:
        raise InputError(f"{path} has no rows.")
    return [_flat_event(path, key, rows) for key, rows in groups.items()]


def _flat_event(path: Path, key: str, rows: list[dict[str, str]]) -> Event:
    name = f"{path}, event {key}"
    times = [_time(f"{name}, row {number}", row["dataTime"]) for number, row in enumerate(rows)]

    def block(letter: str, number: int) -> list[str]:
        return [rows[number].get(f"{letter}{index:03d}", "") for index in range(ROW)]

    where = [f"{name}, row {number}" for number in range(len(rows))]
    magnitude = [_numbers(where[number], "M000 to M124", block("M", number), ROW) for number in range(len(rows))]
    axes: list[Floats | None] = []
    for number in range(len(rows)):
        blocks = [block(letter, number) for letter in "XYZ"]
        found = any(text not in ("", "0", "0.0") for one in blocks for text in one)
        axes.append(
            np.stack([_numbers(where[number], "X, Y, Z", one, ROW) for one in blocks], axis=1) if found else None
        )
    number_of = {"1": "Seizure", "1.0": "Seizure", "0": "False Alarm", "0.0": "False Alarm"}
    kind = rows[0].get("typeStr") or number_of.get(rows[0]["type"], "Other")
    logged = [
        np.array([_number(f"{where[number]}, {column}", row.get(column)) for number, row in enumerate(rows)])
        for column in ("osdAlarmState", "osdSpecPower", "osdRoiPower", "hr", "o2sat")
    ]
    main, _, sub = kind.partition("/")
    seconds = np.array([(at - times[0]).total_seconds() for at in times])
    return Event(
        key, rows[0]["userId"], main, sub, "", times[0], seconds, np.array(magnitude), _stack(axes), None, *logged
    )


def write_flat(path: Path, events: Iterable[Event]) -> None:
    """Write events as a flattened CSV file, atomically; numbers keep every digit."""
    lines = [",".join(FLAT_COLUMNS)]
    for event in events:
        kind = f"{event.type}/{event.subtype}" if event.subtype else event.type
        for number, seconds in enumerate(event.row_times):
            at = datetime.fromtimestamp(event.time.timestamp() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            logged = [event.alarm_state, event.spectrum_power, event.roi_power, event.heart_rate, event.oxygen]
            head = [event.id, event.user, kind, str(_TYPES.get(event.type.lower(), 2)), at]
            axes = np.zeros((ROW, 3)) if event.axes is None else np.nan_to_num(event.axes[number])
            numbers = np.concatenate([event.magnitude[number], *axes.T])
            cells = [*head, *(_text(values[number]) for values in logged), *map(_text, numbers.tolist())]
            lines.append(",".join(cells))
    write_text(path, "\n".join(lines) + "\n")


def write_json(path: Path, events: Sequence[Event]) -> None:
    """Write events in the layout of the Open Seizure Database, atomically."""
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


def _time(where: str, text: Any) -> datetime:
    """A time in any of the database's spellings; UTC where it does not say."""
    value = str(text).strip()
    try:
        found = datetime.fromisoformat(value.replace("Z", "+00:00"))
    except ValueError:
        for spelling in _DATES:
            try:
                found = datetime.strptime(value, spelling)
                break
            except ValueError:
                continue
        else:
            raise InputError(f"{where}: the dataTime {text!r} is no date and time.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _numbers(where: str, key: str, values: Any, count: int) -> Floats:
    try:
        numbers = np.array([float(value) for value in values], np.float64)
    except (TypeError, ValueError):
        raise InputError(f"{where}: {key} holds what is no number.") from None
    if len(numbers) != count:
        raise InputError(f"{where}: {key} has {len(numbers)} values, expected {count}.")
    if not np.isfinite(numbers).all():
        raise InputError(f"{where}: {key} holds values that are not finite.")
    return numbers


def _number(where: str, value: Any) -> float:
    if value is None or value == "":
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"{where} is {value!r}, which is no number.") from None


def _stack(axes: list[Floats | None]) -> Floats | None:
    if all(one is None for one in axes):
        return None
    return np.array([np.full((ROW, 3), np.nan) if one is None else one for one in axes])


def _seizure_times(name: str, values: Any) -> tuple[float, float] | None:
    if values in (None, []):
        return None
    start, end = _numbers(name, "seizureTimes", values, 2).tolist()
    if not start < end:
        raise InputError(f"{name}: seizureTimes end at {end:g} s, before they begin at {start:g} s.")
    return start, end


def _text(value: float) -> str:
    return "" if math.isnan(value) else repr(int(value)) if value == int(value) else repr(float(value))
