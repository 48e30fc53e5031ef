"""What a Dask worker does for a case: start the job's child process, pass its events on, and wait."""

from __future__ import annotations

import platform
import sys
import time
from pathlib import Path
from typing import Any

from distributed import get_worker

from deeprecon.cases.engine import CANCEL_GRACE, end_of_failure, end_of_run
from deeprecon.data.errors import InputError
from deeprecon.jobs.events import EVENTS, Event, lock
from deeprecon.jobs.failures import CANCELLED, Failure, explain_exception
from deeprecon.jobs.process import child_environment, python_command
from deeprecon.jobs.results.publication import finished_result, read_result
from deeprecon.jobs.runner import JobRunner

PASSED_ON = ("status", "warning", "log")
PROGRESS_INTERVAL = 1.0
"""Seconds between two reports of a case's progress."""
LOCK_WAIT = 60.0
"""Seconds to wait until the run of a lost worker has left a job folder."""
cancelled_batches: set[str] = set()
"""Batches that the client has cancelled; `client.run(cancel_batch, ...)` adds to it in every worker."""


def cancel_batch(batch: str) -> None:
    """Stop the cases of a batch in this worker."""
    cancelled_batches.add(batch)


def run_case(name: str, folder: str, batch: str, variables: dict[str, str | None]) -> Event:
    """Run, or resume, the job in a folder that client and worker see under the same path.

    A case that is finished is not run again: Dask repeats a task whose result was lost with its worker.

    Args:
        name: of the case.
        folder: of its job.
        batch: name of the call that it belongs to, and of the topic of its events.
        variables: environment of the child where Dask has changed it; None for what is not set.

    Returns:
        The last event of the case, see `deeprecon.cases.engine`.
    """
    path, worker = Path(folder), get_worker()
    worker.log_event(batch, {"case": name, "type": "started"})
    if not path.is_dir():
        hint = "Inputs and outputs must lie on a disk that all machines see under the same paths."
        return end_of_failure(Failure("input", f"The worker on {platform.node()} does not see {folder}.", hint))
    if (done := finished_result(path)) is not None:
        return {"type": "end", "result": read_result(done.parent), "failure": None}
    if batch in cancelled_batches:
        return end_of_failure(CANCELLED)
    try:
        _wait_until_free(path)
        runner = JobRunner(path, python_command(sys.executable), _environment(variables))
        runner.start()
    except (InputError, OSError) as error:
        return end_of_failure(explain_exception(error))
    forward = _Forward(worker, batch, name)
    key = worker.get_current_task()
    try:
        while runner.wait(0.2, forward) is None:
            if batch in cancelled_batches or not _is_wanted(worker, key):
                runner.cancel(CANCEL_GRACE)
    finally:
        runner.kill()
    return end_of_run(runner)


class _Forward:
    """Passes events of a case on to the client, and its progress once a second."""

    def __init__(self, worker: Any, topic: str, name: str) -> None:
        self._worker, self._topic, self._name = worker, topic, name
        self._next = 0.0

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        if event["type"] in PASSED_ON or (event["type"] == "progress" and now >= self._next):
            if event["type"] == "progress":
                self._next = now + PROGRESS_INTERVAL
            self._worker.log_event(self._topic, {**event, "case": self._name})


def _is_wanted(worker: Any, key: str) -> bool:
    """Whether the scheduler still waits for this task: not where the client is gone."""
    task = worker.state.tasks.get(key)
    return task is not None and task.state == "executing"


def _environment(variables: dict[str, str | None]) -> dict[str, str]:
    environment = child_environment() | {name: value for name, value in variables.items() if value is not None}
    return {name: value for name, value in environment.items() if variables.get(name, "") is not None}


def _wait_until_free(folder: Path) -> None:
    """Wait for the run of a worker that was lost: its child process ends with it, but perhaps on another machine.

    Raises:
        InputError: another run keeps working there.
    """
    end = time.monotonic() + LOCK_WAIT
    while True:
        try:
            with open(folder / EVENTS, "ab") as events:
                lock(events, folder)
            return
        except InputError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)
