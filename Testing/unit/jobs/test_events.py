"""What a job says."""

from __future__ import annotations

import enum
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deeprecon.jobs import events
from deeprecon.jobs.events import EventLog, to_plain


class Clock:
    """time.monotonic of the log under test."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(events, "time", clock)
    return clock


def test_every_event_is_a_line_in_the_file_and_on_stdout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = EventLog(tmp_path)
    log.status("Läuft 心")
    log.progress(0.5)
    log.metric(3, dice=0.5, loss=math.nan, worst=math.inf, mean=float(np.float32(2)))
    log.warning("hm")
    log.result(Path("../result.json"), {"dice": np.float64(0.9)})
    log.error("memory", "ran out", "buy some")
    log.close()
    written = (tmp_path / "events.jsonl").read_text(encoding="utf-8")
    assert written == capsys.readouterr().out
    lines = [json.loads(line) for line in written.splitlines()]
    assert [line["type"] for line in lines] == ["status", "progress", "metric", "warning", "result", "error"]
    assert all(line["time"] >= 0 for line in lines)
    assert lines[0]["text"] == "Läuft 心"
    assert lines[1]["seconds_left"] is None
    assert {name: lines[2][name] for name in ("step", "dice", "loss", "worst", "mean")} == {
        "step": 3, "dice": 0.5, "loss": None, "worst": None, "mean": 2.0,
    }  # fmt: skip
    assert lines[4]["metrics"] == {"dice": 0.9}
    assert (lines[5]["kind"], lines[5]["message"], lines[5]["hint"]) == ("memory", "ran out", "buy some")


def test_progress_is_thinned_out_but_its_end_comes_through(tmp_path: Path, clock: Clock) -> None:
    shown: list[dict[str, Any]] = []
    log = EventLog(tmp_path, shown.append)
    for step in range(1001):
        log.progress(step / 1000)
        clock.now += 0.001
    assert len(shown) <= 12
    assert shown[-1]["fraction"] == 1


def test_the_time_left_follows_from_the_pace_of_this_run(tmp_path: Path, clock: Clock) -> None:
    shown: list[dict[str, Any]] = []
    log = EventLog(tmp_path, shown.append)
    log.progress(0.5)  # resumed half way
    clock.now += 10
    log.progress(0.75)
    clock.now += 10
    log.progress(0.8, seconds_left=7)
    assert shown[1]["seconds_left"] == pytest.approx(10)
    assert shown[2]["seconds_left"] == 7


def test_a_torn_last_line_does_not_spoil_the_next(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text('{"type": "status", "te', encoding="utf-8")
    log = EventLog(tmp_path, lambda event: None)
    log.status("again")
    log.close()
    lines = (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    assert json.loads(lines[1])["text"] == "again"


def test_values_become_plain_json() -> None:
    class Color(enum.Enum):
        RED = "red"

    value = {"a": np.arange(3), "b": np.float32(1.5), "c": (1, math.nan), "d": Path("x"), "e": Color.RED, 5: True}
    assert to_plain(value) == {"a": [0, 1, 2], "b": 1.5, "c": [1, None], "d": "x", "e": "red", "5": True}
    json.dumps(to_plain({"x": np.array([[np.inf, 1]])}), allow_nan=False)
