"""Damaged files, unusual paths, outputs that cannot be written, checkpoints and results that are not ours."""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from deeprecon.data.mesh.files import read_mesh, write_mesh
from deeprecon.data.mesh.mesh import Mesh, surface
from deeprecon.data.volume_io import write_volume
from deeprecon.jobs.job import Job
from deeprecon.training.checkpoint import save_checkpoint
from deeprecon.worker import run_job

from .given_files import (
    INSTANT,
    call,
    check,
    masks,
    scaled_mesh,
    text,
)

KINDS = [
    "wall.nii.gz",
    "wall.nii",
    "wall.nrrd",
    "wall.mha",
    "scar.seg.nrrd",
    "dicom",
    "mesh.vtu",
    "mesh.vtk",
    "mesh.vtp",
    "mesh.ply",
    "mesh.stl",
    "mesh.pts",
    "mesh.elem",
]


@pytest.mark.parametrize("spoiled", ["cut off", "random", "empty"])
@pytest.mark.parametrize("name", KINDS)
def test_damaged_files_of_every_format_are_reported(name, spoiled, given, tmp_path, capsys):
    path = given.folder / name
    options = given.good(mesh=path) if name.startswith("mesh") else given.good(myocardium=path)
    bad = path
    if name == "dicom":
        shutil.copytree(given.files["dicom"], path)
        options = given.good(scar=None, lge=path)
        bad = sorted(path.iterdir())[1]
    elif name.startswith("mesh"):
        mesh = given.mesh
        if path.suffix in (".vtp", ".ply", ".stl"):
            faces = surface(mesh)
            faces.GetPointData().Initialize()
            mesh = Mesh(faces)
        write_mesh(path, mesh, "mm", "lps")
        options = given.good(mesh=given.folder / "mesh.pts") if path.suffix == ".elem" else options
    elif name == "scar.seg.nrrd":
        path = masks(given, name, scar=given.scar.array > 0.5)
        options = given.good(scar=path)
    else:
        write_volume(path, given.wall)
    content = bad.read_bytes()
    noise = np.random.default_rng(5).bytes(len(content))
    bad.write_bytes({"cut off": content[: len(content) * 2 // 3], "random": noise, "empty": b""}[spoiled])
    check(options, re.escape(path.stem.partition(".")[0]), tmp_path / "out", capsys)


def test_an_output_that_cannot_be_written_is_reported(given, tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("in the way", encoding="utf-8")
    read_only = [Path("/sys/out")] if Path("/sys").is_dir() else []  # nobody may write there
    for output in (file, file / "below", *read_only):
        assert call(["reconstruct", *given.good(), "--output", str(output)]) == 2
        message = " ".join(capsys.readouterr().err.split())
        assert re.search(f"Cannot write to the folder .*{output.name}.*Choose another", message), message
    assert file.read_text(encoding="utf-8") == "in the way"


def test_a_read_only_output_is_reported(given, tmp_path, capsys):
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    if os.access(locked, os.W_OK):
        pytest.skip("this user may write to read-only folders")
    assert call(["reconstruct", *given.good(), "--output", str(locked / "out")]) == 2
    assert "Cannot write to the folder" in capsys.readouterr().err
    assert list(locked.iterdir()) == []


def test_an_input_in_the_output_folder_is_not_replaced(given, tmp_path, capsys):
    shutil.copy(given.files["mesh"], tmp_path / "in" / "mesh.vtu")
    before = (tmp_path / "in" / "mesh.vtu").read_bytes()
    options = given.good(mesh=tmp_path / "in" / "mesh.vtu")
    assert call(["reconstruct", *options, "--output", str(tmp_path / "in")]) == 2
    assert "lies in the output folder" in capsys.readouterr().err
    assert (tmp_path / "in" / "mesh.vtu").read_bytes() == before


@pytest.mark.parametrize("name", ["Jürgen Ñandú 心臓", "with several  spaces", "it's 100% & more"])
def test_paths_in_any_writing_are_right(name, given, tmp_path, capsys):
    folder = tmp_path / name
    folder.mkdir()
    options = []
    for role, kind in (("myocardium", "seg.nrrd"), ("scar", "seg.nrrd"), ("mesh", "pts"), ("lge", "")):
        path = folder / f"{role} {name}.{kind}"
        if role == "mesh":
            write_mesh(path, given.mesh, "um", "lps")
        elif role == "lge":
            path = folder / f"series {name}"
            shutil.copytree(given.files["dicom"], path)
        else:
            shutil.copy(given.files["segmentation"], path)
        options += [f"--{role}", str(path)]
    output = folder / f"out {name}"
    assert call(["reconstruct", *INSTANT, *options, "--output", str(output)]) == 0
    assert {"mesh.pts", "mesh.elem", "segmentation.seg.nrrd", "report.html"} <= {path.name for path in output.iterdir()}
    assert read_mesh(output / "mesh.pts").dataset.GetNumberOfPoints() == given.mesh.n_points
    assert json.loads((output / "result.json").read_text(encoding="utf-8"))["metrics"]["volume_ml"] > 5


class Trap:
    """What a pickle can do on being read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize(
    "kind", ["pickle", "torch pickle", "damaged", "another network", "another run", "nothing of ours"]
)
def test_invalid_checkpoints_are_reported_and_not_executed(kind, given, tmp_path, capsys):
    folder, trap = tmp_path / "out" / ".job", tmp_path / "sprung"
    inputs = {
        "myocardium": [str(given.files["myocardium"])],
        "scar": [str(given.files["scar"])],
        "mesh": str(given.files["mesh"]),
    }
    parameters = {"method": "field", "steps": 4, "slice_thickness": 12.0}
    Job("scar", "reconstruct", inputs, parameters, "..", "cpu", 1, "fp32").save(folder)
    path = folder / "checkpoint" / "field.safetensors"
    path.parent.mkdir()
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Trap(trap)))
    elif kind == "torch pickle":
        torch.save({"steps": 4, "trap": Trap(trap)}, path)
    elif kind == "damaged":
        save_checkpoint(path, {"steps": 4, "groups": 10, "field": {"weight": torch.ones(5)}})
        path.write_bytes(path.read_bytes()[:-7])
    elif kind == "another run":
        save_checkpoint(path, {"steps": 5, "groups": 10})
    elif kind == "another network":
        groups = int(np.count_nonzero(given.wall.array))
        field = {"weight": torch.ones(5)}
        save_checkpoint(
            path,
            {
                "steps": 4,
                "groups": groups,
                "step": 2,
                "field": field,
                "optimizer": {},
                "history": [],
                "best": 1.0,
                "best_step": 1,
                "best_weights": field,
            },
        )
    else:
        save_checkpoint(path, {"weights": torch.ones(3)})
    assert run_job(folder) == 2
    error = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert error["type"] == "error"
    assert error["kind"] == "input"
    assert re.search(r"field\.safetensors.*(damaged|belongs to another run|not a checkpoint)", error["message"])
    assert "Delete it to start" in error["hint"]
    assert not trap.exists()
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == [".job"]


def test_results_that_cannot_be_evaluated_or_exported_are_refused(given, tmp_path, capsys):
    bare = scaled_mesh(given, "bare.vtu", 1.0)
    huge = scaled_mesh(given, "huge.vtu", 1000.0)
    for arguments, words in (
        (["export", "--mesh", str(bare)], "has no array 'scar_probability'"),
        (["export", "--mesh", str(huge)], "huge.vtu, read in mm, is .* no heart is"),
        (["export", "--mesh", str(text(given, "result.vtu"))], "result.vtu is cut off or damaged"),
        (
            ["evaluate", "--mesh", str(bare), "--truth", str(scaled_mesh(given, "other.vtu", 1.0, 3.0))],
            "do not have the same nodes",
        ),
        (["phantom", "--surface", str(bare)], "no array 'class'"),
        (["phantom", "--surface", str(bare), "--lesion", "wedge"], "Leave out --lesion or --surface"),
        (["phantom", "--surface", str(huge)], "no heart is"),
        (["phantom", "--thickness", "12", "--spacing", "9"], "thickness exceeds the spacing"),
    ):
        assert call([*arguments, "--output", str(tmp_path / "out")]) == 2, arguments
        shown = capsys.readouterr()
        assert re.search(words, " ".join(shown.err.split())), shown.err
        assert "Traceback" not in shown.err
