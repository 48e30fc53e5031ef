"""A way to run the verbs of a method, for the tests of every method; each folder says which by `method_name`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deeprecon.jobs.job import Job
from deeprecon.worker import run_job


@pytest.fixture
def start(tmp_path: Path, method_name: str) -> Callable[..., tuple[int, Path]]:
    """Runs a verb through the worker on one CPU thread: exit code and output folder."""

    def run(verb: str, name: str = "out", seed: int = 0, inputs: Any = None, **parameters: Any) -> tuple[int, Path]:
        folder = tmp_path / name / ".job"
        given = {
            key: [str(path) for path in value] if isinstance(value, list | tuple) else str(value)
            for key, value in (inputs or {}).items()
        }
        Job(method_name, verb, given, parameters, "..", "cpu", 1, "fp32", seed).save(folder)
        return run_job(folder), tmp_path / name

    return run


@pytest.fixture
def done(start: Callable[..., tuple[int, Path]]) -> Callable[..., Path]:
    """The same for runs that must succeed: the output folder."""

    def run(verb: str, name: str = "out", **values: Any) -> Path:
        code, output = start(verb, name, **values)
        assert code == 0, (output / ".job" / "events.jsonl").read_text(encoding="utf-8")
        return output

    return run
