"""Jobs of the fake method, run by real child processes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deeprecon.jobs.job import Job
from deeprecon.jobs.runner import JobRunner

HERE = Path(__file__).parent
FAKE_WORKER = [sys.executable, "-X", "utf8", "-u", str(HERE / "fake_method.py")]


@pytest.fixture
def make_job(tmp_path: Path) -> Iterator[Callable[..., JobRunner]]:
    """Writes a job of the fake method and gives its runner; kills what is left at the end."""
    made = []

    def make(folder: Path | None = None, verb: str = "work", seed: int = 0, **parameters: Any) -> JobRunner:
        folder = folder or tmp_path / "job"
        inputs = parameters.pop("inputs", {})
        Job("fake", verb, inputs, parameters, seed=seed).save(folder)
        made.append(JobRunner(folder, FAKE_WORKER))
        return made[-1]

    yield make
    for runner in made:
        runner.kill()


@pytest.fixture
def until() -> Callable[[Callable[[], Any]], Any]:
    """Waits until a condition is true and returns its value; fails after 120 s."""

    def wait(condition: Callable[[], Any]) -> Any:
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if value := condition():
                return value
            time.sleep(0.02)
        raise AssertionError("timed out")

    return wait
