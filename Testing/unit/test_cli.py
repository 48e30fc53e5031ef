"""The command line, in this process and as a real one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deeprecon import cli
from deeprecon.jobs.console import Console, format_seconds, format_table
from deeprecon.jobs.job import VERSION, Job
from deeprecon.jobs.process import child_environment
from deeprecon.jobs.verbs import METHODS, load_verbs

from .shell import FAKE_WORKER, HERE, result, start_shell, wait_for


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake method in this process, and its worker for the processes that --cases starts."""
    monkeypatch.syspath_prepend(str(HERE / "jobs"))
    monkeypatch.setitem(METHODS, "fake", "fake_method")
    monkeypatch.setattr("deeprecon.cases.engine.python_command", lambda interpreter: FAKE_WORKER)


def test_a_run_leaves_results_in_the_output_and_its_job_below(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a b.txt", "ß.txt", "心.txt"):
        Path(name).write_text(name, encoding="utf-8")
    arguments = ["fake", "work", "--masks", "a b.txt", "ß.txt", "--masks", "心.txt", "--steps", "3", "--seed", "7"]
    arguments += ["--loud", "--slice-thickness", "8", "--labels", "scar=3,4", "myocardium=2", "--output", "out dir 心"]
    code = cli.main(arguments)
    assert code == cli.DONE
    output = tmp_path / "out dir 心"
    assert result(output)["provenance"]["seed"] == 7
    assert (output / "unlisted.txt").read_text(encoding="utf-8") == "a b.txtß.txt心.txt"
    job = Job.load(output / ".job")
    assert job.inputs["masks"] == ["../../a b.txt", "../../ß.txt", "../../心.txt"]
    assert job.parameters["labels"] == ["scar=3,4", "myocardium=2"]
    assert job.parameters["slice_thickness"] == 8.0
    assert job.parameters["loud"] is True
    shown = capsys.readouterr()
    assert "chain.txt" in shown.out
    assert "steps" in shown.out
    assert "100 %" in shown.err
    assert '"type"' not in shown.out + shown.err, "events are for programs"


def test_shell_and_worker_give_the_same_bits(tmp_path: Path) -> None:
    assert cli.main(["fake", "work", "--output", str(tmp_path / "shell")]) == cli.DONE
    Job("fake", "work").save(tmp_path / "panel")
    subprocess.run([*FAKE_WORKER, str(tmp_path / "panel")], env=child_environment(), check=True, capture_output=True)
    assert (tmp_path / "shell" / "chain.txt").read_bytes() == (tmp_path / "panel" / "chain.txt").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing"], "no method 'nothing'"),
        (["fake", "fly"], "no verb 'fly'"),
        (["fake", "work"], "--output DIR must be given"),
        (["fake", "need", "--output", "OUT"], "--image must be given"),
        (["fake", "work", "--image", "gone.nii", "--output", "OUT"], "gone.nii does not exist"),
        (["fake", "work", "--steps", "0", "--output", "OUT"], "steps is 0, expected 1 to"),
        (["fake", "work", "--shard", "1/2", "--output", "OUT"], "give both"),
        (["fake", "work", "--resume", "OUT"], "Cannot read the job"),
        (["fake", "work", "--mode", "input", "--output", "OUT"], "The image shows nothing"),
        (["fake", "work", "--output", "FILE/below"], "Cannot write to the folder"),
        (["fake", "work", "--cases", "gone.csv", "--output", "OUT"], "Cannot read gone.csv"),
    ],
)
def test_bad_input_ends_with_words_and_code_2(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    places = {"OUT": str(tmp_path / "out"), "FILE/below": str(tmp_path / "file" / "below")}
    assert cli.main([places.get(argument, argument) for argument in arguments]) == cli.BAD_INPUT
    shown = capsys.readouterr().err
    assert words in shown
    assert "Traceback" not in shown
    if "input" not in arguments:
        assert not (tmp_path / "out").exists(), "a typing error leaves nothing behind"


def test_the_one_input_that_a_verb_needs_may_stand_without_its_name(tmp_path: Path) -> None:
    image = tmp_path / "a b.txt"
    image.write_text("", encoding="utf-8")
    for number, arguments in enumerate(([str(image)], ["--image", str(image)], ["--steps", "2", str(image)])):
        assert cli.main(["fake", "need", *arguments, "--output", str(tmp_path / "out" / str(number))]) == cli.DONE
        assert Job.load(tmp_path / "out" / str(number) / ".job").inputs["image"] == "../../../a b.txt"


def test_an_input_given_twice_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["a.nii", "--image", "b.nii", "--output", str(tmp_path / "out")]
    assert cli.main(["fake", "need", *arguments]) == cli.BAD_INPUT
    assert "a.nii and --image are given" in capsys.readouterr().err


def test_a_verb_without_a_needed_input_takes_none_without_a_name(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["fake", "work", "a.nii", "--output", str(tmp_path / "out")])
    assert caught.value.code == cli.BAD_INPUT


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--mode", "dance"], "'dance' is not one of ok, abort"),
        (["--steps", "many"], "'many' is not a whole number"),
        (["--slice-thickness", "thin"], "'thin' is not a number"),
        (["--wings", "2"], "--wings"),
        (["--step", "2"], "--step"),
        (["--seed", "-1"], "not a whole number"),
        (["--seed", "1" + 30 * "0"], "not a whole number from 0 to"),
        (["--threads", "0"], "not a whole number from 1 to"),
        (["--shard", "3/2"], "'3/2' is not a part"),
    ],
)
def test_options_that_cannot_be_read_end_with_code_2(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(["fake", "work", *arguments, "--output", str(tmp_path / "out")])
    assert caught.value.code == cli.BAD_INPUT
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("steps: many", "'many' is not a whole number"),
        ("steps: 3.5", "'3.5' is not a whole number"),
        ("seed: -1", "'-1' is not a whole number"),
        ("mode: fast", "'fast' is not one of"),
        ("wings: 2", "wings"),
        ("{{{", "config"),
    ],
)
def test_a_file_of_options_that_cannot_be_read_ends_with_code_2(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "settings.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(SystemExit) as caught:
        cli.main(["fake", "work", "--config", str(tmp_path / "settings.yaml"), "--output", str(tmp_path / "out")])
    assert caught.value.code == cli.BAD_INPUT
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a: &a [x, x]\nb: &b [*a, *a]\nmode: *b\n", "references"),
        (b"[" * 20_000, "nested too deeply"),
        (b"steps: 3\n# \xff\xfe", "not UTF-8"),
        (b"#" * 200_000, "200000 bytes"),
    ],
)
@pytest.mark.parametrize("joined", [True, False])
def test_a_file_that_is_no_file_of_options_is_refused_at_once(
    content: bytes, words: str, joined: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "settings.yaml"
    path.write_bytes(content)
    option = [f"--config={path}"] if joined else ["--config", str(path)]
    assert cli.main(["fake", "work", *option, "--output", str(tmp_path / "out")]) == cli.BAD_INPUT
    message = capsys.readouterr().err
    assert words in message
    assert str(path) in message


def test_a_folder_that_is_no_bundle_is_found_before_it_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "large" / "file.bin").write_bytes(b"x")
    (tmp_path / "a.csv").write_text("time,x\n0,1\n", encoding="utf-8")
    files = ["--bundle", str(tmp_path / "large"), "--recording", str(tmp_path / "a.csv")]
    assert cli.main(["seizure", "detect", *files, "--output", str(tmp_path / "out")]) == cli.BAD_INPUT
    assert "is no model bundle" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_option_before_the_method_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--verison"]) == cli.BAD_INPUT
    assert "no option --verison" in capsys.readouterr().err


