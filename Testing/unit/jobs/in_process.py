"""Jobs of the fake method that `run_job` runs in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deeprecon.jobs.job import Job


def make(folder: Path, verb: str = "work", output: str = ".", inputs: Any = None, **parameters: Any) -> Path:
    """Write a job and give its folder."""
    Job("fake", verb, inputs or {}, parameters, output).save(folder)
    return folder


def last_event(folder: Path) -> dict[str, Any]:
    """Of the latest run in a job folder."""
    lines = (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()
    event: dict[str, Any] = json.loads(lines[-1])
    return event
