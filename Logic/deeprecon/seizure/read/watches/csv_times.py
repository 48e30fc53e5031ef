"""Time stamps of a text file: seconds, epochs, dates; packets with one stamp; changes of the clock."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError

Floats = npt.NDArray[np.float64]

_EPOCHS = ((1e18, 1e-9), (1e15, 1e-6), (1e12, 1e-3), (1e9, 1.0))
"""Numbers above which a time counts from 1970 (after September 2001), and s of its step."""

_DATE = re.compile(r"(\d{1,2})([-./])(\d{1,2})[-./](\d{4})[ T]+(.*)")
_COLON_FRACTION = re.compile(r"(:\d{2}):(\d{1,6})$")
_HOUR = 3600.0
_CLOCK_STEP = 2.0  # s by which a change of the clock may differ from an hour
_PACKET_SHARE = 0.5  # of the steps that are 0


def number_times(values: Floats, factor: float | None) -> tuple[Floats, datetime | None]:
    """Numbers as s from the first sample, and the time of the first sample where they count from 1970.

    Args:
        values: (N,) as the file has them.
        factor: s of a step; None: told from the size of the numbers, 1 where they do not count from 1970.
    """
    first = float(values[0])
    epoch = next((step for least, step in _EPOCHS if least <= first < 1e4 * least), None)
    step = factor or epoch or 1.0
    start = datetime.fromtimestamp(first * step, UTC) if epoch and 1e9 <= first * step < 1e11 else None
    return (values - first) * step, start


def date_times(path: Path, texts: Sequence[str], first_line: int) -> tuple[Floats, datetime, tuple[Doubt, ...]]:
    """Dates as s from the first sample: ISO 8601, or day, month and year in the order of Europe or of the USA.

    Args:
        path: of the file, for messages.
        texts: (N,) of each line.
        first_line: number of the first one in the file.

    Raises:
        InputError: a text is no date and time; the message names its line.
    """
    found, line = _parse(texts, month_first=False)
    doubts: tuple[Doubt, ...] = ()
    matched = _DATE.fullmatch(texts[0].strip())
    if matched and matched[2] == "/":
        other, _ = _parse(texts, month_first=True)
        if not found:
            found = other
        elif other and other[0] != found[0]:
            text = f"{texts[0]!r} may be day/month or month/day; assumed: day/month."
            doubts = (Doubt("date-order", path.name, text, "Give dates as year-month-day.", assumed=True),)
    if not found:
        raise InputError(f"{path}, line {first_line + line}: {texts[line]!r} is not a time.")
    aware = {one.tzinfo is not None for one in found}
    if len(aware) > 1:
        raise InputError(f"{path}: some times have a time zone and some have not.")
    start = found[0]
    return np.array([(one - start).total_seconds() for one in found]), start, doubts


def _parse(texts: Sequence[str], month_first: bool) -> tuple[list[datetime], int]:
    """All dates; or none, and the place of the first text that is no date."""
    found = []
    for number, text in enumerate(texts):
        try:
            found.append(datetime.fromisoformat(_iso(text.strip(), month_first)))
        except ValueError:
            return [], number
    return found, 0


def _iso(text: str, month_first: bool) -> str:
    if text.count(":") == 3:
        text = _COLON_FRACTION.sub(r"\1.\2", text)
    if matched := _DATE.fullmatch(text):
        day, _, month, year, rest = matched.groups()
        day, month = (month, day) if month_first else (day, month)
        return f"{year}-{month:>02}-{day:>02} {rest}"
    return text


def spread_packets(where: str, times: Floats) -> tuple[Floats, tuple[Doubt, ...]]:
    """Samples of packets that have one time stamp, spread evenly from their stamp to the next one.

    Args:
        where: file, for the doubt.
        times: (N,) s, not decreasing.

    Returns:
        (N,) s; and a doubt where there are packets.
    """
    steps = np.diff(times)
    if not len(steps) or (steps < 0).any() or (steps == 0).mean() < _PACKET_SHARE:
        return times, ()
    stamps, first, counts = np.unique(times, return_index=True, return_counts=True)
    if len(stamps) < 2:
        return times, ()
    spacing = np.diff(stamps) / counts[:-1]
    usual = float(np.median(spacing))
    spacing = np.append(np.where(spacing > 1.5 * usual, usual, spacing), usual)  # longer: samples are missing
    inside = np.arange(len(times)) - np.repeat(first, counts)
    text = f"samples come in packets of {np.median(counts):.0f} with one time; assumed: it is that of the first one."
    doubt = Doubt("packet-times", where, text, "Times may be off by the length of a packet.", assumed=True)
    return np.repeat(stamps, counts) + inside * np.repeat(spacing, counts), (doubt,)


def mend_clock_changes(where: str, times: Floats, start: datetime) -> tuple[Floats, tuple[Doubt, ...]]:
    """Take out jumps of an hour at a full hour, as at the change to or from daylight saving time.

    Args:
        where: file, for the doubt.
        times: (N,) s from `start`, by a clock without a time zone.
        start: of the first sample.
    """
    steps = np.diff(times)
    usual = float(np.median(steps)) if len(steps) else 0.0
    jump = np.where(steps < 0, steps + _HOUR, steps - _HOUR) - usual
    clock = start.minute * 60 + start.second + start.microsecond * 1e-6 + times[:-1] + usual
    full_hour = np.abs((clock + _HOUR / 2) % _HOUR - _HOUR / 2) < _CLOCK_STEP
    changes = np.flatnonzero((np.abs(jump) < _CLOCK_STEP) & full_hour & (jump + usual > 0))
    if not len(changes):
        return times, ()
    shifts = np.zeros(len(times))
    shifts[changes + 1] = np.where(steps[changes] < 0, _HOUR, -_HOUR)
    way = ("forward", "back")[int(steps[changes[0]] < 0)]
    text = f"The clock jumps {way} by an hour after {times[changes[0]]:.0f} s, as for daylight saving time."
    way_out = "Give times with their time zone; if this is accepted, the samples follow each other without a gap."
    return times + np.cumsum(shifts), (Doubt("clock-change", where, text, way_out),)