def test_a_second_run_in_a_folder_that_is_in_use_is_refused_and_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = start_shell(["fake", "work", "--steps", "60", "--hold", "5", "--output", str(tmp_path)])
    wait_for((tmp_path / ".job" / "checkpoint" / "state.json").exists)
    assert cli.main(["fake", "pack", "--output", str(tmp_path)]) == cli.BAD_INPUT
    assert "Another run is working" in capsys.readouterr().err
    assert cli.main(["fake", "work", "--resume", str(tmp_path)]) == cli.BAD_INPUT
    assert "Another run is working" in capsys.readouterr().err
    (tmp_path / ".job" / "release").touch()
    output, _ = shell.communicate(timeout=120)
    assert shell.returncode == cli.DONE, output
    assert result(tmp_path)["metrics"]["steps"] == 60
    assert "error" not in (tmp_path / ".job" / "events.jsonl").read_text(encoding="utf-8")


def test_a_bug_shows_its_traceback_and_ends_with_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["fake", "work", "--mode", "bug", "--output", str(tmp_path)]) == cli.INTERNAL
    assert "Traceback" in capsys.readouterr().err


def test_no_result_goes_where_the_inputs_lie(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "image.txt").write_text("precious", encoding="utf-8")
    code = cli.main(["fake", "work", "--image", str(tmp_path / "image.txt"), "--output", str(tmp_path)])
    assert code == cli.BAD_INPUT
    assert "lies in the output folder" in capsys.readouterr().err


