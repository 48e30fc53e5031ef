"""Metrics and warnings that the stages of a run collect."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from deeprecon.jobs.run import Reporter


@dataclass
class Findings:
    """What a run has found so far.

    Attributes:
        reporter: passes each warning on to the user.
        metrics: name -> value, for result.json.
        warnings: in words, for the report.
    """

    reporter: Reporter
    metrics: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def warn(self, text: str) -> None:
        """Report a warning and keep it."""
        self.warnings.append(text)
        self.reporter.warning(text)
