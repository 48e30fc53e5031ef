"""The benchmark of interruptions: a verb that takes a second is ended in each way at three moments, every other one by
each of three signals over an earlier result."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

from interruption_tasks import TASKS  # noqa: E402
from interruptions import Checks  # noqa: E402

POINTS = 3
QUICK = "seizure preparation"
PLACES = ("", " over a result", " in --cases")
SIGNALS = [f"{name}{place}" for name in ("kill -9", "SIGTERM", "Ctrl+C") for place in PLACES]
OTHERS = [
    "folder deleted",
    "input altered",
    "disk full",
    "little memory",
    "two in one folder",
    "two on one input",
    "clock jump",
]
WAYS = [*SIGNALS, *OTHERS]


@pytest.fixture(scope="module")
def checks(tmp_path_factory: pytest.TempPathFactory) -> Checks:
    folder = tmp_path_factory.mktemp("interruptions")
    return Checks(TASKS[QUICK](folder), folder, np.random.default_rng(0))


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_lost_and_the_words_are_right(checks: Checks, way: str) -> None:
    faults = [fault for number in range(POINTS) for fault in checks.ways()[way](number)]
    if faults == POINTS * ["a small disk cannot be mounted here"]:
        pytest.skip(faults[0])
    assert faults == []


def test_every_way_is_tried(checks: Checks) -> None:
    assert sorted(checks.ways()) == sorted(WAYS)


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
@pytest.mark.parametrize("task", [name for name in TASKS if name != QUICK])
def test_an_earlier_result_of_every_method_survives_each_signal(tmp_path: Path, task: str) -> None:
    options = ["--task", task, "--fork", "--points", "1", "--way", "over a result", "--json", tmp_path / "faults.json"]
    ran = subprocess.run(
        [sys.executable, BENCHMARKS / "interruptions.py", *options], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
