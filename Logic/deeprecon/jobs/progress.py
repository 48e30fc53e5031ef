"""Progress of a run that consists of parts which know only their own."""

from __future__ import annotations

import time

from deeprecon.jobs.run import Reporter


class Part:
    """Stands for a reporter during a part of the run, from share `start` to share `end` of the whole."""

    def __init__(self, reporter: Reporter, start: float, end: float, begun: float) -> None:
        self._reporter, self._start, self._end, self._begun = reporter, start, end, begun

    def status(self, text: str) -> None:
        """As of the run."""
        self._reporter.status(text)

    def progress(self, fraction: float, seconds_left: float | None = None) -> None:
        """Share of the part; the time left is that of the whole run, at the pace so far."""
        share = self._start + (self._end - self._start) * fraction
        elapsed = time.monotonic() - self._begun
        self._reporter.progress(share, elapsed * (1 - share) / share if share > 0.02 else None)

    def metric(self, step: int, **values: float) -> None:
        """As of the run."""
        self._reporter.metric(step, **values)

    def warning(self, message: str) -> None:
        """As of the run."""
        self._reporter.warning(message)
