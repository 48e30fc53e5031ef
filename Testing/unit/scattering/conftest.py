"""A small data set, and a way to run the verbs on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.scattering.physics.coordinates import cell_axis
from deeprecon.scattering.physics.discs import directions, far_field
from deeprecon.scattering.read.far_field import write_measurements
from deeprecon.scattering.read.measurements import Measurements
from deeprecon.scattering.simulate.scenes import on_polar, on_square, random_discs


def simulate(count: int, k: float = 3.0, n: int = 32, rings: int = 12, seed: int = 0) -> Measurements:
    """Discs at a small wave number."""
    scenes = [random_discs(np.random.default_rng([seed, number])) for number in range(count)]
    theta, axis = directions(n), cell_axis(24)
    return Measurements(
        np.stack([far_field(k, scene, theta, theta) for scene in scenes]).astype(np.complex64),
        k,
        np.stack([on_square(scene, axis) for scene in scenes]).astype(np.float32),
        axis,
        np.stack([on_polar(scene, n, rings) for scene in scenes]).astype(np.float32),
        name="simulated",
    )


@pytest.fixture(scope="session")
def measured() -> Measurements:
    """Forty objects."""
    return simulate(40)


@pytest.fixture(scope="session")
def data(measured: Measurements, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a file; nobody writes there."""
    path = tmp_path_factory.mktemp("scattering") / "data.h5"
    write_measurements(path, measured, "T-matrix")
    return path


@pytest.fixture
def method_name() -> str:
    return "scattering"


@pytest.fixture
def refused(start: Callable[..., tuple[int, Path]]) -> Callable[..., str]:
    """The same for runs that must be refused: message and hint; nothing may be left behind."""

    def run(verb: str, name: str = "out", **values: Any) -> str:
        code, output = start(verb, name, **values)
        assert code == 2
        (error,) = [event for event in events_of(output) if event["type"] == "error"]
        assert {path.name for path in output.iterdir()} == {".job"}
        return f"{error['message']} {error['hint']}"

    return run


def events_of(output: Path) -> list[dict[str, Any]]:
    lines = (output / ".job" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture
def warnings_of() -> Callable[[Path], str]:
    """The warnings of a run."""
    return lambda output: " ".join(event["message"] for event in events_of(output) if event["type"] == "warning")


@pytest.fixture
def result_of() -> Callable[[Path], dict[str, Any]]:
    """Reads the result.json of an output folder."""

    def read(folder: Path) -> dict[str, Any]:
        values: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        return values

    return read
