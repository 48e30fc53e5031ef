"""cases.csv: a row for each case."""

from __future__ import annotations

import csv
import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError, names_damage
from deeprecon.jobs.command import Command
from deeprecon.jobs.options import SEPARATOR, values_of_cell
from deeprecon.jobs.parameters import Field, fields_of
from deeprecon.jobs.verbs import Verb


@dataclass(frozen=True)
class Case:
    """A row of cases.csv: its name and its filled cells by field name, with absolute paths."""

    name: str
    cells: dict[str, str]
    accept: tuple[str, ...] = ()

    def values(self, verb: Verb) -> tuple[dict[str, Any], dict[str, Any]]:
        """Values of the inputs and of the parameters by field name.

        Raises:
            InputError: a cell does not hold a value of its column.
        """

        def collect(cls: type) -> dict[str, Any]:
            fields = [field for field in fields_of(cls) if field.name in self.cells]
            return {field.name: values_of_cell(field, self.cells[field.name]) for field in fields}

        return collect(verb.inputs), collect(verb.parameters)


@names_damage
def read_cases(path: Path, command: Command) -> list[Case]:
    """Read cases.csv.

    Raises:
        InputError: it cannot be read, has unknown columns, or its case names cannot name folders.
    """
    fields = {field.name: field for cls in (command.verb.inputs, command.verb.parameters) for field in fields_of(cls)}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text.", "Save it as CSV UTF-8.") from error
    reader = csv.reader(io.StringIO(text, newline=""))
    columns = [name.strip().lstrip("-").replace("-", "_") for name in next(reader, [])]
    if "case" not in columns:
        raise InputError(f"{path} has no column 'case' in its first row.", "Separate columns by commas.")
    if unknown := [name for name in columns if name not in ("case", "accept", *fields)]:
        raise InputError(f"{path} has unknown columns: {', '.join(unknown)}.", f"Known: {', '.join(fields)}.")
    cases: list[Case] = []
    for number, row in enumerate(reader, start=2):
        if not any(cell.strip() for cell in row):
            continue
        if len(row) != len(columns):
            raise InputError(f"{path}: row {number} has {len(row)} cells, expected {len(columns)}.")
        cells = {name: cell.strip() for name, cell in zip(columns, row, strict=True) if cell.strip()}
        name = cells.pop("case", "")
        accept = tuple(cells.pop("accept", "").replace(SEPARATOR, " ").split())
        if not re.fullmatch(r'[^<>:"/\\|?*\x00-\x1f]*[^<>:"/\\|?*\x00-\x1f. ]', name) or name.startswith("."):
            raise InputError(f"{path}: row {number} has the case name {name!r}, which cannot name a folder.")
        if name.casefold() in {case.name.casefold() for case in cases}:
            raise InputError(f"{path}: row {number} has the case name {name!r} again.")
        cases.append(Case(name, _locate(cells, fields, Path(os.path.abspath(path.parent))), accept))
    return cases


def _locate(cells: dict[str, str], fields: dict[str, Field], base: Path) -> dict[str, str]:
    """The cells, with paths that are relative to `base` made absolute."""
    located = {}
    for name, text in cells.items():
        if fields[name].type is Path:
            parts = text.split(SEPARATOR) if fields[name].many else [text]
            text = SEPARATOR.join(str(base / part.strip()) for part in parts if part.strip())
        located[name] = text
    return located
