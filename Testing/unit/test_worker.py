"""The worker in this process: checks, resolving, staging, result.json."""

from __future__ import annotations

import json
import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deeprecon import worker
from deeprecon.data.files import sha256
from deeprecon.jobs.job import VERSION, Job
from deeprecon.jobs.verbs import METHODS, load_verb

from .jobs.in_process import last_event, make

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(HERE / "jobs"))
    monkeypatch.setitem(METHODS, "fake", "fake_method")
    return


def test_result_json_holds_checksums_metrics_and_provenance(tmp_path: Path) -> None:
    (tmp_path / "image.txt").write_text("image", encoding="utf-8")
    folder = make(tmp_path / "job", inputs={"image": "../image.txt"}, steps=3)
    assert worker.run_job(folder) == worker.DONE
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert result["outputs"] == {"chain": {"path": "chain.txt", "sha256": sha256(folder / "chain.txt")}}
    assert result["metrics"] == {"steps": 3, "loss": pytest.approx(1 / 3), "nothing": None}
    found = result["provenance"]
    assert found["inputs"] == [{"name": "image.txt", "sha256": sha256(tmp_path / "image.txt")}]
    assert found["parameters"]["steps"] == 3
    assert (found["method"], found["verb"], found["seed"], found["note"]) == ("fake", "work", 0, "n")
    assert (found["device"], found["threads"], found["precision"]) == ("cpu", 1, "fp32")
    assert found["versions"]["deeprecon"] == VERSION
    assert found["versions"]["numpy"]
    assert found["date"].endswith("+00:00")
    assert found["seconds"] >= 0
    assert str(tmp_path) not in json.dumps(result), "a result tells nothing about the computer's folders"
    assert (folder / "unlisted.txt").exists()
    assert not (folder / ".staging").exists()


def test_the_same_job_gives_the_same_bits(tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert worker.run_job(make(tmp_path / name)) == worker.DONE
    assert (tmp_path / "a" / "chain.txt").read_bytes() == (tmp_path / "b" / "chain.txt").read_bytes()


def test_device_threads_and_precision_are_resolved_once_and_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    devices = types.ModuleType("deeprecon.training.devices")

    def note(name: str, value: Any) -> Any:
        return lambda *arguments: (calls.append((name, *arguments)), value)[1]

    devices.resolve_device = note("device", "cuda:0")  # type: ignore[attr-defined]
    devices.fallback_reason = lambda device: "the driver is too old"  # type: ignore[attr-defined]
    devices.resolve_threads = note("threads", 3)  # type: ignore[attr-defined]
    devices.resolve_precision = note("precision", "bf16")  # type: ignore[attr-defined]
    devices.set_up = note("set_up", None)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "deeprecon.training.devices", devices)
    monkeypatch.setattr("deeprecon.training.devices", devices, raising=False)
    folder = make(tmp_path / "job", verb="train")
    assert worker.run_job(folder) == worker.DONE
    assert [call[0] for call in calls] == ["device", "threads", "precision", "set_up"]
    job = Job.load(folder)
    assert job.resolved
    assert (job.device, job.threads, job.precision, job.version) == ("cuda:0", 3, "bf16", VERSION)
    events = (folder / "events.jsonl").read_text(encoding="utf-8")
    assert "the driver is too old" in events, "never a silent change to the CPU"
    calls.clear()
    assert worker.run_job(folder) == worker.DONE
    assert (folder / "events.jsonl").read_text(encoding="utf-8").count("too old") == 1
    assert calls == [("device", "cuda:0"), ("set_up", "cuda:0", 3, 0)], "a resolved job is not probed again"


