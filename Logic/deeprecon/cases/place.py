"""Where jobs run: here, in child processes, or on the workers of a Dask scheduler."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from deeprecon.cases.clusters import LOCAL, check_threads, open_dask
from deeprecon.cases.engine import Engine, ProcessEngine
from deeprecon.jobs.command import Command
from deeprecon.training.hardware import physical_cores

WORKER_LOGS = "workers"
"""Folder below a job folder for the logs of a batch system."""


@dataclass(frozen=True)
class Place:
    """Where jobs run.

    Attributes:
        scheduler: None for child processes, else "local", the address of a Dask scheduler, or a batch system.
        workers: how many jobs at once; None where the scheduler says so, or for one at a time.
    """

    scheduler: str | None = None
    workers: int | None = None

    def open(self, command: Command, logs: Path) -> tuple[Engine, Command]:
        """The engine, and the command with the device and threads that it calls for.

        Args:
            command: that is run; its device and threads may be open.
            logs: folder for the logs of a batch system.

        Raises:
            InputError: nothing can run in that place.
        """
        if self.scheduler is not None:
            return open_dask(self.scheduler, self.workers, command, logs)
        return ProcessEngine(self.workers or 1), self.with_threads(command)

    def with_threads(self, command: Command) -> Command:
        """The command with a number of threads, where several jobs share this computer: its cores are shared.

        Raises:
            InputError: other machines compute, and the number was not given.
        """
        if self.scheduler not in (None, LOCAL):
            return check_threads(command)
        count = self.workers or 1
        if count > 1 and not command.threads:
            return replace(command, threads=max(1, physical_cores() // count))
        return command
