"""A small patient and a way to run jobs on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deeprecon.scar.simulate.phantom import Phantom, sample_case, write_case


@pytest.fixture(scope="session")
def patient() -> Phantom:
    """Six slices of 12 mm, 14 mm apart, and a coarse mesh."""
    return sample_case(spacing=14, thickness=12, pixel=3, node_spacing=4)


@pytest.fixture(scope="session")
def files(patient: Phantom, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same in files, with a DICOM series; nobody writes there."""
    return write_case(patient, tmp_path_factory.mktemp("patient"), dicom=True)


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
