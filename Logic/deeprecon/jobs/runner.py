"""Starting a job in a child process and watching it, without Qt and without ever blocking."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from deeprecon.jobs.events import Event
from deeprecon.jobs.failures import CANCELLED, count_memory_kills, explain_exit
from deeprecon.jobs.process import child_environment, kill_tree, python_command, start
from deeprecon.jobs.run import STOP, request_stop

LOG_LINES = 40
EXIT_GRACE = 15.0
"""Seconds a child may take to exit after its result: some libraries hang while they are torn down."""


class ProcessRunner:
    """A child process whose lines are read by a thread and handed out by `poll`, which a timer calls.

    Lines that are no JSON objects come as {"type": "log", "text": line}.

    Args:
        command: program and arguments.
        environment: of the child; ours, with this library on its path, where left out.
    """

    def __init__(self, command: list[str], environment: dict[str, str] | None = None) -> None:
        self.command = command
        self.environment = environment
        self.exit_code: int | None = None
        self._process: subprocess.Popen[str] | None = None
        self._lines: queue.Queue[str | int] = queue.Queue()
        self._tail: deque[str] = deque(maxlen=LOG_LINES)

    @property
    def running(self) -> bool:
        """True from `start` until `poll` has handed out the last line."""
        return self._process is not None and self.exit_code is None

    @property
    def pid(self) -> int | None:
        """Process id of the child, once started; on POSIX also the id of its process group."""
        return None if self._process is None else self._process.pid

    @property
    def log(self) -> str:
        """The last lines that were not events."""
        return "\n".join(self._tail)

    def start(self) -> None:
        """Start the child. A runner runs once.

        Raises:
            InputError: the program cannot be started.
        """
        if self._process is not None:
            raise RuntimeError("this runner was started before")
        environment = child_environment() if self.environment is None else self.environment
        self._process = start(self.command, environment)
        threading.Thread(target=self._watch, args=(self._process,), name="child watch", daemon=True).start()

    def poll(self, limit: int = 1000) -> list[Event]:
        """Events of the child since the last call, at most `limit`; does not wait."""
        events: list[Event] = []
        while len(events) < limit:
            try:
                item = self._lines.get_nowait()
            except queue.Empty:
                break
            if isinstance(item, int):
                self.exit_code = item
                break
            events.append(self._parse(item))
        return events

    def wait(self, timeout: float | None = None, on_event: Callable[[Event], Any] | None = None) -> int | None:
        """For scripts: poll until the child is gone, giving each event to `on_event`.

        Returns:
            The exit code, or None where `timeout` seconds passed first.
        """
        end = None if timeout is None else time.monotonic() + timeout
        while self.running and (end is None or time.monotonic() < end):
            events = self.poll()
            if on_event is not None:
                for event in events:
                    on_event(event)
            if not events and self.running:
                time.sleep(0.02)
        return self.exit_code

    def kill(self) -> None:
        """Kill the child and all its children now; the exit code comes with the next polls."""
        if self._process is not None:
            kill_tree(self._process)

    def _parse(self, line: str) -> Event:
        if line.startswith("{"):
            try:
                event = json.loads(line)
            except ValueError:
                event = None
            if isinstance(event, dict) and isinstance(event.get("type"), str):
                return event
        self._tail.append(line)
        return {"type": "log", "text": line}

    def _watch(self, process: subprocess.Popen[str]) -> None:
        """Thread: read until the child is gone. Only the queue is touched: no Qt, no scene."""
        reader = threading.Thread(target=self._read, args=(process,), name="child output", daemon=True)
        reader.start()
        code = process.wait()
        kill_tree(process)  # a grandchild may still hold the pipe
        reader.join()
        if process.stdin is not None:
            process.stdin.close()
        self._lines.put(code)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self._lines.put(line.rstrip("\n"))


class JobRunner(ProcessRunner):
    """A job folder's worker as a child process.

    Args:
        folder: the job folder, with its job.json.
        command: program and arguments, to which the folder is appended; `python_command()` where left out.
        environment: of the child, see `child_environment`.
    """

    def __init__(
        self, folder: Path, command: list[str] | None = None, environment: dict[str, str] | None = None
    ) -> None:
        self.folder = Path(folder)
        super().__init__([*(command or python_command()), str(self.folder)], environment)
        self.cancelled = False
        self.result: Event | None = None
        self._error: Event | None = None
        self._deadline: float | None = None
        self._memory_kills: int | None = None

    def start(self) -> None:
        """Start the job, or resume what an earlier start of the same folder left."""
        (self.folder / STOP).unlink(missing_ok=True)
        self._memory_kills = count_memory_kills()
        super().start()

    def poll(self, limit: int = 1000) -> list[Event]:
        """As `ProcessRunner.poll`; also kills the child when a cancel's grace, or its time to exit, is over."""
        events = super().poll(limit)
        for event in events:
            if event["type"] == "result":
                self.result = event
            elif event["type"] == "error":
                self._error = event
            if event["type"] in ("result", "error") and self._deadline is None:
                self._deadline = time.monotonic() + EXIT_GRACE
        if self.running and self._deadline is not None and time.monotonic() > self._deadline:
            self.kill()
        return events

    def stop(self) -> None:
        """Ask the job to finish gracefully and to keep the best it has."""
        request_stop(self.folder)

    def cancel(self, grace: float = 5.0) -> None:
        """Ask the job to stop and kill it after `grace` seconds; returns at once, `poll` does the rest."""
        if self.running and not self.cancelled:
            self.cancelled = True
            self._deadline = time.monotonic() + grace
            try:
                request_stop(self.folder, interrupted=True)
            except OSError:  # a full disk or a folder that is gone
                self.kill()

    @property
    def result_folder(self) -> Path:
        """The folder of the result: the job's output or, where this holds what must stay, one below it."""
        if self.result is None:
            raise RuntimeError("this job has no result")
        return Path(os.path.normpath(self.folder / self.result["path"])).parent

    def failure(self) -> dict[str, Any] | None:
        """Why there is no result: {kind, message, hint, codes, log}; None while the job runs and when all went well.

        A cancelled job counts as cancelled even where it came to a result in its last moments.
        """
        if self.exit_code is None:
            return None
        if self.cancelled:
            failure = CANCELLED
            return {**asdict(failure), "log": self.log}
        if self.result is not None:
            return None
        if self._error is not None:
            reported = {name: str(self._error.get(name, "")) for name in ("kind", "message", "hint")}
            return {
                **reported,
                "codes": tuple(self._error.get("codes", ())),
                "log": "\n".join(filter(None, [self.log, str(self._error.get("details", ""))])),
            }
        kills = count_memory_kills()
        killed = kills is not None and self._memory_kills is not None and kills > self._memory_kills
        failure = explain_exit(self.exit_code, self.log, killed)
        return {**asdict(failure), "log": self.log}