def test_resolve_fills_the_parameters_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    verb = load_verb("fake", "work")
    filled = replace(verb, resolve=lambda parameters, device, threads, precision: replace(parameters, steps=7))
    monkeypatch.setattr("deeprecon.jobs.check.load_verb", lambda method, name: filled)
    folder = make(tmp_path / "job", steps=1)
    assert worker.run_job(folder) == worker.DONE
    assert Job.load(folder).parameters["steps"] == 7
    assert json.loads((folder / "result.json").read_text(encoding="utf-8"))["metrics"]["steps"] == 7


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a valid job file"),
        ("{", "not a valid job file"),
        ("[]", "not a job of format"),
        ('{"format": 99, "method": "fake", "verb": "work"}', "not a job of format"),
        ('{"format": 1, "method": "fake", "verb": "work", "wings": 2}', "unknown entries: wings"),
        ('{"format": 1, "method": "fake"}', "lacks verb"),
        ('{"format": 1, "method": "fake", "verb": "work", "inputs": 5}', "expected dict"),
        ('{"format": 1, "method": "fake", "verb": "work", "threads": "many"}', "expected int"),
        ('{"format": 1, "method": "fake", "verb": "work", "seed": -1}', "seed is -1, expected 0 to"),
        ('{"format": 1, "method": "os", "verb": "system"}', "no method 'os'"),
        ('{"format": 1, "method": "fake", "verb": "fly"}', "no verb 'fly'"),
        ('{"format": 1, "method": "fake", "verb": "work", "parameters": {"speed": 1}}', "Unknown parameter: speed"),
        ('{"format": 1, "method": "fake", "verb": "work", "parameters": {"steps": "x"}}', "steps: expected int"),
        ('{"format": 1, "method": "fake", "verb": "work", "parameters": {"steps": 0}}', "steps is 0, expected 1 to"),
        ('{"format": 1, "method": "fake", "verb": "work", "inputs": {"image": "gone.nii"}}', "gone.nii does not exist"),
    ],
)
def test_a_bad_job_is_bad_input_in_words(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "job.json").write_text(text, encoding="utf-8")
    assert worker.run_job(tmp_path) == worker.BAD_INPUT
    event = last_event(tmp_path)
    assert event["type"] == "error"
    assert event["kind"] == "input"
    assert words in event["message"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events.jsonl", "job.json"]


def test_a_missing_job_folder_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert worker.run_job(tmp_path / "none") == worker.BAD_INPUT
    assert "no job folder" in json.loads(capsys.readouterr().out)["message"]


def test_a_file_instead_of_a_job_folder_is_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "job.json").write_text("{}", encoding="utf-8")
    assert worker.main([str(tmp_path / "job.json")]) == worker.BAD_INPUT
    assert "no job folder" in json.loads(capsys.readouterr().out)["message"]


def test_an_output_that_cannot_be_written_is_found_before_computing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    folder = make(tmp_path / "job", output="../file/below", delay=60.0)
    assert worker.run_job(folder) == worker.BAD_INPUT
    assert "Cannot write to the folder" in last_event(folder)["message"]


@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="permissions do not bind root")
def test_a_read_only_output_is_found_before_computing(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    folder = make(tmp_path / "job", output="../locked", delay=60.0)
    assert worker.run_job(folder) == worker.BAD_INPUT
    assert "Cannot write to the folder" in last_event(folder)["message"]


def test_a_job_of_another_version_is_run_with_a_warning(tmp_path: Path) -> None:
    folder = tmp_path / "job"
    Job("fake", "work", version="0.0.0").save(folder)
    assert worker.run_job(folder) == worker.DONE
    assert "made by version 0.0.0" in (folder / "events.jsonl").read_text(encoding="utf-8")


def test_a_stale_request_to_stop_is_dropped_when_the_worker_is_started_by_hand(tmp_path: Path) -> None:
    folder = make(tmp_path / "job", steps=4)
    (folder / "stop").touch()
    assert worker.main([str(folder)]) == worker.DONE
    assert json.loads((folder / "result.json").read_text(encoding="utf-8"))["metrics"]["steps"] == 4


def test_the_probe_is_one_line_of_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    devices = types.ModuleType("deeprecon.training.devices")
    devices.probe = lambda: {"suggested": "cpu", "speed": float("nan")}  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "deeprecon.training.devices", devices)
    assert worker.main(["--probe"]) == worker.DONE
    assert json.loads(capsys.readouterr().out) == {"type": "probe", "suggested": "cpu", "speed": None}
