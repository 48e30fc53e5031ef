"""Ends runs of every method at random moments and in every way, and looks at what is left.

    python Testing/benchmarks/interruptions.py --points 10

Each row is a method and a way to end a run: `kill -9`, SIGTERM and Ctrl+C in a new folder, over an earlier result and
in `--cases`; a folder that is deleted, an input that is altered, a full disk, little memory, two runs in one folder,
two runs on one input, a clock that jumps. After each the script checks that an earlier result is whole (every file has
the checksum that its result.json states), that nothing half-written passes for a result, that no traceback is shown,
that the exit code is the right one, and, after a kill, that `--resume` gives the files of a run that was left alone.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import common
import numpy as np
from interruption_tasks import BAD_INPUT, CANCELLED, DONE, INTERNAL, TASKS, Task, load_modules, run, start

from deeprecon.jobs.process import child_environment

OWN_CODE = f"{os.sep}deeprecon{os.sep}"
"""In a traceback that goes through the library."""
UNCOMPARED = ("report.html", "provenance", "history")
"""Outputs that hold dates or times."""
TRIES = 5
"""So often an input is altered until a run sees it."""
DATES = (86_400.0, 4_102_444_800.0)
"""Of a clock without battery, 1970, and of one that is 70 years fast, 2100; in seconds since 1970."""
CLOCK = """
import datetime, os, time

moment, date = float(os.environ["JUMP_MOMENT"]), float(os.environ["JUMP_DATE"])
now, read = time.time, datetime.datetime
time.time = lambda: date if time.monotonic() > moment else now()
time.time_ns = lambda: int(time.time() * 1e9)
for name in ("localtime", "gmtime"):
    setattr(time, name, lambda seconds=None, of=getattr(time, name): of(time.time() if seconds is None else seconds))


class Jumping(read):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)


datetime.datetime = Jumping
"""
"""Of every Python process that has the folder with it, as sitecustomize.py, on its path."""


def files_of(folder: Path) -> dict[str, str] | None:
    """Checksum by name of the files that result.json lists; None where there is no result.json."""
    path = folder / "result.json"
    if not path.exists():
        return None
    content = json.loads(path.read_text(encoding="utf-8"))
    found = dict(content.get("other_files", {}))
    for entry in content["outputs"].values():
        if "sha256" in entry:
            found[entry["path"]] = entry["sha256"]
        found |= {f"{entry['path']}/{name}": checksum for name, checksum in entry.get("files", {}).items()}
    return found


def is_whole(folder: Path) -> bool:
    """Whether there is no result, or one whose files all have their checksums."""
    listed = files_of(folder)
    return listed is None or all(
        (folder / name).is_file() and hashlib.sha256((folder / name).read_bytes()).hexdigest() == checksum
        for name, checksum in listed.items()
    )


def comparable(folder: Path) -> dict[str, str]:
    """The files that must be equal in two runs of the same settings."""
    files = files_of(folder) or {}
    return {name: value for name, value in files.items() if not any(word in name for word in UNCOMPARED)}


def contents(folder: Path) -> dict[str, bytes]:
    """The result's files byte by byte."""
    names = ["result.json", *(files_of(folder) or {})]
    return {name: (folder / name).read_bytes() for name in names}


