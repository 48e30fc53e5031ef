"""Checkpoints and foreign weight files."""

from __future__ import annotations

import math
import pickle
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import deeprecon
from deeprecon.data.errors import InputError
from deeprecon.training.checkpoint import (
    load_checkpoint,
    load_external,
    random_state,
    save_checkpoint,
    set_random_state,
)

LIBRARY = Path(next(iter(deeprecon.__path__))).parent


def test_every_value_comes_back_as_it_was(tmp_path: Path) -> None:
    tied = torch.arange(6.0)
    state = {
        "tensors": {0: tied, "tied": tied, "part": tied[::2], 3: torch.tensor(7), "none": torch.zeros(0, 2)},
        "kinds": [torch.ones(2, dtype=kind) for kind in (torch.bfloat16, torch.float64, torch.uint8, torch.bool)],
        "plain": [1, 0.1, -math.inf, "text \u00e4", None, True, (0.9, 0.999), {"deep": [{"er": ()}]}],
    }
    path = tmp_path / "f\u00fcr sp\u00e4ter" / "a.safetensors"
    save_checkpoint(path, state)
    loaded = load_checkpoint(path)
    assert loaded["plain"] == state["plain"]
    assert list(loaded["tensors"]) == [0, "tied", "part", 3, "none"]
    for before, after in (*zip(state["kinds"], loaded["kinds"], strict=True), (tied[::2], loaded["tensors"]["part"])):
        assert after.dtype is before.dtype
        assert torch.equal(after, before)


def test_random_numbers_go_on_where_they_were(tmp_path: Path) -> None:
    def draw() -> tuple[Any, ...]:
        return random.random(), float(np.random.normal()), torch.rand(3).tolist(), random.gauss(0, 1)

    draw()
    save_checkpoint(tmp_path / "a.safetensors", {"random": random_state()})
    expected = draw()
    draw()
    set_random_state(load_checkpoint(tmp_path / "a.safetensors")["random"])
    assert draw() == expected


def test_a_process_killed_while_writing_leaves_the_last_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_checkpoint(path, {"epoch": 1, "weights": torch.ones(1000)})
    program = (
        "import os, sys, pathlib, torch\n"
        "from deeprecon.training import checkpoint\n"
        "def die(number):\n"
        "    os.truncate(number, 2000)\n"
        "    os._exit(9)\n"
        "os.fsync = die\n"
        "checkpoint.save_checkpoint(pathlib.Path(sys.argv[1]), {'epoch': 2, 'weights': torch.zeros(1000)})\n"
    )
    command = [sys.executable, "-c", program, str(path)]
    killed = subprocess.run(command, env={"PYTHONPATH": str(LIBRARY), "OMP_NUM_THREADS": "1"}, timeout=120, check=False)
    assert killed.returncode == 9
    assert len(list(tmp_path.iterdir())) == 2  # the half-written file is there, under another name
    assert load_checkpoint(path)["epoch"] == 1
    save_checkpoint(path, {"epoch": 3})
    assert [file.name for file in tmp_path.iterdir()] == ["a.safetensors"]
    assert load_checkpoint(path) == {"epoch": 3}


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        save_checkpoint(tmp_path / "a.safetensors", {"object": object()})
    assert list(tmp_path.iterdir()) == []


def test_damaged_and_other_files_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    path = tmp_path / "a.safetensors"
    save_checkpoint(path, {"epoch": 1, "weights": torch.ones(100)})
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[-5] ^= 1
    bad = {
        "cut off": whole[:-30],
        "flipped": bytes(flipped),
        "empty": b"",
        "random": np.random.default_rng(0).bytes(5000),
        "huge header": b"\xff" * 100,
        "pickle": pickle.dumps({"epoch": 1}),
    }
    for name, content in bad.items():
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.safetensors") as raised:
            load_checkpoint(path)
        assert "Delete it" in raised.value.hint, name
    save_file({"weights": torch.ones(3)}, path)
    with pytest.raises(InputError, match="not a checkpoint"):
        load_checkpoint(path)
    with pytest.raises(InputError, match="no checkpoint"):
        load_checkpoint(tmp_path / "missing.safetensors")


class Malicious:
    """Runs a program when it is unpickled by a careless reader."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_weights_with_a_program_in_them_are_refused_and_run_nothing(tmp_path: Path, legacy: bool) -> None:
    path, mark = tmp_path / "model.pth", tmp_path / "executed"
    content = {"weights": torch.ones(2), "extra": Malicious(mark)}
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(InputError, match="could run a program"):
        load_external(path)
    assert not mark.exists()
    torch.load(path, weights_only=False)  # the trap is armed: a careless reader does run it
    assert mark.exists()


def test_a_plain_pickle_is_refused_and_runs_nothing(tmp_path: Path) -> None:
    path, mark = tmp_path / "model.pkl", tmp_path / "executed"
    path.write_bytes(pickle.dumps(Malicious(mark), protocol=2))
    with pytest.raises(InputError):
        load_external(path)
    assert not mark.exists()


def test_weights_from_elsewhere_are_read(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    weights = torch.nn.Linear(2, 3).state_dict()
    torch.save(weights, tmp_path / "bare.pth")
    torch.save({"state_dict": weights, "epoch": 3}, tmp_path / "wrapped.ckpt")
    save_file(dict(weights), tmp_path / "safe.safetensors")
    for name in ("bare.pth", "wrapped.ckpt", "safe.safetensors"):
        content = load_external(tmp_path / name)
        loaded = content.get("state_dict", content)
        assert set(loaded) == {"weight", "bias"}
        assert torch.equal(loaded["weight"], weights["weight"])


def test_files_without_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    for content in (b"", b"\x80", np.random.default_rng(0).bytes(3000), b"PK\x03\x04" + bytes(100)):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.pth"):
            load_external(path)
    with pytest.raises(InputError, match="no file"):
        load_external(tmp_path / "missing.pth")


def test_a_pytorch_that_cannot_read_pickles_safely_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.save({"a": torch.ones(1)}, tmp_path / "a.pth")
    monkeypatch.setattr(torch, "__version__", "2.9.1+cu128")
    with pytest.raises(InputError, match=r"Update it to 2\.10"):
        load_external(tmp_path / "a.pth")