def test_options_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text("steps: 3\nmode: ok\nlabels: [a, b]\n", encoding="utf-8")
    arguments = ["--config", str(tmp_path / "settings.yaml"), "--output", str(tmp_path / "out")]
    assert cli.main(["fake", "work", *arguments]) == cli.DONE
    parameters = result(tmp_path / "out")["provenance"]["parameters"]
    assert parameters["steps"] == 3
    assert parameters["labels"] == ["a", "b"]


def test_resume_continues_with_the_settings_of_the_earlier_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out" / ".job"
    Job("fake", "work", {}, {"steps": 4}, "..", seed=2).save(folder)
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint" / "state.json").write_text('{"step": 3, "state": "so far"}', encoding="utf-8")
    assert cli.main(["fake", "work", "--resume", str(tmp_path / "out"), "--steps", "9"]) == cli.BAD_INPUT
    assert "leave out --steps" in capsys.readouterr().err
    assert cli.main(["fake", "pack", "--resume", str(tmp_path / "out")]) == cli.BAD_INPUT
    assert cli.main(["fake", "work", "--resume", str(tmp_path / "out")]) == cli.DONE
    assert "Resumed at step 3" in capsys.readouterr().err
    assert result(tmp_path / "out")["metrics"]["steps"] == 4


def test_a_new_run_does_not_take_up_an_old_checkpoint(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / ".job" / "checkpoint"
    folder.mkdir(parents=True)
    (folder / "state.json").write_text('{"step": 3, "state": "of other settings"}', encoding="utf-8")
    assert cli.main(["fake", "work", "--output", str(tmp_path)]) == cli.DONE
    assert "Resumed" not in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_keeps_the_best_ends_with_code_3_and_can_be_resumed(tmp_path: Path, number: signal.Signals) -> None:
    shell = start_shell(["fake", "work", "--steps", "300", "--hold", "5", "--output", str(tmp_path)])
    wait_for((tmp_path / ".job" / "checkpoint" / "state.json").exists)
    shell.send_signal(number)
    output, _ = shell.communicate(timeout=120)
    assert shell.returncode == cli.CANCELLED, output
    assert "stopped early" in output
    assert "Stopped after" in output
    assert "--resume" in output
    assert 0 < result(tmp_path)["metrics"]["steps"] < 300
    assert (tmp_path / ".job" / "checkpoint" / "state.json").exists()


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_an_earlier_result_and_says_where_its_own_lies(tmp_path: Path, number: signal.Signals) -> None:
    assert cli.main(["fake", "work", "--steps", "3", "--output", str(tmp_path)]) == cli.DONE
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    shell = start_shell(["fake", "work", "--steps", "300", "--hold", "5", "--output", str(tmp_path)])
    wait_for((tmp_path / ".job" / "checkpoint" / "state.json").exists)
    shell.send_signal(number)
    output, _ = shell.communicate(timeout=120)
    assert shell.returncode == cli.CANCELLED, output
    assert f"Results in {tmp_path / 'stopped'}" in output
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == before
    assert result(tmp_path / "stopped")["provenance"]["stopped_early"]


@pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
def test_a_second_ctrl_c_ends_an_unresponsive_task_at_once(tmp_path: Path) -> None:
    shell = start_shell(["fake", "work", "--mode", "unresponsive", "--output", str(tmp_path)])
    events = tmp_path / ".job" / "events.jsonl"
    wait_for(lambda: events.exists() and "started" in events.read_text(encoding="utf-8"))
    shell.send_signal(signal.SIGINT)
    wait_for((tmp_path / ".job" / "stop").exists)
    shell.send_signal(signal.SIGINT)
    output, _ = shell.communicate(timeout=120)
    assert shell.returncode == cli.CANCELLED, output
    assert "cancelled" in output
    assert not (tmp_path / "result.json").exists()


def test_help_shows_methods_verbs_choices_ranges_units_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == cli.DONE
    assert "fake" in capsys.readouterr().out
    assert cli.main(["fake", "--help"]) == cli.DONE
    assert "Take steps." in capsys.readouterr().out
    with pytest.raises(SystemExit) as caught:
        cli.main(["fake", "work", "--help"])
    assert caught.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "{ok,abort," in shown
    assert "--slice-thickness MM thickness of a slice (0.1 to 30 mm)" in shown
    assert "steps to take (1 to 1000000; default: 5)" in shown
    assert "100 % of it" in shown
    assert "--loud, --no-loud print as well (default: no)" in shown
    assert "--output DIR" in shown


@pytest.mark.parametrize("method", [name for name in METHODS if name != "fake"])
def test_every_verb_has_a_help(method: str, capsys: pytest.CaptureFixture[str]) -> None:
    for name, verb in load_verbs(method).items():
        with pytest.raises(SystemExit) as caught:
            cli.main([method, name, "--help"])
        assert caught.value.code == 0
        shown = capsys.readouterr().out
        assert verb.summary[:20] in shown
        assert "--output DIR" in shown


def test_the_package_is_run_by_its_name() -> None:
    command = [sys.executable, "-m", "deeprecon", "--version"]
    shown = subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=True, timeout=120)
    assert shown.stdout.strip() == VERSION


