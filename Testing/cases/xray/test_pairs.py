"""Pairs whose X-ray is not of that CT, or not the right way round; too few cases; checkpoints that stay."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.cli import main
from deeprecon.ctpa.grid import PRESETS, Grid
from deeprecon.ctpa.observe.projection import Geometry, expose, line_integrals
from deeprecon.ctpa.simulate.chests import draw_grid, make_anatomy
from deeprecon.ctpa.simulate.files import write_xray
from deeprecon.ctpa.training.store import Store
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.jobs.job import Job
from deeprecon.worker import run_job

GRID = Grid((76, 64, 64))
KINDS = ("own", "mirrored", "upside_down", "inverted", "other")


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a manifest: the CT of each pair is the same but for one voxel."""
    folder = tmp_path_factory.mktemp("pairs")
    hu, _ = draw_grid(make_anatomy(4), GRID)
    film = expose(line_integrals(hu, GRID, Geometry()), np.random.default_rng(0))
    noise = np.random.default_rng(1).normal(size=film.shape).astype(np.float32)
    films = {"own": film, "mirrored": film[:, ::-1], "upside_down": film[::-1], "inverted": -film, "other": noise}
    for number, kind in enumerate(KINDS):
        array = hu.copy()
        array[0, 0, 0] = -900 + number
        write_volume(folder / f"{kind}.nii.gz", Volume(array, GRID.affine()))
        write_xray(folder / f"{kind}_film.nii.gz", films[kind], GRID, Geometry())
    rows = ["patient,ct,xray,view", *(f"{kind},{kind}.nii.gz,{kind}_film.nii.gz,PA" for kind in KINDS)]
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def prepare(folder: Path, output: Path, accept: list[str], **parameters: Any) -> dict[str, Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(PRESETS, "preview", GRID)
        inputs = {"manifest": str(folder / "manifest.csv")}
        job = Job("ctpa", "prepare", inputs, parameters, "..", "cpu", 1, "fp32", 0, accept=accept)
        job.save(output / ".job")
        assert run_job(output / ".job") == 0
    result: dict[str, Any] = json.loads((output / "result.json").read_text(encoding="utf-8"))
    return result


def test_a_film_that_is_not_of_its_ct_is_left_out_with_the_reason(pairs: Path, tmp_path: Path) -> None:
    result = prepare(pairs, tmp_path, [], validation=0.0, test=0.0)
    with open(tmp_path / "refused.csv", encoding="utf-8-sig", newline="") as file:
        reasons = {row["patient"]: row["reason"] for row in csv.DictReader(file)}
    assert set(reasons) == {"mirrored", "upside_down", "inverted", "other"}
    assert "better mirrored" in reasons["mirrored"]
    assert "better upside down" in reasons["upside_down"]
    assert "better inverted" in reasons["inverted"]
    assert "badly" in reasons["other"]
    assert all(f"{kind}_film.nii.gz" in reason for kind, reason in reasons.items())
    assert all(reason.endswith("--accept pair-mismatch") for reason in reasons.values())
    assert [doubt["code"] for doubt in result["doubts"]] == []


def test_it_goes_on_where_it_is_accepted(pairs: Path, tmp_path: Path) -> None:
    result = prepare(pairs, tmp_path, ["pair-mismatch"], validation=0.0, test=0.0)
    assert result["metrics"]["cases"] == 5
    assert [doubt["code"] for doubt in result["doubts"]] == ["pair-mismatch"] * 4


def test_a_film_is_turned_as_its_row_says(pairs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "turned"
    shutil.copytree(pairs, folder)
    settings = {"own": ",,", "mirrored": ",yes,", "upside_down": "180,yes,", "inverted": ",,yes"}
    rows = ["patient,ct,xray,turn,flip,invert"]
    rows += [f"{kind},{kind}.nii.gz,{kind}_film.nii.gz,{cells}" for kind, cells in settings.items()]
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    result = prepare(folder, tmp_path / "store", [], validation=0.0, test=0.0)
    assert result["metrics"]["cases"] == 4
    films = [case.xray() for case in Store.open(tmp_path / "store").cases()]
    for film in films[1:3]:
        np.testing.assert_allclose(film, films[0], atol=0.05)


def test_two_cases_are_too_few_to_train(pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = (pairs / "manifest.csv").read_text(encoding="utf-8").splitlines()
    folder = tmp_path / "two"
    folder.mkdir()
    rows = [line.split(",") for line in lines[1:3]]
    text = [lines[0], *(f"{name},{pairs / ct},," for name, ct, *_ in rows)]
    (folder / "manifest.csv").write_text("\n".join(text) + "\n", encoding="utf-8")
    prepare(folder, tmp_path / "store", [])
    arguments = ["--store", str(tmp_path / "store"), "--device", "cpu", "--threads", "1"]
    assert main(["ctpa", "train-autoencoder", *arguments, "--output", str(tmp_path / "net")]) == 2
    assert "no validation cases" in capsys.readouterr().err


def test_the_checkpoint_of_a_training_stays_and_resuming_says_that_it_is_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = [
        "--steps",
        "4",
        "--width",
        "8",
        "--patch",
        "16",
        "--learning-rate",
        "1e-4",
        "--device",
        "cpu",
        "--threads",
        "1",
    ]
    assert main(["ctpa", "train-autoencoder", *small, "--output", str(tmp_path)]) == 0
    files = sorted(path.name for path in (tmp_path / ".job" / "checkpoint").iterdir())
    assert "autoencoder.safetensors" in files
    assert sum("-epoch" in name for name in files) == 3, files
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert result["metrics"]["checkpoints"] == 4
    assert result["metrics"]["checkpoints_mb"] > 0
    before = (tmp_path / "result.json").stat().st_mtime_ns
    capsys.readouterr()
    assert main(["ctpa", "train-autoencoder", "--resume", str(tmp_path)]) == 0
    assert "This run is finished" in capsys.readouterr().out
    assert (tmp_path / "result.json").stat().st_mtime_ns == before
