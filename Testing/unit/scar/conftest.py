"""A small patient and a way to run jobs on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deeprecon.jobs.job import Job
from deeprecon.scar.phantom import Phantom, sample_case, write_case
from deeprecon.worker import run_job


@pytest.fixture(scope="session")
def patient() -> Phantom:
    """Six slices of 12 mm, 14 mm apart, and a coarse mesh."""
    return sample_case(spacing=14, thickness=12, pixel=3, node_spacing=4)


@pytest.fixture(scope="session")
def files(patient: Phantom, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same in files, with a DICOM series; nobody writes there."""
    return write_case(patient, tmp_path_factory.mktemp("patient"), dicom=True)


@pytest.fixture
def start(tmp_path: Path) -> Callable[..., tuple[int, Path]]:
    """Runs a verb through the worker on one CPU thread: exit code and output folder."""

    def run(verb: str, name: str = "out", seed: int = 0, inputs: Any = None, **parameters: Any) -> tuple[int, Path]:
        folder = tmp_path / name / ".job"
        given = {
            key: [str(path) for path in value] if isinstance(value, list | tuple) else str(value)
            for key, value in (inputs or {}).items()
        }
        Job("scar", verb, given, parameters, "..", "cpu", 1, "fp32", seed).save(folder)
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


@pytest.fixture
def result_of() -> Callable[[Path], dict[str, Any]]:
    """Reads the result.json of an output folder."""

    def read(folder: Path) -> dict[str, Any]:
        values: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        return values

    return read
