"""Events of a running job: one JSON object a line, in events.jsonl and on stdout; one run at a time in a job folder."""

from __future__ import annotations

import contextlib
import enum
import errno
import json
import math
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

from deeprecon.data.errors import InputError

Event = dict[str, Any]

EVENTS = "events.jsonl"
"""Name of the file of events in a job folder."""
PROGRESS_INTERVAL = 0.1
"""Least time between two progress events, in seconds."""
_LOCKED_BYTE = 2**30
"""Windows locks bytes against reading too: one far beyond the end of the file is locked."""


def to_plain(value: Any) -> Any:
    """`value` as what JSON can hold: NaN and infinity become None, numpy values numbers and lists, paths text."""
    if value is None or isinstance(value, str | bool | int):
        return value.value if isinstance(value, enum.Enum) else value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, enum.Enum):
        return to_plain(value.value)
    if isinstance(value, dict):
        return {str(key): to_plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(entry) for entry in value]
    if hasattr(value, "tolist"):
        return to_plain(value.tolist())
    return str(value)


def print_event(event: Event) -> None:
    """One line of JSON on stdout, at once. A closed stdout is no reason to end the run: the file has the event too."""
    with contextlib.suppress(OSError):
        print(json.dumps(event, ensure_ascii=False, allow_nan=False), flush=True)


class EventLog:
    """The `Reporter` of a job: appends to `folder`/events.jsonl and shows each event as it comes.

    Thread-safe. An event is shown first and written second, so that a full disk is reported, too.

    Only one log at a time can be open in a folder, and so only one run at a time work there.

    Args:
        folder: the job folder; it must exist.
        show: what is done with an event besides writing it.

    Raises:
        InputError: another run is working in the folder.
        OSError: events.jsonl cannot be written (here and from the methods).
    """

    def __init__(self, folder: Path, show: Callable[[Event], None] = print_event) -> None:
        self._show = show
        self._lock = threading.Lock()
        self._start = time.monotonic()
        self._first_progress: tuple[float, float] | None = None
        self._last_progress = -math.inf
        self._file = open(folder / EVENTS, "a+b", buffering=0)  # noqa: SIM115
        try:
            lock(self._file, folder)
            self._end_incomplete_line()
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Close events.jsonl."""
        self._file.close()

    def status(self, text: str) -> None:
        """A short sentence: what is done now."""
        self._emit("status", text=text)

    def progress(self, fraction: float, seconds_left: float | None = None) -> None:
        """Share that is done; the time left is estimated from the pace so far where the task does not know it.

        More than ten calls a second are thinned out; the last one (fraction 1) always comes through.
        """
        fraction = min(max(float(fraction), 0.0), 1.0) if math.isfinite(fraction) else 0.0
        now = time.monotonic() - self._start
        if self._first_progress is None:
            self._first_progress = (now, fraction)
        if now - self._last_progress < PROGRESS_INTERVAL and fraction < 1:
            return
        self._last_progress = now
        if seconds_left is None:
            start, done = self._first_progress
            # A resumed run begins in the middle: its pace follows from what this run did.
            seconds_left = (now - start) / (fraction - done) * (1 - fraction) if fraction > done else None
        self._emit("progress", fraction=fraction, seconds_left=seconds_left)

    def metric(self, step: int, **values: float) -> None:
        """One point of the live curves; NaN becomes null."""
        self._emit("metric", step=int(step), **values)

    def warning(self, message: str) -> None:
        """A sentence that the user should read."""
        self._emit("warning", message=message)

    def result(self, path: Path, metrics: dict[str, Any]) -> None:
        """The run is done and `path`, the result.json, is there."""
        self._emit("result", path=str(path), metrics=metrics)

    def error(self, kind: str, message: str, hint: str = "", details: str = "", codes: Sequence[str] = ()) -> None:
        """The run has failed. Never raises: where the disk is full, the event still goes to stdout."""
        with contextlib.suppress(OSError):
            self._emit("error", kind=kind, message=message, hint=hint, details=details, codes=list(codes))

    def _emit(self, event_type: str, /, **values: Any) -> None:
        with self._lock:
            event = to_plain({**values, "type": event_type, "time": round(time.monotonic() - self._start, 3)})
            self._show(event)
            line = json.dumps(event, ensure_ascii=False, allow_nan=False)
            self._file.write(line.encode("utf-8", "backslashreplace") + b"\n")

    def _end_incomplete_line(self) -> None:
        """End a line that a killed run left incomplete, so that the first line of this run is readable."""
        if self._file.seek(0, 2) > 0:
            self._file.seek(-1, 2)
            if self._file.read(1) != b"\n":
                self._file.write(b"\n")


def lock(file: IO[bytes], folder: Path) -> None:
    """Lock an open file of a job folder for this run; the lock goes with the file or the process, however it ends.

    Where the file system has no locks, as on some network disks, nothing is locked.

    Raises:
        InputError: another run has locked it.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            file.seek(_LOCKED_BYTE)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
            message = f"Another run is working in the folder {folder}."
            raise InputError(message, "Wait until it has ended, or choose another folder.") from error
