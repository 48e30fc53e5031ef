"""The same command beside 0, 1 and 4 busy processes: whether settings and results are the same to the bit.

    python Testing/benchmarks/same_bits.py [--methods scar dwmri ...] [--runs 3] [--busy 0 1 4] [--full]

Each method runs with its default settings on a small phantom and with fewer steps, in a process of its own; rows
"train" are short trainings of networks. `--full`: sizes of phantoms, steps and samples are the defaults, too. The first
row of a method is its reference; a row is "same" where device, threads, precision, parameters and the checksums of all
volumes, meshes, tables of results and weights are those of the reference. Of each other file the name is printed, and
of numbers the largest difference, relative to the largest number.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import h5py
import numpy as np
from benchmarks.common import argument_parser, write_result
from safetensors.numpy import load_file

from deeprecon.data.volume_io import read_volume
from deeprecon.jobs.process import child_environment

RESULTS = (".nii.gz", ".nrrd", ".vtu", ".h5", ".csv", ".npz", ".safetensors")
"""Endings of the files that hold the numbers of a result; reports and pictures state the time."""
SETTINGS = ("device", "threads", "precision", "parameters")

Command = list[str]


def deeprecon(output: Path, *arguments: str | Path) -> dict[str, Any]:
    """Run a verb in a process of its own; returns its result.json."""
    command = [sys.executable, "-m", "deeprecon", *map(str, arguments), "--output", str(output)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=child_environment())
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    result: dict[str, Any] = json.loads((output / "result.json").read_text(encoding="utf-8"))
    return result


def prepare_scar(folder: Path, full: bool) -> Command:
    size = [] if full else ["--node-spacing", "4", "--pixel", "2.5"]
    deeprecon(folder, "scar", "phantom", *size)
    files = ["--lge", folder / "lge.nii.gz", "--myocardium", folder / "segmentation.seg.nrrd"]
    files[1] = next(path for path in sorted(folder.iterdir()) if path.name.startswith("lge."))
    steps = [] if full else ["--steps", "60"]
    return ["scar", "reconstruct", *map(str, files), "--mesh", str(folder / "mesh.vtu"), "--threshold", "fwhm", *steps]


def prepare_dwmri(folder: Path, full: bool) -> Command:
    size = [] if full else ["--columns", "20", "--rows", "20", "--slices", "8", "--shells", "1000:12"]
    deeprecon(folder, "dwmri", "phantom", *size)
    steps = [] if full else ["--steps", "40"]
    return ["dwmri", "enhance", "--dwi", str(folder / "dwi.nii.gz"), *steps]


def prepare_ctpa(folder: Path, full: bool) -> Command:
    size = [] if full else ["--samples", "1", "--steps", "2"]
    deeprecon(folder, "ctpa", "phantom")
    return ["ctpa", "synthesize", str(folder / "case_0000" / "xray.nii.gz"), *size]


def prepare_ctpa_train(folder: Path, full: bool) -> Command:
    del folder
    size = [] if full else ["--steps", "6", "--width", "8", "--patch", "32"]
    return ["ctpa", "train-autoencoder", *size]


def prepare_tikhonov(folder: Path, full: bool) -> Command:
    deeprecon(folder, "scattering", "phantom", "--count", "1000" if full else "64")
    return ["scattering", "reconstruct", str(next(folder.glob("*.h5")))]


def prepare_bcrnet(folder: Path, full: bool) -> Command:
    count = "1000" if full else "64"
    deeprecon(folder / "data", "scattering", "phantom", "--count", count)
    data = next((folder / "data").glob("*.h5"))
    size = [] if full else ["--epochs", "2", "--rank", "8"]
    deeprecon(folder / "network", "scattering", "train", data, *size)
    bundle = ["--method", "bcrnet", "--bundle", str(folder / "network" / "bundle")]
    return ["scattering", "reconstruct", str(data), *bundle]


def prepare_seizure_train(folder: Path, full: bool) -> Command:
    size = [] if full else ["--users", "9", "--minutes", "4", "--recording", "0.2"]
    deeprecon(folder / "made", "seizure", "phantom", *size)
    deeprecon(folder / "data", "seizure", "prepare", "--recordings", folder / "made" / "events.json")
    size = [] if full else ["--steps", "6", "--models", "1"]
    return ["seizure", "train", str(folder / "data" / "dataset.npz"), *size]


def prepare_seizure(folder: Path, full: bool) -> Command:
    deeprecon(folder / "network", *prepare_seizure_train(folder, full))
    recording = str(folder / "made" / "recording.csv")
    return ["seizure", "detect", "--recording", recording, "--bundle", str(folder / "network" / "bundle")]


METHODS = {
    "scar": prepare_scar,
    "dwmri": prepare_dwmri,
    "ctpa": prepare_ctpa,
    "ctpa-train": prepare_ctpa_train,
    "tikhonov": prepare_tikhonov,
    "bcrnet": prepare_bcrnet,
    "seizure-train": prepare_seizure_train,
    "seizure": prepare_seizure,
}


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that compute without a pause."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def fingerprint(output: Path, result: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Settings of a run, and the checksum of each file of its results by its path in the output."""
    settings = {name: result["provenance"][name] for name in SETTINGS}
    names = []
    for entry in result["outputs"].values():
        inside = [""] if "sha256" in entry else entry["files"]
        names += [(Path(entry["path"]) / name).as_posix() for name in inside]
    kept = [name for name in names if name.endswith(RESULTS)]
    return settings, {name: hashlib.sha256((output / name).read_bytes()).hexdigest() for name in kept}


