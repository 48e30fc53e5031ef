"""Empatica E4's export: a folder with `ACC.csv`, whose first lines are the start in UTC and the rate; then 1/64 g.

Source: `info.txt` of the export.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from deeprecon.data.errors import InputError
from deeprecon.data.tables import is_number
from deeprecon.seizure.parameters import Unit
from deeprecon.seizure.read.watches.samples import Samples, samples_from_blocks

FILE = "ACC.csv"
_SCALE = 64.0  # numbers for 1 g


def is_e4_table(text: str) -> bool:
    """Whether the text of a CSV file is that of ACC.csv: no header, and three times the same start."""
    cells = [cell.strip() for cell in text.partition("\n")[0].split(",")]
    return len(cells) == 3 and len(set(cells)) == 1 and is_number(cells[0]) and float(cells[0]) > 1e9


def parse_e4(path: Path, text: str) -> Samples:
    """The acceleration in g.

    Args:
        path: of ACC.csv, for messages.
        text: its content.

    Raises:
        InputError: it is another file, or a line is no sample.
    """
    if not is_e4_table(text):
        raise InputError(f"{path} is no {FILE} of an Empatica E4.", "Give the folder that was exported.")
    lines = text.splitlines()
    rows = np.empty((len(lines) - 1, 3))
    for number, line in enumerate(lines[1:]):
        try:
            rows[number] = [float(cell) for cell in line.split(",")]
        except ValueError:
            raise InputError(f"{path}, line {number + 2}: {line[:80]!r} is no sample of three axes.") from None
    if not len(rows) or not rows[0, 0] > 0:
        raise InputError(f"{path} states no sample rate in its second line.")
    start, rate = float(lines[0].split(",")[0]), float(rows[0, 0])
    times, values, _ = samples_from_blocks(path, [0.0], [rate], [rows[1:] / _SCALE])
    name = path.resolve().parent.name if path.name == FILE else ""
    return Samples(path, times, values, datetime.fromtimestamp(start, UTC), unit=Unit.G, name=name, first_line=3)
