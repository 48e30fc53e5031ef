"""Training on whole latents against patches, in one process and two, and resumed: prints tables, writes JSON, can fail.

    python Testing/benchmarks/ctpa_training.py [--skip-large] [--precision auto|fp32|bf16] [--json FILE]

1. Memory as the published table gives it, for the latent of a volume of 512 x 512 x 608 and for patches of 128^3: what
   autograd keeps of one sample, after the line through two small windows (a part, such as the X-ray, does not grow with
   the voxels), with the small denoiser on latents of 8x and with that of 143 million parameters on latents of 4x.
2. Both kinds of training for real, with the small denoiser in processes of their own: peak memory, samples and latent
   voxels a second, and the same memory as it was estimated before.
3. Gates: two processes (torchrun, gloo) give the loss curve of one with the double batch, to 1e-3; a training that was
   stopped and resumed gives the same numbers to the bit; patches take less memory than whole latents, the estimate is
   within a factor of 2 of what was measured, and checkpointing keeps less than half.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import numpy as np
import torch
from benchmarks.common import LIBRARY, argument_parser, write_result

from deeprecon.ctpa.diffusion.denoiser import DENOISERS, DenoiserShape, parameter_count
from deeprecon.ctpa.diffusion.posterior_mean import MAX_DEVIATION_VOXELS, MAX_MEAN_VOXELS, downsampled
from deeprecon.ctpa.diffusion.processes import PROCESSES
from deeprecon.ctpa.diffusion.residual import ResidualDenoiser
from deeprecon.ctpa.grid import FULL, Grid
from deeprecon.ctpa.observe.projection import Geometry
from deeprecon.ctpa.training.denoiser_training import probe_batch
from deeprecon.ctpa.training.denoising import DenoisingLoss, NoisyLatents
from deeprecon.ctpa.training.plan import estimate_training, extrapolate_linear
from deeprecon.ctpa.training.posterior_mean_fit import fit_posterior_mean
from deeprecon.jobs.run import Run, SilentReporter
from deeprecon.training.batches import RandomBatches
from deeprecon.training.devices import resolve_precision
from deeprecon.training.estimate import activation_bytes, peak_bytes
from deeprecon.training.fabric import make_fabric
from deeprecon.training.fit import FitSettings, fit

PATCH = 32
"""Latent voxels along each axis of a patch of 128^3 at 4x; at 8x the patch of 16 would be half as large."""
TINY = DenoiserShape(4, (8, 16), 1, 8)


class Case:
    """A latent of noise: memory and time do not depend on what it shows."""

    geometry = Geometry()

    def __init__(self, number: int, channels: int, grid: Grid) -> None:
        self._number, self._shape = number, (channels, *grid.shape)

    def known(self, shape: tuple[int, int, int]) -> Any:
        return np.ones(shape, bool)

    def latent(self) -> Any:
        return np.random.default_rng(self._number).standard_normal(self._shape, np.float32)


def problem(shape: DenoiserShape, grid: Grid, patch: int, batch: int, checkpointing: bool = False) -> Any:
    """A denoiser's loss and its samples."""
    cases = [Case(number, shape.latent, grid) for number in range(8)]
    factor = 4
    xrays = torch.randn(
        8, 1, factor * grid.shape[0], factor * grid.shape[2], generator=torch.Generator().manual_seed(0)
    )
    latents = torch.randn(8, shape.latent, *grid.shape, generator=torch.Generator().manual_seed(1))
    mean = downsampled(latents.mean(dim=0), MAX_MEAN_VOXELS)
    deviations = downsampled(latents - latents.mean(dim=0), MAX_DEVIATION_VOXELS)
    process = PROCESSES["rectified-flow"]
    torch.manual_seed(0)
    posterior_mean = fit_posterior_mean(xrays, deviations, mean, 0)
    loss = DenoisingLoss(ResidualDenoiser(shape, factor, posterior_mean, process, checkpointing=checkpointing))
    one = torch.ones(shape.latent, 1, 1, 1)
    samples = NoisyLatents(cases, xrays, deviations, 0 * one, one, grid, process, 0.1, patch, shape.divisor, batch, 0)
    return loss, samples


