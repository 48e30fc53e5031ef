"""The same command beside 0, 1 and 4 busy processes: whether settings and results are the same to the bit.

    python Testing/benchmarks/same_bits.py [--methods scar dwmri ...] [--runs 3] [--busy 0 1 4] [--full]

Each method runs with its default settings on a small phantom and with fewer steps, in a process of its own; `train` is
a short training of a network. `--full`: sizes of phantoms, steps and samples are the defaults, too. The first row of a
method is its reference; a row is "same" where device, threads, precision, parameters and the checksums of all volumes,
meshes, tables of results and weights are those of the reference.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.common import argument_parser, write_result

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


def prepare_train(folder: Path, full: bool) -> Command:
    del folder
    size = [] if full else ["--steps", "6", "--width", "8", "--patch", "32"]
    return ["ctpa", "train-autoencoder", *size]


def prepare_scattering(folder: Path, full: bool) -> Command:
    count = "1000" if full else "64"
    deeprecon(folder / "data", "scattering", "phantom", "--count", count)
    data = next((folder / "data").glob("*.h5"))
    size = [] if full else ["--epochs", "2", "--rank", "8"]
    deeprecon(folder / "network", "scattering", "train", data, *size)
    bundle = ["--method", "bcrnet", "--bundle", str(folder / "network" / "bundle")]
    return ["scattering", "reconstruct", str(data), *bundle]


def prepare_seizure(folder: Path, full: bool) -> Command:
    size = [] if full else ["--users", "9", "--minutes", "4", "--recording", "0.2"]
    deeprecon(folder / "made", "seizure", "phantom", *size)
    deeprecon(folder / "data", "seizure", "prepare", "--recordings", folder / "made" / "events.json")
    size = [] if full else ["--steps", "6", "--models", "1"]
    deeprecon(folder / "network", "seizure", "train", folder / "data" / "dataset.npz", *size)
    recording = next(path for path in sorted((folder / "made").glob("*.csv")) if "recording" in path.name)
    return ["seizure", "detect", str(recording), "--bundle", str(folder / "network" / "bundle")]


METHODS = {
    "scar": prepare_scar,
    "dwmri": prepare_dwmri,
    "ctpa": prepare_ctpa,
    "train": prepare_train,
    "scattering": prepare_scattering,
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


def fingerprint(output: Path, result: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Settings of a run, and one checksum over the files of its results."""
    settings = {name: result["provenance"][name] for name in SETTINGS}
    digest = hashlib.sha256()
    for entry in result["outputs"].values():
        for path in (
            [output / entry["path"]] if "sha256" in entry else [output / entry["path"] / n for n in entry["files"]]
        ):
            if path.name.endswith(RESULTS):
                digest.update(path.name.encode())
                digest.update(path.read_bytes())
    return settings, digest.hexdigest()[:16]


def main() -> int:
    """Run, print the table, write the result; 1 where something differs."""
    parser = argument_parser(__doc__, "same_bits")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--runs", type=int, default=3, help="beside each number of busy processes")
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1, 4], help="numbers of busy processes")
    parser.add_argument("--full", action="store_true", help="default sizes of phantoms and trainings")
    arguments = parser.parse_args()
    rows, differ = [], 0
    print(f"{'method':12}{'busy':>5}{'run':>5}{'seconds':>9}  {'computed with':24}{'checksum':18}")
    for method in arguments.methods:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            command = METHODS[method](folder / "inputs", arguments.full)
            reference = None
            for count in arguments.busy:
                for run in range(arguments.runs):
                    output = folder / f"out_{count}_{run}"
                    begun = time.monotonic()
                    with busy(count):
                        result = deeprecon(output, *command)
                    took = time.monotonic() - begun
                    settings, checksum = found = fingerprint(output, result)
                    reference = reference or found
                    same = found == reference
                    differ += not same
                    words = f"{settings['device']}, {settings['threads']} threads, {settings['precision']}"
                    verdict = "same" if same else "DIFFERS"
                    print(f"{method:12}{count:5}{run + 1:5}{took:9.1f}  {words:24}{checksum:18}{verdict}", flush=True)
                    rows.append(
                        {"method": method, "busy": count, "run": run + 1, "seconds": took, "same": same}
                        | {"checksum": checksum, "settings": settings}
                    )
    print(f"{len(rows) - differ} of {len(rows)} runs are the same to the bit")
    write_result(arguments.json, {"rows": rows, "differ": differ})
    return 1 if differ else 0


if __name__ == "__main__":
    sys.exit(main())
