"""The command line in a process of its own, with the fake method, for signals."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deeprecon.jobs.process import child_environment

HERE = Path(__file__).parent
FAKE_WORKER = [sys.executable, "-X", "utf8", "-u", str(HERE / "jobs" / "fake_method.py")]

SCRIPT = """
import sys
sys.path.insert(0, {folder!r})
from deeprecon import cli
from deeprecon.cases import engine
from deeprecon.jobs.verbs import METHODS
METHODS["fake"] = "fake_method"
engine.python_command = lambda interpreter: {worker!r}
sys.exit(cli.main(sys.argv[1:]))
"""


def start_shell(arguments: list[str], **variables: str) -> subprocess.Popen[str]:
    """Start the command line in a process group of its own, `variables` added to its environment."""
    script = SCRIPT.format(folder=str(HERE / "jobs"), worker=FAKE_WORKER)
    return subprocess.Popen(
        [sys.executable, "-X", "utf8", "-c", script, *arguments],
        env={**child_environment(), **variables},
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.02)


def result(folder: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return values
