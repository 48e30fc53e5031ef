"""Many cases with Dask: local workers, workers elsewhere over TLS, and jobs of a batch system."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from distributed.security import Security

from deeprecon import cli
from deeprecon.cases.dask_engine import changed_variables
from deeprecon.jobs.process import child_environment
from deeprecon.jobs.verbs import METHODS

from .shell import FAKE_WORKER, HERE, result, start_shell, wait_for

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
PRELOAD = {"DASK_DISTRIBUTED__WORKER__PRELOAD": json.dumps([str(HERE / "jobs" / "fake_dask_worker.py")])}
LOCAL = ["--scheduler", "local", "--workers", "2"]


@pytest.fixture(autouse=True)
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fake method in this process, and its worker for the processes that --cases starts."""
    monkeypatch.syspath_prepend(str(HERE / "jobs"))
    monkeypatch.setitem(METHODS, "fake", "fake_method")
    monkeypatch.setattr("deeprecon.cases.engine.python_command", lambda interpreter: FAKE_WORKER)


def summary(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@contextmanager
def running(arguments: list[str], **variables: str) -> Iterator[subprocess.Popen[str]]:
    """The command line, which is gone with all its children afterwards."""
    shell = start_shell(arguments, **PRELOAD, **variables)
    try:
        yield shell
    finally:
        for process in [*psutil.Process(shell.pid).children(recursive=True)] if shell.poll() is None else []:
            process.kill()
        shell.kill()
        shell.communicate()


def events(output: Path, case: str) -> str:
    path = output / case / ".job" / "events.jsonl"
    return path.read_text(encoding="utf-8") if path.exists() else ""


def holds(output: Path, case: str, step: int) -> Callable[[], bool]:
    """Whether a case waits before the step after `step`."""
    state = output / case / ".job" / "checkpoint" / "state.json"
    return lambda: state.exists() and json.loads(state.read_text(encoding="utf-8"))["step"] == step


def child_of_case(shell: subprocess.Popen[str], case: str) -> psutil.Process | None:
    """The process that computes a case, or a part of a run ("parts/1")."""
    for process in psutil.Process(shell.pid).children(recursive=True):
        try:
            folder = "".join(process.cmdline()[-1:])
            if folder.endswith((f"/{case}/.job", f"/.job/{case}")):
                return process
        except psutil.Error:
            continue
    return None


def kill_worker(shell: subprocess.Popen[str], case: str) -> None:
    """Kill the Dask worker that runs a case, whose process ends with it."""
    found: list[psutil.Process] = []
    wait_for(lambda: bool(found.extend(filter(None, [child_of_case(shell, case)])) or found))
    found[0].parent().kill()
    wait_for(lambda: not found[0].is_running() or found[0].status() == psutil.STATUS_ZOMBIE)


def listening_hosts(shell: subprocess.Popen[str]) -> set[str]:
    """Addresses on which a process and its children listen."""
    root, found = psutil.Process(shell.pid), set()
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            connections = process.net_connections("inet")
            found |= {entry.laddr.ip for entry in connections if entry.status == psutil.CONN_LISTEN}
    return found


def test_local_workers_give_what_processes_give_and_listen_to_this_computer_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, output = tmp_path / "cases.csv", tmp_path / "dask"
    rows = ["a,ok,3,-1", "gone,input,1,-1", "crash,abort,1,-1", "d,ok,9,2", "b,assumption,4,-1", "c,ok,5,-1"]
    table.write_text("case,mode,steps,hold\n" + "\n".join(rows), encoding="utf-8")
    with running(["fake", "work", "--cases", str(table), "--output", str(output), *LOCAL]) as shell:
        wait_for(holds(output, "d", 2))
        hosts = listening_hosts(shell)
        child = child_of_case(shell, "d")
        assert child is not None
        changed = {name: child.environ().get(name) for name in changed_variables()}
        (output / "d" / ".job" / "release").touch()
        text, _ = shell.communicate(timeout=300)
        assert shell.returncode == cli.INTERNAL, text
    assert hosts == {"127.0.0.1"}
    assert changed == changed_variables()  # those of the shell, not the slow memory of Dask's workers
    assert "b: " in text
    assert text.count("100 %") == 1
    table.write_text("case,mode,steps\n" + "\n".join(row.rpartition(",")[0] for row in rows), encoding="utf-8")
    cli.main(["fake", "work", "--cases", str(table), "--output", str(tmp_path / "plain")])
    tables = [summary(tmp_path / name / "summary.csv") for name in ("dask", "plain")]
    for row in (*tables[0], *tables[1]):
        del row["seconds"]
    assert tables[0] == tables[1]
    for case in "abcd":
        first, second = (result(tmp_path / name / case) for name in ("dask", "plain"))
        assert first["outputs"] == second["outputs"]
        assert first["metrics"] == second["metrics"]


def test_a_case_whose_worker_is_lost_continues_once_and_no_other_is_lost_or_doubled(tmp_path: Path) -> None:
    table, output = tmp_path / "cases.csv", tmp_path / "out"
    table.write_text("case,hold\nonce,3\ntwice,4\nlast,-1\n", encoding="utf-8")
    with running(["fake", "work", "--cases", str(table), "--output", str(output), *LOCAL]) as shell:
        wait_for(lambda: holds(output, "once", 3)() and holds(output, "twice", 4)())
        kill_worker(shell, "once")
        wait_for(lambda: "Resumed at step 3" in events(output, "once"))
        (output / "once" / ".job" / "release").touch()
        wait_for((output / "once" / "result.json").exists)
        kill_worker(shell, "twice")
        wait_for(lambda: "Resumed at step 4" in events(output, "twice"))
        kill_worker(shell, "twice")
        text, _ = shell.communicate(timeout=300)
        assert shell.returncode == cli.INTERNAL, text
    assert "once: its worker was lost; it is run once more." in text
    rows = summary(output / "summary.csv")
    assert [(row["case"], row["status"]) for row in rows] == [("once", "done"), ("twice", "crash"), ("last", "done")]
    assert "continue with --resume" in rows[1]["message"]
    assert (output / "once" / "chain.txt").read_bytes() == (output / "last" / "chain.txt").read_bytes()
    assert [events(output, case).count('"type": "result"') for case in ("once", "twice", "last")] == [1, 0, 1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_from_the_terminal_stops_what_runs_and_can_be_resumed(tmp_path: Path, number: int) -> None:
    table, output = tmp_path / "cases.csv", tmp_path / "out"
    table.write_text("case,hold\na,2\nb,3\nc,-1\n", encoding="utf-8")
    with running(["fake", "work", "--cases", str(table), "--output", str(output), *LOCAL]) as shell:
        wait_for(lambda: holds(output, "a", 2)() and holds(output, "b", 3)())
        # A terminal sends Ctrl+C to all processes of its group, the workers too.
        os.killpg(shell.pid, number) if number == signal.SIGINT else shell.send_signal(number)
        text, _ = shell.communicate(timeout=300)
    assert shell.returncode == cli.CANCELLED, text
    assert "Traceback" not in text
    assert [(row["case"], row["status"]) for row in summary(output / "summary.csv")] == [
        ("a", "cancelled"),
        ("b", "cancelled"),
    ]
    assert not (output / "c").exists()
    for case in "ab":
        (output / case / ".job" / "release").touch()
    assert cli.main(["fake", "work", "--resume", str(output)]) == cli.DONE
    assert "Resumed at step 3" in events(output, "b")
    assert len({(output / case / "chain.txt").read_bytes() for case in "abc"}) == 1


def test_cases_stop_when_the_program_that_asked_for_them_is_gone(tmp_path: Path) -> None:
    table, output = tmp_path / "cases.csv", tmp_path / "out"
    table.write_text("case,hold\na,2\n", encoding="utf-8")
    with running(["fake", "work", "--cases", str(table), "--output", str(output), *LOCAL]) as shell:
        wait_for(holds(output, "a", 2))
        child = child_of_case(shell, "a")
        shell.kill()
        wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
    assert not (output / "a" / "result.json").exists()


def test_the_fits_of_one_run_are_made_by_workers_and_give_what_one_process_gives(tmp_path: Path) -> None:
    settings = ["fake", "folds", "--steps", "5", "--hold", "3"]
    output = tmp_path / "dask"
    with running([*settings, "--output", str(output), *LOCAL]) as shell:
        wait_for((output / ".job" / "checkpoint" / "1.json").exists)
        wait_for((output / ".job" / "checkpoint" / "4.json").exists)
        kill_worker(shell, "parts/2")
        (output / ".job" / "release").touch()
        text, _ = shell.communicate(timeout=300)
        assert shell.returncode == cli.DONE, text
    assert "Part 2 of 2: its worker was lost; it is run once more." in text
    assert cli.main([*settings[:4], "--output", str(tmp_path / "plain")]) == cli.DONE
    assert (output / "chain.txt").read_bytes() == (tmp_path / "plain" / "chain.txt").read_bytes()
    assert result(output)["metrics"]["processes"] == 3


@pytest.fixture
def secured(tmp_path: Path) -> dict[str, str]:
    """Settings with which Dask encrypts, and asks for a certificate that was made for this test."""
    credentials = Security.temporary()
    files = {}
    for name in ("tls_ca_file", "tls_client_cert", "tls_client_key"):
        (tmp_path / name).write_text(getattr(credentials, name), encoding="utf-8")
        files[name] = str(tmp_path / name)
    tls = {
        "DASK_DISTRIBUTED__COMM__REQUIRE_ENCRYPTION": "true",
        "DASK_DISTRIBUTED__COMM__TLS__CA_FILE": files["tls_ca_file"],
    }
    for role in ("SCHEDULER", "WORKER", "CLIENT"):
        tls[f"DASK_DISTRIBUTED__COMM__TLS__{role}__CERT"] = files["tls_client_cert"]
        tls[f"DASK_DISTRIBUTED__COMM__TLS__{role}__KEY"] = files["tls_client_key"]
    return tls


@pytest.fixture
def scheduler(tmp_path: Path, secured: dict[str, str]) -> Iterator[str]:
    """The address of a scheduler with one worker, which offers a GPU."""
    environment = {**child_environment(), **secured, **PRELOAD}
    file = tmp_path / "scheduler.json"
    module = [sys.executable, "-m"]
    options = ["--protocol", "tls", "--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(file)]
    commands = [
        [*module, "distributed.cli.dask_scheduler", *options, "--port", "0"],
        [*module, "distributed.cli.dask_worker", *options, "--nthreads", "1", "--no-nanny", "--resources", "GPU=1"],
    ]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = [subprocess.Popen(command, env=environment, **quiet) for command in commands]
    wait_for(file.exists)
    yield json.loads(file.read_text(encoding="utf-8"))["address"]
    for process in processes:
        process.kill()
        process.wait()


def test_workers_elsewhere_are_reached_over_tls_and_their_gpus_are_counted(
    tmp_path: Path, scheduler: str, secured: dict[str, str]
) -> None:
    (tmp_path / "cases.csv").write_text("case\na\nb\n", encoding="utf-8")
    arguments = ["--cases", str(tmp_path / "cases.csv"), "--scheduler", scheduler, "--threads", "1"]
    with running(["fake", "work", *arguments, "--output", str(tmp_path / "out")], **secured) as shell:
        text, _ = shell.communicate(timeout=300)
        assert shell.returncode == cli.DONE, text
    with running(["fake", "train", *arguments, "--output", str(tmp_path / "gpu")], **secured) as shell:
        text, _ = shell.communicate(timeout=300)
    rows = summary(tmp_path / "gpu" / "summary.csv")
    assert len(rows) == 2
    assert all("The device cuda:0 cannot be used" in row["message"] or row["status"] == "done" for row in rows), text
    with running(["fake", "work", *arguments, "--output", str(tmp_path / "no")]) as shell:
        text, _ = shell.communicate(timeout=300)
    assert shell.returncode == cli.BAD_INPUT, text
    assert "No Dask scheduler answers" in text
    assert "Traceback" not in text


SBATCH = """#!{python}
import subprocess, sys
open({record!r}, "a").write(open(sys.argv[1]).read())
log = open({record!r} + ".log", "a")
job = subprocess.Popen(["bash", "-c", open(sys.argv[1]).read()], stdout=log, stderr=log, start_new_session=True)
print("Submitted batch job", job.pid)
"""
SCANCEL = """#!/bin/bash
kill -9 -- "-$1"
"""


def test_slurm_runs_the_workers(tmp_path: Path) -> None:
    """`sbatch` is one that runs the job here."""
    tools = tmp_path / "tools"
    tools.mkdir()
    script = tmp_path / "script"
    for name, text in (("sbatch", SBATCH.format(python=sys.executable, record=str(script))), ("scancel", SCANCEL)):
        (tools / name).write_text(text, encoding="utf-8")
        (tools / name).chmod(0o755)
    (tmp_path / "cases.csv").write_text("case\na\nb\n", encoding="utf-8")
    variables = {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "DASK_JOBQUEUE__SLURM__MEMORY": "1GB",
        "DASK_JOBQUEUE__SLURM__INTERFACE": "lo",
    }
    arguments = ["--cases", str(tmp_path / "cases.csv"), "--scheduler", "slurm", "--workers", "1", "--threads", "2"]
    with running(["fake", "work", *arguments, "--output", str(tmp_path / "out")], **variables) as shell:
        text, _ = shell.communicate(timeout=300)
        assert shell.returncode == cli.DONE, text + (tmp_path / "script.log").read_text(encoding="utf-8")
    written = script.read_text(encoding="utf-8")
    assert "#SBATCH --cpus-per-task=2" in written
    assert "tls://" in written
    assert [row["status"] for row in summary(tmp_path / "out" / "summary.csv")] == ["done", "done"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--scheduler", "tcp://127.0.0.1:9"], "--threads must be given"),
        (["--scheduler", "slurm", "--threads", "1"], "--workers N must be given"),
        (["--scheduler", "slurm", "--threads", "1", "--workers", "2"], "jobqueue.yaml"),
    ],
)
def test_what_is_missing_is_said(
    tmp_path: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cases.csv").write_text("case\na\n", encoding="utf-8")
    arguments = ["--cases", str(tmp_path / "cases.csv"), "--output", str(tmp_path / "out"), *options]
    assert cli.main(["fake", "work", *arguments]) == cli.BAD_INPUT
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out" / "a").exists()


def test_an_unknown_scheduler_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["fake", "work", "--cases", "cases.csv", "--output", str(tmp_path), "--scheduler", "cloud"])
    assert "neither local, slurm, lsf, pbs nor an address" in capsys.readouterr().err
