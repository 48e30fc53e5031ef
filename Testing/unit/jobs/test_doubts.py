"""Doubts: refused with their way out, accepted by code, or stated beside the result."""

from __future__ import annotations

import csv
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from deeprecon import cli
from deeprecon.data.doubts import CODES, Doubt, DoubtError, not_accepted
from deeprecon.data.errors import InputError
from deeprecon.data.tables import read_table
from deeprecon.jobs.failures import explain_exception
from deeprecon.jobs.items import Item, run_items
from deeprecon.jobs.job import Job
from deeprecon.jobs.run import Run, SilentReporter
from deeprecon.jobs.runner import JobRunner
from deeprecon.jobs.verbs import METHODS

FAKE_WORKER = [sys.executable, "-X", "utf8", "-u", str(Path(__file__).with_name("fake_method.py"))]
LEFT = "image.txt: Left is right."


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake method, in this process and in the processes of --cases."""
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setitem(METHODS, "fake", "fake_method")
    monkeypatch.setitem(CODES, "test-doubt", "Made for the tests.")
    monkeypatch.setitem(CODES, "second-doubt", "Made for the tests.")
    monkeypatch.setattr("deeprecon.cases.engine.python_command", lambda interpreter: FAKE_WORKER)


def doubts(output: Path) -> list[dict[str, Any]]:
    values: list[dict[str, Any]] = json.loads((output / "result.json").read_text(encoding="utf-8"))["doubts"]
    return values


def test_a_contradiction_is_refused_with_its_way_out_and_leaves_no_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = cli.main(["fake", "work", "--mode", "contradiction", "--output", str(tmp_path)])
    assert code == cli.BAD_INPUT
    lines = capsys.readouterr().err.splitlines()
    assert lines[-3:] == [f"Error: {LEFT}", "  Turn it.", "  To continue all the same: --accept test-doubt"]
    assert not (tmp_path / "result.json").exists()


def test_an_accepted_contradiction_continues_and_is_recorded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["fake", "work", "--mode", "contradiction", "--accept", "test-doubt", "--output", str(tmp_path)]
    assert cli.main(arguments) == cli.DONE
    (found,) = doubts(tmp_path)
    assert (found["code"], found["where"], found["assumed"]) == ("test-doubt", "image.txt", False)
    assert Job.load(tmp_path / ".job").accept == ["test-doubt"]
    output = capsys.readouterr()
    assert f"Warning: {LEFT} (accepted: test-doubt)" in output.err
    assert f"Accepted: {LEFT} (test-doubt)" in output.out


def test_accepting_another_code_does_not_help(tmp_path: Path) -> None:
    arguments = ["fake", "work", "--mode", "contradiction", "--accept", "second-doubt", "--output", str(tmp_path)]
    assert cli.main(arguments) == cli.BAD_INPUT


def test_an_assumption_continues_and_is_stated_with_the_result(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["fake", "work", "--mode", "assumption", "--output", str(tmp_path)]) == cli.DONE
    assert [entry["assumed"] for entry in doubts(tmp_path)] == [True]
    assert f"Assumed: {LEFT} (test-doubt)" in capsys.readouterr().out


def test_a_run_without_doubts_lists_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fake", "work", "--output", str(tmp_path)]) == cli.DONE
    assert doubts(tmp_path) == []
    assert "ssumed" not in capsys.readouterr().out


def test_an_unknown_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fake", "work", "--accept", "left-is-left", "--output", str(tmp_path)]) == cli.BAD_INPUT
    assert "There is no code left-is-left to accept." in capsys.readouterr().err


def test_cases_accept_row_by_row(tmp_path: Path) -> None:
    table = tmp_path / "cases.csv"
    table.write_text(
        "case,mode,accept\nrefused,contradiction,\naccepted,contradiction,test-doubt;second-doubt\n", encoding="utf-8"
    )
    assert cli.main(["fake", "work", "--cases", str(table), "--output", str(tmp_path / "out")]) == cli.BAD_INPUT
    with open(tmp_path / "out" / "summary.csv", encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["status"] for row in rows] == ["input", "done"]
    assert rows[0]["message"] == f"{LEFT} Turn it. To continue all the same: --accept test-doubt"
    assert [entry["code"] for entry in doubts(tmp_path / "out" / "accepted")] == ["test-doubt"]


def test_each_refused_item_of_a_folder_has_its_way_out_and_its_code(tmp_path: Path) -> None:
    run = Run(tmp_path, tmp_path, "cpu", 1, "fp32", 0, SilentReporter(), accepted=("second-doubt",))

    def compute(item: Item, own: Run) -> dict[str, Any]:
        own.consider([Doubt(item.name, item.label, "Left is right.", "Turn it.")])
        return {"outputs": {}, "metrics": {}}

    items = [Item(code, f"{code}.png", tmp_path / code) for code in ("test-doubt", "second-doubt")]
    run_items(items, run, "xray", compute, lambda item, folder, content: None)
    refused, accepted = read_table(tmp_path / "summary.csv")
    assert refused["message"] == (
        "test-doubt.png: Left is right. Turn it. To continue all the same: --accept test-doubt"
    )
    assert (refused["status"], accepted["status"], accepted["doubts"]) == ("input", "done", "second-doubt")
    with pytest.raises(InputError, match=r"No xray could be used: .* Turn it\. .* --accept test-doubt"):
        run_items(items[:1], run, "xray", compute, lambda item, folder, content: None)


def test_the_panel_learns_the_codes_from_the_child(tmp_path: Path) -> None:
    Job("fake", "work", parameters={"mode": "contradiction"}).save(tmp_path)
    runner = JobRunner(tmp_path, FAKE_WORKER)
    runner.start()
    assert runner.wait(300) == cli.BAD_INPUT
    failure = runner.failure()
    assert failure is not None
    assert (failure["kind"], list(failure["codes"])) == ("input", ["test-doubt"])


def test_the_page_of_doubts_lists_every_code_with_its_meaning() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "doubts.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^\| `([a-z0-9-]+)` \| (.+) \|$", page, re.MULTILINE))
    assert listed == {code: meaning for code, meaning in CODES.items() if meaning != "Made for the tests."}


def test_several_contradictions_are_refused_together() -> None:
    found = [
        Doubt("test-doubt", "a", "A.", "Do this."),
        Doubt("second-doubt", "b", "B."),
        Doubt("test-doubt", "c", "C."),
    ]
    failure = explain_exception(DoubtError(found))
    assert failure.message == "a: A. b: B. c: C."
    assert failure.hint == "Do this."
    assert failure.codes == ("test-doubt", "second-doubt")
    assert not_accepted(found, ["test-doubt"]) == (found[1],)


def test_a_job_with_codes_that_are_no_codes_is_refused(tmp_path: Path) -> None:
    Job("fake", "work").save(tmp_path)
    job = json.loads((tmp_path / "job.json").read_text(encoding="utf-8"))
    (tmp_path / "job.json").write_text(json.dumps({**job, "accept": ["nonsense"]}), encoding="utf-8")
    with pytest.raises(InputError, match="no code nonsense"):
        Job.load(tmp_path)
