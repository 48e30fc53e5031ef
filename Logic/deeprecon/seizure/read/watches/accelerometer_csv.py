"""Accelerometer files of any watch: one CSV line for each sample."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import numpy as np

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.tables import is_number
from deeprecon.seizure.read.watches.csv_header import Header, read_header
from deeprecon.seizure.read.watches.csv_times import date_times, mend_clock_changes, number_times, spread_packets
from deeprecon.seizure.read.watches.samples import Floats, Samples

_DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d)")


def parse_accelerometer_csv(path: Path, text: str, columns: Sequence[str] = ()) -> Samples:
    """Parse a table with a time and x, y, z or a magnitude in any columns, and optionally a column `user`.

    Cells are separated by commas, semicolons or tabs; times are s, epochs in s to ns, or dates.

    Args:
        path: of the file, for messages.
        text: its content.
        columns: names of the columns of the time and of x, y, z or the magnitude; by default they are recognized.

    Raises:
        InputError: it is unclear which columns are meant, a value is not a finite number, or there are several users.
    """
    header, body = read_header(path, text, columns)
    if not body.strip():
        raise InputError(f"{path} has no samples.")
    if header.delimiter != "," and _DECIMAL_COMMA.search(body.lstrip().partition("\n")[0]):
        body = _DECIMAL_COMMA.sub(".", body)
    doubts: tuple[Doubt, ...] = ()
    try:
        numbers = np.loadtxt(
            io.StringIO(body), delimiter=header.delimiter, usecols=header.columns, ndmin=2, quotechar='"'
        )
    except ValueError:
        times, values, start, doubts = _parse_lines(path, body, header)
    else:
        times, start = number_times(numbers[:, 0], header.time_factor)
        values = numbers[:, 1:]
    finite = np.isfinite(times) & np.isfinite(values).all(axis=1)
    if not finite.all():
        line = int(np.argmax(~finite)) + header.first_line
        raise InputError(f"{path}, line {line}: a value is not finite.", "Leave the line out: that makes a gap.")
    times, packets = spread_packets(path.name, times)
    doubts += packets
    if start is not None and start.tzinfo is None:
        times, changes = mend_clock_changes(path.name, times, start)
        doubts += changes
    user = "" if header.user is None else _parse_user(path, body, header)
    return Samples(path, times, values, start, user, first_line=header.first_line, doubts=doubts)


def _parse_user(path: Path, body: str, header: Header) -> str:
    """The one user in the column `user`."""
    column = header.user or 0
    rows = csv.reader(io.StringIO(body), delimiter=header.delimiter)
    users = {cells[column].strip() for cells in rows if len(cells) > column}
    if len(users) != 1:
        raise InputError(
            f"{path} has {len(users)} users: {', '.join(sorted(users))[:200]}.", "Give each user's recording as a file."
        )
    return users.pop()


def _parse_lines(path: Path, body: str, header: Header) -> tuple[Floats, Floats, datetime | None, tuple[Doubt, ...]]:
    """Parse line by line: times may be dates, and an error message names its line."""
    stamps: list[str] = []
    rows: list[list[float]] = []
    for line, cells in enumerate(csv.reader(io.StringIO(body), delimiter=header.delimiter), start=header.first_line):
        if not cells:
            continue
        try:
            chosen = [cells[column].strip() for column in header.columns]
            if rows and is_number(chosen[0]) != is_number(stamps[0]):
                raise ValueError
            rows.append([float(value) for value in chosen[1:]])
            stamps.append(chosen[0])
        except IndexError:
            raise InputError(f"{path}, line {line}, has too few values.") from None
        except ValueError:
            raise InputError(
                f"{path}, line {line}: {','.join(cells)[:80]!r} contains a value that is not a number, or not a time."
            ) from None
    values = np.array(rows, np.float64).reshape(-1, len(header.columns) - 1)
    if is_number(stamps[0]):
        numbers, begin = number_times(np.array([float(one) for one in stamps]), header.time_factor)
        return numbers, values, begin, ()
    times, start, doubts = date_times(path, stamps, header.first_line)
    return times, values, start, doubts
