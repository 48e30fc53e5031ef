"""A small scan and a way to run jobs on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deeprecon.data.dwi_io import write_dwi
from deeprecon.data.volume_io import write_volume
from deeprecon.dwmri.phantom import Phantom, make_phantom


@pytest.fixture(scope="session")
def head() -> Phantom:
    """15 volumes of 24 x 24 x 12 voxels at SNR 20."""
    return make_phantom((12, 24, 24), 3, [(1000.0, 12)], snr=20)


@pytest.fixture(scope="session")
def files(head: Phantom, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same in files, as NIfTI and as NRRD, with its truth and mask; nobody writes there."""
    folder = tmp_path_factory.mktemp("head")
    found = write_dwi(folder / "dwi.nii.gz", head.noisy)
    found["nrrd"] = write_dwi(folder / "dwi.nrrd", head.noisy)["dwi"]
    found["truth"] = write_dwi(folder / "truth.nii.gz", head.clean)["dwi"]
    found["mask"] = folder / "mask.nii.gz"
    write_volume(found["mask"], head.clean.volume(head.mask))
    return found


@pytest.fixture
def method_name() -> str:
    return "dwmri"


@pytest.fixture
def error_of(start: Callable[..., tuple[int, Path]]) -> Callable[..., str]:
    """The same for runs whose input must be refused: the message; nothing may be left in the output folder."""

    def run(verb: str, **values: Any) -> str:
        code, output = start(verb, **values)
        assert code == 2, (output / ".job" / "events.jsonl").read_text(encoding="utf-8")
        assert [path.name for path in output.iterdir()] == [".job"]
        events = (output / ".job" / "events.jsonl").read_text(encoding="utf-8").splitlines()
        error = next(event for event in map(json.loads, events) if event["type"] == "error")
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
