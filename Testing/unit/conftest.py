"""A way to run the verbs of a method, for the tests of every method; each folder says which by `method_name`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deeprecon.cases.parts import parts_in
from deeprecon.cases.place import Place
from deeprecon.jobs.events import Event
from deeprecon.jobs.job import Job
from deeprecon.jobs.results.publication import read_result
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


class EngineHere:
    """Runs each job in this process as soon as it is started; once closed, no fit may save a checkpoint any more."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self._events: list[tuple[str, Event]] = []

    def slots(self) -> int:
        return 1

    def start(self, name: str, folder: Path) -> None:
        assert run_job(folder) == 0
        self._events.append((name, {"type": "end", "result": read_result(folder), "failure": None}))

    def poll(self) -> list[tuple[str, Event]]:
        events, self._events = self._events, []
        return events

    def cancel(self) -> None: ...

    def close(self) -> None:
        def refuse(path: Path, state: Any) -> None:
            raise AssertionError(f"{path} is fitted again")

        for module in ("deeprecon.training.fit", "deeprecon.scar.fit.field_fit"):
            self._monkeypatch.setattr(f"{module}.save_checkpoint", refuse)


@pytest.fixture
def again_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, int], Path]:
    """Repeats the run of an output folder, its fits in so many parts: the new output folder."""

    def run(earlier: Path, count: int) -> Path:
        output = tmp_path / "parts"
        replace(Job.load(earlier / ".job"), inputs_read=[]).save(output / ".job")
        monkeypatch.setattr(Place, "open", lambda place, command, logs: (EngineHere(monkeypatch), command))
        code = run_job(output / ".job", make_parts=parts_in(Place(None, count)))
        assert code == 0, (output / ".job" / "events.jsonl").read_text(encoding="utf-8")
        return output

    return run


@pytest.fixture
def error_of(start: Callable[..., tuple[int, Path]]) -> Callable[..., str]:
    """Runs a verb whose input must be refused: the message; nothing may be left in the output folder."""

    def run(verb: str, **values: Any) -> str:
        code, output = start(verb, **values)
        assert code == 2, (output / ".job" / "events.jsonl").read_text(encoding="utf-8")
        assert [path.name for path in output.iterdir()] == [".job"]
        events = (output / ".job" / "events.jsonl").read_text(encoding="utf-8").splitlines()
        error = [event for event in map(json.loads, events) if event["type"] == "error"][-1]
        return f"{error['message']} {error['hint']}"

    return run


@pytest.fixture
def warnings_of() -> Callable[[Path], list[str]]:
    """What a run warned of."""

    def read(output: Path) -> list[str]:
        lines = (output / ".job" / "events.jsonl").read_text(encoding="utf-8").splitlines()
        return [event["message"] for event in map(json.loads, lines) if event["type"] == "warning"]

    return read


@pytest.fixture
def figures_of() -> Callable[[Path], dict[str, Any]]:
    """The figures in the result.json of an output folder."""

    def read(folder: Path) -> dict[str, Any]:
        values: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))["metrics"]
        return values

    return read
