"""Simulated far fields and fixtures that run the verbs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.scattering.physics.arrangement import Arrangement
from deeprecon.scattering.physics.directions import directions
from deeprecon.scattering.physics.discs import disc_far_field
from deeprecon.scattering.physics.image_grids import pixel_centers
from deeprecon.scattering.physics.scene import rasterize_polar, rasterize_square
from deeprecon.scattering.read.far_field_data import FarFieldData
from deeprecon.scattering.read.scattered_fields import SPEED_OF_LIGHT, Band, ScatteredFields
from deeprecon.scattering.simulate.families import random_discs
from deeprecon.scattering.write.far_field_file import write_far_fields

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from scattering_mie import cylinder_field


def simulate(count: int, k: float = 3.0, n: int = 32, rings: int = 12, seed: int = 0) -> FarFieldData:
    """Discs at a small wave number."""
    scenes = [random_discs(np.random.default_rng([seed, number])) for number in range(count)]
    theta, axis = directions(n), pixel_centers(24)
    return FarFieldData(
        np.stack([disc_far_field(k, scene, theta, theta) for scene in scenes]).astype(np.complex64),
        k,
        np.stack([rasterize_square(scene, axis) for scene in scenes]).astype(np.float32),
        axis,
        np.stack([rasterize_polar(scene, n, rings) for scene in scenes]).astype(np.float32),
        name="simulated",
    )


@pytest.fixture(scope="session")
def measured() -> FarFieldData:
    """Forty objects."""
    return simulate(40)


@pytest.fixture(scope="session")
def data(measured: FarFieldData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a file; read-only."""
    path = tmp_path_factory.mktemp("scattering") / "data.h5"
    write_far_fields(path, measured, "T-matrix")
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


def circle(count: int, radius: float, start: float = 0.0) -> np.ndarray:
    """(count, 2) points on a circle."""
    angle = start + 2 * np.pi * np.arange(count) / count
    return radius * np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def simulate_fields(frequencies: tuple[float, ...] = (2e9, 4e9), noise: float = 0.02) -> ScatteredFields:
    """A cylinder of contrast 0.8 and radius 25 mm, 20 mm from the center, between 6 line sources and 48 receivers.

    The sources have a strength of their own each, which the incident field tells.
    """
    sources, receivers = circle(6, 0.5), circle(48, 0.5, 0.01)
    arrangement = Arrangement(sources, np.broadcast_to(receivers, (6, 48, 2)))
    rng = np.random.default_rng(5)
    bands = []
    for frequency in frequencies:
        k = 2 * np.pi * frequency / SPEED_OF_LIGHT
        strength = rng.uniform(0.5, 2, (6, 1)) * np.exp(2j * np.pi * rng.uniform(size=(6, 1)))
        scattered = cylinder_field(k, 0.025, 0.8, sources, receivers, np.array([0.02, 0.0]))
        size = noise * np.sqrt((np.abs(scattered) ** 2).mean() / 2)
        scattered = scattered + size * (rng.standard_normal((6, 48)) + 1j * rng.standard_normal((6, 48)))
        bands.append(Band(frequency, strength * scattered, strength * arrangement.direct(k), np.ones((6, 48), bool)))
    return ScatteredFields(arrangement, tuple(bands), center=np.zeros(2), side=0.12, name="simulated")
