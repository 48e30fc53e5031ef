"""Each method and a training of each on the GPU: time, memory, difference to the CPU, and words where memory is short.

    python Testing/benchmarks/gpu.py [--tasks scar dwmri ...] [--minutes 8] [--json FILE]

Three runs of each task, every one in a process of its own: with default settings on a phantom of default size, for time
and peak memory; a small one in fp32 on the GPU and on the CPU, for the largest difference between all numbers of their
results, relative to the largest number (HU: absolute); and one that may use half of the peak memory, for what it says.
Trainings are short, and their difference is that of their losses. Tasks that do not fit into the time are not run.
Without a CUDA device nothing is run. `--device cpu` tries the script itself.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import numpy as np
from benchmarks import same_bits
from benchmarks.common import argument_parser, write_result
from benchmarks.same_bits import RESULTS, deeprecon, numbers

from deeprecon.jobs.command import JOB_FOLDER
from deeprecon.jobs.process import child_environment

MAX_DIFFERENCE, MAX_HU = 1e-3, 2.0
"""Gates of issue 24."""
LIMITED_SHARE = 0.5
"""Of the peak memory of a run, what the limited run may use."""
UNCOMPARED = ("summary.csv",)


def prepare_scar_train(folder: Path, full: bool) -> list[str]:
    size = [] if full else ["--node-spacing", "4", "--pixel", "2.5"]
    deeprecon(folder / "heart", "scar", "phantom", *size)
    segments = next((folder / "heart").glob("*.seg.nrrd"))
    files = ["--mesh", folder / "heart" / "mesh.vtu", "--scar", segments, "--myocardium", segments]
    deeprecon(folder / "data", "scar", "prepare", *files)
    return ["scar", "train", str(folder / "data" / "training_data.npz"), "--steps", "500" if full else "40"]


def prepare_dwmri_train(folder: Path, full: bool) -> list[str]:
    size = [] if full else ["--columns", "20", "--rows", "20", "--slices", "8", "--shells", "1000:12"]
    deeprecon(folder, "dwmri", "phantom", *size)
    pair = ["--noisy", str(folder / "dwi.nii.gz"), "--clean", str(folder / "truth.nii.gz")]
    return ["dwmri", "train", *pair, "--steps", "100" if full else "10"]


def prepare_ctpa_train(folder: Path, full: bool) -> list[str]:
    return ["ctpa", "train-autoencoder", "--steps", "20"] if full else same_bits.prepare_ctpa_train(folder, full)


def prepare_scattering_train(folder: Path, full: bool) -> list[str]:
    deeprecon(folder / "data", "scattering", "phantom", "--count", "1000" if full else "64")
    size = ["--epochs", "3"] if full else ["--epochs", "2", "--rank", "8"]
    return ["scattering", "train", str(next((folder / "data").glob("*.h5"))), *size]


def prepare_seizure_train(folder: Path, full: bool) -> list[str]:
    return [*same_bits.prepare_seizure_train(folder, False), *(["--steps", "200"] if full else [])]


TASKS: dict[str, Callable[[Path, bool], list[str]]] = {
    "scar": same_bits.prepare_scar,
    "dwmri": same_bits.prepare_dwmri,
    "ctpa": same_bits.prepare_ctpa,
    "scattering": same_bits.prepare_tikhonov,
    "seizure": lambda folder, full: same_bits.prepare_seizure(folder, False),
    "scar train": prepare_scar_train,
    "dwmri train": prepare_dwmri_train,
    "ctpa train": prepare_ctpa_train,
    "scattering train": prepare_scattering_train,
    "seizure train": prepare_seizure_train,
}


def compute(arguments: list[str], device: str, precision: str, output: Path, limit: float | None) -> dict[str, Any]:
    """Run a verb in a process of its own.

    Args:
        arguments: of the command line.
        device, precision: to compute with.
        output: folder of its results.
        limit: bytes of the device that it may use.

    Returns:
        seconds, peak (bytes of the device, None on a CPU) and error (what was said, "" where it ended well).
    """
    options = ["--device", device, "--precision", precision, "--output", str(output)]
    script = [sys.executable, str(Path(__file__).resolve()), "--child", *([str(limit)] if limit else ["0"])]
    begun = time.monotonic()
    done = subprocess.run(
        [*script, *arguments, *options], env=child_environment(), capture_output=True, text=True, check=False
    )
    seconds = time.monotonic() - begun
    peak = next((line[5:] for line in done.stdout.splitlines() if line.startswith("PEAK ")), "0")
    lines = done.stderr.splitlines()
    first = next((number for number, line in enumerate(lines) if line.startswith("Error:")), len(lines) - 1)
    error = " ".join(line.strip() for line in lines[first : first + 2]) if done.returncode else ""
    return {"seconds": seconds, "peak": int(peak) or None, "error": error, "traceback": "Traceback" in done.stderr}


def child(limit: float, arguments: list[str]) -> int:
    """The process of `compute`: the command line with a limit of memory, and the peak at the end."""
    import torch

    from deeprecon import cli

    cuda = torch.cuda.is_available()
    if cuda and limit:
        torch.cuda.set_per_process_memory_fraction(min(1.0, limit / torch.cuda.mem_get_info()[1]))
    code = cli.main(arguments)
    print(f"PEAK {torch.cuda.max_memory_allocated() if cuda else 0}")
    return code


def difference(first: Path, second: Path, training: bool) -> tuple[float, float]:
    """Largest relative difference of the results in two folders, and largest difference in HU of their CTs."""
    relative, hounsfield = 0.0, 0.0
    for path in sorted(first.rglob("*")):
        name = path.relative_to(first)
        if JOB_FOLDER in name.parts or not path.name.endswith(RESULTS) or path.name in UNCOMPARED:
            continue
        if training != path.name.startswith("history"):
            continue
        found, wanted = numbers(path), numbers(second / name)
        if found.shape != wanted.shape:
            return float("inf"), float("inf")
        largest = float(np.nanmax(np.abs(found - wanted), initial=0))
        if path.name.startswith("ct"):
            hounsfield = max(hounsfield, largest)
        else:
            relative = max(relative, largest / max(float(np.nanmax(np.abs(wanted), initial=0)), 1e-12))
    return relative, hounsfield


def measure(name: str, device: str, folder: Path) -> dict[str, Any]:
    """A row of the table."""
    row: dict[str, Any] = {"task": name}
    small = TASKS[name](folder / "small", False)
    for kind in (device, "cpu"):
        row[f"small_{kind}"] = compute(small, kind, "fp32", folder / f"out-{kind.replace(':', '')}", None)
    if not row[f"small_{device}"]["error"] and not row["small_cpu"]["error"]:
        pair = (folder / f"out-{device.replace(':', '')}", folder / "out-cpu")
        row["difference"], row["difference_hu"] = difference(*pair, training="train" in name)
    if device != "cpu":
        full = TASKS[name](folder / "full", True)
        row["default"] = compute(full, device, "auto", folder / "out-full", None)
        if row["default"]["peak"]:
            limit = LIMITED_SHARE * row["default"]["peak"]
            row["limited"] = compute(full, device, "auto", folder / "out-limited", limit)
    return row


def faults(row: dict[str, Any]) -> list[str]:
    """What is wrong with a row."""
    found = [f"{kind}: {run['error']}" for kind, run in row.items() if "small" in kind and run["error"]]
    if row.get("default", {}).get("error"):
        found.append(f"default: {row['default']['error']}")
    if row.get("difference", 0) > MAX_DIFFERENCE or row.get("difference_hu", 0) > MAX_HU:
        found.append("differs from the CPU")
    limited = row.get("limited", {})
    if limited.get("error") and ("emory" not in limited["error"] or limited["traceback"]):
        found.append(f"at the limit of memory: {limited['error']}")
    return found


def print_row(row: dict[str, Any]) -> None:
    """A line for a row, and what was said at the limit of memory and what is wrong below."""
    default = row.get("default", row["small_cpu"])
    peak = "-" if not default["peak"] else f"{default['peak'] / 1e9:.2f}"
    print(
        f"{row['task']:18}{default['seconds']:9.1f}{peak:>9}{row.get('difference', float('nan')):12.1e}"
        f"{row.get('difference_hu', float('nan')):8.1f}",
        flush=True,
    )
    if "limited" in row:
        print(f"    half of the memory: {row['limited']['error'] or 'it ran'}")
    for fault in faults(row):
        print(f"    WRONG: {fault}")


def main() -> int:
    """Run, print the table, write the result; 1 where a task failed or differs."""
    parser = argument_parser(__doc__, "gpu")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--minutes", type=float, default=8.0, help="after which no further task begins (default: 8)")
    parser.add_argument("--device", default="cuda:0", help="to measure (default: cuda:0)")
    options: argparse.Namespace = parser.parse_args()
    import torch

    if options.device.startswith("cuda") and not torch.cuda.is_available():
        print("not run: PyTorch finds no CUDA device on this computer")
        write_result(options.json, {"not_run": "no CUDA device"})
        return 0
    name = torch.cuda.get_device_name() if options.device.startswith("cuda") else options.device
    print(f"{name}\n{'task':18}{'seconds':>9}{'peak GB':>9}{'difference':>12}{'HU':>8}")
    end, rows = time.monotonic() + 60 * options.minutes, []
    for task in options.tasks:
        if time.monotonic() > end:
            print(f"{task:18} not run: the time is over")
            continue
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(task, options.device, Path(folder)))
        print_row(rows[-1])
    write_result(options.json, {"device": name, "torch": torch.__version__, "rows": rows})
    return int(any(map(faults, rows)))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        sys.exit(child(float(sys.argv[2]), sys.argv[3:]))
    sys.exit(main())
