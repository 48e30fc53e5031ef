"""Many cases in one call of the command line."""

from __future__ import annotations

import csv
import os
import signal
from pathlib import Path

import pytest

from deeprecon import cli
from deeprecon.jobs.job import Job
from deeprecon.jobs.verbs import METHODS

from .shell import FAKE_WORKER, HERE, result, start_shell, wait_for


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake method in this process, and its worker for the processes that --cases starts."""
    monkeypatch.syspath_prepend(str(HERE / "jobs"))
    monkeypatch.setitem(METHODS, "fake", "fake_method")
    monkeypatch.setattr("deeprecon.cases.python_command", lambda interpreter: FAKE_WORKER)


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


def test_the_device_found_for_one_case_serves_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from deeprecon.cases import _with_resolved_device
    from deeprecon.jobs.command import Command

    Job("fake", "train", device="cuda:0", threads=3, precision="bf16").save(tmp_path)
    resolved = _with_resolved_device(Command("fake", "train"), tmp_path)
    assert (resolved.device, resolved.threads, resolved.precision) == ("cuda:0", 3, "bf16")
    Job("fake", "work", device="cpu", threads=1, precision="fp32").save(tmp_path)
    assert _with_resolved_device(Command("fake", "work"), tmp_path) == Command("fake", "work")