def numbers(path: Path) -> np.ndarray:
    """All numbers of a file of results, in one row; none for files of other kinds."""
    if path.name.endswith((".nii.gz", ".nrrd")):
        return np.ravel(read_volume(path).array)
    if path.suffix == ".csv":
        words = re.split(r"[,\s]+", path.read_text(encoding="utf-8"))
        return np.array([float(word) for word in words if re.fullmatch(r"[-+\d.e]*\d[-+\d.e]*|nan|inf", word)])
    arrays: list[np.ndarray] = []
    if path.suffix == ".npz":
        arrays = list(np.load(path).values())
    elif path.suffix == ".safetensors":
        arrays = list(load_file(path).values())
    elif path.suffix == ".h5":
        with h5py.File(path) as file:
            file.visititems(lambda _, item: arrays.append(item[()]) if isinstance(item, h5py.Dataset) else None)
    return np.concatenate([[], *(np.ravel(a) for a in arrays if np.issubdtype(a.dtype, np.number))])


def differences(output: Path, reference: Path, files: dict[str, str], expected: dict[str, str]) -> list[str]:
    """A line for each file that is not the reference's."""
    lines = []
    for name in sorted(files.keys() | expected.keys()):
        if files.get(name) == expected.get(name):
            continue
        if name not in files or name not in expected:
            lines.append(f"{name} is only in {'this run' if name in files else 'the reference'}")
            continue
        found, wanted = numbers(output / name), numbers(reference / name)
        size = np.nanmax(np.abs(wanted), initial=0)
        how = "other numbers" if found.shape != wanted.shape else "its numbers are the same"
        if found.shape == wanted.shape and not np.array_equal(found, wanted, equal_nan=True):
            how = f"by up to {np.nanmax(np.abs(found - wanted)) / size:.1e}"
        lines.append(f"{name}: {how if len(found) else 'other bytes'}")
    return lines


def compare(method: str, folder: Path, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """All runs of a method, printed and as rows of the result."""
    command = METHODS[method](folder / "inputs", arguments.full)
    rows, first, reference = [], folder, None
    for count, run in itertools.product(arguments.busy, range(arguments.runs)):
        output = folder / f"out_{count}_{run}"
        begun = time.monotonic()
        with busy(count):
            result = deeprecon(output, *command)
        took = time.monotonic() - begun
        settings, files = found = fingerprint(output, result)
        if reference is None:
            first, reference = output, found
        changes = [] if settings == reference[0] else ["other settings"]
        changes += differences(output, first, files, reference[1])
        words = f"{settings['device']}, {settings['threads']} threads, {settings['precision']}"
        verdict = "DIFFERS" if changes else f"same, {len(files)} files"
        print("\n  ".join([f"{method:14}{count:5}{run + 1:5}{took:9.1f}  {words:24}{verdict}", *changes]), flush=True)
        rows.append(
            {"method": method, "busy": count, "run": run + 1, "seconds": took, "same": not changes}
            | {"changes": changes, "files": files, "settings": settings}
        )
    return rows


def main() -> int:
    """Run, print the table, write the result; 1 where something differs."""
    parser = argument_parser(__doc__, "same_bits")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--runs", type=int, default=3, help="beside each number of busy processes")
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 4], help="numbers of busy processes")
    parser.add_argument("--full", action="store_true", help="default sizes of phantoms and trainings")
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    print(f"{'method':14}{'busy':>5}{'run':>5}{'seconds':>9}  {'computed with':24}")
    for method in arguments.methods:
        with tempfile.TemporaryDirectory() as name:
            rows += compare(method, Path(name), arguments)
    differ = sum(not row["same"] for row in rows)
    print(f"{len(rows) - differ} of {len(rows)} runs are the same to the bit")
    write_result(arguments.json, {"rows": rows, "differ": differ})
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
