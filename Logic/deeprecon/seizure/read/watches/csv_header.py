"""Which columns of a CSV file hold the time and the acceleration."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deeprecon.data.errors import InputError
from deeprecon.data.tables import is_number

_TIMES = {
    *("t", "time", "timestamp", "time_stamp", "datetime", "date_time", "sample_time", "seconds", "elapsed"),
    *("elapsed_time", "epoch", "unix", "unixtime", "unix_time", "unix_timestamp", "timestamp_unix"),
}
_AXIS = re.compile(r"(?:acc|accel|acceleration|accelerometer|a|axis)?_?([xyz])(?:_?axis)?")
_MAGNITUDES = {
    *("magnitude", "vector_magnitude", "vm", "acc_magnitude", "accel_magnitude", "acceleration_magnitude"),
}
_UNIT = re.compile(r"_(g|mg|m_s|m_s2|m_s_2|ms2|s|sec|seconds|ms|millis|us|ns|utc)$")
_TIME_FACTORS = {"ms": 1e-3, "millis": 1e-3, "us": 1e-6, "ns": 1e-9}


@dataclass(frozen=True)
class Header:
    """The first line of a CSV file.

    Attributes:
        delimiter: between cells.
        first_line: number of the line after the header.
        columns: places of the time, and of x, y, z or the magnitude.
        time_factor: s of a step of a time that is a number; None where the header does not state it.
        user: place of the column `user`, None without one.
    """

    delimiter: str
    first_line: int
    columns: tuple[int, ...]
    time_factor: float | None
    user: int | None


def read_header(path: Path, text: str, wanted: Sequence[str] = ()) -> tuple[Header, str]:
    """The header of a CSV file, and the text below it; empty lines and lines with # above it are passed over.

    Args:
        path: of the file, for messages.
        text: its content.
        wanted: names of the columns of the time and of x, y, z or the magnitude; by default they are recognized.

    Raises:
        InputError: there is no header, or it is unclear which columns are meant.
    """
    number, body = 0, text
    line = ""
    while body and (not line.strip() or line.lstrip().startswith("#")):
        line, _, body = body.partition("\n")
        number += 1
    delimiter = max(",;\t", key=re.sub(r'"[^"]*"', "", line).count)
    names = [name.strip() for name in next(csv.reader([line], delimiter=delimiter), [])]
    if names and all(is_number(name) for name in names):
        raise InputError(f"{path} has no header: its first line holds numbers.", "Write t,x,y,z above it.")
    columns = _named(path, names, wanted) if wanted else _recognized(path, names)
    unit = _plain(names[columns[0]])[1]
    lowered = [name.lower() for name in names]
    user = lowered.index("user") if "user" in lowered else None
    return Header(delimiter, number + 1, columns, _TIME_FACTORS.get(unit), user), body


def _named(path: Path, names: list[str], wanted: Sequence[str]) -> tuple[int, ...]:
    lowered = [name.lower() for name in names]
    unknown = [name for name in wanted if lowered.count(name.strip().lower()) != 1]
    if unknown or len(wanted) not in (2, 4):
        problem = f"it has no or several columns {', '.join(unknown)}" if unknown else f"{len(wanted)} are given"
        hint = f"Name 4 (time, x, y, z) or 2 (time, magnitude) of {', '.join(names)[:300]}."
        raise InputError(f"{path}, --columns: {problem}.", hint)
    return tuple(lowered.index(name.strip().lower()) for name in wanted)


def _recognized(path: Path, names: list[str]) -> tuple[int, ...]:
    """Columns by their names: t, time, x, y, z and magnitude before all others."""
    plain = [_plain(name)[0] for name in names]

    def find(exact: Sequence[str], fits: Callable[[str], bool]) -> list[int]:
        for name in exact:
            if plain.count(name) == 1:
                return [plain.index(name)]
        return [index for index, name in enumerate(plain) if fits(name)]

    time = find(("t", "time"), _TIMES.__contains__)
    axes = [find((axis,), lambda name, axis=axis: _axis_of(name) == axis) for axis in "xyz"]  # type: ignore[misc]
    magnitude = find(("magnitude",), _MAGNITUDES.__contains__)
    values = axes if any(axes) else [magnitude]
    if any(len(found) != 1 for found in (time, *values)):
        what = [
            f"{'no' if not found else 'several'} {words}"
            for found, words in zip(
                (time, *values), ("time", *("xyz" if any(axes) else ("acceleration",))), strict=True
            )
            if len(found) != 1
        ]
        raise InputError(
            f"{path} has the columns {', '.join(names)[:200]}: {', '.join(what)}.",
            "Expected are t,x,y,z or t,magnitude in the first line; else name them: --columns TIME X Y Z",
        )
    return tuple(found[0] for found in (time, *values))


def _axis_of(name: str) -> str:
    found = _AXIS.fullmatch(name)
    return found[1] if found else ""


def _plain(name: str) -> tuple[str, str]:
    """A name of letters, digits and _ without its unit, and the unit: "Acc X (mg)" is acc_x and mg."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    found = _UNIT.search(plain)
    return (plain[: found.start()], found[1]) if found else (plain, "")
