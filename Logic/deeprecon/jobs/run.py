"""What a task is given and returns: folders, device, reporter; outputs and metrics."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from deeprecon.data.doubts import Doubt, DoubtError, not_accepted

STOP = "stop"
"""File in the job folder by which a run is asked to stop."""
INTERRUPTED = "interrupted"
"""Content of `STOP` where the run was interrupted, instead of asked to finish with what it has."""


PARTS = "parts"
"""Folder in a job folder with those of the parts in which its fits are made."""

T = TypeVar("T")


class Stopped(Exception):
    """Raised by a task that was asked to stop before it had anything worth keeping."""


class Reporter(Protocol):
    """Takes status, progress, metrics and warnings of a running task."""

    def status(self, text: str) -> None:
        """A short sentence: what is done now."""

    def progress(self, fraction: float, seconds_left: float | None = None) -> None:
        """Share of the whole run that is done, 0 to 1, and the time left in seconds where it is known."""

    def metric(self, step: int, **values: float) -> None:
        """One point of the live curves; one call per step, one keyword per curve."""

    def warning(self, message: str) -> None:
        """A sentence that the user should read."""


class SilentReporter:
    """A reporter that drops everything."""

    def status(self, text: str) -> None: ...
    def progress(self, fraction: float, seconds_left: float | None = None) -> None: ...
    def metric(self, step: int, **values: float) -> None: ...
    def warning(self, message: str) -> None: ...


class PartReporter:
    """The reporter of a part of a run, from share `start` to `end` of it; `begun`: `time.monotonic()` at its begin."""

    def __init__(self, reporter: Reporter, start: float, end: float, begun: float) -> None:
        self._reporter, self._start, self._end, self._begun = reporter, start, end, begun

    def status(self, text: str) -> None:
        """Passed on."""
        self._reporter.status(text)

    def progress(self, fraction: float, seconds_left: float | None = None) -> None:
        """Share of the part; the time left is that of the whole run, at the pace so far."""
        share = self._start + (self._end - self._start) * fraction
        elapsed = time.monotonic() - self._begun
        self._reporter.progress(share, elapsed * (1 - share) / share if share > 0.02 else None)

    def metric(self, step: int, **values: float) -> None:
        """Passed on."""
        self._reporter.metric(step, **values)

    def warning(self, message: str) -> None:
        """Passed on."""
        self._reporter.warning(message)


@dataclass(frozen=True)
class Run:
    """The surroundings of one run.

    Attributes:
        folder: the job folder; `checkpoint` lies below it.
        output: a staging folder; what a task writes here is moved to the job's output when all went well.
        device, threads, precision, seed: resolved, see `Job`.
        reporter: status, progress, metrics and warnings.
        accepted: codes of the contradictions that the user has accepted.
        doubts: found so far; result.json lists them.
        part: (i, n) where only the i-th of n parts of the fits is to be made, see `deeprecon.jobs.verbs.Verb.in_parts`.
    """

    folder: Path
    output: Path
    device: str
    threads: int
    precision: str
    seed: int
    reporter: Reporter
    accepted: tuple[str, ...] = field(default=(), kw_only=True)
    doubts: list[Doubt] = field(default_factory=list, kw_only=True)
    part: tuple[int, int] | None = field(default=None, kw_only=True)

    def consider(self, doubts: Iterable[Doubt]) -> None:
        """Go on with what is assumed or accepted, stating it once in a warning and in result.json.

        Raises:
            DoubtError: contradictions that the user has not accepted.
        """
        doubts = tuple(doubts)
        if contradictions := not_accepted(doubts, self.accepted):
            raise DoubtError(contradictions)
        for doubt in doubts:
            if doubt not in self.doubts:
                self.doubts.append(doubt)
                self.reporter.warning(str(doubt))

    @property
    def checkpoint(self) -> Path:
        """Folder for what resuming needs; survives a crash or a cancel. Parts have that of the whole run."""
        return (self.folder if self.part is None else whole_folder(self.folder)) / "checkpoint"

    def share(self, fits: Sequence[T]) -> Sequence[T]:
        """Those of all fits that are to be made: all, or every n-th of them where the run is a part."""
        number, parts = self.part or (1, 1)
        return fits[number - 1 :: parts]

    def should_stop(self) -> bool:
        """True once the parent asked for a graceful stop.

        Finish the step, keep the best so far and return its `Outcome`; raise `Stopped` where there is none yet.
        """
        return (self.folder / STOP).exists()

    @property
    def interrupted(self) -> bool:
        """True where the run was asked to stop by an interrupt, not to finish with what it has."""
        request = self.folder / STOP
        return request.is_file() and request.read_text(encoding="utf-8") == INTERRUPTED


def part_folder(folder: Path, number: int) -> Path:
    """The job folder of the part of this number of a run whose job folder is `folder`."""
    return folder / PARTS / str(number)


def whole_folder(folder: Path) -> Path:
    """The job folder of the run that a part belongs to, from that of the part."""
    return folder.parents[1]


def request_stop(folder: Path, interrupted: bool = False) -> None:
    """Ask the run in a job folder to stop: with the best it has as its result, or because it is interrupted."""
    (folder / STOP).write_text(INTERRUPTED if interrupted else "", encoding="utf-8")


@dataclass(frozen=True)
class Outcome:
    """What a task returns: files by role (below `Run.output`), figures, and notes for the provenance."""

    outputs: dict[str, Path] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
