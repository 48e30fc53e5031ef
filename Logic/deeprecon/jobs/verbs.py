"""What a method offers: a table of verbs in its `task.py`."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.jobs.job import PRECISIONS
from deeprecon.jobs.run import Outcome, Run

METHODS = {
    "scar": "deeprecon.scar.task",
    "dwmri": "deeprecon.dwmri.task",
    "seizure": "deeprecon.seizure.task",
    "scattering": "deeprecon.scattering.task",
    "ctpa": "deeprecon.ctpa.task",
}
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
        needs_torch: whether a run with these parameters computes with torch. Where it does not, nothing is probed
            and the run works without torch, on one CPU thread.
        keeps_checkpoint: whether the checkpoint stays after success: the best epochs of a training and the last one.
        in_parts: whether a run with these parameters makes several fits that can be made in parts: where `Run.part` is
            set, the function makes its share of them (`Run.share`), each with a checkpoint of its own, and returns an
            empty `Outcome`.
        precisions: what a run with these parameters can compute in; the only one, where there is one, is "auto" too.
    """

    summary: str
    inputs: type
    parameters: type
    function: Callable[[Any, Any, Run], Outcome]
    resolve: Callable[[Any, str, int, str], Any] | None = None
    needs_torch: Callable[[Any], bool] = lambda parameters: True
    keeps_checkpoint: bool = False
    in_parts: Callable[[Any], bool] = lambda parameters: False
    precisions: Callable[[Any], tuple[str, ...]] = lambda parameters: PRECISIONS


def load_verbs(method: str) -> dict[str, Verb]:
    """The verbs of a method.

    Raises:
        InputError: no such method.
    """
    if method not in METHODS:
        raise InputError(f"There is no method {method!r}.", f"Known are: {', '.join(METHODS)}.")
    verbs: dict[str, Verb] = importlib.import_module(METHODS[method]).VERBS
    return verbs


def load_verb(method: str, verb: str) -> Verb:
    """One verb of a method.

    Raises:
        InputError: no such method or verb.
    """
    verbs = load_verbs(method)
    if verb not in verbs:
        raise InputError(f"The method {method} has no verb {verb!r}.", f"It has: {', '.join(verbs)}.")
    return verbs[verb]
