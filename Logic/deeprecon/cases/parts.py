"""The fits of one run in parts, each in a worker of its own; the run then finds them finished, and evaluates them.

Each fit has its own seed and its own checkpoint, and all parts have the checkpoint folder of the whole run, so that
the numbers are those of a run without parts, and a run is resumed with any number of them.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from deeprecon.cases.engine import Engine
from deeprecon.cases.loop import JobLoop
from deeprecon.cases.place import WORKER_LOGS, Place
from deeprecon.jobs.command import Command, create_job_folder
from deeprecon.jobs.events import Event
from deeprecon.jobs.failures import Failure, JobFailedError
from deeprecon.jobs.job import Job
from deeprecon.jobs.parameters import fields_of
from deeprecon.jobs.run import PARTS, PartReporter, Reporter, Run, Stopped, part_folder
from deeprecon.jobs.verbs import load_verb

FITS_SHARE = 0.9
"""Of a run, for its progress: fits take so much, their evaluation the rest."""


def parts_in(place: Place) -> Callable[[Job, Run], Run]:
    """What `worker.run_job` needs to make the fits of a job in a place, as many parts as it has workers."""
    return partial(_make_parts, place)


def _make_parts(place: Place, job: Job, run: Run) -> Run:
    """Make the fits of a settled job.

    Returns:
        The run that finds them; it does not repeat the warnings of the parts.

    Raises:
        InputError: nothing can run in that place.
        JobFailedError: a part failed; the others went on.
        Stopped: the run was asked to stop.
    """
    count, begun = place.workers or 1, time.monotonic()
    command = Command(job.method, job.verb, device=job.device, threads=job.threads, precision=job.precision)
    engine, _ = place.open(command, run.folder / WORKER_LOGS)
    loop = _PartsRun(job, run.folder, count, engine, PartReporter(run.reporter, 0, FITS_SHARE, begun))
    try:
        loop.run(run.should_stop)
    finally:
        engine.close()
    if run.should_stop():
        raise Stopped
    if loop.failures:
        raise JobFailedError(loop.first_failure())
    shutil.rmtree(run.folder / PARTS, ignore_errors=True)
    return replace(run, reporter=_Evaluation(run.reporter, FITS_SHARE, 1, begun, loop.warnings))


class _PartsRun(JobLoop):
    """The loop over the parts of a job."""

    def __init__(self, job: Job, folder: Path, count: int, engine: Engine, reporter: Reporter) -> None:
        numbers = {f"Part {number} of {count}": number for number in range(1, count + 1)}
        super().__init__(list(numbers), engine)
        self.job, self.folder, self.reporter = job, folder, reporter
        self.failures: dict[str, Failure] = {}
        self.warnings: set[str] = set()
        self._numbers = numbers

    def first_failure(self) -> Failure:
        """That of the first part that failed, with the names of all whose message is the same; others are warned of."""
        names = [name for name in self._numbers if name in self.failures]
        first = self.failures[names[0]]
        same = [name for name in names if self.failures[name].message == first.message]
        for name in names:
            if name not in same:
                self.reporter.warning(f"{name}: {self.failures[name].told}")
        return replace(first, message=f"{', '.join(same)}: {first.message}")

    def start(self, name: str) -> None:
        """Start a part with the settings of the whole job."""
        number = self._numbers[name]
        folder = part_folder(self.folder, number)
        job = replace(
            self.job,
            inputs=_seen_from(folder, self.folder, self.job),
            output=".",
            part=[number, len(self._numbers)],
            inputs_read=[],  # the whole run looks whether its inputs are the same
        )
        create_job_folder(folder, job)
        self.reporter.status(f"{name}: fitting")
        self.launch(name, folder)

    def take_end(self, name: str, result: dict[str, Any], failure: Failure | None, seconds: float) -> None:
        """Keep a failure."""
        if failure is not None:
            self.failures[name] = failure

    def pass_on(self, name: str, event: Event) -> None:
        """A warning, once, for all parts read the same inputs."""
        if event["type"] == "warning" and event["message"] not in self.warnings:
            self.warnings.add(event["message"])
            self.reporter.warning(event["message"])

    def show(self, event: Event) -> None:
        """As an event of the whole run."""
        if event["type"] == "progress":
            self.reporter.progress(event["fraction"])
        elif event["type"] == "warning":
            self.reporter.warning(event["message"])
        else:
            self.reporter.status(event["text"])


class _Evaluation(PartReporter):
    """The reporter of a run after its parts, without the warnings that these have given."""

    def __init__(self, reporter: Reporter, start: float, end: float, begun: float, given: set[str]) -> None:
        super().__init__(reporter, start, end, begun)
        self._given = given

    def warning(self, message: str) -> None:
        """Passed on where it is a new one."""
        if message not in self._given:
            super().warning(message)


def _seen_from(folder: Path, whole: Path, job: Job) -> dict[str, Any]:
    """The inputs of the whole job, whose paths are relative to its folder, relative to that of a part."""
    up = os.path.relpath(whole, folder)
    inputs = dict(job.inputs)
    for field in fields_of(load_verb(job.method, job.verb).inputs):
        if field.type is Path and inputs.get(field.name) is not None:
            value = inputs[field.name]
            inputs[field.name] = [os.path.join(up, path) for path in value] if field.many else os.path.join(up, value)
    return inputs
