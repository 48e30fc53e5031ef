"""A folder of X-rays: each gets its CT, one that fails does not stop the others, nothing is done twice."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.ctpa.folder import find_xrays, synthesize_folder
from deeprecon.ctpa.parameters import SynthesizeInputs, SynthesizeParameters
from deeprecon.data.doubts import CODES, Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.files import sha256
from deeprecon.data.tables import read_table
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.jobs.run import Outcome, Run, SilentReporter, Stopped


class RecordingReporter(SilentReporter):
    """A reporter that keeps warnings and progress."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.fractions: list[float] = []

    def progress(self, fraction: float, seconds_left: float | None = None) -> None:
        self.fractions.append(fraction)

    def warning(self, message: str) -> None:
        self.warnings.append(message)


@pytest.fixture
def xrays(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    for name in ("b.nrrd", "a.nrrd"):
        write_volume(folder / name, Volume(np.zeros((80, 1, 70), np.float32), np.eye(4)))
    (folder / "a.png").write_bytes(b"picture")
    (folder / "notes.txt").write_text("no X-ray", encoding="utf-8")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


class FakeSynthesis:
    """Stands for the synthesis of one X-ray; keeps the names of those that it was asked for."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, inputs: SynthesizeInputs, parameters: SynthesizeParameters, run: Run) -> Outcome:
        self.names.append(inputs.xray.name)
        if inputs.xray.suffix == ".png":
            raise InputError("It shows nothing.", "Check it.")
        (run.output / "ct.nii.gz").write_bytes(inputs.xray.name.encode())
        run.reporter.progress(0.5)
        return Outcome({"ct": run.output / "ct.nii.gz"}, {"nrmse": 0.25, "trust": "amber", "trust_reasons": ["why"]})


@pytest.fixture
def fake() -> FakeSynthesis:
    return FakeSynthesis()


def run_in(folder: Path, number: int = 0) -> Run:
    output = folder / f"output{number}"
    output.mkdir(parents=True)
    return Run(folder, output, "cpu", 1, "fp32", 3, RecordingReporter())


def test_each_x_ray_gets_a_folder_and_a_row(xrays: Path, fake: FakeSynthesis, tmp_path: Path) -> None:
    run = run_in(tmp_path / "job")
    outcome = synthesize_folder(SynthesizeInputs(xrays), SynthesizeParameters(), run, fake)
    assert fake.names == ["a.nrrd", "a.png", "b.nrrd"]
    assert set(outcome.outputs) == {"a.nrrd", "b", "summary"}  # two files are called a
    assert (outcome.outputs["b"] / "ct.nii.gz").read_bytes() == b"b.nrrd"
    result = json.loads((outcome.outputs["b"] / "result.json").read_text(encoding="utf-8"))
    assert result["outputs"]["ct"] == {"path": "ct.nii.gz", "sha256": sha256(outcome.outputs["b"] / "ct.nii.gz")}
    assert (result["provenance"]["seed"], result["metrics"]["trust"]) == (3, "amber")
    assert result["provenance"]["inputs"] == [{"name": "b.nrrd", "sha256": sha256(xrays / "b.nrrd")}]
    rows = read_table(outcome.outputs["summary"])
    assert [(row["xray"], row["status"]) for row in rows] == [
        ("a.nrrd", "done"),
        ("a.png", "input"),
        ("b.nrrd", "done"),
    ]
    assert rows[0]["nrmse"] == "0.25"
    assert rows[1]["message"] == "It shows nothing. Check it."
    assert outcome.metrics == {"xrays": 3, "done": 2, "failed": 1}
    reporter: Any = run.reporter
    assert any("a.png" in text for text in reporter.warnings)
    assert reporter.fractions == sorted(reporter.fractions)


def test_what_was_done_before_an_interruption_is_not_done_again(
    xrays: Path, fake: FakeSynthesis, tmp_path: Path
) -> None:
    inputs, settings = SynthesizeInputs(xrays), SynthesizeParameters()
    synthesize_folder(inputs, settings, run_in(tmp_path / "job"), fake)
    fake.names.clear()
    again = synthesize_folder(inputs, settings, run_in(tmp_path / "job", 1), fake)
    assert fake.names == ["a.png"]
    assert again.metrics["done"] == 2
    assert (again.outputs["b"] / "ct.nii.gz").read_bytes() == b"b.nrrd"


def test_a_folder_without_x_rays_or_with_bad_ones_alone_is_refused(
    xrays: Path, fake: FakeSynthesis, tmp_path: Path
) -> None:
    for name in ("a.nrrd", "b.nrrd"):
        (xrays / name).unlink()
    with pytest.raises(InputError, match="could be used: It shows nothing"):
        synthesize_folder(SynthesizeInputs(xrays), SynthesizeParameters(), run_in(tmp_path / "job"), fake)
    (xrays / "a.png").unlink()
    with pytest.raises(InputError, match="holds no X-ray"):
        find_xrays(xrays)


def test_what_was_accepted_for_the_folder_is_accepted_for_each_x_ray(
    xrays: Path, fake: FakeSynthesis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CODES, "test-doubt", "Made for the tests.")
    doubt = Doubt("test-doubt", "film", "It is no PA view.")

    def doubtful(inputs: SynthesizeInputs, parameters: SynthesizeParameters, run: Run) -> Outcome:
        run.consider([doubt])
        return fake(inputs, parameters, run)

    refusing = run_in(tmp_path / "refusing")
    with pytest.raises(InputError, match="It is no PA view"):
        synthesize_folder(SynthesizeInputs(xrays), SynthesizeParameters(), refusing, doubtful)
    run = replace(run_in(tmp_path / "job"), accepted=(doubt.code,))
    assert synthesize_folder(SynthesizeInputs(xrays), SynthesizeParameters(), run, doubtful).metrics["done"] == 2
    assert run.doubts == [doubt]


def test_an_x_ray_whose_synthesis_was_cut_short_is_not_done(xrays: Path, fake: FakeSynthesis, tmp_path: Path) -> None:
    stop = tmp_path / "job" / "stop"

    def stopping(inputs: SynthesizeInputs, parameters: SynthesizeParameters, run: Run) -> Outcome:
        if inputs.xray.name == "b.nrrd":
            stop.touch()
        return fake(inputs, parameters, run)

    inputs, settings = SynthesizeInputs(xrays), SynthesizeParameters()
    assert "b" not in synthesize_folder(inputs, settings, run_in(tmp_path / "job"), stopping).outputs
    stop.unlink()
    assert "b" in synthesize_folder(inputs, settings, run_in(tmp_path / "job", 1), fake).outputs
    assert fake.names.count("b.nrrd") == 2


def test_a_run_that_is_stopped_at_once_leaves_nothing(xrays: Path, fake: FakeSynthesis, tmp_path: Path) -> None:
    run = run_in(tmp_path / "job")
    (run.folder / "stop").touch()
    with pytest.raises(Stopped):
        synthesize_folder(SynthesizeInputs(xrays), SynthesizeParameters(), run, fake)
    assert fake.names == []
