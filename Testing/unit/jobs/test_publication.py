"""What becomes of an earlier result, of foreign files and of changed inputs when a run ends."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deeprecon import worker
from deeprecon.data.files import sha256
from deeprecon.jobs.job import Job
from deeprecon.jobs.results import publication
from deeprecon.jobs.run import Outcome, Run, request_stop
from deeprecon.jobs.verbs import METHODS, load_verbs

from .in_process import last_event, make

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setitem(METHODS, "fake", "fake_method")


def test_a_failed_run_leaves_the_earlier_result_whole(tmp_path: Path) -> None:
    folder = make(tmp_path / "job", steps=2)
    assert worker.run_job(folder) == worker.DONE
    before = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".txt", ".json")}
    make(folder, mode="half")
    assert worker.run_job(folder) == worker.INTERNAL
    after = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".txt", ".json")}
    assert {**after, "job.json": b""} == {**before, "job.json": b""}


def test_a_move_of_results_that_was_interrupted_is_ended_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tmp_path / "job", verb="pack", output="..", steps=4)
    assert worker.run_job(folder) == worker.DONE
    moved: list[Path] = []
    real = os.replace

    def move(source: Any, target: Any) -> None:
        if publication.INCOMING in str(source):
            if len(moved) == 2:
                raise OSError(5, "Input/output error")
            moved.append(target)
        real(source, target)

    make(folder, verb="pack", output="..", steps=6)
    monkeypatch.setattr(os, "replace", move)
    assert worker.run_job(folder) == worker.INTERNAL
    assert not (tmp_path / "result.json").exists()
    monkeypatch.setattr(os, "replace", real)
    make(folder, verb="pack", output="..", mode="input")
    (folder / "stop").touch()
    publication.settle(tmp_path)
    files = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["outputs"]["series"]["files"]
    assert len(files) == 6
    assert files == {path.name: sha256(path) for path in (tmp_path / "series").iterdir()}
    assert not (tmp_path / publication.INCOMING).exists()


def test_a_result_never_replaces_an_input(tmp_path: Path) -> None:
    (tmp_path / "chain.txt").write_text("precious", encoding="utf-8")
    folder = make(tmp_path / "job", output="..", inputs={"image": "../chain.txt"})
    assert worker.run_job(folder) == worker.BAD_INPUT
    assert "would replace the input" in last_event(folder)["message"]
    assert (tmp_path / "chain.txt").read_text(encoding="utf-8") == "precious"


def test_a_folder_written_anew_keeps_no_file_of_the_earlier_run_and_all_others(tmp_path: Path) -> None:
    folder = make(tmp_path / "job", verb="pack", output="..", steps=5)
    assert worker.run_job(folder) == worker.DONE
    (tmp_path / "series" / "notes.txt").write_text("mine", encoding="utf-8")
    make(folder, verb="pack", output="..", steps=2)
    assert worker.run_job(folder) == worker.DONE
    assert sorted(path.name for path in (tmp_path / "series").iterdir()) == ["0.txt", "1.txt", "notes.txt"]
    entry = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))["outputs"]["series"]
    assert entry["path"] == "series"
    assert entry["files"] == {name: sha256(tmp_path / "series" / name) for name in ("0.txt", "1.txt")}


def test_a_new_result_leaves_no_file_of_the_old_one_of_its_verb_but_for_those_that_were_changed(tmp_path: Path) -> None:
    folder = make(tmp_path / "job", output="..")
    old = {name: f"old {name}" for name in ("a.txt", "edited.txt", "input.txt", "chain.txt")}
    for name, text in old.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    outside = tmp_path.parent / f"{tmp_path.name}.txt"
    outside.write_text("outside", encoding="utf-8")

    def leave(verb: str) -> None:
        (tmp_path / "unlisted.txt").unlink(missing_ok=True)
        outputs = {name: {"path": name, "sha256": sha256(tmp_path / name)} for name in (*old, f"../{outside.name}")}
        values = {"outputs": outputs, "provenance": {"method": "fake", "verb": verb}}
        (tmp_path / "result.json").write_text(json.dumps(values), encoding="utf-8")

    leave("pack")
    assert worker.run_job(folder) == worker.DONE
    assert all((tmp_path / name).exists() for name in old)
    leave("work")
    (tmp_path / "edited.txt").write_text("mine", encoding="utf-8")
    make(folder, output="..", inputs={"image": "../input.txt"})
    assert worker.run_job(folder) == worker.DONE
    assert not (tmp_path / "a.txt").exists()
    assert all(path.exists() for path in (tmp_path / "edited.txt", tmp_path / "input.txt", outside))
    assert (tmp_path / "chain.txt").read_text(encoding="utf-8") != old["chain.txt"]


def test_results_are_copied_whole_between_disks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.rename

    def rename(source: Any, target: Any) -> None:
        if ".staging" in str(source):
            raise OSError(18, "Invalid cross-device link")
        real(source, target)

    monkeypatch.setattr(os, "rename", rename)
    folder = make(tmp_path / "job", verb="pack", output="../out", steps=3)
    assert worker.run_job(folder) == worker.DONE
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["result.json", "series"]
    assert len(list((tmp_path / "out" / "series").iterdir())) == 3


def test_a_disk_that_is_full_while_results_are_copied_leaves_the_earlier_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make(tmp_path / "job", output="../out", steps=2)
    assert worker.run_job(folder) == worker.DONE
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}

    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "rename", fail)
    monkeypatch.setattr(shutil, "copytree", fail)
    make(folder, output="../out", steps=4)
    assert worker.run_job(folder) == worker.INTERNAL
    assert last_event(folder)["kind"] == "disk"
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_files_that_are_no_result_stay_and_the_result_goes_into_a_folder_of_its_own(tmp_path: Path) -> None:
    folder = make(tmp_path / "job", output="..")
    (tmp_path / "chain.txt").write_text("mine", encoding="utf-8")
    for _ in range(2):
        assert worker.run_job(folder) == worker.DONE
        assert last_event(folder)["path"] == "../result/result.json"
    assert (tmp_path / "chain.txt").read_text(encoding="utf-8") == "mine"
    assert (tmp_path / "result" / "chain.txt").exists()
    assert not (tmp_path / "result-2").exists()
    assert "--overwrite" in (folder / "events.jsonl").read_text(encoding="utf-8")
    (tmp_path / "result" / "unlisted.txt").write_text("edited", encoding="utf-8")
    assert worker.run_job(folder) == worker.DONE
    assert last_event(folder)["path"] == "../result-2/result.json"
    replace(Job.load(folder), overwrite=True).save(folder)
    assert worker.run_job(folder) == worker.DONE
    assert (tmp_path / "chain.txt").read_text(encoding="utf-8") != "mine"


@pytest.mark.parametrize("interrupted", [True, False])
def test_an_interrupted_run_does_not_replace_a_complete_result_but_one_that_is_to_finish_does(
    tmp_path: Path, interrupted: bool
) -> None:
    folder = make(tmp_path / "job", output="..", steps=4)
    assert worker.run_job(folder) == worker.DONE
    before = {name: (tmp_path / name).read_bytes() for name in ("chain.txt", "result.json")}
    request_stop(folder, interrupted)
    assert worker.run_job(folder) == worker.DONE
    stays = {name: (tmp_path / name).read_bytes() for name in before} == before
    assert stays == interrupted
    path = "../stopped/result.json" if interrupted else "../result.json"
    assert last_event(folder)["path"] == path
    assert json.loads((folder / path).read_text(encoding="utf-8"))["provenance"]["stopped_early"]


def test_an_input_that_changed_since_a_run_began_is_not_resumed_with(tmp_path: Path) -> None:
    (tmp_path / "image.txt").write_text("first", encoding="utf-8")
    folder = make(tmp_path / "job", inputs={"image": "../image.txt"})
    assert worker.run_job(folder) == worker.DONE
    assert worker.run_job(folder) == worker.DONE
    (tmp_path / "image.txt").write_text("other", encoding="utf-8")
    assert worker.run_job(folder) == worker.BAD_INPUT
    message = last_event(folder)["message"]
    assert "image.txt changed since" in message


@pytest.mark.parametrize("kind", ["changed", "gone", "swapped"])
def test_an_input_that_changes_during_the_run_gives_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    image = tmp_path / "data" / "image.txt"
    image.parent.mkdir()
    image.write_text("first", encoding="utf-8")
    folder = make(tmp_path / "job", inputs={"image": "../data"})
    state = os.stat(image)

    def change() -> None:
        (tmp_path / "data" / "later.txt").write_text("added", encoding="utf-8")
        if kind == "gone":
            image.unlink()
        elif kind == "changed":
            image.write_text("other", encoding="utf-8")
            os.utime(image, ns=(state.st_atime_ns, state.st_mtime_ns))
        else:
            (tmp_path / "new.txt").write_text("other", encoding="utf-8")
            os.replace(tmp_path / "new.txt", image)

    verbs = load_verbs("fake")
    work = verbs["work"].function

    def changing(inputs: Any, parameters: Any, run: Run) -> Outcome:
        change()
        return work(inputs, parameters, run)

    monkeypatch.setitem(verbs, "work", replace(verbs["work"], function=changing))  # type: ignore[index]
    assert worker.run_job(folder) == worker.BAD_INPUT
    assert "image.txt was changed while the run used it" in last_event(folder)["message"]
    assert not (folder / "result.json").exists()


def test_results_below_a_folder_of_inputs_are_no_inputs(tmp_path: Path) -> None:
    (tmp_path / "image.txt").write_text("first", encoding="utf-8")
    folder = make(tmp_path / "out" / ".job", output="..", inputs={"image": "../.."})
    for _ in range(2):
        assert worker.run_job(folder) == worker.DONE
