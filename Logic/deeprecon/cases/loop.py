"""The loop that hands jobs to an engine and takes their events, until all have ended."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deeprecon.cases.engine import Engine
from deeprecon.data.errors import InputError
from deeprecon.jobs.events import Event
from deeprecon.jobs.failures import Failure, explain_exception

MIN_SHARE = 0.02
"""Share that must be done before the time left is estimated."""


@dataclass
class _Running:
    begun: float
    started: bool = False
    fraction: float = 0.0


class JobLoop(ABC):
    """Runs jobs by their names; a job that fails does not end the others.

    Args:
        names: of the jobs, in the order in which they are started.
        engine: that runs them.
    """

    def __init__(self, names: Sequence[str], engine: Engine) -> None:
        self.engine = engine
        self._count, self._ended = len(names), 0
        self._waiting, self._running = deque(names), dict[str, _Running]()
        self._begun, self._waits = time.monotonic(), False

    def run(self, stopped: Callable[[], bool]) -> None:
        """Until all jobs have ended or, once `stopped` is true, those that are running."""
        cancelled = False
        while self._waiting or self._running:
            if not cancelled and stopped():
                cancelled = True
                self.stop()
            self._start_more()
            events = self.engine.poll()
            for name, event in events:
                self.take(name, event)
            if not events:
                time.sleep(0.02)

    def stop(self) -> None:
        """Start no further jobs, and ask those that are running to stop."""
        self._waiting.clear()
        self.engine.cancel()

    @abstractmethod
    def start(self, name: str) -> None:
        """Make the job folder and `launch` it, or `end` the job, where it has a result already.

        Raises:
            InputError, OSError: it cannot be started.
        """

    @abstractmethod
    def take_end(self, name: str, result: dict[str, Any], failure: Failure | None, seconds: float) -> None:
        """A job has ended: with the content of its result.json, or with a failure."""

    @abstractmethod
    def pass_on(self, name: str, event: Event) -> None:
        """Show a warning or a line of the log of a job."""

    @abstractmethod
    def show(self, event: Event) -> None:
        """Show status, progress or a warning of the loop itself."""

    def may_start(self) -> bool:
        """Whether the next job can be started now, where the engine has a slot."""
        return True

    def launch(self, name: str, folder: Path) -> None:
        """Give a job folder to the engine."""
        self.engine.start(name, folder)
        self._running[name] = _Running(time.monotonic())

    def end(self, name: str, result: dict[str, Any], failure: Failure | None, seconds: float) -> None:
        """Count a job as ended."""
        self._ended += 1
        self.take_end(name, result, failure, seconds)

    def take(self, name: str, event: Event) -> None:
        """Take an event of a job; late ones of a job that has ended are dropped."""
        running = self._running.get(name)
        if running is None:
            return
        kind = event["type"]
        if kind == "started":
            if running.started:
                self.show({"type": "warning", "message": f"{name}: its worker was lost; it is run once more."})
            running.started = True
        elif kind == "progress":
            running.fraction = event["fraction"]
            self._show_progress()
        elif kind in ("warning", "log"):
            self.pass_on(name, event)
        elif kind == "end":
            del self._running[name]
            failure = event["failure"]
            if failure is not None:
                failure = Failure(failure["kind"], failure["message"], failure["hint"], tuple(failure["codes"]))
            self.end(name, event["result"] or {}, failure, round(time.monotonic() - running.begun, 1))
            self._show_progress()

    def _start_more(self) -> None:
        while self._waiting and self.may_start() and len(self._running) < self._slots():
            name = self._waiting[0]
            try:
                self.start(name)
            except (InputError, OSError) as error:
                self.end(name, {}, explain_exception(error), 0.0)
            self._waiting.popleft()

    def _slots(self) -> int:
        slots = self.engine.slots()
        if not slots and not self._running and not self._waits:
            self._waits = True
            self.show({"type": "status", "text": "Waiting for a worker"})
        return slots

    def _show_progress(self) -> None:
        """The share of all jobs that is done, and the time left at the pace of this call."""
        share = (self._ended + sum(running.fraction for running in self._running.values())) / self._count
        elapsed = time.monotonic() - self._begun
        left = elapsed * (1 - share) / share if share > MIN_SHARE else None
        self.show({"type": "progress", "fraction": share, "seconds_left": left})
