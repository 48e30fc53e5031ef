"""Small runs of every method for `interruptions.py`, and starting them."""

from __future__ import annotations

import importlib
import io
import os
import runpy
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import common  # noqa: F401 the library's path

from deeprecon.jobs.process import child_environment

PROGRAM = [sys.executable, "-m", "deeprecon"]
DONE, INTERNAL, BAD_INPUT, CANCELLED = range(4)


@dataclass(frozen=True)
class Task:
    """A verb on files that were made for it.

    Attributes:
        verb: method and verb.
        options: of the run.
        inputs: files by option.
    """

    verb: tuple[str, str]
    options: tuple[str, ...]
    inputs: dict[str, Path]

    def arguments(self, output: Path, inputs: dict[str, Path] | None = None) -> list[str]:
        """The command line."""
        given = [word for name, path in (inputs or self.inputs).items() for word in (name, str(path))]
        return [*self.verb, *given, *self.options, "--threads", "1", "--output", str(output)]


def make(folder: Path, *arguments: str) -> Path:
    """Make inputs by a verb of the product."""
    ran = run([*arguments, "--output", str(folder)])
    if ran.returncode != DONE:
        raise RuntimeError(ran.stdout)
    return folder


def make_scar(folder: Path) -> Task:
    """A heart with its segmentation."""
    heart = make(folder / "heart", "scar", "phantom", "--node-spacing", "5", "--pixel", "5", "--no-dicom")
    mesh, segments = heart / "mesh.vtu", next(heart.glob("*.seg.nrrd"))
    inputs = {"--mesh": mesh, "--scar": segments, "--myocardium": segments}
    return Task(("scar", "reconstruct"), ("--steps", "60"), inputs)


def make_dwmri(folder: Path) -> Task:
    """A small head."""
    size = ("--columns", "16", "--rows", "16", "--slices", "8", "--shells", "1000:6")
    head = make(folder / "head", "dwmri", "phantom", *size)
    inputs = {"--dwi": head / "dwi.nii.gz", "--bval": head / "dwi.bval", "--bvec": head / "dwi.bvec"}
    return Task(("dwmri", "enhance"), ("--steps", "40"), inputs)


def make_ctpa(folder: Path) -> Task:
    """A film and a model of few channels."""
    from unit.ctpa.tiny_bundle import make_bundle, make_xray

    inputs = {"--xray": make_xray(folder / "xray.nii.gz"), "--bundle": make_bundle(folder / "bundle")}
    return Task(("ctpa", "synthesize"), ("--steps", "4", "--samples", "2"), inputs)


def make_scattering(folder: Path) -> Task:
    """Far fields of discs."""
    fields = make(folder / "fields", "scattering", "phantom", "--count", "8", "--k", "4")
    return Task(("scattering", "reconstruct"), (), {"--data": next(fields.glob("*.h5"))})


def make_seizure_preparation(folder: Path) -> Task:
    """Events of two users."""
    watch = make(folder / "watch", "seizure", "phantom", "--users", "2", "--seizures", "1", "--minutes", "1")
    return Task(("seizure", "prepare"), (), {"--recordings": watch / "events.json"})


def make_seizure_training(folder: Path) -> Task:
    """Events of six users."""
    size = ("--users", "6", "--seizures", "1", "--minutes", "1", "--recording", "0.3")
    watch = make(folder / "watch", "seizure", "phantom", *size)
    dataset = make(folder / "dataset", "seizure", "prepare", "--recordings", str(watch / "events.json"))
    options = ("--models", "2", "--steps", "8")
    return Task(("seizure", "train"), options, {"--data": dataset / "dataset.npz"})


def make_seizure_detection(folder: Path) -> Task:
    """A recording and a model."""
    training = make_seizure_training(folder)
    data = str(training.inputs["--data"])
    model = make(folder / "model", "seizure", "train", "--data", data, "--models", "2", "--steps", "4")
    inputs = {"--recording": folder / "watch" / "recording.csv", "--bundle": model / "bundle"}
    return Task(("seizure", "detect"), (), inputs)


TASKS: dict[str, Callable[[Path], Task]] = {
    "scar": make_scar,
    "dwmri": make_dwmri,
    "ctpa": make_ctpa,
    "scattering": make_scattering,
    "seizure preparation": make_seizure_preparation,
    "seizure training": make_seizure_training,
    "seizure detection": make_seizure_detection,
}


Process = subprocess.Popen[str]


class ForkedProcess:
    """The command line in a fork of this process, which has imported all; as `subprocess.Popen`, as far as used.

    Args:
        arguments: of the command line.
        modules: a file for the names of the modules that are loaded at its end; none without.
    """

    def __init__(self, arguments: Sequence[str], modules: Path | None = None) -> None:
        self.returncode: int | None = None
        reading, writing = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(reading)
            self._be_command_line(arguments, writing, modules)
        os.close(writing)
        self._output = reading

    def _be_command_line(self, arguments: Sequence[str], writing: int, modules: Path | None) -> None:
        code = INTERNAL
        try:
            os.setsid()
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(writing, 1)
            os.dup2(writing, 2)
            os.close(writing)
            sys.stdout, sys.stderr = (io.TextIOWrapper(io.FileIO(number, "w", closefd=False)) for number in (1, 2))
            os.environ.update(child_environment())
            sys.argv = ["deeprecon", *arguments]
            runpy.run_module("deeprecon", run_name="__main__", alter_sys=True)
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            if modules is not None:
                modules.write_text("\n".join(sys.modules), encoding="utf-8")
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def poll(self) -> int | None:
        """The exit code; None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def communicate(self, timeout: float) -> tuple[str, None]:
        """All that it prints."""
        parts, end = [], time.monotonic() + timeout
        while select.select([self._output], [], [], max(end - time.monotonic(), 0))[0]:
            if not (part := os.read(self._output, 65536)):
                os.close(self._output)
                if self.returncode is None:
                    self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
                return b"".join(parts).decode("utf-8", "replace"), None
            parts.append(part)
        os.killpg(self.pid, signal.SIGKILL)
        raise subprocess.TimeoutExpired(sys.argv, timeout)


_is_warm = False


def load_modules(arguments: Sequence[str], names: Path) -> None:
    """Run the command line once and import what it imports: later ones are forks of this process."""
    global _is_warm
    from deeprecon import cli  # noqa: F401

    text, _ = (process := ForkedProcess(arguments, names)).communicate(timeout=1200)
    if process.returncode != DONE:
        raise RuntimeError(text)
    for name in names.read_text(encoding="utf-8").splitlines():
        if name not in sys.modules:
            with suppress(Exception):
                importlib.import_module(name)
    _is_warm = True


def start(
    arguments: Sequence[str], environment: Mapping[str, str] | None = None, **options: Any
) -> Process | ForkedProcess:
    """Start the command line in a process group of its own.

    Args:
        arguments: of the command line.
        environment: variables besides, or instead of, our own.
        options: of `subprocess.Popen`.
    """
    if _is_warm and environment is None and not options:
        return ForkedProcess(arguments)
    with_ours = {**child_environment(), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*PROGRAM, *arguments],
        env=with_ours | dict(environment or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        **options,
    )


def run(arguments: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Run the command line to its end; options as `start` has them."""
    process = start(arguments, **options)
    output, _ = process.communicate(timeout=1200)
    return subprocess.CompletedProcess(arguments, process.returncode or 0, output)