def run_in(folder: Path, precision: str = "fp32") -> Run:
    return Run(folder, folder, "cpu", 1, precision, 0, SilentReporter())


# ---- memory by scaling


def kept(
    shape: DenoiserShape, grid: Grid, sizes: tuple[int, int], checkpointing: bool, precision: str
) -> tuple[float, float]:
    """Bytes that autograd keeps for one sample, of two windows."""
    found = []
    for size in sizes:
        loss, samples = problem(shape, grid, size, 1, checkpointing)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            found.append(float(activation_bytes(partial(loss, samples(np.zeros(1, np.int64))))))
    return found[0], found[1]


def memory_table(skip_large: bool, precision: str) -> list[dict[str, Any]]:
    rows = []
    entries = [("small, latent of 8x", DENOISERS["small"], FULL.coarser(8), (16, 24))]
    if not skip_large:
        entries.append(("143 million, latent of 4x", replace(DENOISERS["large"], latent=4), FULL.coarser(4), (8, 16)))
    for name, shape, grid, sizes in entries:
        cubes = float(sizes[0] ** 3), float(sizes[1] ** 3)
        for checkpointing in (False, True):
            taken = kept(shape, grid, sizes, checkpointing, precision)
            whole, patch = (extrapolate_linear(cubes, taken, count) for count in (float(np.prod(grid.shape)), PATCH**3))
            rows.append(
                {"denoiser": name, "checkpointing": checkpointing, "whole_gb": whole / 1e9, "patch_gb": patch / 1e9}
            )
            print(
                f"{name:28s} checkpointing {checkpointing!s:5s}  whole {whole / 1e9:7.2f} GB   patch "
                f"{patch / 1e9:6.3f} GB   ratio {whole / patch:.0f}",
                flush=True,
            )
    return rows


# ---- real steps, each in a process of its own


def steps(patch: int, batch: int, count: int, precision: str) -> dict[str, float]:
    """Peak memory and pace of `count` optimizer steps."""
    torch.set_num_threads(1)
    shape, grid = DENOISERS["small"], FULL.coarser(8)
    loss, samples = problem(shape, grid, patch, batch)
    with tempfile.TemporaryDirectory() as folder:
        run = run_in(Path(folder), precision)
        fabric = make_fabric("cpu", precision)
        voxels = float(np.prod([min(patch or size, size) for size in grid.shape]))
        probes = probe_batch(loss, samples, 8, fabric), probe_batch(loss, samples, 16, fabric)
        need = estimate_training(loss, probes, voxels, batch, count, run, fabric)
        optimizer = torch.optim.AdamW(loss.parameters(), 1e-4)
        wrapped, stepper = fabric.setup(loss, optimizer)
        begun = time.perf_counter()
        for number in range(count):
            fabric.backward(wrapped(samples(np.arange(number * batch, (number + 1) * batch))))
            stepper.step()
            optimizer.zero_grad()
        seconds = time.perf_counter() - begun
    return {
        "peak_gb": (peak_bytes("cpu") or 0) / 1e9,
        "estimated_gb": need.memory / 1e9,
        "samples_per_second": count * batch / seconds,
        "megavoxels_per_second": count * batch * voxels / seconds / 1e6,
        "parameters": parameter_count(loss),
    }


