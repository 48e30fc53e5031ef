"""The benchmark of GPUs where there is none."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import gpu


def test_it_says_that_it_was_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--json", str(tmp_path / "gpu.json")])
    assert gpu.main() == 0
    assert capsys.readouterr().out.startswith("not run")
    assert json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))["not_run"] == "no CUDA device"


def test_a_run_is_measured_and_compared_and_its_words_are_kept(tmp_path: Path) -> None:
    command = gpu.TASKS["scattering"](tmp_path / "data", False)
    runs = [gpu.compute(command, "cpu", "fp32", tmp_path / name, None) for name in ("a", "b")]
    assert [run["error"] for run in runs] == ["", ""]
    assert gpu.difference(tmp_path / "a", tmp_path / "b", training=False) == (0.0, 0.0)
    table = next((tmp_path / "b").glob("*.csv"))
    values = gpu.numbers(table)
    table.write_text(",".join(str(value) for value in values + 0.1 * np.abs(values).max()), encoding="utf-8")
    relative, _ = gpu.difference(tmp_path / "a", tmp_path / "b", training=False)
    assert relative == pytest.approx(0.1 / 1.1)
    refused = gpu.compute(["scattering", "reconstruct", "gone.h5"], "cpu", "fp32", tmp_path / "c", None)
    assert "gone.h5" in refused["error"]
    row = {"task": "scattering", "small_cpu": runs[0], "difference": relative, "difference_hu": 0.0}
    assert gpu.faults(row) == ["differs from the CPU"]
    short = {"error": "Error: Memory ran out: CUDA out of memory.", "traceback": False}
    assert gpu.faults({**row, "difference": 0.0, "limited": short}) == []
