"""Tables as CSV files: UTF-8, comma, one header line."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError, names_damage
from deeprecon.data.files import write_text

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What the text of a formula begins with."""


def write_table(path: Path | str, rows: Sequence[Mapping[str, Any]], separator: str = ",") -> None:
    """Write rows as CSV, or with another separator, such as a tab for TSV, atomically.

    Columns are in the order in which rows first name them, missing values empty.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, delimiter=separator, lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: without_formula(value) for name, value in row.items()} for row in rows)
    write_text(path, text.getvalue())


def without_formula(value: Any) -> Any:
    """A value for a cell; text that a spreadsheet program would take for a formula gets an apostrophe in front.

    See OWASP, CSV injection (https://owasp.org/www-community/attacks/CSV_Injection). `read_table` takes it off again.
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) and not is_number(value) else value


def is_number(text: str) -> bool:
    """Whether a cell's text is a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


@names_damage
def read_table(path: Path | str) -> list[dict[str, str]]:
    """Read a CSV file with a header line; a byte order mark, as Excel writes it, is tolerated.

    Raises:
        InputError: missing file, not UTF-8, no header, a column name twice, or a line with too many or few values.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"Cannot read the table {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"The table {path} is not UTF-8 text.", "Save it as CSV UTF-8.") from error
    try:
        numbered = enumerate(csv.reader(io.StringIO(text, newline=""), strict=True), start=1)
        lines = [(number, line) for number, line in numbered if line]
    except csv.Error as error:
        raise InputError(f"The table {path} is not valid CSV ({error}).") from error
    if not lines:
        raise InputError(f"The table {path} is empty.", "Its first line must name the columns.")
    header = [name.strip() for name in lines[0][1]]
    if len(set(header)) != len(header):
        raise InputError(f"The table {path} names a column twice: {', '.join(header)}.")
    for number, line in lines[1:]:
        if len(line) != len(header):
            raise InputError(
                f"The table {path}, row {number}: {len(line)} values for {len(header)} columns.",
                "Values with commas need quotes; columns are separated by commas.",
            )
    return [dict(zip(header, map(_with_formula, line), strict=True)) for _, line in lines[1:]]


def _with_formula(text: str) -> str:
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text
