"""Accelerometer files of any watch: one CSV line for each sample."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.tables import is_number

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples as their file has them.

    Attributes:
        path: of the file.
        times: (N,) s from the first sample.
        values: (N, 3) axes or (N, 1) magnitude, in the unit of the file.
        start: time of the first sample, None where the file has no dates.
        user: who wore the watch, from a column of this name; empty without one.
    """

    path: Path
    times: Floats
    values: Floats
    start: datetime | None
    user: str = ""


def parse_accelerometer_csv(path: Path, text: str) -> Samples:
    """Parse `t,x,y,z` or `t,magnitude` (columns in any order), t in s or as ISO date and time, and a column `user`.

    Args:
        path: of the file, for messages.
        text: its content.

    Raises:
        InputError: other columns, a value is not a finite number, or there are several users.
    """
    header, _, body = text.partition("\n")
    names = [name.strip().lower() for name in header.split(",")]
    for time, wanted in ((t, v) for t in ("t", "time") for v in (("x", "y", "z"), ("magnitude",))):
        if time in names and all(name in names for name in wanted):
            columns = [names.index(name) for name in (time, *wanted)]
            break
    else:
        raise InputError(
            f"{path} has the columns {', '.join(names)[:200]}.",
            "Expected are t,x,y,z or t,magnitude in the first line.",
        )
    if not body.strip():
        raise InputError(f"{path} has no samples.")
    try:
        numbers = np.loadtxt(io.StringIO(body), delimiter=",", usecols=columns, ndmin=2, dtype=np.float64)
        start = None
    except ValueError:
        numbers, start = _parse_lines(path, body, columns)
    if not np.isfinite(numbers).all():
        line = int(np.argmax(~np.isfinite(numbers).all(axis=1))) + 2
        raise InputError(f"{path}, line {line}: a value is not finite.", "Leave the line out: that makes a gap.")
    user = _parse_user(path, body, names.index("user")) if "user" in names else ""
    return Samples(path, numbers[:, 0] - numbers[0, 0], numbers[:, 1:], start, user)


def _parse_user(path: Path, body: str, column: int) -> str:
    """The one user in the column `user`."""
    users = {cells[column].strip() for cells in csv.reader(io.StringIO(body)) if len(cells) > column}
    if len(users) != 1:
        raise InputError(
            f"{path} has {len(users)} users: {', '.join(sorted(users))[:200]}.", "Give each user's recording as a file."
        )
    return users.pop()


def _parse_lines(path: Path, body: str, columns: list[int]) -> tuple[Floats, datetime | None]:
    """Parse line by line: times may be dates, and an error message names its line."""
    rows: list[list[float]] = []
    start: datetime | None = None
    for line, cells in enumerate(csv.reader(io.StringIO(body)), start=2):
        if not cells:
            continue
        try:
            chosen = [cells[column].strip() for column in columns]
            if not rows and start is None and not is_number(chosen[0]):
                start = datetime.fromisoformat(chosen[0])
            at = float(chosen[0]) if start is None else (datetime.fromisoformat(chosen[0]) - start).total_seconds()
            rows.append([at, *map(float, chosen[1:])])
        except IndexError:
            raise InputError(f"{path}, line {line}, has too few values.") from None
        except (ValueError, TypeError):
            raise InputError(
                f"{path}, line {line}: {','.join(cells)[:80]!r} contains a value that is not a number, or not a time."
            ) from None
    return np.array(rows, np.float64).reshape(-1, len(columns)), start
