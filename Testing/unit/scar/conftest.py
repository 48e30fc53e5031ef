"""A small patient and a way to run jobs on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.data.volume import Volume
from deeprecon.scar.simulate.hearts import Phantom, sample_case, write_case

from .drawn_cases import SHAPE
from .given_files import Given


@pytest.fixture(scope="session")
def patient() -> Phantom:
    """Six slices of 12 mm, 14 mm apart, and a coarse mesh."""
    return sample_case(spacing=14, thickness=12, pixel=3, node_spacing=4)


@pytest.fixture(scope="session")
def files(patient: Phantom, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same in files, with a DICOM series; nobody writes there."""
    return write_case(patient, tmp_path_factory.mktemp("patient"), dicom=True)


@pytest.fixture(scope="session")
def case() -> Phantom:
    """The sample case, as fine as users see it."""
    return sample_case(seed=0)


@pytest.fixture
def method_name() -> str:
    return "scar"


@pytest.fixture
def result_of() -> Callable[[Path], dict[str, Any]]:
    """Reads the result.json of an output folder."""

    def read(folder: Path) -> dict[str, Any]:
        values: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        return values

    return read


@pytest.fixture
def wall() -> np.ndarray:
    """A ring in every slice."""
    j, i = np.indices(SHAPE[1:])
    radius = np.hypot(j - 10, i - 12)
    return np.broadcast_to((radius > 4) & (radius < 8), SHAPE).copy()


@pytest.fixture
def scar(wall: np.ndarray) -> np.ndarray:
    """The right half of the ring in the two middle slices."""
    result = wall.copy()
    result[[0, 3]] = False
    result[:, :, :12] = False
    return result


@pytest.fixture
def labels(wall: np.ndarray, scar: np.ndarray) -> np.ndarray:
    """1 cavity, 2 healthy wall, 3 scar, 4 no-reflow within the scar."""
    j, i = np.indices(SHAPE[1:])
    result = np.where(np.broadcast_to(np.hypot(j - 10, i - 12) <= 4, SHAPE), 1, 0)
    result[wall] = 2
    result[scar] = 3
    result[1, 10, 18] = 4
    return result.astype(np.uint8)


@pytest.fixture
def given(tmp_path: Path, files: dict[str, Path], patient) -> Given:
    (tmp_path / "in").mkdir()
    stack = patient.stacks[0]
    return Given(
        tmp_path / "in",
        files,
        Volume(stack.wall, stack.ijk_to_ras),
        Volume(stack.scar * stack.wall, stack.ijk_to_ras),
        patient.mesh,
    )
