"""Time and memory of each method, ours and dipy's, on a head of 96 x 96 x 60 voxels and 65 volumes.

    python Testing/benchmarks/dwmri_speed.py [--threads 2] [--methods network pca mppca ...]

Each method runs in a process of its own: noise map and denoising, without files and pictures. The last row is the
complete job of the default method by `python -m deeprecon dwmri enhance`, from the NIfTI files to the report. The exit
code is 1 when a gate fails: at most 5 minutes and 4 GB for the complete job on two idle cores, and a fast method that
is better than dipy's MP-PCA. Targets: at most 1 minute for the fast one, and 20 s for the default on an H200. For the
latter the operations of the training are counted: an estimate, not a measurement, and only of a lower and an upper
bound, as the speed of a GPU with the rest (decompositions of small matrices, and NumPy on its host) is not known.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.common import LIBRARY, argument_parser, write_result

from deeprecon.data.diffusion.files import write_dwi
from deeprecon.data.diffusion.gradients import gradient_table
from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.dwmri.simulate.head import make_phantom

SHAPE, B0, SHELLS, SNR = (60, 96, 96), 5, [(1000.0, 60)], 20.0
MAX_SECONDS, MAX_BYTES, FAST_SECONDS, GPU_SECONDS = 300.0, 4e9, 60.0, 20.0
GPU_RATE = 10e12
"""FLOP/s that training on crops this small is taken to reach on an H200: about 1 % of what large products reach."""
METHODS = ("network", "pca", "mppca", "local-pca", "patch2self", "nlmeans")
JOB = "complete job"


def run_one(folder: Path, method: str, device: str, threads: int) -> dict[str, Any]:
    """Denoise the scan in `folder`; called in a process of its own."""
    import resource

    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from deeprecon.dwmri.fit.denoising import denoise
    from deeprecon.dwmri.observe.noise_level import estimate_noise
    from deeprecon.dwmri.parameters import EnhanceParameters, Method
    from deeprecon.jobs.run import Run, SilentReporter
    from deeprecon.training.devices import resolve_precision

    class TrainingClock(SilentReporter):
        """Measures the time of the training."""

        seconds, begun, name = 0.0, 0.0, ""

        def status(self, text: str) -> None:
            if self.name.startswith("Training"):
                self.seconds += time.perf_counter() - self.begun
            self.begun, self.name = time.perf_counter(), text

    torch.set_num_threads(threads)
    noisy, mask = np.load(folder / "noisy.npy"), np.load(folder / "mask.npy")
    table = gradient_table(np.load(folder / "bvals.npy"), np.load(folder / "directions.npy"))
    scan = DwiScan(noisy, np.eye(4), table)
    start, cpu = time.perf_counter(), time.process_time()
    sigma = estimate_noise(noisy, mask, device, threads)
    with tempfile.TemporaryDirectory() as job:
        clock = TrainingClock()
        run = Run(Path(job), Path(job), device, threads, resolve_precision(device), 0, clock)
        with FlopCounterMode(display=False) as counter:
            done = denoise(scan, mask, sigma, Method(method), True, EnhanceParameters().steps, run)
        clock.status("")
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    clean = np.load(folder / "clean.npy", mmap_mode="r")
    weighted = ~table.b0
    error = np.mean([np.mean((done.after.array[..., v] - clean[..., v])[mask] ** 2) for v in np.flatnonzero(weighted)])
    peak = np.percentile(clean[..., int(np.flatnonzero(weighted)[0])][mask], 99.9)
    return {
        "method": method,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu, 1),
        "training_seconds": round(clock.seconds, 1),
        "training_tflop": round(counter.get_total_flops() / 1e12, 2),
        "peak_gb": _peak_gb(resource.RUSAGE_SELF),
        "psnr_dwi": round(float(10 * np.log10(peak**2 / error)), 2),
    }


def run_job(folder: Path, device: str, threads: int) -> dict[str, Any]:
    """The default method from the shell on the files in `folder`; called in a process of its own."""
    import resource

    command = [sys.executable, "-m", "deeprecon", "dwmri", "enhance", "--dwi", str(folder / "dwi.nii.gz"),
               "--output", str(folder / "result"), "--device", device, "--threads", str(threads)]  # fmt: skip
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=LIBRARY)
    seconds, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "method": JOB,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_gb": _peak_gb(resource.RUSAGE_CHILDREN),
    }


def _peak_gb(who: int) -> float:
    import resource

    return round(resource.getrusage(who).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9, 2)


def main() -> int:
    parser = argument_parser(__doc__, "dwmri_speed")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS), metavar="NAME")
    parser.add_argument("--one", nargs=2, metavar=("FOLDER", "METHOD"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        folder, method = Path(arguments.one[0]), arguments.one[1]
        run: Callable[..., dict[str, Any]] = run_job if method == JOB else partial(run_one, method=method)
        print(json.dumps(run(folder, device=arguments.device, threads=arguments.threads)))
        return 0
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = make_phantom(SHAPE, B0, SHELLS, SNR)
        table = made.clean.gradients
        for part, array in (("noisy", made.noisy.array), ("clean", made.clean.array), ("mask", made.mask),
                            ("bvals", table.bvals), ("directions", table.directions)):  # fmt: skip
            np.save(folder / f"{part}.npy", array)
        write_dwi(folder / "dwi.nii.gz", made.noisy.with_array(np.round(made.noisy.array).astype(np.uint16)))
        print(f"{made.mask.sum()} voxels in the mask, {len(table)} volumes, {arguments.threads} threads", flush=True)
        del made
        for method in (*arguments.methods, *([JOB] if "network" in arguments.methods else [])):
            command = [sys.executable, __file__, "--one", name, method, "--device", arguments.device,
                       "--threads", str(arguments.threads)]  # fmt: skip
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            rows.append(json.loads(output.splitlines()[-1]))
            row = rows[-1]
            print(f"{method:<12} {row['seconds']:7.1f} s ({row['cpu_seconds']:.1f} s of CPU time)  "
                  f"{row['peak_gb']:5.2f} GB" + (f"  {row['psnr_dwi']:.2f} dB" if "psnr_dwi" in row else ""),
                  flush=True)  # fmt: skip
    machine = {"device": arguments.device, "threads": arguments.threads}
    write_result(arguments.json, {"machine": machine, "rows": rows})
    found = {row["method"]: row for row in rows}
    broken = []
    if (own := found.get("network")) is not None:
        job = found[JOB]
        if job["seconds"] > MAX_SECONDS:
            broken.append(f"complete job: {job['seconds']:.0f} s")
        if job["peak_gb"] * 1e9 > MAX_BYTES:
            broken.append(f"complete job: {job['peak_gb']} GB")
        rest, training = own["seconds"] - own["training_seconds"], own["training_tflop"] * 1e12 / GPU_RATE
        print(
            f"network: {own['training_tflop']:.1f} TFLOP of training in {own['training_seconds']:.0f} s, {rest:.0f} s "
            f"for all else\nESTIMATE for an H200 (target {GPU_SECONDS:.0f} s): {training:.1f} s of training; "
            f"{training + rest:.0f} s where all else is as slow as here"
        )
    if "pca" in found:
        verdict = "holds" if found["pca"]["seconds"] <= FAST_SECONDS else "FAILS"
        print(f"target: pca in at most {FAST_SECONDS:.0f} s: {verdict}")
    if {"pca", "mppca"} <= set(found) and found["pca"]["psnr_dwi"] <= found["mppca"]["psnr_dwi"]:
        broken.append("pca is not better than MP-PCA")
    print(f"Written to {arguments.json}")
    print(f"Gates that do not hold: {'; '.join(broken)}." if broken else "Every gate holds.")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
