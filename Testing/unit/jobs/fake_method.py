"""A method made for the tests: tasks that work, fail, crash and hang in every way. Run as a script it is a worker."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

from deeprecon.data.doubts import CODES, Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.files import write_json, write_text
from deeprecon.jobs.parameters import Range, check_ranges
from deeprecon.jobs.run import Outcome, Run, Stopped
from deeprecon.jobs.verbs import METHODS, Verb

CODES.update({"test-doubt": "Made for the tests.", "second-doubt": "Made for the tests."})


class Mode(Enum):
    OK = "ok"
    ABORT = "abort"
    SEGFAULT = "segfault"
    KILLED = "killed"
    ADDRESS_SPACE = "address-space"
    BAD_ALLOC = "bad-alloc"
    FILE_SIZE = "file-size"
    FILL_OUTPUT = "fill-output"
    VERBOSE = "verbose"
    GRANDCHILD = "grandchild"
    UNRESPONSIVE = "unresponsive"
    STOPPED = "stopped"
    INPUT = "input"
    BUG = "bug"
    HALF = "half"
    SILENT = "silent"
    LINGER = "linger"
    OVERWRITE = "overwrite"
    CONTRADICTION = "contradiction"
    ASSUMPTION = "assumption"


@dataclass(frozen=True)
class Inputs:
    image: Annotated[Path | None, "an image"] = None
    masks: Annotated[tuple[Path, ...], "masks, one per image"] = ()


@dataclass(frozen=True)
class Parameters:
    mode: Annotated[Mode, "what happens"] = Mode.OK
    steps: Annotated[int, Range(1, 1_000_000), "steps to take"] = 5
    delay: Annotated[float, Range(0, 60, "s"), "time of a step; 100 % of it is waiting"] = 0.0
    hold: Annotated[int, Range(-1, 1_000_000), "step before which it waits to be released or stopped; -1 for none"] = -1
    labels: Annotated[tuple[str, ...], "labels"] = ()
    slice_thickness: Annotated[float | None, Range(0.1, 30, "mm"), "thickness of a slice"] = None
    loud: Annotated[bool, "print as well"] = False

    def validate(self) -> list[str]:
        return check_ranges(self)


@dataclass(frozen=True)
class Needed:
    image: Annotated[Path, "an image that must be given"]


def work(inputs: Inputs, parameters: Parameters, run: Run) -> Outcome:
    """A chain of hashes, each step in need of the one before, with a checkpoint after each."""
    mode = parameters.mode
    if mode is not Mode.OK:
        misbehave(mode, run, inputs)
    run.checkpoint.mkdir(exist_ok=True)
    saved = run.checkpoint / "state.json"
    step, state = 0, f"seed {run.seed}"
    if saved.exists():
        values = json.loads(saved.read_text(encoding="utf-8"))
        step, state = values["step"], values["state"]
        run.reporter.status(f"Resumed at step {step}")
    while step < parameters.steps and not run.should_stop():
        if step == parameters.hold and not (run.folder / "release").exists():
            time.sleep(0.005)
            continue
        time.sleep(parameters.delay)
        state, step = hashlib.sha256(state.encode()).hexdigest(), step + 1
        write_json(saved, {"step": step, "state": state})
        run.reporter.metric(step, loss=float("nan") if step == 1 else 1 / step)
        run.reporter.progress(step / parameters.steps)
        if parameters.loud:
            print("Schritt ä 心", step)
    write_text(run.output / "chain.txt", state)
    masks = "".join(path.read_text(encoding="utf-8") for path in inputs.masks)
    write_text(run.output / "unlisted.txt", masks)
    metrics = {"steps": step, "loss": 1 / step if step else None, "nothing": float("nan")}
    return Outcome({"chain": Path("chain.txt")}, metrics, {"note": "n"})


def misbehave(mode: Mode, run: Run, inputs: Inputs) -> None:
    run.reporter.status("started")
    if mode is Mode.ABORT:
        os.abort()
    elif mode is Mode.SEGFAULT:
        print("last words", flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    elif mode is Mode.KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    elif mode is Mode.ADDRESS_SPACE:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        bytearray(4 << 30)
    elif mode is Mode.BAD_ALLOC:
        print("terminate called after throwing an instance of 'std::bad_alloc'", flush=True)
        os.abort()
    elif mode is Mode.FILE_SIZE:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        (run.output / "large.bin").write_bytes(bytes(1_000_000))
    elif mode is Mode.FILL_OUTPUT:
        write_text(run.output / "large.bin", "x" * 5_000_000)
    elif mode is Mode.VERBOSE:
        for number in range(100_000):
            print("line", number)
    elif mode is Mode.GRANDCHILD:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
        run.reporter.status(f"grandchild {child.pid}")
        time.sleep(300)
    elif mode is Mode.UNRESPONSIVE:
        time.sleep(300)
    elif mode is Mode.STOPPED:
        while not run.should_stop():
            time.sleep(0.01)
        raise Stopped
    elif mode is Mode.INPUT:
        raise InputError("The image shows nothing.", "Take another one.")
    elif mode is Mode.BUG:
        raise KeyError("bug")
    elif mode is Mode.HALF:
        (run.output / "chain.txt").write_text("half", encoding="utf-8")
        raise RuntimeError("half way")
    elif mode is Mode.SILENT:
        os._exit(0)
    elif mode is Mode.LINGER:
        threading.Thread(target=time.sleep, args=(300,)).start()
    elif mode in (Mode.CONTRADICTION, Mode.ASSUMPTION):
        assumed = mode is Mode.ASSUMPTION
        run.consider([Doubt("test-doubt", "image.txt", "Left is right.", "Turn it.", assumed)])
    elif mode is Mode.OVERWRITE:
        write_text(run.output / "image.txt", "a result")


def pack(inputs: Inputs, parameters: Parameters, run: Run) -> Outcome:
    """A folder with as many files as steps."""
    (run.output / "series").mkdir()
    for number in range(parameters.steps):
        write_text(run.output / "series" / f"{number}.txt", str(number))
    return Outcome({"series": Path("series")})


def never(parameters: Parameters) -> bool:
    return False


def folds(inputs: Inputs, parameters: Parameters, run: Run) -> Outcome:
    """As many independent fits as steps, each a hash with a checkpoint of its own.

    At fit `hold` it misbehaves or, in mode ok, waits, unless the whole run is released.
    """
    folder, released = run.checkpoint, run.checkpoint.parent / "release"
    folder.mkdir(exist_ok=True)
    if parameters.mode in (Mode.CONTRADICTION, Mode.ASSUMPTION):
        misbehave(parameters.mode, run, inputs)
    share = run.share(range(parameters.steps))
    for done, number in enumerate(share):
        path = folder / f"{number}.json"
        while number == parameters.hold and not released.exists() and not path.exists():
            if parameters.mode is not Mode.OK:
                misbehave(parameters.mode, run, inputs)
            if run.should_stop():
                raise Stopped
            time.sleep(0.005)
        if not path.exists():
            state = hashlib.sha256(f"{run.seed} {number}".encode()).hexdigest()
            write_json(path, {"state": state, "process": os.getpid()})
        run.reporter.progress((done + 1) / len(share))
    if run.part is not None:
        return Outcome()
    made = [json.loads((folder / f"{number}.json").read_text(encoding="utf-8")) for number in range(parameters.steps)]
    write_text(run.output / "chain.txt", "\n".join(fit["state"] for fit in made))
    metrics = {"steps": len(made), "processes": len({fit["process"] for fit in made} - {os.getpid()})}
    return Outcome({"chain": Path("chain.txt")}, metrics)


VERBS = {
    "work": Verb("Take steps.", Inputs, Parameters, work, needs_torch=never),
    "pack": Verb("Write a folder.", Inputs, Parameters, pack, needs_torch=never),
    "need": Verb("Need an image.", Needed, Parameters, pack, needs_torch=never),
    "train": Verb("Use a device.", Inputs, Parameters, work),
    "folds": Verb("Make fits.", Inputs, Parameters, folds, needs_torch=never, in_parts=lambda parameters: True),
}

if __name__ == "__main__":
    from deeprecon import worker

    METHODS["fake"] = "fake_method"
    sys.exit(worker.main())
