"""Where cases are run: here, in child processes of this one; `dask_engine` hands them to Dask.

An engine gives events by the name of their case: those of the job, {"type": "started"} when a worker begins with it,
and last {"type": "end", "result": content of result.json or None, "failure": None or as `JobRunner.failure`}.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Protocol

from deeprecon.jobs.events import Event
from deeprecon.jobs.failures import Failure
from deeprecon.jobs.process import python_command
from deeprecon.jobs.results.publication import read_result
from deeprecon.jobs.runner import JobRunner

CANCEL_GRACE = 10.0
"""Seconds a cancelled case may take to stop by itself."""


class Engine(Protocol):
    """Runs the jobs of cases."""

    def slots(self) -> int:
        """How many cases can run at once now."""

    def start(self, name: str, folder: Path) -> None:
        """Start, or resume, the job in a folder; called while fewer than `slots` are running.

        Raises:
            InputError, OSError: it cannot be started.
        """

    def poll(self) -> list[tuple[str, Event]]:
        """Events since the last call, with the names of their cases; does not wait."""

    def cancel(self) -> None:
        """Ask all that run to stop; they end within `CANCEL_GRACE` seconds."""

    def close(self) -> None:
        """Give back what was started, ending what still runs."""


def end_of_run(runner: JobRunner) -> Event:
    """The last event of a case whose child process is gone."""
    failure = runner.failure()
    return {"type": "end", "result": None if failure else read_result(runner.result_folder), "failure": failure}


def end_of_failure(failure: Failure) -> Event:
    """The last event of a case that could not be run."""
    return {"type": "end", "result": None, "failure": asdict(failure)}


class ProcessEngine:
    """Child processes of this one.

    Args:
        count: how many at once.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._runners: dict[str, JobRunner] = {}

    def slots(self) -> int:
        """As in `Engine`."""
        return self._count

    def start(self, name: str, folder: Path) -> None:
        """As in `Engine`."""
        runner = JobRunner(folder, python_command(sys.executable))
        runner.start()
        self._runners[name] = runner

    def poll(self) -> list[tuple[str, Event]]:
        """As in `Engine`."""
        events: list[tuple[str, Event]] = []
        for name, runner in list(self._runners.items()):
            events += [(name, event) for event in runner.poll()]
            if not runner.running:
                events.append((name, end_of_run(runner)))
                del self._runners[name]
        return events

    def cancel(self) -> None:
        """As in `Engine`."""
        for runner in self._runners.values():
            runner.cancel(CANCEL_GRACE)

    def close(self) -> None:
        """As in `Engine`."""
        for runner in self._runners.values():
            runner.kill()
