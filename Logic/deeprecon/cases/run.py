"""Many cases in one call: cases.csv in, a folder for each case and summary.csv out."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from deeprecon.cases.engine import Engine
from deeprecon.cases.loop import JobLoop
from deeprecon.cases.place import WORKER_LOGS, Place
from deeprecon.cases.record import Record, load_record, new_record
from deeprecon.data.errors import InputError
from deeprecon.jobs.check import check_job, check_output
from deeprecon.jobs.command import JOB_FOLDER, Command, create_job_folder
from deeprecon.jobs.console import Console, format_table, on_interrupt
from deeprecon.jobs.events import Event
from deeprecon.jobs.failures import Failure
from deeprecon.jobs.items import Summary
from deeprecon.jobs.job import Job
from deeprecon.jobs.results.publication import RESULT, finished_result, read_result
from deeprecon.worker import BAD_INPUT, CANCELLED, DONE, INTERNAL

MAX_TABLE_FIGURES = 5
"""So many figures of a case fit into the table on the screen; summary.csv has them all."""


def run_cases(
    command: Command, file: Path, output: Path, part: tuple[int, int], console: Console, place: Place | None = None
) -> int:
    """Run each case in a process of its own, going on after failures, and sum up.

    Args:
        command: method, verb and the values that all cases share.
        file: cases.csv.
        output: gets a folder for each case, and summary.csv.
        part: (i, n) runs the i-th of n parts of the cases, counted from 1.
        console: gets the progress.
        place: where the cases run; here, one after the other, where left out.

    Returns:
        The exit code: 0 all done, 2 where the input of some was bad, 1 where some failed otherwise, 3 cancelled.

    Raises:
        InputError: the file as a whole cannot be used, the output folder cannot be written to, or nothing can run
            in that place.
    """
    record = new_record(command, file, output, part)
    check_output(output)
    record.forget_earlier_jobs()
    record.save()
    return _run(record, console, place or Place())


def resume_cases(
    output: Path, part: tuple[int, int], verb: tuple[str, str], console: Console, place: Place | None = None
) -> int:
    """Run what an earlier call of `run_cases` has not finished; arguments, result and errors as there.

    Args:
        output, part, console, place: see `run_cases`.
        verb: method and verb, which must be those of the earlier call.
    """
    record = load_record(output, part)
    if (record.command.method, record.command.name) != verb:
        began = f"{record.command.method} {record.command.name}"
        raise InputError(f"{output} holds cases of {began}, not of {' '.join(verb)}.")
    return _run(record, console, place or Place())


def _run(record: Record, console: Console, place: Place) -> int:
    with on_interrupt(lambda: None) as interrupted:
        engine, command = place.open(record.command, record.output / JOB_FOLDER / WORKER_LOGS)
        run = _CasesRun(replace(record, command=command), engine, console)
        try:
            run.run(interrupted.is_set)
        finally:
            engine.close()
            console.finish()
    run.add_earlier_results()
    _print_summary(record.summary, run.summary)
    if interrupted.is_set():
        return CANCELLED
    failed = {row["status"] for row in run.summary.rows} - {"done"}
    return DONE if not failed else BAD_INPUT if failed == {"input"} else INTERNAL


class _CasesRun(JobLoop):
    """The loop over the cases of a record."""

    def __init__(self, record: Record, engine: Engine, console: Console) -> None:
        super().__init__([case.name for case in record.cases], engine)
        self.record, self.command, self.console = record, record.command, console
        self.summary = Summary("case")
        self._cases = {case.name: case for case in record.cases}
        self._order = {name: number for number, name in enumerate(self._cases)}
        self._settling: str | None = None

    def add_earlier_results(self) -> None:
        """A row for each case that was not run, and has a result of an earlier run."""
        named = {row["case"] for row in self.summary.rows}
        for case in self.record.cases:
            folder = self.record.output / case.name
            if case.name not in named and (folder / RESULT).is_file():
                self.summary.add_earlier(case.name, read_result(folder))
        if len(self.summary.rows) > len(named):
            self._write_summary()

    def stop(self) -> None:
        """Say how to end at once, and stop."""
        self.show({"type": "status", "text": "Stopping; press Ctrl+C again to end at once"})
        super().stop()

    def may_start(self) -> bool:
        """Not while a case settles what is open for all."""
        return self._settling is None

    def start(self, name: str) -> None:
        """Start a case; where device, threads or precision are open, the next ones wait until it has settled them."""
        case = self._cases[name]
        folder = self.record.job_folder(case)
        if (done := finished_result(folder)) is not None:  # before a run that is resumed
            content = read_result(done.parent)
            self.end(name, content, None, content["provenance"]["seconds"])
            return
        job = Job.load(folder) if (folder / "job.json").exists() else None
        if job is None or not job.resolved:
            job = self.command.job(folder, *case.values(self.command.verb), case.accept)
            create_job_folder(folder, job)
            if not job.resolved and _needs_torch(job, folder):
                self._settling = name
        self.show({"type": "status", "text": f"[{self._order[name] + 1}/{len(self._order)}] {name}"})
        self.launch(name, folder)

    def take(self, name: str, event: Event) -> None:
        """Take an event of a case, the first of which may be settling what is open for all."""
        if self._settling == name:
            self._settle(self.record.job_folder(self._cases[name]), last=event["type"] == "end")
        super().take(name, event)

    def take_end(self, name: str, result: dict[str, Any], failure: Failure | None, seconds: float) -> None:
        """A row of the summary."""
        if failure is None:
            self.summary.add_done(name, result, seconds=seconds)
        else:
            self._fail(name, failure, seconds)
        self._write_summary()

    def pass_on(self, name: str, event: Event) -> None:
        """Show it with the name of the case."""
        part = "message" if event["type"] == "warning" else "text"
        self.console.show({**event, part: f"{name}: {event[part]}"})

    def show(self, event: Event) -> None:
        """Show it on the console."""
        self.console.show(event)

    def _settle(self, folder: Path, last: bool) -> None:
        """Give all further cases what the first one has found, so that all are computed alike and none probes again."""
        with suppress(InputError):  # the folder may be gone
            job = Job.load(folder)
            if job.resolved:
                self.command = replace(self.command, device=job.device, threads=job.threads, precision=job.precision)
                replace(self.record, command=self.command).save()
                self._settling = None
        if last:
            self._settling = None

    def _fail(self, name: str, failure: Failure, seconds: float) -> None:
        self.console.show_error(f"{name}: {failure.message}", failure.hint, codes=failure.codes)
        if (self.record.output / name / RESULT).is_file():
            message = f"{failure.message} The folder holds an earlier or unfinished result."
            failure = replace(failure, message=message)
        self.summary.add_failed(name, failure, seconds=seconds)

    def _write_summary(self) -> None:
        self.summary.rows.sort(key=lambda row: self._order[row["case"]])
        self.summary.write(self.record.summary)


def _needs_torch(job: Job, folder: Path) -> bool:
    """Whether the job computes with torch, and so has a device to settle."""
    verb, _, parameters = check_job(job, folder)
    return verb.needs_torch(parameters)


def _print_summary(path: Path, summary: Summary) -> None:
    if not summary.rows:
        print("There was no case to run.")
        return
    names = summary.columns
    figures = [name for name in names if name not in ("case", "status", "seconds", "doubts", "message")]
    shown = [name for name in names if name not in figures[MAX_TABLE_FIGURES:]]
    rows: list[dict[str, Any]] = [{name: row.get(name) for name in shown} for row in summary.rows]
    print(format_table(rows))
    print(f"{summary.done} of {len(summary.rows)} cases done. Summary in {path}")
