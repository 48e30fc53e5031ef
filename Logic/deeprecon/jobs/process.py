"""Child processes that end with their parent and are killed with all their children.

`python -m deeprecon.jobs.process MODULE ARGUMENTS` runs any module in this way, such as pip.
"""

from __future__ import annotations

import os
import runpy
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

from deeprecon.data.errors import InputError

WATCH = "DEEPRECON_WATCH_STDIN"
"""Set in a child's environment: the end of its stdin means that the parent is gone."""


def python_command(interpreter: str | None = None, module: str = "deeprecon.worker") -> list[str]:
    """The command that runs a module; for the worker, a job folder (or --probe) is to be appended.

    Nothing is imported from the working folder (-P).

    Args:
        interpreter: as set by the user. Left out, it is PythonSlicer (on the path, else below the application's
            folder), else, outside Slicer, the Python that runs this; inside Slicer sys.executable is empty or the
            application, which must not be started again.
        module: what Python runs.

    Raises:
        InputError: no interpreter was found.
    """
    found = interpreter or shutil.which("PythonSlicer") or _python_slicer() or _own_python()
    if not found:
        raise InputError("No Python interpreter was found to compute with.", "Choose one in the panel, under Device.")
    return [found, "-X", "utf8", "-P", "-u", "-m", module]


def child_environment(overlay: Path | None = None, environment: dict[str, str] | None = None) -> dict[str, str]:
    """An environment in which a child finds this library and, where given, the overlay's packages.

    Args:
        overlay: folder of packages.
        environment: a copy of it is extended; ours where left out.
    """
    environment = dict(os.environ if environment is None else environment)
    library = Path(__file__).resolve().parents[2]
    folders = [str(library), *([str(overlay)] if overlay else []), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(folder for folder in folders if folder)
    environment["PYTHONUTF8"] = "1"
    environment["PYTHONFAULTHANDLER"] = "1"  # a crash in compiled code then leaves its place in the log
    return environment


def start(command: list[str], environment: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """Start a child in a process group of its own, stdout and stderr in one UTF-8 pipe.

    The child's stdin is a pipe that nobody writes to and whose only writing end is ours: it ends when we do, in
    whatever way. A child that calls `die_with_parent` then kills its own group. That works on every platform, through
    launchers such as PythonSlicer, and for grandchildren, unlike Linux's PR_SET_PDEATHSIG.

    Raises:
        InputError: the program cannot be started.
    """
    environment = {**(os.environ if environment is None else environment), WATCH: "1"}
    try:
        return subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            bufsize=1,
            start_new_session=os.name == "posix",
            creationflags=_windows_flag("CREATE_NEW_PROCESS_GROUP") | _windows_flag("CREATE_NO_WINDOW"),
        )
    except OSError as error:
        message = f"Cannot start {command[0]}: {error.strerror or error}."
        raise InputError(message, "Check the interpreter setting.") from error


def kill_tree(process: subprocess.Popen[str]) -> None:
    """Kill a child made by `start` with all its children, at once. Does nothing where all are gone."""
    if sys.platform == "win32":
        if process.poll() is None:  # taskkill follows the tree from a living root only
            _taskkill(process.pid)
    else:
        # The child leads its group, so the group has its id. macOS says EPERM for a group of zombies.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def die_with_parent() -> bool:
    """To be called by the child, early: from now on it is killed with its children when its parent goes.

    Returns:
        False, and nothing is done, in a process that was not made by `start`.
    """
    if os.environ.pop(WATCH, None) is None:
        return False
    # Grandchildren get an empty stdin: they must not hold or read the pipe.
    pipe = os.dup(0)
    empty = os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)

    def watch() -> None:
        while os.read(pipe, 1024):
            pass
        if sys.platform == "win32":
            _taskkill(os.getpid())
            os._exit(1)
        else:
            os.killpg(os.getpgrp(), signal.SIGKILL)

    threading.Thread(target=watch, name="parent watch", daemon=True).start()
    return True


def _python_slicer() -> str | None:
    folders = [Path(os.environ["SLICER_HOME"]) / "bin"] if os.environ.get("SLICER_HOME") else []
    if sys.executable:
        folders.append(Path(sys.executable).parent)
    return shutil.which("PythonSlicer", path=os.pathsep.join(map(str, folders))) if folders else None


def _own_python() -> str | None:
    return sys.executable if Path(sys.executable or "").name.lower().startswith("python") else None


def _windows_flag(name: str) -> int:
    return int(getattr(subprocess, name, 0))


def _taskkill(pid: int) -> None:
    subprocess.run(
        ["taskkill", "/PID", str(pid), "/T", "/F"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        creationflags=_windows_flag("CREATE_NO_WINDOW"),
        check=False,
    )


if __name__ == "__main__":
    die_with_parent()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
