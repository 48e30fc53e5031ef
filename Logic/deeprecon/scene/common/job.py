"""What the job folders of all methods share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.jobs.job import Job, bundle_input
from deeprecon.jobs.parameters import to_json

OUTPUT = "output"
"""Folder of the results below the job folder."""


def check_settings(parameters: Any, problem: str = "") -> None:
    """Refuse a run before anything is written.

    Args:
        parameters: dataclass of the verb.
        problem: a reason from elsewhere, such as an input that is missing; empty if there is none.

    Raises:
        InputError: there is a problem, or the settings contradict each other.
    """
    if reason := next((each for each in (problem, *parameters.validate()) if each), ""):
        raise InputError(reason)


def write_cases_job(
    folder: Path,
    verb: tuple[str, str],
    cases: tuple[str, Path],
    target: Path,
    bundle: Path | None,
    parameters: Any,
    device: str = "auto",
    seed: int = 0,
    others: Mapping[str, Any] = MappingProxyType({}),
) -> None:
    """Write the job that processes every case in a folder of the user.

    Args:
        folder: of the job.
        verb: method and verb, see `jobs/verbs.py`.
        cases: name of the verb's input, and the folder that it gets.
        target: folder of the results; it gets summary.csv.
        bundle: folder of a model bundle, or None.
        parameters: dataclass of the verb.
        device: "auto", "cpu", "cuda:0", ...
        seed: of every random number.
        others: further inputs of the verb.

    Raises:
        InputError: no such folder, or settings that contradict each other.
    """
    check_settings(parameters)
    name, path = cases
    if not path.is_dir():
        raise InputError(f"There is no folder {path}.", "Choose another folder.")
    inputs = {name: str(path.resolve()), **bundle_input(bundle), **others}
    output = str(target.resolve())
    Job(*verb, inputs, to_json(parameters), output=output, device=device, seed=seed).save(folder)