def curve(folder: Path, batch: int, stop_after: int = 0) -> None:
    """A short training of a tiny denoiser; its history goes to rankN.json."""
    torch.set_num_threads(1)
    fabric = make_fabric("cpu", "fp32")
    loss, samples = problem(TINY, Grid((8, 8, 8)), 0, batch * fabric.world_size)
    kept = samples.held_out(4)
    run, calls = run_in(folder), 0

    def step(model: Any, one: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == stop_after:
            (folder / "stop").touch()
        return model(one)

    def validate(model: Any) -> float:
        return float(torch.stack([model(one) for one in kept]).mean())

    settings = FitSettings(epochs=4, learning_rate=2e-3, ema=0.9, clip_norm=1.0, patience=0, keep=3)
    result = fit(loss, step, RandomBatches(5, batch, samples), validate, settings, run, fabric)
    digest = float(sum(parameter.double().abs().sum() for parameter in loss.parameters()))
    values = {"history": result.history, "digest": digest}
    (folder / f"rank{fabric.global_rank}.json").write_text(json.dumps(values), encoding="utf-8")


def started(arguments: list[str], processes: int = 1) -> str:
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(torchrun if processes > 1 else []), __file__, *arguments]
    environment = {**os.environ, "PYTHONPATH": str(LIBRARY), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "-1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=1200)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return done.stdout


def curves() -> dict[str, float]:
    """Largest relative difference of two processes from one, and of a resumed training from a straight one."""
    with tempfile.TemporaryDirectory() as root:
        found = {}
        for name, batch, processes in (("two", 2, 2), ("one", 4, 1), ("resumed", 4, 1)):
            folder = Path(root) / name
            folder.mkdir()
            if name == "resumed":
                started(["--curve", str(folder), str(batch), "--stop-after", "12"])
                (folder / "stop").unlink()
            started(["--curve", str(folder), str(batch)], processes)
            found[name] = json.loads((folder / "rank0.json").read_text(encoding="utf-8"))
    straight = found["one"]
    print("loss of one process:  " + "  ".join(f"{row['loss']:.5f}" for row in straight["history"]))
    print("loss of two processes:" + "  ".join(f"{row['loss']:.5f}" for row in found["two"]["history"]))
    apart = max(
        abs(ours[key] / theirs[key] - 1)
        for ours, theirs in zip(found["two"]["history"], straight["history"], strict=True)
        for key in ("loss", "validation")
    )
    return {"two_processes": apart, "resumed": float(found["resumed"] != straight)}


def main() -> int:
    parser = argument_parser(__doc__, "ctpa_training")
    parser.add_argument("--skip-large", action="store_true", help="leave the denoiser of 143 million out")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto", help="of 1. and 2.")
    parser.add_argument("--curve", nargs=2, metavar=("DIR", "BATCH"), help=argparse.SUPPRESS)
    parser.add_argument("--stop-after", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--measure", nargs=3, type=int, metavar=("PATCH", "BATCH", "STEPS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.curve is not None:
        curve(Path(arguments.curve[0]), int(arguments.curve[1]), arguments.stop_after)
        sys.stdout.flush()
        os._exit(0)  # gloo's threads now and then abort at the interpreter's end, when all is done and written
    if arguments.measure is not None:
        print(json.dumps(steps(*arguments.measure, precision=arguments.precision)))
        return 0

    torch.set_num_threads(1)
    precision = resolve_precision("cpu", arguments.precision)
    differences = curves()
    measured = {
        name: json.loads(
            started(["--precision", precision, "--measure", str(patch), str(batch), str(count)]).splitlines()[-1]
        )
        for name, patch, batch, count in (("whole", 0, 1, 3), ("patch", PATCH, 2, 6))
    }
    print(f"\nin {precision}\n{'one step, small denoiser':28s}" + "".join(f"{name:>24s}" for name in measured["whole"]))
    for name, row in measured.items():
        print(f"{name:28s}" + "".join(f"{value:24.3f}" for value in row.values()))
    print()
    table = memory_table(arguments.skip_large, precision)
    ratios = [row["estimated_gb"] / row["peak_gb"] for row in measured.values()]
    gates = {
        "two processes give the loss curve of one": differences["two_processes"] < 1e-3,
        "a resumed training gives the same numbers": differences["resumed"] == 0,
        "patches take less memory": measured["patch"]["peak_gb"] < measured["whole"]["peak_gb"],
        "the estimate is within a factor of 2": all(0.5 < ratio < 2 for ratio in ratios),
        "checkpointing keeps less than half": all(
            again["whole_gb"] < 0.5 * plain["whole_gb"] for plain, again in zip(table[::2], table[1::2], strict=True)
        ),
    }
    for name, holds in gates.items():
        print(f"gate: {name}: {'holds' if holds else 'FAILS'}")
    write_result(arguments.json, {"differences": differences, "steps": measured, "memory": table, "gates": gates})
    return 0 if all(gates.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
