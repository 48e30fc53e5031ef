"""Damages valid files of every format and reads them: no crash, no hang, no foreign exception, no damage accepted that
the format itself can tell.

    python Testing/benchmarks/fuzz.py --minutes 20
    python Testing/benchmarks/fuzz.py --format "mesh a.vtu" --replay 1234

Each case follows from the format's name and its number alone, so that it can be replayed. Files are read in child
processes, which are watched.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import common
import numpy as np
from fuzz_format import FileFormat
from fuzz_formats import FORMATS

from deeprecon.data import trial
from deeprecon.data.errors import InputError

LIMIT = 30
"""Seconds of computing that reading may take."""
PATIENCE = 10
"""So many times longer it may take by the clock: other processes keep the computer busy."""
MEMORY = 6 * 2**30
"""Bytes of address space of a child."""
SEVERE = ("crash", "hang", "foreign", "accepted")


def damage(content: bytes, rng: np.random.Generator) -> tuple[str, bytes]:
    """What is done to a file's bytes, and the result."""
    kind = str(rng.choice(["flip", "bytes", "zeros", "cut", "cut head", "repeat", "number", "swap"]))
    data, size = bytearray(content), len(content)
    at = int(rng.integers(size))
    if rng.random() < 0.5:
        at = int(rng.integers(min(size, 400)))  # headers are short
    if kind == "flip":
        data[at] ^= 1 << int(rng.integers(8))
    elif kind == "bytes":
        for _ in range(int(rng.integers(1, 6))):
            data[int(rng.integers(size))] = int(rng.integers(256))
    elif kind == "zeros":
        length = int(rng.integers(1, 64))
        data[at : at + length] = bytes(min(length, size - at))
    elif kind == "cut":
        del data[at:]
    elif kind == "cut head":
        del data[:at]
    elif kind == "repeat":
        length = int(rng.integers(1, 200))
        data[at:at] = data[at : at + length]
    elif kind == "number":
        numbers = list(re.finditer(rb"-?\d+(\.\d+)?", content[:20_000]))
        if numbers:
            found = numbers[int(rng.integers(len(numbers)))]
            new = [b"-1", b"0", b"99999999999", b"1e300", b"nan", b"", b"2147483648", b"x", b"0.5"]
            data[found.start() : found.end()] = new[int(rng.integers(len(new)))]
    elif kind == "swap":
        other, length = int(rng.integers(size)), int(rng.integers(1, 32))
        data[at : at + length], data[other : other + length] = data[other : other + length], data[at : at + length]
    return kind, bytes(data)


