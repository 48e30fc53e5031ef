"""Many cases in one call of the command line."""

from __future__ import annotations

import csv
import json
import os
import signal
from pathlib import Path

import pytest

from deeprecon import cli
from deeprecon.cases.record import new_record
from deeprecon.jobs.command import Command
from deeprecon.jobs.job import Job
from deeprecon.jobs.verbs import METHODS
from deeprecon.training.hardware import physical_cores

from .shell import FAKE_WORKER, HERE, result, start_shell, wait_for


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake method in this process, and its worker for the processes that --cases starts."""
    monkeypatch.syspath_prepend(str(HERE / "jobs"))
    monkeypatch.setitem(METHODS, "fake", "fake_method")
    monkeypatch.setattr("deeprecon.cases.engine.python_command", lambda interpreter: FAKE_WORKER)


def summary(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


CASES = """case,image,masks,steps,mode
Müller 1,a b.txt,a b.txt;心.txt,2,
broken,gone.txt,,,
crash,,,,abort

wrong,,,zero,
last,,,3,
"""


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    (tmp_path / "list").mkdir()
    for name in ("a b.txt", "心.txt"):
        (tmp_path / "list" / name).write_text(name, encoding="utf-8")
    path = tmp_path / "list" / "cases.csv"
    path.write_text("\ufeff" + CASES, encoding="utf-8")
    return path


def test_cases_go_on_after_a_failure_and_end_with_a_summary(
    cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    code = cli.main(["fake", "work", "--cases", str(cases), "--steps", "4", "--output", str(output)])
    assert code == cli.INTERNAL
    rows = summary(output / "summary.csv")
    assert [row["case"] for row in rows] == ["Müller 1", "broken", "crash", "wrong", "last"]
    assert [row["status"] for row in rows] == ["done", "input", "crash", "input", "done"]
    assert rows[0]["steps"] == "2"
    assert "gone.txt does not exist" in rows[1]["message"]
    assert "SIGABRT" in rows[2]["message"]
    assert "--steps: 'zero' is not a whole number" in rows[3]["message"]
    assert (output / "Müller 1" / "unlisted.txt").read_text(encoding="utf-8") == "a b.txt心.txt"
    assert result(output / "last")["metrics"]["steps"] == 3
    assert not (output / "broken").exists()
    shown = capsys.readouterr().out
    assert "2 of 5 cases done" in shown
    assert "Müller 1  done" in shown


def test_shards_part_the_cases(tmp_path: Path, cases: Path) -> None:
    cases.write_text("case\n" + "\n".join("abcdefg"), encoding="utf-8")
    output = tmp_path / "out"
    shared = ["fake", "work", "--cases", str(cases), "--output", str(output), "--shard"]
    for part in ("1/3", "2/3", "3/3"):
        assert cli.main([*shared, part]) == cli.DONE
    names = [[row["case"] for row in summary(output / f"summary-{part}-of-3.csv")] for part in (1, 2, 3)]
    assert names == [["a", "d", "g"], ["b", "e"], ["c", "f"]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no column 'case'"),
        ("image\nx", "no column 'case'"),
        ("case,wings\na,2", "unknown columns: wings"),
        ("case,steps\na", "row 2 has 1 cells"),
        ("case\n../up", "cannot name a folder"),
        ("case,steps\n,3", "cannot name a folder"),
        ("case\n.job", "cannot name a folder"),
        ("case\na\nA", "again"),
        ("case\n" + 200_000 * "x", "field larger than field limit"),
    ],
)
def test_a_bad_list_of_cases_is_refused_before_any_runs(
    tmp_path: Path, text: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cases.csv").write_text(text, encoding="utf-8")
    arguments = ["--cases", str(tmp_path / "cases.csv"), "--output", str(tmp_path / "out")]
    assert cli.main(["fake", "work", *arguments]) == cli.BAD_INPUT
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
def test_ctrl_c_ends_the_running_case_and_starts_no_other(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text("case,mode\na,stopped\nb,ok\n", encoding="utf-8")
    shell = start_shell(["fake", "work", "--cases", str(tmp_path / "cases.csv"), "--output", str(tmp_path / "out")])
    events = tmp_path / "out" / "a" / ".job" / "events.jsonl"
    wait_for(lambda: events.exists() and "started" in events.read_text(encoding="utf-8"))
    shell.send_signal(signal.SIGINT)
    output, _ = shell.communicate(timeout=120)
    assert shell.returncode == cli.CANCELLED, output
    assert [row["status"] for row in summary(tmp_path / "out" / "summary.csv")] == ["cancelled"]
    assert not (tmp_path / "out" / "b").exists()


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
def test_an_interrupted_second_run_sums_up_what_is_there(tmp_path: Path) -> None:
    table, output = tmp_path / "cases.csv", tmp_path / "out"
    table.write_text("case,mode,steps\na,ok,2\nb,ok,3\n", encoding="utf-8")
    arguments = ["fake", "work", "--cases", str(table), "--output", str(output)]
    assert cli.main(arguments) == cli.DONE
    table.write_text("case,mode,steps\na,stopped,2\nb,ok,3\nc,ok,4\n", encoding="utf-8")
    shell = start_shell(arguments)
    events = output / "a" / ".job" / "events.jsonl"
    wait_for(lambda: events.exists() and "started" in events.read_text(encoding="utf-8"))
    shell.send_signal(signal.SIGINT)
    text, _ = shell.communicate(timeout=120)
    assert shell.returncode == cli.CANCELLED, text
    rows = {row["case"]: row for row in summary(output / "summary.csv")}
    assert {name: row["status"] for name, row in rows.items()} == {"a": "cancelled", "b": "earlier"}
    assert "holds an earlier" in rows["a"]["message"]
    assert rows["b"]["steps"] == "3"
    assert result(output / "a")["metrics"]["steps"] == 2


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
def test_a_second_ctrl_c_ends_an_unresponsive_case_at_once_and_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text("case,mode\na,unresponsive\n", encoding="utf-8")
    shell = start_shell(["fake", "work", "--cases", str(tmp_path / "cases.csv"), "--output", str(tmp_path / "out")])
    events = tmp_path / "out" / "a" / ".job" / "events.jsonl"
    wait_for(lambda: events.exists() and "started" in events.read_text(encoding="utf-8"))
    shell.send_signal(signal.SIGINT)
    wait_for((tmp_path / "out" / "a" / ".job" / "stop").exists)
    shell.send_signal(signal.SIGINT)
    output, _ = shell.communicate(timeout=120)
    assert shell.returncode == cli.CANCELLED, output
    assert "Traceback" not in output
    assert "cancelled" in output


def test_the_device_found_for_one_case_serves_the_others(tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text("case,mode\na,bug\nb,ok\nc,ok\n", encoding="utf-8")
    output = tmp_path / "out"
    arguments = ["fake", "train", "--cases", str(tmp_path / "cases.csv"), "--output", str(output), "--workers", "2"]
    assert cli.main(arguments) == cli.INTERNAL
    settled = Job.load(output / "a" / ".job")
    assert (settled.device, settled.threads) == ("cpu", max(1, physical_cores() // 2))
    command = json.loads((output / ".job" / "cases.json").read_text(encoding="utf-8"))["command"]
    for name in ("device", "threads", "precision"):
        assert command[name] == getattr(settled, name)
        assert {getattr(Job.load(output / case / ".job"), name) for case in "abc"} == {command[name]}


def test_several_cases_at_once_give_the_same_files_in_the_same_order(tmp_path: Path) -> None:
    table = tmp_path / "cases.csv"
    table.write_text("case,steps\n" + "".join(f"{name},{n}\n" for n, name in enumerate("dbac", 2)), encoding="utf-8")
    for name, options in (("one", []), ("three", ["--workers", "3"])):
        arguments = ["fake", "work", "--cases", str(table), "--output", str(tmp_path / name), *options]
        assert cli.main(arguments) == cli.DONE
    assert [row["case"] for row in summary(tmp_path / "three" / "summary.csv")] == list("dbac")
    for case in "abcd":
        chain = [(tmp_path / name / case / "chain.txt").read_bytes() for name in ("one", "three")]
        assert chain[0] == chain[1]


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
def test_resuming_keeps_what_is_done_and_continues_what_was_interrupted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cases.csv").write_text("case,hold\na,-1\nb,3\nc,-1\n", encoding="utf-8")
    output = tmp_path / "out"
    shell = start_shell(["fake", "work", "--cases", str(tmp_path / "cases.csv"), "--output", str(output)])
    checkpoint = output / "b" / ".job" / "checkpoint" / "state.json"
    wait_for(lambda: checkpoint.exists() and '"step": 3' in checkpoint.read_text(encoding="utf-8"))
    shell.kill()
    shell.communicate()
    before = (output / "a" / "result.json").read_bytes()
    (output / "b" / ".job" / "release").touch()
    assert cli.main(["fake", "work", "--resume", str(output), "--workers", "2"]) == cli.DONE
    assert (output / "a" / "result.json").read_bytes() == before
    assert "Resumed at step 3" in (output / "b" / ".job" / "events.jsonl").read_text(encoding="utf-8")
    assert [row["status"] for row in summary(output / "summary.csv")] == 3 * ["done"]
    assert len({(output / case / "chain.txt").read_bytes() for case in "abc"}) == 1
    assert cli.main(["fake", "pack", "--resume", str(output)]) == cli.BAD_INPUT
    assert "holds cases of fake work" in capsys.readouterr().err


def test_an_interrupted_new_run_does_not_take_an_older_one_for_its_own(tmp_path: Path) -> None:
    table, output = tmp_path / "cases.csv", tmp_path / "out"
    table.write_text("case\na\n", encoding="utf-8")
    assert cli.main(["fake", "work", "--cases", str(table), "--steps", "2", "--output", str(output)]) == cli.DONE
    record = new_record(Command("fake", "work", parameters={"steps": 3}), table, output, (1, 1))
    record.forget_earlier_jobs()  # a run that is ended before it has started a case
    record.save()
    assert cli.main(["fake", "work", "--resume", str(output)]) == cli.DONE
    assert [row["steps"] for row in summary(output / "summary.csv")] == ["3"]


@pytest.mark.parametrize("option", [["--workers", "2"], ["--scheduler", "local"], ["--shard", "1/2"]])
def test_options_for_cases_need_cases(option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fake", "work", "--output", str(tmp_path), *option]) == cli.BAD_INPUT
    assert f"{option[0]} is for the cases of --cases" in capsys.readouterr().err
    assert not (tmp_path / ".job").exists()
