"""Events of a job for a shell: on stderr, with one updating line on a terminal."""

from __future__ import annotations

import contextlib
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TextIO

from deeprecon.data.doubts import how_to_accept
from deeprecon.jobs.events import Event

PLAIN_PROGRESS_STEP = 0.1
"""Where the stream is no terminal, such as in a log file: share of the run between two lines of progress."""


class Console:
    """Shows events; `show` is what `EventLog` and `JobRunner.wait` call.

    Args:
        stream: where to write; stderr where left out.
        verbose: also show what the job prints besides its events.
    """

    def __init__(self, stream: TextIO | None = None, verbose: bool = False) -> None:
        self.error: Event | None = None
        self.result: Event | None = None
        self._stream = sys.stderr if stream is None else stream
        self.verbose = verbose
        self._live = self._stream.isatty()
        self._line = ""
        self._stage = ""
        self._metrics = ""
        self._next_share = 0.0

    def show(self, event: Event) -> None:
        """Show one event."""
        kind = event["type"]
        if kind == "status":
            self._stage = event["text"]
            self._print_line(self._stage)
        elif kind == "progress":
            self._progress(event["fraction"], event.get("seconds_left"))
        elif kind == "metric":
            curves = {name: value for name, value in event.items() if name not in ("type", "time", "step")}
            self._metrics = "  ".join(f"{name} {format_value(value)}" for name, value in curves.items())
        elif kind == "warning":
            self._print_line(f"Warning: {event['message']}")
        elif kind == "error":
            self.error = event
        elif kind == "result":
            self.result = event
        elif kind == "log" and self.verbose:
            self._print_line(event["text"])

    def show_error(self, message: str, hint: str = "", log: str = "", codes: Sequence[str] = ()) -> None:
        """Show why there is no result; `codes` are those of contradictions that can be accepted."""
        if log:
            self._print_line(log)
        self._print_line(f"Error: {message}")
        if hint:
            self._print_line(f"  {hint}")
        if codes:
            self._print_line(f"  {how_to_accept(codes)}")

    def finish(self) -> None:
        """End the updating line."""
        self._update_line("")

    def _progress(self, fraction: float, seconds_left: float | None) -> None:
        left = "" if seconds_left is None or fraction >= 1 else f", {format_seconds(seconds_left)} left"
        text = f"{100 * fraction:3.0f} %{left}"
        if self._live:
            filled = round(20 * fraction)
            details = f"  {self._metrics}" if self._metrics else ""
            self._update_line(f"{self._stage} [{'#' * filled}{'.' * (20 - filled)}] {text}{details}")
        elif fraction >= self._next_share:
            self._next_share = fraction + PLAIN_PROGRESS_STEP if fraction < 1 else 2.0
            self._print_line(f"{text}{'  ' if self._metrics else ''}{self._metrics}")

    def _print_line(self, text: str) -> None:
        """One line that stays, above the updating one."""
        line = self._line
        self._update_line("")
        self._write(text + "\n")
        self._update_line(line)

    def _update_line(self, line: str) -> None:
        if self._live and line != self._line:
            line = line[: shutil.get_terminal_size().columns - 1]
            self._write(f"\r{' ' * len(self._line)}\r{line}")
            self._line = line

    def _write(self, text: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(text.encode(encoding, "replace").decode(encoding))
        self._stream.flush()


def format_seconds(seconds: float) -> str:
    """Such as 0:05, 12:34 or 1:02:03."""
    minutes, rest = divmod(round(max(seconds, 0.0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def format_value(value: Any) -> str:
    """A figure in at most four digits."""
    return f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)


def plain_figures(metrics: dict[str, Any]) -> dict[str, Any]:
    """The metrics that are single numbers or words."""
    return {name: value for name, value in metrics.items() if isinstance(value, int | float | str)}


def format_table(rows: list[dict[str, Any]]) -> str:
    """Rows of the same columns as aligned text."""
    names = list(rows[0])
    cells = [names, *([format_value(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in cells)
    return "\n".join(line.rstrip() for line in lines)


@contextlib.contextmanager
def on_interrupt(stop: Callable[[], None]) -> Iterator[threading.Event]:
    """Ctrl+C and SIGTERM call `stop` and set the event; a second one raises KeyboardInterrupt."""
    interrupted = threading.Event()

    def handle(number: int, frame: Any) -> None:
        if interrupted.is_set():
            raise KeyboardInterrupt
        interrupted.set()
        stop()

    old = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupted
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
