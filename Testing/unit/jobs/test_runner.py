"""Real children: watched, cancelled, killed, crashed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deeprecon.data.errors import InputError
from deeprecon.data.files import sha256
from deeprecon.jobs import process, runner
from deeprecon.jobs.runner import JobRunner, ProcessRunner

posix = pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
linux = pytest.mark.skipif(sys.platform != "linux", reason="memory limits bind on Linux")


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead and waits to be collected does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def run(job: JobRunner, timeout: float = 300) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    job.start()
    assert job.wait(timeout, events.append) is not None, "the child did not end"
    return events


def kinds(events: list[dict[str, Any]]) -> set[str]:
    return {event["type"] for event in events}


def test_a_job_reports_and_ends_with_its_result(make_job: Callable[..., JobRunner], tmp_path: Path) -> None:
    job = make_job(loud=True)
    events = run(job)
    assert job.exit_code == 0
    assert job.failure() is None
    assert not job.running
    assert kinds(events) == {"status", "progress", "metric", "result", "log"}
    assert events[-1]["type"] == "result"
    assert {"type": "log", "text": "Schritt ä 心 1"} in events
    metrics = [event for event in events if event["type"] == "metric"]
    assert [event["step"] for event in metrics] == [1, 2, 3, 4, 5]
    assert metrics[0]["loss"] is None
    lines = (tmp_path / "job" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == [event for event in events if event["type"] != "log"]


def test_a_runner_runs_once(make_job: Callable[..., JobRunner]) -> None:
    job = make_job()
    run(job)
    with pytest.raises(RuntimeError):
        job.start()


def test_killed_at_many_points_a_job_resumes_to_the_same_result(
    make_job: Callable[..., JobRunner], tmp_path: Path
) -> None:
    whole = make_job(tmp_path / "whole", steps=60, seed=3)
    run(whole)
    folder = tmp_path / "broken"
    for stop_at in (0, 1, 2, 5, 6, 11, 17, 26):  # 0: before the first step
        job = make_job(folder, steps=60, hold=stop_at, seed=3)
        job.start()
        steps: list[int] = []
        while job.running and max(steps, default=0) < stop_at:
            steps += [event["step"] for event in job.poll() if event["type"] == "metric"]
            time.sleep(0.002)
        job.kill()
        job.wait(120)
        assert not (folder / "chain.txt").exists(), "killed before it was done"
        failure = job.failure()
        assert failure is not None
        assert failure["kind"] == "crash"
    last = make_job(folder, steps=60, seed=3)
    events = run(last)
    assert last.failure() is None
    assert any(event.get("text", "").startswith("Resumed at step") for event in events)
    assert (folder / "chain.txt").read_bytes() == (tmp_path / "whole" / "chain.txt").read_bytes()
    assert not (folder / "checkpoint").exists(), "a job that is done leaves nothing to resume"
    assert not list(folder.rglob(".part-*"))


def test_killed_at_any_moment_a_job_shows_a_whole_result_or_none(
    make_job: Callable[..., JobRunner], tmp_path: Path
) -> None:
    folder = tmp_path / "job"
    for delay in (0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4):  # loading, checking, computing, writing
        job = make_job(folder, steps=10, delay=0.002)
        job.start()
        time.sleep(delay)
        job.kill()
        job.wait(120)
        if (folder / "result.json").exists():
            outputs = json.loads((folder / "result.json").read_text(encoding="utf-8"))["outputs"]
            assert outputs["chain"]["sha256"] == sha256(folder / "chain.txt")
        else:
            assert job.failure() is not None
    last = make_job(folder, steps=10)
    run(last)
    whole = make_job(tmp_path / "whole", steps=10)
    run(whole)
    assert (folder / "chain.txt").read_bytes() == (tmp_path / "whole" / "chain.txt").read_bytes()


def test_a_graceful_stop_keeps_the_best_and_can_be_resumed(make_job: Callable[..., JobRunner], tmp_path: Path) -> None:
    job = make_job(steps=100_000, hold=7)
    job.start()
    while not any(event["type"] == "metric" for event in job.poll()):
        time.sleep(0.01)
    job.stop()
    events: list[dict[str, Any]] = []
    assert job.wait(120, events.append) == 0
    assert job.failure() is None
    assert "warning" in kinds(events)
    result = json.loads((tmp_path / "job" / "result.json").read_text(encoding="utf-8"))
    assert 0 < result["metrics"]["steps"] < 100_000
    assert result["provenance"]["stopped_early"] is True
    again = make_job(steps=result["metrics"]["steps"] + 2)
    events = run(again)
    assert any(event.get("text", "").startswith("Resumed at step") for event in events)


def test_a_stop_before_there_is_anything_counts_as_cancelled(make_job: Callable[..., JobRunner]) -> None:
    job = make_job(mode="stopped")
    job.start()
    job.stop()
    assert job.wait(120) == 3
    failure = job.failure()
    assert failure is not None
    assert failure["kind"] == "cancelled"


@posix
def test_cancel_kills_an_unresponsive_job_with_its_grandchildren_after_the_grace(
    make_job: Callable[..., JobRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(mode="grandchild")
    job.start()
    pid = 0
    while not pid:
        for event in job.poll():
            if event.get("text", "").startswith("grandchild"):
                pid = int(event["text"].split()[1])
        time.sleep(0.01)
    assert alive(pid)
    now = 0.0
    monkeypatch.setattr(runner, "time", SimpleNamespace(monotonic=lambda: now, sleep=time.sleep))
    job.cancel(grace=5)  # returns at once
    now = 4.9
    job.poll()
    assert alive(pid)
    assert job.running
    now = 5.1
    job.wait(None)
    assert not alive(pid)
    failure = job.failure()
    assert failure is not None
    assert failure["kind"] == "cancelled"


@posix
def test_a_crashed_child_leaves_no_grandchild_behind() -> None:
    code = "import os, subprocess, sys; p = subprocess.Popen(['sleep', '300']); print(p.pid, flush=True); os.abort()"
    child = ProcessRunner([sys.executable, "-c", code])
    child.start()
    events: list[dict[str, Any]] = []
    assert child.wait(120, events.append) == -signal.SIGABRT
    assert not alive(int(events[0]["text"]))


@posix
@pytest.mark.parametrize("end", ["os._exit(0)", "os.kill(os.getpid(), signal.SIGKILL)", "sys.exit()"])
def test_no_child_survives_its_parent(
    make_job: Callable[..., JobRunner], until: Callable[[Callable[[], Any]], Any], tmp_path: Path, end: str
) -> None:
    job = make_job(mode="grandchild")
    parent = f"""
        import os, signal, sys, time
        from pathlib import Path
        from deeprecon.jobs.runner import JobRunner
        job = JobRunner(Path({str(job.folder)!r}), {job.command[:-1]!r})
        job.start()
        found = []
        while not found:
            found = [event["text"].split()[1] for event in job.poll() if "grandchild" in event.get("text", "")]
            time.sleep(0.01)
        print(job.pid, found[0], flush=True)
        {end}
    """
    command = [sys.executable, "-c", textwrap.dedent(parent)]
    output = subprocess.run(
        command, env=process.child_environment(), capture_output=True, text=True, timeout=120, check=False
    ).stdout
    child, grandchild = map(int, output.split())
    until(lambda: not alive(child) and not alive(grandchild))


@posix
def test_a_module_that_is_unaware_of_it_does_not_survive_its_parent_either(
    until: Callable[[Callable[[], Any]], Any], tmp_path: Path
) -> None:
    (tmp_path / "sleeper.py").write_text("import sys, time\nprint(sys.argv[1:], flush=True)\ntime.sleep(300)\n")
    command = [*process.python_command(sys.executable, "deeprecon.jobs.process"), "sleeper", "a", "--b"]
    parent = f"""
        import os, time
        from deeprecon.jobs.runner import ProcessRunner
        child = ProcessRunner({command!r})
        child.start()
        while not (events := child.poll()):
            time.sleep(0.01)
        print(child.pid, events[0]["text"], flush=True)
        os._exit(0)
    """
    output = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(parent)],
        env=process.child_environment(tmp_path), capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    pid, _, printed = output.strip().partition(" ")
    assert printed == "['a', '--b']"
    until(lambda: not alive(int(pid)))


@posix
@pytest.mark.parametrize(
    ("mode", "kind", "words"),
    [
        ("abort", "crash", "SIGABRT"),
        ("segfault", "crash", "SIGSEGV"),
        ("killed", "crash", "killed"),
        ("bad-alloc", "memory", "Memory"),
        ("file-size", "disk", "disk is full"),
        ("input", "input", "The image shows nothing."),
        ("bug", "internal", "KeyError"),
        ("half", "internal", "half way"),
        ("silent", "internal", "without a result"),
    ],
)
def test_failures_are_distinguished_and_leave_nothing_half_written(
    make_job: Callable[..., JobRunner], tmp_path: Path, mode: str, kind: str, words: str
) -> None:
    job = make_job(mode=mode)
    run(job)
    failure = job.failure()
    assert failure is not None
    assert failure["kind"] == kind
    assert words in failure["message"]
    assert failure["hint"]
    assert job.exit_code == {"input": 2}.get(kind, job.exit_code)
    assert job.exit_code != 0 or mode == "silent"
    assert not (job.folder / "result.json").exists()
    assert not (job.folder / "chain.txt").exists()
    if mode == "segfault":
        assert "last words" in failure["log"]
        assert "in misbehave" in failure["log"], "the place of the crash"
    if mode == "bug":
        assert "Traceback" in failure["log"]


@linux
def test_memory_that_cannot_be_had_is_reported_as_memory(make_job: Callable[..., JobRunner]) -> None:
    job = make_job(mode="address-space")
    run(job)
    failure = job.failure()
    assert failure is not None
    assert failure["kind"] == "memory"
    assert "memory" in failure["hint"]


@linux
def test_a_kill_by_the_memory_killer_is_reported_as_memory(
    make_job: Callable[..., JobRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = iter([4, 5])
    monkeypatch.setattr(runner, "count_memory_kills", lambda: next(counts))
    job = make_job(mode="killed")
    run(job)
    failure = job.failure()
    assert failure is not None
    assert failure["kind"] == "memory"


@linux
def test_a_full_disk_is_reported_and_leaves_the_earlier_result(
    make_job: Callable[..., JobRunner], tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a small disk cannot be mounted here")
    try:
        run(make_job(disk / "job"))
        before = {path.name: path.read_bytes() for path in (disk / "job").glob("*.txt")}
        job = make_job(disk / "job", mode="fill-output")
        run(job)
        failure = job.failure()
        assert failure is not None
        assert failure["kind"] == "disk"
        assert (disk / "job" / "result.json").exists()
        assert {path.name: path.read_bytes() for path in (disk / "job").glob("*.txt")} == before
        assert not (disk / "job" / ".staging").exists()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_a_verbose_child_neither_blocks_nor_floods(
    make_job: Callable[..., JobRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = make_job(mode="verbose")
    job.start()
    lines, largest = 0, 0
    take = job._lines.get

    def get(block: bool = True, timeout: float | None = None) -> Any:
        assert not block, "poll must not wait"
        return take(block, timeout)

    monkeypatch.setattr(job._lines, "get", get)
    end = time.monotonic() + 300
    while job.running and time.monotonic() < end:
        events = job.poll(limit=500)
        largest = max(largest, len(events))
        lines += sum(event["type"] == "log" for event in events)
        time.sleep(0.001)
    assert lines == 100_000
    assert largest <= 500
    assert job.failure() is None


def test_a_child_that_hangs_after_its_result_is_ended_and_counts_as_done(
    make_job: Callable[..., JobRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "EXIT_GRACE", 0.3)
    job = make_job(mode="linger")
    run(job)
    assert job.failure() is None
    assert (job.folder / "result.json").exists()


@pytest.mark.parametrize("name", ["with space", "Lékař Ünï", "心臓の線維化", "٣٤"])
def test_folders_of_any_name_work(make_job: Callable[..., JobRunner], tmp_path: Path, name: str) -> None:
    folder = tmp_path / name / "job"
    (tmp_path / name).mkdir()
    (tmp_path / name / f"{name}.txt").write_text(name, encoding="utf-8")
    job = make_job(folder, inputs={"masks": [f"../{name}.txt"]})
    run(job)
    assert job.failure() is None
    assert (folder / "unlisted.txt").read_text(encoding="utf-8") == name


def test_a_missing_interpreter_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Cannot start"):
        JobRunner(tmp_path, [str(tmp_path / "no-python")]).start()


def test_a_library_that_cannot_be_loaded_is_reported_with_the_log(tmp_path: Path) -> None:
    job = JobRunner(tmp_path, [sys.executable, "-m", "deeprecon.nothing"])
    run(job)
    failure = job.failure()
    assert failure is not None
    assert failure["kind"] == "internal"
    assert "No module named" in failure["log"]


def test_broken_bytes_and_json_of_others_are_log_lines() -> None:
    code = r"import sys; sys.stdout.buffer.write(b'\xff\xfe broken\n{\"a\": 1}\n[1]\n{oops\n')"
    child = ProcessRunner([sys.executable, "-c", code])
    child.start()
    events: list[dict[str, Any]] = []
    assert child.wait(120, events.append) == 0
    assert [event["type"] for event in events] == ["log"] * 4


def test_the_interpreter_is_the_setting_else_pythonslicer_else_this_python(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("SLICER_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert process.python_command("/my/python")[0] == "/my/python"
    assert process.python_command()[0] == sys.executable
    assert process.python_command()[1:] == ["-X", "utf8", "-P", "-u", "-m", "deeprecon.worker"]
    (tmp_path / "home" / "bin").mkdir(parents=True)
    launcher = tmp_path / "home" / "bin" / ("PythonSlicer.exe" if os.name == "nt" else "PythonSlicer")
    launcher.touch(mode=0o755)
    monkeypatch.setenv("SLICER_HOME", str(tmp_path / "home"))
    assert process.python_command()[0] == str(launcher)
    monkeypatch.delenv("SLICER_HOME")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "SlicerApp-real"))
    with pytest.raises(InputError, match="No Python interpreter"):
        process.python_command()


def test_the_childs_environment_is_a_copy_with_library_and_overlay_in_front(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", "old")
    before = dict(os.environ)
    environment = process.child_environment(tmp_path)
    library, overlay, old = environment["PYTHONPATH"].split(os.pathsep)
    assert (Path(library) / "deeprecon").is_dir()
    assert (overlay, old) == (str(tmp_path), "old")
    assert dict(os.environ) == before
