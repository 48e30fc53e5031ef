"""Many cases in one call: cases.csv in, a folder for each case and summary.csv out."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError, names_damage
from deeprecon.jobs.check import check_job, check_output
from deeprecon.jobs.command import JOB_FOLDER, Command, create_job_folder
from deeprecon.jobs.console import Console, format_table, on_interrupt
from deeprecon.jobs.failures import Failure, explain_exception
from deeprecon.jobs.items import Summary
from deeprecon.jobs.job import Job
from deeprecon.jobs.options import SEPARATOR, values_of_cell
from deeprecon.jobs.parameters import Field, fields_of
from deeprecon.jobs.process import python_command
from deeprecon.jobs.results.publication import RESULT
from deeprecon.jobs.runner import JobRunner
from deeprecon.jobs.verbs import Verb
from deeprecon.worker import BAD_INPUT, CANCELLED, DONE, INTERNAL

CANCEL_GRACE = 10.0
"""Seconds a cancelled case may take to stop by itself."""
MAX_TABLE_FIGURES = 5
"""So many figures of a case fit into the table on the screen; summary.csv has them all."""


def run_cases(command: Command, file: Path, output: Path, part: tuple[int, int], console: Console) -> int:
    """Run each case in a process of its own, one after the other, and sum up.

    Args:
        command: method, verb and the values that all cases share.
        file: cases.csv.
        output: gets a folder for each case, and summary.csv.
        part: (i, n) runs the i-th of n parts of the cases, counted from 1.
        console: gets the progress.

    Returns:
        The exit code: 0 all done, 2 where the input of some was bad, 1 where some failed otherwise, 3 cancelled.

    Raises:
        InputError: the file as a whole cannot be used, or the output folder cannot be written to.
    """
    cases = read_cases(file, command)[part[0] - 1 :: part[1]]
    check_output(output)
    table = output / ("summary.csv" if part[1] == 1 else f"summary-{part[0]}-of-{part[1]}.csv")
    summary = Summary("case")
    running: list[JobRunner] = []

    def stop() -> None:
        for runner in running:
            runner.cancel(CANCEL_GRACE)

    def start(runner: JobRunner) -> None:
        runner.start()
        running[:] = [runner]
        if interrupted.is_set():
            stop()

    with on_interrupt(stop) as interrupted:
        for number, case in enumerate(cases, start=1):
            if interrupted.is_set():
                break
            console.show({"type": "status", "text": f"[{number}/{len(cases)}] {case.name}"})
            folder = output / case.name / JOB_FOLDER
            started = time.monotonic()
            found = _run_case(command, case, folder, console, start)
            seconds = round(time.monotonic() - started, 1)
            if isinstance(found, Failure):
                summary.add_failed(case.name, _with_earlier_result(found, folder.parent), seconds=seconds)
                console.show_error(found.message, found.hint, codes=found.codes)
            else:
                summary.add_done(case.name, _result(found), seconds=seconds)
                command = _with_resolved_device(command, folder)
            summary.write(table)
        for case in cases[len(summary.rows) :]:
            if (output / case.name / RESULT).is_file():
                summary.add_earlier(case.name, _result(output / case.name))
                summary.write(table)
    _print_summary(table, summary)
    if interrupted.is_set():
        return CANCELLED
    failed = {row["status"] for row in summary.rows} - {"done"}
    return DONE if not failed else BAD_INPUT if failed == {"input"} else INTERNAL


def _run_case(
    command: Command, case: Case, folder: Path, console: Console, start: Callable[[JobRunner], None]
) -> Failure | Path:
    """Run one case in the job folder `folder`; the folder of its result, or why it has none."""
    try:
        create_job_folder(folder, command.job(folder, *case.values(command.verb), case.accept))
        runner = JobRunner(folder, python_command(sys.executable))
        start(runner)
    except (InputError, OSError) as error:
        return explain_exception(error)
    case_console = Console(verbose=console.verbose)
    try:
        runner.wait(on_event=case_console.show)
    finally:
        runner.kill()
        case_console.finish()
    found = runner.failure()
    if found is None:
        return runner.result_folder
    return Failure(found["kind"], found["message"], found["hint"], found["codes"])


def _result(folder: Path) -> dict[str, Any]:
    result: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    return result


def _with_earlier_result(failure: Failure, folder: Path) -> Failure:
    """The failure of a case; its message says whether its folder has a result all the same."""
    if not (folder / RESULT).is_file():
        return failure
    return replace(failure, message=f"{failure.message} The folder holds an earlier or unfinished result.")


def _with_resolved_device(command: Command, folder: Path) -> Command:
    """The command with the device, threads and precision of a case that is done: the next ones need no probing."""
    job = Job.load(folder)
    if not command.verb.needs_torch(check_job(job, folder)[2]):
        return command
    return replace(command, device=job.device, threads=job.threads, precision=job.precision)


@dataclass(frozen=True)
class Case:
    """A row of cases.csv: its name and its filled cells by field name, paths relative to the working directory."""

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
        cases.append(Case(name, _locate(cells, fields, path.parent), accept))
    return cases


def _locate(cells: dict[str, str], fields: dict[str, Field], base: Path) -> dict[str, str]:
    """The cells, with paths that are relative to `base` made relative to the working directory."""
    located = {}
    for name, text in cells.items():
        if fields[name].type is Path:
            parts = text.split(SEPARATOR) if fields[name].many else [text]
            text = SEPARATOR.join(str(base / part.strip()) for part in parts if part.strip())
        located[name] = text
    return located


def _print_summary(path: Path, summary: Summary) -> None:
    if not summary.rows:
        print("There was no case to run.")
        return
    names = summary.columns
    figures = [name for name in names if name not in ("case", "status", "seconds", "doubts", "message")]
    shown = [name for name in names if name not in figures[MAX_TABLE_FIGURES:]]
    print(format_table([{name: row.get(name) for name in shown} for row in summary.rows]))
    print(f"{summary.done} of {len(summary.rows)} cases done. Summary in {path}")