HEAVY = ["torch", "SimpleITK", "nibabel", "matplotlib", "pydicom", "lightning_fabric"]


@pytest.mark.parametrize("arguments", [[], ["scar"], ["scar", "reconstruct"]])
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys\nfrom deeprecon import cli\n"
        "try:\n    cli.main([*sys.argv[1:], '--help'])\nexcept SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    command = [sys.executable, "-c", code, *arguments]
    shown = subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=True, timeout=120)
    assert shown.stdout.splitlines()[-1] == "[]"


def test_the_console_writes_one_updating_line_on_a_terminal_and_plain_lines_elsewhere() -> None:
    import io

    class Terminal(io.StringIO):
        encoding = "ascii"  # type: ignore[assignment]

        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    console = Console(terminal)
    console.show({"type": "status", "text": "Füllen"})
    console.show({"type": "metric", "step": 1, "time": 0.1, "dice": 0.91234, "bad": None})
    console.show({"type": "progress", "fraction": 0.5, "seconds_left": 61.0})
    console.show({"type": "warning", "message": "hm"})
    console.finish()
    shown = terminal.getvalue()
    assert "F?llen [##########..........]  50 %, 1:01 left  dice 0.9123  bad -" in shown
    assert "Warning: hm\n" in shown
    assert shown.endswith("\r")
    plain = io.StringIO()
    console = Console(plain)
    for step in range(101):
        console.show({"type": "progress", "fraction": step / 100, "seconds_left": None})
    assert 10 <= len(plain.getvalue().splitlines()) <= 12
    assert "\r" not in plain.getvalue()


def test_times_and_tables_are_readable() -> None:
    assert [format_seconds(value) for value in (0, 59.6, 3661)] == ["0:00", "1:00", "1:01:01"]
    assert format_table([{"case": "a", "dice": 0.912345}, {"case": "long", "dice": None}]) == (
        "case  dice\na     0.9123\nlong  -"
    )
