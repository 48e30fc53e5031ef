"""What a method offers: a table of verbs in its `task.py`."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deeprecon.jobs.run import Outcome, Run

METHODS = {"scar": "deeprecon.scar.task"}
"""Method names and the module that holds `VERBS: dict[str, Verb]`. Nothing else is ever imported by name."""


@dataclass(frozen=True)
class Verb:
    """One thing a method can do.

    Attributes:
        summary: one line for `--help`.
        inputs: dataclass of file inputs (fields of type Path).
        parameters: dataclass of settings, with `validate() -> list of reasons`.
        function: does the work; imports torch only when called.
        resolve: fills step counts and the like that depend on device and threads, before the run; None where
            nothing depends on them. (parameters, device, threads, precision) -> parameters
    """

    summary: str
    inputs: type
    parameters: type
    function: Callable[[Any, Any, Run], Outcome]
    resolve: Callable[[Any, str, int, str], Any] | None = None
