"""Many cases in one call: cases.csv in, a folder for each case and summary.csv out."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from deeprecon.cases.engine import Engine, ProcessEngine
from deeprecon.cases.record import Record, load_record, new_record
from deeprecon.cases.table import Case
from deeprecon.data.errors import InputError
from deeprecon.jobs.check import check_job, check_output
from deeprecon.jobs.command import Command, create_job_folder
from deeprecon.jobs.console import Console, format_table, on_interrupt
from deeprecon.jobs.events import Event
from deeprecon.jobs.failures import Failure, explain_exception
from deeprecon.jobs.items import Summary
from deeprecon.jobs.job import Job
from deeprecon.jobs.results.publication import RESULT, finished_result, read_result
from deeprecon.training.hardware import physical_cores
from deeprecon.worker import BAD_INPUT, CANCELLED, DONE, INTERNAL

MAX_TABLE_FIGURES = 5
"""So many figures of a case fit into the table on the screen; summary.csv has them all."""
MIN_SHARE = 0.02
"""Share that must be done before the time left is estimated."""


@dataclass(frozen=True)
class Place:
    """Where cases run.

    Attributes:
        scheduler: None for child processes, else "local", the address of a Dask scheduler, or a batch system.
        workers: how many cases at once; None where the scheduler says so, or for one at a time.
    """

    scheduler: str | None = None
    workers: int | None = None


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
        engine, command = _open_engine(record, place)
        run = _CasesRun(replace(record, command=command), engine, console)
        try:
            run.run(interrupted)
        finally:
            engine.close()
            console.finish()
    run.add_earlier_results()
    _print_summary(record.summary, run.summary)
    if interrupted.is_set():
        return CANCELLED
    failed = {row["status"] for row in run.summary.rows} - {"done"}
    return DONE if not failed else BAD_INPUT if failed == {"input"} else INTERNAL


def _open_engine(record: Record, place: Place) -> tuple[Engine, Command]:
    """The engine, and the command with the device and threads that it calls for."""
    command = record.command
    if place.scheduler is not None:
        from deeprecon.cases.clusters import open_dask

        return open_dask(place.scheduler, place.workers, record)
    count = place.workers or 1
    if count > 1 and not command.threads:
        command = replace(command, threads=max(1, physical_cores() // count))
    return ProcessEngine(count), command


@dataclass
class _Running:
    folder: Path
    begun: float
    started: bool = False
    fraction: float = 0.0


class _CasesRun:
    """The loop over the cases of a record."""

    def __init__(self, record: Record, engine: Engine, console: Console) -> None:
        self.record, self.command, self.engine, self.console = record, record.command, engine, console
        self.summary = Summary("case")
        self._order = {case.name: number for number, case in enumerate(record.cases)}
        self._waiting, self._running = deque(record.cases), dict[str, _Running]()
        self._settling: str | None = None
        self._begun, self._waits = time.monotonic(), False

    def run(self, interrupted: threading.Event) -> None:
        """Until all cases have ended or, after an interrupt, those that are running."""
        cancelled = False
        while self._waiting or self._running:
            if interrupted.is_set() and not cancelled:
                cancelled = True
                self._waiting.clear()
                self._show_status("Stopping; press Ctrl+C again to end at once")
                self.engine.cancel()
            self._start_more()
            events = self.engine.poll()
            for name, event in events:
                self._take(name, event)
            if not events:
                time.sleep(0.02)

    def add_earlier_results(self) -> None:
        """A row for each case that was not run, and has a result of an earlier run."""
        named = {row["case"] for row in self.summary.rows}
        for case in self.record.cases:
            folder = self.record.output / case.name
            if case.name not in named and (folder / RESULT).is_file():
                self.summary.add_earlier(case.name, read_result(folder))
        if len(self.summary.rows) > len(named):
            self._write_summary()

    def _start_more(self) -> None:
        while self._waiting and self._settling is None and len(self._running) < self._slots():
            case = self._waiting[0]
            folder = self.record.job_folder(case)
            try:
                if (done := finished_result(folder)) is not None:  # before a run that is resumed
                    content = read_result(done.parent)
                    self.summary.add_done(case.name, content, seconds=content["provenance"]["seconds"])
                    self._write_summary()
                else:
                    self._start(case, folder)
            except (InputError, OSError) as error:
                self._fail(case.name, explain_exception(error), 0.0)
            self._waiting.popleft()

    def _slots(self) -> int:
        slots = self.engine.slots()
        if not slots and not self._running and not self._waits:
            self._waits = True
            self._show_status("Waiting for a worker")
        return slots

    def _start(self, case: Case, folder: Path) -> None:
        """Start a case; where device, threads or precision are open, the next ones wait until it has settled them."""
        job = Job.load(folder) if (folder / "job.json").exists() else None
        if job is None or not job.resolved:
            job = self.command.job(folder, *case.values(self.command.verb), case.accept)
            create_job_folder(folder, job)
            if not job.resolved and _needs_torch(job, folder):
                self._settling = case.name
        self._show_status(f"[{self._order[case.name] + 1}/{len(self._order)}] {case.name}")
        self.engine.start(case.name, folder)
        self._running[case.name] = _Running(folder, time.monotonic())

    def _take(self, name: str, event: Event) -> None:
        """Take an event of a case; late ones of a case that has ended are dropped."""
        running = self._running.get(name)
        if running is None:
            return
        kind = event["type"]
        if self._settling == name:
            self._settle(running.folder, last=kind == "end")
        if kind == "started":
            if running.started:
                self.console.show({"type": "warning", "message": f"{name}: its worker was lost; it is run once more."})
            running.started = True
        elif kind == "progress":
            running.fraction = event["fraction"]
            self._show_progress()
        elif kind == "warning":
            self.console.show({**event, "message": f"{name}: {event['message']}"})
        elif kind == "log":
            self.console.show({**event, "text": f"{name}: {event['text']}"})
        elif kind == "end":
            self._end(name, event)

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

    def _end(self, name: str, event: Event) -> None:
        seconds = round(time.monotonic() - self._running.pop(name).begun, 1)
        failure = event["failure"]
        if failure is None:
            self.summary.add_done(name, event["result"], seconds=seconds)
        else:
            found = Failure(failure["kind"], failure["message"], failure["hint"], tuple(failure["codes"]))
            self._fail(name, found, seconds)
        self._write_summary()
        self._show_progress()

    def _fail(self, name: str, failure: Failure, seconds: float) -> None:
        self.console.show_error(f"{name}: {failure.message}", failure.hint, codes=failure.codes)
        if (self.record.output / name / RESULT).is_file():
            message = f"{failure.message} The folder holds an earlier or unfinished result."
            failure = replace(failure, message=message)
        self.summary.add_failed(name, failure, seconds=seconds)
        self._write_summary()

    def _write_summary(self) -> None:
        self.summary.rows.sort(key=lambda row: self._order[row["case"]])
        self.summary.write(self.record.summary)

    def _show_status(self, text: str) -> None:
        self.console.show({"type": "status", "text": text})

    def _show_progress(self) -> None:
        """The share of all cases that is done, and the time left at the pace of this call."""
        parts = len(self.summary.rows) + sum(running.fraction for running in self._running.values())
        share = parts / len(self._order)
        elapsed = time.monotonic() - self._begun
        left = elapsed * (1 - share) / share if share > MIN_SHARE else None
        self.console.show({"type": "progress", "fraction": share, "seconds_left": left})


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
