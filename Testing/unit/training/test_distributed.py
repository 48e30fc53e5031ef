"""Several processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deeprecon
from deeprecon.cli import _parser
from deeprecon.data.errors import InputError
from deeprecon.data.tables import read_table
from deeprecon.jobs.verbs import METHODS, load_verb, load_verbs
from deeprecon.training.fabric import SingleDevice, make_fabric

LIBRARY = Path(next(iter(deeprecon.__path__))).parent
SCRIPT = Path(__file__).with_name("distributed_fit.py")
SBATCH_FILES = LIBRARY.parent / "docs" / "cluster"


def start(command: list[str], folder: Path) -> dict[str, Any]:
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}


def test_two_processes_train_as_one_with_the_double_batch(tmp_path: Path) -> None:
    pytest.importorskip("lightning_fabric")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    two = start([*torchrun, str(SCRIPT), str(tmp_path / "two"), "8", "2"], tmp_path / "two")
    one = start([sys.executable, str(SCRIPT), str(tmp_path / "one"), "16", "2"], tmp_path / "one")
    assert set(two) == {"rank0", "rank1"}
    assert two["rank0"]["processes"] == 2
    assert two["rank0"]["weights"] == two["rank1"]["weights"]
    assert two["rank0"]["history"] == two["rank1"]["history"]
    np.testing.assert_allclose(two["rank0"]["weights"], one["rank0"]["weights"], rtol=1e-4, atol=1e-6)
    for ours, theirs in zip(two["rank0"]["history"], one["rank0"]["history"], strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


def test_processes_that_were_not_started_are_refused() -> None:
    with pytest.raises(InputError, match="torchrun --nproc-per-node 4"):
        make_fabric("cpu", "fp32", processes=4)


def test_without_fabric_one_process_gets_the_stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    monkeypatch.setitem(sys.modules, "lightning", None)
    assert isinstance(make_fabric("cpu", "fp32"), SingleDevice)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="needs Lightning Fabric"):
        make_fabric("cpu", "fp32")


def test_a_batch_system_around_one_process_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lightning_fabric")
    job = {"SLURM_NTASKS": "4", "SLURM_JOB_NAME": "train", "SLURM_PROCID": "2", "SLURM_LOCALID": "2"}
    for name, value in job.items():
        monkeypatch.setenv(name, value)
    fabric = make_fabric("cpu", "fp32")
    assert (fabric.world_size, fabric.global_rank, fabric.is_global_zero) == (1, 0, True)


def stand_ins_for_slurm(folder: Path) -> None:
    """srun starts what it is given twice, as on two nodes; a node has one processor for a GPU."""
    programs = {
        "scontrol": "echo localhost",
        "srun": 'SLURM_PROCID=1 "$@" & SLURM_PROCID=0 "$@" && wait $!',
        "torchrun": f'exec "{sys.executable}" -m torch.distributed.run "${{@/gpu/1}}"',
    }
    folder.mkdir()
    for name, line in programs.items():
        (folder / name).write_text(f"#!/bin/bash\n{line}\n", encoding="utf-8")
        (folder / name).chmod(0o755)


@pytest.mark.skipif(sys.platform == "win32", reason="SLURM runs on Linux")
def test_the_command_line_trains_in_two_processes_and_on_two_nodes_as_in_one_with_the_double_batch(
    tmp_path: Path,
) -> None:
    pytest.importorskip("lightning_fabric")
    stand_ins_for_slurm(tmp_path / "bin")
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1"}
    environment["PATH"] = f"{tmp_path / 'bin'}{os.pathsep}{environment['PATH']}"
    environment |= {"SLURM_JOB_NODELIST": "node[1-2]", "SLURM_NNODES": "2", "SLURM_JOB_ID": "1"}
    verb = ["-m", "deeprecon", "ctpa", "train-autoencoder"]
    settings = ["--steps", "4", "--patch", "16", "--autoencoder", "small-4x", "--precision", "fp32", "--threads", "1"]
    launchers = {
        "one": [sys.executable, *verb],
        "two": [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *verb],
        "nodes": ["bash", str(SBATCH_FILES / "ctpa-train-autoencoder.sbatch")],
    }
    curves = {}
    for name, launcher in launchers.items():
        command = [*launcher, *settings, "--output", str(tmp_path / name), "--batch", "2" if name == "one" else "1"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("Results in") == 1  # of the first process alone
        rows = read_table(tmp_path / name / "history.csv")
        curves[name] = [float(row["loss"]) for row in rows]
    assert len(curves["one"]) == 4
    # but for the noise on the latent, which each process draws by itself; other patches would differ by a half
    assert curves["two"] == pytest.approx(curves["one"], rel=0.02)
    assert curves["nodes"] == pytest.approx(curves["two"], rel=1e-6)


TRAININGS = [f"{method}-{name}" for method in METHODS for name in load_verbs(method) if name.startswith("train")]


def test_every_training_has_a_file_for_sbatch() -> None:
    assert sorted(path.stem for path in SBATCH_FILES.glob("*.sbatch")) == sorted(TRAININGS)


@pytest.mark.skipif(sys.platform == "win32", reason="SLURM runs on Linux")
@pytest.mark.parametrize("training", TRAININGS)
def test_the_examples_of_sbatch_files_start_a_training_with_options_that_it_has(training: str, tmp_path: Path) -> None:
    path = SBATCH_FILES / f"{training}.sbatch"
    method, _, name = training.partition("-")
    lines = path.read_text(encoding="utf-8").splitlines()
    examples = [line.split("#")[1].split() for line in lines if line.startswith("#     sbatch")]
    assert len(examples) == 2
    for program, line in {"scontrol": "echo localhost", "srun": 'printf "%s\\n" "$@"'}.items():
        (tmp_path / program).write_text(f"#!/bin/bash\n{line}\n", encoding="utf-8")
        (tmp_path / program).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "SLURM_JOB_NODELIST": "node"}
    environment |= {"SLURM_NNODES": "1", "SLURM_JOB_ID": "1"}
    for words in examples:
        options = words[words.index(f"docs/cluster/{path.name}") + 1 :]
        command = ["bash", str(path), *options]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        started = done.stdout.split()
        assert started[started.index("deeprecon") + 1 :] == [method, name, *options]
        _parser(method, name, load_verb(method, name)).parse_args(options)