class Checks:
    """Ways to end a run of one task; each returns what was wrong, in words.

    Attributes:
        ended: how many runs a signal ended before they were done.

    Args:
        task: that is run.
        folder: for its outputs.
        rng: of the moments.
        fork: runs are forks of this process, so that the moments lie in the run and not in its imports.
    """

    def __init__(self, task: Task, folder: Path, rng: np.random.Generator, fork: bool = False) -> None:
        self.task, self.folder, self.rng = task, folder, rng
        if fork:
            load_modules(task.arguments(folder / "first"), folder / "modules.txt")
        began = time.monotonic()
        alone = run(task.arguments(folder / "alone"))
        self.seconds = time.monotonic() - began
        if alone.returncode != DONE:
            raise RuntimeError(alone.stdout)
        self.expected = comparable(folder / "alone")
        self.ended = 0

    def new_folder(self, earlier: bool) -> Path:
        """An output folder, empty or with a complete earlier result."""
        output = Path(tempfile.mkdtemp(dir=self.folder)) / "out"
        if earlier:
            shutil.copytree(self.folder / "alone", output)
        return output

    def interrupt(self, number: int, earlier: bool) -> list[str]:
        """Send a signal at a random moment."""
        output = self.new_folder(earlier)
        before = contents(output) if earlier else {}
        process = start(self.task.arguments(output))
        time.sleep(float(self.rng.uniform(0.02, 1.0)) * self.seconds)
        os.killpg(process.pid, number) if number == signal.SIGKILL else process.send_signal(number)
        text, _ = process.communicate(timeout=600)
        self.ended += process.returncode != DONE
        if "<frozen site>" in text and OWN_CODE not in text:
            return []  # Python itself was not loaded yet
        wrong = self.common_faults(output, text)
        allowed = {-number, DONE} if number == signal.SIGKILL else {DONE, CANCELLED, -number}
        if process.returncode not in allowed:
            wrong.append(f"exit code {process.returncode}: {text[-300:]}")
        kept = not earlier or contents(output) == before or comparable(output) == self.expected
        if not kept and not self.is_moving(output):
            wrong.append("the earlier result was replaced or damaged")
        if process.returncode != DONE and (output / ".job" / "job.json").exists():
            resumed = run([*self.task.verb, "--resume", str(output)])
            if resumed.returncode != DONE:
                wrong.append(f"not resumed: {resumed.stdout[-300:]}")
            elif comparable(output) != self.expected:
                wrong.append("resumed to other files")
        return wrong

    def is_moving(self, output: Path) -> bool:
        """Whether a kill fell into the move of the files, which the next run ends."""
        return (output / ".incoming").exists()

    def common_faults(self, output: Path, text: str) -> list[str]:
        """What must never be."""
        wrong = [] if is_whole(output) or self.is_moving(output) else ["a result that is not whole"]
        if "Traceback" in text and OWN_CODE in text:
            wrong.append(f"a traceback: {text[-1500:]}")
        return wrong

    def in_cases(self, number: int) -> list[str]:
        """Send a signal to a run of two cases, each of which has an earlier result."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        names = [name.removeprefix("--") for name in self.task.inputs]
        with open(folder / "cases.csv", "w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["case", *names])
            for case in ("a", "b"):
                writer.writerow([case, *(str(path) for path in self.task.inputs.values())])
                shutil.copytree(self.folder / "alone", folder / "out" / case)
        before = [contents(folder / "out" / case) for case in ("a", "b")]
        options = [*self.task.verb, *self.task.options, "--threads", "1", "--cases", str(folder / "cases.csv")]
        process = start([*options, "--output", str(folder / "out")])
        time.sleep(float(self.rng.uniform(0.02, 1.5)) * self.seconds)
        os.killpg(process.pid, number) if number == signal.SIGKILL else process.send_signal(number)
        text, _ = process.communicate(timeout=600)
        self.ended += process.returncode != DONE
        wrong = []
        for case, earlier in zip(("a", "b"), before, strict=True):
            output = folder / "out" / case
            wrong += self.common_faults(output, text)
            if contents(output) != earlier and comparable(output) != self.expected:
                wrong.append(f"case {case} lost its result")
        table = folder / "out" / "summary.csv"
        if table.exists():
            with open(table, encoding="utf-8-sig", newline="") as file:
                for row in csv.DictReader(file):
                    if (
                        row["status"] in ("done", "earlier")
                        and not (folder / "out" / row["case"] / "result.json").exists()
                    ):
                        wrong.append("the summary counts a result that is not there")
        return wrong

    def deleted_folder(self, _: int) -> list[str]:
        """Delete the output folder in the middle of the run."""
        output = self.new_folder(earlier=False)
        process = start(self.task.arguments(output))
        time.sleep(float(self.rng.uniform(0.1, 0.9)) * self.seconds)
        shutil.rmtree(output, ignore_errors=True)
        text, _ = process.communicate(timeout=600)
        wrong = [] if "Traceback" not in text else [f"a traceback: {text[-1500:]}"]
        told = process.returncode in (INTERNAL, BAD_INPUT) and "Error:" in text
        if process.returncode != DONE and not told:
            wrong.append(f"exit code {process.returncode}: {text[-300:]}")
        return wrong

    def altered_input(self, _: int) -> list[str]:
        """Alter an input in the middle of the run, and then resume a run with another input.

        Where the run was over before the input was altered, as it may be on a busy computer, it is tried again.
        """
        for _ in range(TRIES):
            if (wrong := self._alter_input()) is not None:
                return wrong
        return ["an altered input was not seen, or every run was over before"]

    def _alter_input(self) -> list[str] | None:
        """What was wrong; None where the run ended well."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        inputs = {}
        for name, path in self.task.inputs.items():
            copy = folder / path.name
            if not copy.exists():
                shutil.copytree(path, copy) if path.is_dir() else shutil.copy(path, copy)
            inputs[name] = copy
        changed = next(path for path in inputs.values() if path.is_file())
        process = start(self.task.arguments(folder / "out", inputs))
        job = folder / "out" / ".job" / "job.json"
        while process.poll() is None and not (
            job.exists() and json.loads(job.read_bytes() or b"{}").get("inputs_read")
        ):
            time.sleep(0.002)
        content = changed.read_bytes()
        changed.write_bytes(content + b"\n")
        text, _ = process.communicate(timeout=600)
        if process.returncode == DONE:
            return None
        wrong = self.common_faults(folder / "out", text)
        if process.returncode != BAD_INPUT or changed.name not in text:  # as altered, or, read after that, as damaged
            wrong.append(f"an altered input was not named: exit code {process.returncode}: {text[-300:]}")
        resumed = run([*self.task.verb, "--resume", str(folder / "out")])
        if resumed.returncode != BAD_INPUT or "changed since" not in resumed.stdout:
            wrong.append(f"resumed with an altered input: exit code {resumed.returncode}")
        changed.write_bytes(content)
        if run([*self.task.verb, "--resume", str(folder / "out")]).returncode != DONE:
            wrong.append("not resumed with the right input")
        return wrong

    def full_disk(self, _: int) -> list[str]:
        """A disk that gets full over an earlier result."""
        disk = Path(tempfile.mkdtemp(dir=self.folder))
        size = sum(path.stat().st_size for path in (self.folder / "alone").rglob("*") if path.is_file())
        room = int(size * float(self.rng.uniform(1.05, 1.8))) + 200_000
        mount = ["mount", "-t", "tmpfs", "-o", f"size={room}", "none", str(disk)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            return ["a small disk cannot be mounted here"]
        try:
            shutil.copytree(self.folder / "alone", disk / "out")
            before = contents(disk / "out")
            ran = run(self.task.arguments(disk / "out"))
            wrong = self.common_faults(disk / "out", ran.stdout)
            if ran.returncode != DONE:
                if contents(disk / "out") != before:
                    wrong.append("the earlier result was lost")
                if "disk is full" not in ran.stdout and "disk space" not in ran.stdout:
                    wrong.append(f"no word of the disk: {ran.stdout[-300:]}")
            return wrong
        finally:
            subprocess.run(["umount", str(disk)], check=True)

    def little_memory(self, _: int) -> list[str]:
        """An address space that is too small at some point."""
        import resource

        limit = int(float(self.rng.uniform(0.3, 3.0)) * 2**30)
        output = self.new_folder(earlier=True)
        before = contents(output)
        ran = run(
            self.task.arguments(output), preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        )
        wrong = [] if is_whole(output) else ["a result that is not whole"]
        if ran.returncode != DONE and contents(output) != before:
            wrong.append("the earlier result was lost")
        if ran.returncode == INTERNAL and "emory" not in ran.stdout:
            wrong.append(f"no word of memory: {ran.stdout[-300:]}")
        return wrong

    def two_in_one_folder(self, _: int) -> list[str]:
        """A second run in the same folder."""
        output = self.new_folder(earlier=False)
        first = start(self.task.arguments(output))
        time.sleep(float(self.rng.uniform(0.2, 0.8)) * self.seconds)
        second = run(self.task.arguments(output))
        text, _ = first.communicate(timeout=600)
        wrong = self.common_faults(output, text + second.stdout)
        if first.returncode != DONE or comparable(output) != self.expected:
            wrong.append(f"the first run ended with {first.returncode}: {text[-300:]}")
        if second.returncode not in (BAD_INPUT, DONE):
            wrong.append(f"the second run ended with {second.returncode}: {second.stdout[-300:]}")
        return wrong

    def two_on_one_input(self, _: int) -> list[str]:
        """Two runs on the same inputs at once."""
        outputs = [self.new_folder(earlier=False) for _ in range(2)]
        processes = [start(self.task.arguments(output)) for output in outputs]
        wrong = []
        for process, output in zip(processes, outputs, strict=True):
            text, _ = process.communicate(timeout=900)
            wrong += self.common_faults(output, text)
            if process.returncode != DONE or comparable(output) != self.expected:
                wrong.append(f"ended with {process.returncode}: {text[-300:]}")
        return wrong

    def jumping_clock(self, number: int) -> list[str]:
        """A computer's clock that is set to another century in the middle of the run."""
        output = self.new_folder(earlier=False)
        (output.parent / "sitecustomize.py").write_text(CLOCK, encoding="utf-8")
        began = time.monotonic()
        moment = began + float(self.rng.uniform(0.1, 0.9)) * self.seconds
        path = os.pathsep.join([str(output.parent), child_environment()["PYTHONPATH"]])
        jump = {"PYTHONPATH": path, "JUMP_MOMENT": str(moment), "JUMP_DATE": str(DATES[number % len(DATES)])}
        ran = run(self.task.arguments(output), environment=jump)
        wrong = self.common_faults(output, ran.stdout)
        if ran.returncode != DONE or comparable(output) != self.expected:
            return [*wrong, f"ended with {ran.returncode}: {ran.stdout[-300:]}"]
        origin = json.loads((output / "result.json").read_text(encoding="utf-8"))["provenance"]
        if not 0 <= origin["seconds"] <= time.monotonic() - began:
            wrong.append(f"the run is said to have taken {origin['seconds']} s")
        if began + origin["seconds"] > moment and origin["date"][:4] not in ("1970", "2100"):
            wrong.append(f"the clock did not jump: {origin['date']}")
        return wrong

    def ways(self) -> dict[str, Callable[[int], list[str]]]:
        """Ways by name; each takes the number of the point."""
        signals = {"kill -9": signal.SIGKILL, "SIGTERM": signal.SIGTERM, "Ctrl+C": signal.SIGINT}
        found: dict[str, Callable[[int], list[str]]] = {}
        for name, number in signals.items():
            found[name] = lambda _, number=number: self.interrupt(number, earlier=False)
            found[f"{name} over a result"] = lambda _, number=number: self.interrupt(number, earlier=True)
            found[f"{name} in --cases"] = lambda _, number=number: self.in_cases(number)
        return {
            **found,
            "folder deleted": self.deleted_folder,
            "input altered": self.altered_input,
            "disk full": self.full_disk,
            "little memory": self.little_memory,
            "two in one folder": self.two_in_one_folder,
            "two on one input": self.two_on_one_input,
            "clock jump": self.jumping_clock,
        }


def main() -> int:
    """Run, print a table, and return 1 where anything was wrong."""
    parser = common.argument_parser(__doc__, "interruptions")
    parser.add_argument("--points", type=int, default=10, help="random moments for each row (default: 10)")
    parser.add_argument("--task", choices=TASKS, action="append", help="only this one; may be given again")
    parser.add_argument("--way", action="append", help="only ways whose name contains this; may be given again")
    parser.add_argument("--fork", action="store_true", help="fork runs from this process, which has imported all")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.task or TASKS:
            own = Path(folder) / name
            own.mkdir()
            checks = Checks(TASKS[name](own), own, np.random.default_rng(options.seed), options.fork)
            print(f"{name}: {checks.seconds:.1f} s alone", flush=True)
            for way, check in checks.ways().items():
                if options.way and not any(word in way for word in options.way):
                    continue
                checks.ended = 0
                wrong = [fault for number in range(options.points) for fault in check(number)]
                ended = f", {checks.ended} before the end" if checks.ended else ""
                print(f"  {way:24} {options.points:3} points{ended}  {len(wrong):3} faults", flush=True)
                for fault in wrong[:5]:
                    print(f"    {fault}", flush=True)
                rows.append(
                    {"task": name, "way": way, "points": options.points, "ended": checks.ended, "faults": wrong}
                )
    common.write_result(options.json, {"rows": rows})
    return int(any(row["faults"] for row in rows))


if __name__ == "__main__":
    sys.exit(main())