def run_case(entry: FileFormat, number: int, valid: Path, folder: Path) -> tuple[str, str]:
    """Damage one of the files of a format, read it, and say what happened.

    Args:
        entry: the format.
        number: of the case.
        valid: the folder with valid files.
        folder: for the damaged copy.

    Returns:
        refused, same, read, foreign or accepted; and the details.
    """
    seed = int.from_bytes(hashlib.sha256(f"{entry.name} {number}".encode()).digest()[:8])
    rng = np.random.default_rng(seed)
    shutil.rmtree(folder, ignore_errors=True)
    main = (valid / "main").read_text(encoding="utf-8")
    shutil.copytree(valid / "files", folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    chosen = files[int(rng.integers(len(files)))]
    if main and rng.random() < 0.8:
        chosen = folder / main
    content = chosen.read_bytes()
    kind, damaged = damage(content, rng)
    chosen.write_bytes(damaged)
    what = f"{kind} of {chosen.name}"
    if damaged == content:
        return "same", what
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            value = entry.read(folder / main)
    except InputError as error:
        names = [path.name for path in files] if main else [folder.name]
        if not entry.named or any(name in error.message for name in names):
            return "refused", what
        return "foreign", f"{what}: the message names no file: {error.message[:200]}"
    except MemoryError:
        return "foreign", f"{what}: MemoryError"
    except Exception as error:
        return "foreign", f"{what}: {type(error).__name__}: {str(error)[:200]}"
    shutil.rmtree(folder)
    shutil.copytree(valid / "files", folder)
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        same = repr(value) == repr(entry.read(folder / main))
    if same:
        return "read", what
    if entry.checked and chosen.name == main and kind != "repeat":
        return "accepted", what
    if entry.cut and kind == "cut" and chosen.name == main and len(damaged) < 0.9 * len(content):
        return "accepted", what
    return "read", what


def child(name: str, first: int, step: int, valid: Path) -> None:
    """Run cases one after the other until stdin ends, printing each number before it and each outcome after it."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    trial.run_trial = _run_trial_in_fork
    number = first
    with tempfile.TemporaryDirectory() as folder:
        while sys.stdin.readline():
            resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time()) + LIMIT, resource.RLIM_INFINITY))
            print(f"start {number}", file=answers, flush=True)
            outcome, details = run_case(FORMATS[name], number, valid, Path(folder) / "case")
            print(f"{outcome}\t{details}".replace("\n", " "), file=answers, flush=True)
            number += step


def _run_trial_in_fork(path: str) -> int | None:
    """As `trial.run_trial` does it, without the second that a new process takes for its imports."""
    pid = os.fork()
    if not pid:
        code = 1
        try:
            code = trial.main(Path(path))
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def fuzz(entry: FileFormat, seconds: float, first: int = 0) -> tuple[Counter[str], list[str]]:
    """Run cases of a format for some time.

    Returns:
        How often each outcome came, and a line for each severe one.
    """
    counts: Counter[str] = Counter()
    severe: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        valid = Path(folder) / "valid"
        (valid / "files").mkdir(parents=True)
        made = entry.make(valid / "files")
        (valid / "main").write_text("" if made == valid / "files" else made.name, encoding="utf-8")
        entry.read(made)  # else every case would be refused
        number, end = first, time.monotonic() + seconds
        while time.monotonic() < end:
            number = _watch(entry, number, valid, end, counts, severe)
    return counts, severe


def _watch(entry: FileFormat, number: int, valid: Path, end: float, counts: Counter[str], severe: list[str]) -> int:
    """Run cases in one child until it ends or the time is over; the number of the next case."""
    command = [sys.executable, __file__, "--child", entry.name, str(number), "1", str(valid)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdin is not None
    assert process.stdout is not None
    while True:  # a case at least, however busy the computer is
        timer = threading.Timer(PATIENCE * LIMIT, process.kill)
        timer.start()
        try:
            process.stdin.write("\n")
            process.stdin.flush()
            started, line = process.stdout.readline(), process.stdout.readline()
        except BrokenPipeError:
            started, line = "", ""
        finally:
            waited = not timer.is_alive()
            timer.cancel()
        outcome, _, details = line.strip().partition("\t")
        if not outcome:
            code = process.wait()
            slow = waited or code == -signal.SIGXCPU
            outcome, details = ("hang", "") if slow else ("crash", f"exit code {code}")
        counts[outcome] += 1
        if outcome in SEVERE:
            severe.append(f"{entry.name}, case {number}: {outcome}: {details}")
        number += 1
        if not started or not line or time.monotonic() > end:
            break
    process.kill()
    process.wait()
    return number


def main() -> int:
    """Run, print a table, and return 1 where anything severe was found."""
    parser = common.argument_parser(__doc__, "fuzz")
    parser.add_argument("--minutes", type=float, default=20.0, help="for all formats together (default: 20)")
    parser.add_argument("--format", choices=FORMATS, action="append", help="only this format; may be given again")
    parser.add_argument("--first", type=int, default=0, help="number of the first case of each format (default: 0)")
    parser.add_argument("--replay", type=int, help="run only this case, in this process")
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        name, first, step, valid = options.child
        child(name, int(first), int(step), Path(valid))
        return 0
    names = options.format or list(FORMATS)
    if options.replay is not None:
        return _replay(FORMATS[names[0]], options.replay)
    total: Counter[str] = Counter()
    lines: list[str] = []
    rows = []
    kinds = ("refused", "read", "foreign", "accepted", "hang", "crash")
    print(f"{'format':20} {'cases':>7}", *(f"{kind:>8}" for kind in kinds))
    for name in names:
        counts, severe = fuzz(FORMATS[name], 60 * options.minutes / len(names), options.first)
        total += counts
        lines += severe
        print(f"{name:20} {sum(counts.values()):7}", *(f"{counts[kind]:8}" for kind in kinds), flush=True)
        rows.append({"format": name, **counts})
    print(f"{sum(total.values())} cases; severe: {len(lines)}")
    for line in lines[:200]:
        print(line)
    common.write_result(options.json, {"formats": rows, "severe": lines})
    return 1 if lines else 0


def _replay(entry: FileFormat, number: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        valid = Path(folder) / "valid"
        (valid / "files").mkdir(parents=True)
        made = entry.make(valid / "files")
        (valid / "main").write_text("" if made == valid / "files" else made.name, encoding="utf-8")
        outcome, details = run_case(entry, number, valid, Path(folder) / "case")
        print(outcome, details)
        shutil.copytree(Path(folder) / "case", Path("out") / "fuzz_case", dirs_exist_ok=True)
    return int(outcome in SEVERE)


if __name__ == "__main__":
    sys.exit(main())
