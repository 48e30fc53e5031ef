"""A few simulated users, and a way to run jobs on them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from deeprecon.jobs.run import Run
from deeprecon.seizure.configuration import Config
from deeprecon.seizure.read.dataset import write_dataset
from deeprecon.seizure.read.recording import Recording
from deeprecon.seizure.simulate.recordings import simulate_recordings
from deeprecon.seizure.write.ensemble import write_ensemble

TINY: dict[str, Any] = {
    "modelConfig": {
        "framework": "pytorch",
        "bufferSeconds": 5,
        "batchSize": 8,
        "warmupSteps": 1,
        "mainSteps": 4,
        "cooldownSteps": 1,
        "evalEverySteps": 2,
    },
}
"""A configuration whose training takes a second: windows of 5 s and six steps."""


@dataclass
class RecordingReporter:
    """A reporter that keeps metrics and warnings; requests a stop after `stop_after` metrics."""

    folder: Path
    stop_after: int = 10**9
    metrics: list[dict[str, float]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def status(self, text: str) -> None: ...

    def warning(self, message: str) -> None:
        self.warnings.append(message)

    def progress(self, fraction: float, seconds_left: float | None = None) -> None: ...

    def metric(self, step: int, **values: float) -> None:
        self.metrics.append({"step": step, **values})
        if len(self.metrics) >= self.stop_after:
            (self.folder / "stop").touch()


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    """A run on one CPU thread, in a folder of its own."""
    import torch

    torch.set_num_threads(1)

    def make(name: str = "run", stop_after: int = 10**9, seed: int = 0) -> Run:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "stop").unlink(missing_ok=True)
        return Run(folder, folder, "cpu", 1, "fp32", seed, RecordingReporter(folder, stop_after))

    return make


@pytest.fixture(scope="session")
def people() -> list[Recording]:
    """Eight users with a seizure and four minutes of everyday activities each."""
    return simulate_recordings(8, 1, 4.0, 0)


@pytest.fixture(scope="session")
def dataset(people: list[Recording], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as dataset.npz; read-only."""
    path = tmp_path_factory.mktemp("data") / "dataset.npz"
    write_dataset(path, people)
    return path


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three untrained networks; users 1 to 4 count as trained on."""
    from deeprecon.seizure.networks.deepepi import new_network

    folder = tmp_path_factory.mktemp("model") / "bundle"
    states = [new_network(seed).state_dict() for seed in range(3)]
    write_ensemble(folder, states, Config(), 0.5, ["1", "2", "3", "4"], ["5"], "nothing")
    return folder


@pytest.fixture
def configuration(tmp_path: Path) -> Callable[..., Path]:
    """Writes a configuration: `TINY` with changed values in its sections, or a given text."""

    def write(text: str | None = None, **sections: dict[str, Any]) -> Path:
        path = tmp_path / "configuration.json"
        values = {name: {**TINY.get(name, {}), **sections.get(name, {})} for name in {*TINY, *sections}}
        path.write_text(json.dumps(values) if text is None else text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def method_name() -> str:
    return "seizure"


@pytest.fixture
def refused(start: Callable[..., tuple[int, Path]]) -> Callable[..., str]:
    """Runs a verb that must be refused as bad input and leave no files: message and hint of the error."""

    def run(verb: str, **values: Any) -> str:
        code, output = start(verb, "refused", **values)
        events = [json.loads(line) for line in (output / ".job" / "events.jsonl").read_text("utf-8").splitlines()]
        assert code == 2, events[-1]
        assert {path.name for path in output.iterdir()} == {".job"}
        return f"{events[-1]['message']} {events[-1]['hint']}"

    return run


@pytest.fixture
def result_of() -> Callable[[Path], dict[str, Any]]:
    """Reads the result.json of an output folder."""

    def read(folder: Path) -> dict[str, Any]:
        values: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        return values

    return read
