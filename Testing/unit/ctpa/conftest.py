"""A way to run the verbs of X-ray to CT, and small CTs that are chests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def method_name() -> str:
    return "ctpa"


@pytest.fixture
def error_of(start: Callable[..., tuple[int, Path]]) -> Callable[..., str]:
    """The same for runs whose input must be refused: the message; nothing may be left in the output folder."""

    def run(verb: str, **values: Any) -> str:
        code, output = start(verb, **values)
        assert code == 2, (output / ".job" / "events.jsonl").read_text(encoding="utf-8")
        assert [path.name for path in output.iterdir()] == [".job"]
        events = (output / ".job" / "events.jsonl").read_text(encoding="utf-8").splitlines()
        error = [event for event in map(json.loads, events) if event["type"] == "error"][-1]
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
