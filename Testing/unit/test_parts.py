"""The fits of one run made in parts, by processes of their own: the command line with --workers, without --cases."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from deeprecon import cli
from deeprecon.jobs.job import Job
from deeprecon.jobs.verbs import METHODS
from deeprecon.training.hardware import physical_cores

from .shell import FAKE_WORKER, HERE, result, start_shell, wait_for

FOLDS = ["fake", "folds", "--steps", "5"]
needs_signals = pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake method in this process, and its worker for the processes that --workers starts."""
    monkeypatch.syspath_prepend(str(HERE / "jobs"))
    monkeypatch.setitem(METHODS, "fake", "fake_method")
    monkeypatch.setattr("deeprecon.cases.engine.python_command", lambda interpreter: FAKE_WORKER)


@pytest.fixture
def plain(tmp_path: Path) -> bytes:
    """What the run without parts writes."""
    assert cli.main([*FOLDS, "--output", str(tmp_path / "plain")]) == cli.DONE
    assert result(tmp_path / "plain")["metrics"]["processes"] == 0
    return (tmp_path / "plain" / "chain.txt").read_bytes()


def test_parts_give_the_result_of_the_run_without_them_and_leave_nothing_else(tmp_path: Path, plain: bytes) -> None:
    (tmp_path / "image.txt").write_text("an image", encoding="utf-8")
    output = tmp_path / "out"
    given = ["--image", os.path.relpath(tmp_path / "image.txt"), "--masks", str(tmp_path / "image.txt")]
    assert cli.main([*FOLDS, *given, "--output", str(output), "--workers", "3"]) == cli.DONE
    assert (output / "chain.txt").read_bytes() == plain
    assert result(output)["metrics"]["processes"] == 3
    assert {path.name for path in (output / ".job").iterdir()} == {"job.json", "events.jsonl"}
    assert Job.load(output / ".job").part == []
    progress = [json.loads(line) for line in (output / ".job" / "events.jsonl").read_text("utf-8").splitlines()]
    fractions = [event["fraction"] for event in progress if event["type"] == "progress"]
    assert fractions == sorted(fractions)


def test_more_workers_than_fits_do_no_harm(tmp_path: Path, plain: bytes) -> None:
    assert cli.main([*FOLDS, "--output", str(tmp_path / "out"), "--workers", "6"]) == cli.DONE
    assert (tmp_path / "out" / "chain.txt").read_bytes() == plain


def test_the_cores_are_shared_among_the_parts(tmp_path: Path) -> None:
    place = cli.Place(None, 2)
    command = place.with_threads(cli.Command("fake", "folds"))
    assert command.threads == max(1, physical_cores() // 2)
    assert place.with_threads(cli.Command("fake", "folds", threads=7)).threads == 7


@needs_signals
def test_a_part_that_fails_is_named_the_others_go_on_and_the_run_can_be_resumed(
    tmp_path: Path, plain: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    arguments = [*FOLDS, "--mode", "abort", "--hold", "1", "--output", str(output)]
    assert cli.main([*arguments, "--workers", "2"]) == cli.INTERNAL
    assert "Error: Part 2 of 2: The computation crashed (SIGABRT)." in capsys.readouterr().err
    assert not (output / "result.json").exists()
    checkpoint = output / ".job" / "checkpoint"
    assert {path.name for path in checkpoint.iterdir()} == {"0.json", "2.json", "4.json"}
    before = {path.name: path.read_bytes() for path in checkpoint.iterdir()}
    assert cli.main(["fake", "folds", "--resume", str(output), "--workers", "3"]) == cli.INTERNAL
    assert {name: (checkpoint / name).read_bytes() for name in before} == before
    (output / ".job" / "release").touch()
    assert cli.main(["fake", "folds", "--resume", str(output)]) == cli.DONE
    assert (output / "chain.txt").read_bytes() == plain


def test_what_all_parts_find_wrong_is_said_once_with_the_way_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    arguments = ["--output", str(output), "--workers", "2"]
    assert cli.main([*FOLDS, "--mode", "contradiction", *arguments]) == cli.BAD_INPUT
    shown = capsys.readouterr().err
    assert shown.count("Left is right") == 1
    assert "Part 1 of 2, Part 2 of 2: " in shown
    assert "--accept test-doubt" in shown
    assert cli.main([*FOLDS, "--mode", "assumption", *arguments]) == cli.DONE
    assert capsys.readouterr().err.count("Warning: image.txt: Left is right.") == 1
    assert [doubt["code"] for doubt in result(output)["doubts"]] == ["test-doubt"]


@needs_signals
def test_an_interrupt_stops_the_parts_which_go_on_with_any_number_of_workers(tmp_path: Path, plain: bytes) -> None:
    output = tmp_path / "out"
    shell = start_shell([*FOLDS, "--hold", "3", "--output", str(output), "--workers", "2"])
    checkpoint = output / ".job" / "checkpoint"
    wait_for(lambda: all((checkpoint / f"{number}.json").exists() for number in (0, 1, 2, 4)))
    shell.send_signal(signal.SIGINT)
    text, _ = shell.communicate(timeout=120)
    assert shell.returncode == cli.CANCELLED, text
    assert "Traceback" not in text
    assert "it can be resumed" in text
    (output / ".job" / "release").touch()
    assert cli.main(["fake", "folds", "--resume", str(output), "--workers", "4"]) == cli.DONE
    assert (output / "chain.txt").read_bytes() == plain
    assert result(output)["metrics"]["processes"] == 3  # the two before, and the one for the fit that was left


def test_a_new_run_makes_its_fits_anew_and_replaces_the_earlier_result(tmp_path: Path) -> None:
    arguments = [*FOLDS, "--output", str(tmp_path / "out"), "--workers", "2"]
    assert cli.main(arguments) == cli.DONE
    first = (tmp_path / "out" / "chain.txt").read_bytes()
    assert cli.main([*arguments, "--seed", "1"]) == cli.DONE
    assert (tmp_path / "out" / "chain.txt").read_bytes() != first
    assert not (tmp_path / "out" / "result").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--scheduler", "local"], "--workers N must be given"),
        (["--scheduler", "slurm", "--workers", "2"], "--threads must be given"),
        (["--shard", "1/2"], "--shard is for the cases of --cases"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_written(
    options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*FOLDS, "--output", str(tmp_path / "out"), *options]) == cli.BAD_INPUT
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_job_of_a_verb_without_fits_has_no_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fake", "work", "--output", str(tmp_path / "out"), "--steps", "2"]) == cli.DONE
    folder = tmp_path / "out" / ".job"
    for part, words in (([1, 2], "no fits in parts"), ([3, 2], "part is [3, 2]"), (["1", 2], "part is ['1', 2]")):
        content = json.loads((folder / "job.json").read_text(encoding="utf-8"))
        (folder / "events.jsonl").unlink()
        (folder / "job.json").write_text(json.dumps({**content, "part": part}), encoding="utf-8")
        assert cli.main(["fake", "work", "--resume", str(tmp_path / "out")]) == cli.BAD_INPUT
        assert words in capsys.readouterr().err
        (folder / "job.json").write_text(json.dumps(content), encoding="utf-8")
        (folder / "events.jsonl").touch()
