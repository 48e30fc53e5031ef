"""From a DICOM X-ray to a CT of 512 x 512 x 608 voxels: time by stage, and memory, compared with the published method.

    python Testing/benchmarks/ctpa_full_volume.py [--threads 2] [--steps 20] [--bundle DIR] [--json FILE]

One sample with the shipped bundle, in a process of its own, every output written. Beside it, by the measured time of a
step and of decoding a cube with the same networks: the published way, which draws 150 cubes of 128^3 voxels one by one
in 1000 steps each. Last, the operations (counted by PyTorch) of the denoiser with 143 million parameters in 30 steps,
and what they would take on an H200: an estimate, not a measurement. The exit code is 1 when a gate fails: 6 minutes
and 4 GB. Times depend on what else the computer does; processor time hardly does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.common import argument_parser, write_result

from deeprecon.ctpa.demonstrator import demonstrator_folder
from deeprecon.ctpa.grid import FULL, Grid
from deeprecon.ctpa.observe.projection import Geometry, detector_axes, expose, line_integrals
from deeprecon.ctpa.simulate.chests import draw_grid, make_anatomy

MAX_SECONDS, MAX_BYTES = 360.0, 4e9
CUBES, CUBE_STEPS, CUBE = 150, 1000, 128
PEAK, SHARE = 790e12, 0.3
"""FLOP/s that large matrix products in bf16 reach on an H200, and the share of it that convolutions are taken to."""
LARGE_STEPS = 30


def write_dicom(path: Path) -> None:
    """The X-ray of a phantom as a DX image."""
    import SimpleITK as sitk

    grid, geometry = Grid((608, 64, 512)), Geometry()
    integrals = line_integrals(draw_grid(make_anatomy(2024), grid)[0], grid, geometry)
    exposed = expose(integrals, np.random.default_rng(2024))
    scaled = np.rint(4095 * (exposed - exposed.min()) / np.ptp(exposed)).astype(np.uint16)
    image = sitk.GetImageFromArray(scaled[::-1][None])
    v, u = detector_axes(grid, geometry)
    image.SetSpacing([float(u[1] - u[0]), float(v[1] - v[0]), 1.0])
    for tag, value in {"0008|0060": "DX", "0018|5101": "PA", "0028|0004": "MONOCHROME2"}.items():
        image.SetMetaData(tag, value)
    sitk.WriteImage(image, str(path))


def synthesize(folder: Path, bundle: Path, threads: int, steps: int) -> dict[str, Any]:
    """Run it in a process of its own.

    Raises:
        RuntimeError: it failed.
    """
    xray, output = folder / "xray.dcm", folder / "out"
    write_dicom(xray)
    command = [sys.executable, "-m", "deeprecon", "ctpa", "synthesize", "--xray", xray, "--bundle", bundle,
               "--preset", "full", "--samples", 1, "--steps", steps, "--device", "cpu", "--threads", threads,
               "--output", output]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": sys.path[0]}
    with tempfile.TemporaryFile() as log:
        start = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], env=environment, stdout=log, stderr=log)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        log.seek(0)
        if status:
            raise RuntimeError(f"ctpa synthesize failed:\n{log.read().decode()}")
    events = [json.loads(line) for line in (output / ".job" / "events.jsonl").read_text("utf-8").splitlines()]
    times = {event["text"]: event["time"] for event in events if event["type"] == "status"}
    result = json.loads((output / "result.json").read_text(encoding="utf-8"))
    metrics = result["metrics"]
    written = times["Holding the result against the X-ray"] - times["Writing the results"]
    drawn = metrics["seconds_denoise"] + metrics["seconds_decode"]
    return {
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_gb": usage.ru_maxrss * 1024 / 1e9,
        "denoise": metrics["seconds_denoise"],
        "decode": metrics["seconds_decode"],
        "write": written,
        "rest": seconds - drawn - written,
        "precision": result["provenance"]["precision"],
        "voxels": metrics["voxels"],
    }


def published_way(bundle: Path, threads: int, precision: str) -> dict[str, float]:
    """Seconds that 150 cubes would take, from a step and a decoding of one."""
    import torch

    from deeprecon.ctpa.autoencoder.tiling import decode_tiled
    from deeprecon.ctpa.diffusion.denoiser import ray_weights
    from deeprecon.ctpa.diffusion.model import latent_grid, load_model
    from deeprecon.ctpa.diffusion.sampling import DTYPES
    from deeprecon.training.bundle import read_bundle

    torch.set_num_threads(threads)
    model = load_model(read_bundle(bundle, "ctpa"), "cpu")
    grid = latent_grid(model.bundle.parameters)
    dtype = DTYPES[precision]
    denoiser, autoencoder = model.denoiser.to(dtype), model.autoencoder.to(dtype)
    size = CUBE // autoencoder.shape.factor
    where = (slice(0, size),) * 3
    part = ray_weights(grid, model.geometries[0], where)
    x = torch.randn(1, denoiser.shape.latent, size, size, size, dtype=dtype)
    with torch.no_grad():
        factor = denoiser.factor
        xray = torch.randn(1, 1, factor * grid.shape[0], factor * grid.shape[2], dtype=dtype)
        features = denoiser.features(xray)
        part = part.to(features)
        step = timed(lambda: denoiser.denoise(x, torch.tensor([0.5]), features, part), 5)
        decode = timed(lambda: decode_tiled(autoencoder, x[0], (size, size, size)), 2)
    return {"step": step, "decode": decode, "seconds": CUBES * (CUBE_STEPS * step + decode)}


def timed(call: Any, count: int) -> float:
    """Mean seconds of a call, after one to warm up."""
    call()
    start = time.perf_counter()
    for _ in range(count):
        call()
    return (time.perf_counter() - start) / count


def large_operations() -> dict[str, float]:
    """Operations of the large denoiser on the whole latent, and of decoding it, and seconds on an H200: an estimate."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from deeprecon.ctpa.autoencoder.network import AUTOENCODERS, Autoencoder
    from deeprecon.ctpa.diffusion.denoiser import DENOISERS, Denoiser, RayWeights, parameter_count, ray_weights

    shape, autoencoder_shape = DENOISERS["large"], AUTOENCODERS["small-8x"]
    grid = FULL.coarser(autoencoder_shape.factor)
    whole = ray_weights(grid, Geometry())
    with torch.device("meta"):
        denoiser, autoencoder = Denoiser(shape, 4), Autoencoder(autoencoder_shape)
        latent = torch.empty(1, shape.latent, *grid.shape)
        xray = torch.empty(1, 1, 4 * grid.shape[0], 4 * grid.shape[2])
        lifted = RayWeights(*(values.to("meta") if isinstance(values, torch.Tensor) else
                        tuple(axis.to("meta") for axis in values) for values in vars(whole).values()))  # fmt: skip
        counts = []
        for call in (
            lambda: denoiser(latent, torch.empty(1), xray, lifted),
            lambda: autoencoder.decode(latent),
        ):
            with torch.no_grad(), FlopCounterMode(display=False) as counter:
                call()
            counts.append(float(counter.get_total_flops()))
    total = LARGE_STEPS * counts[0] + counts[1]
    return {
        "parameters": parameter_count(denoiser),
        "tflop_step": counts[0] / 1e12,
        "tflop_decode": counts[1] / 1e12,
        "h200_seconds_estimate": total / (SHARE * PEAK),
    }


def main() -> int:
    parser = argument_parser(__doc__, "ctpa_full_volume")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--bundle", type=Path, help="of train-diffusion; the shipped one if left out")
    arguments = parser.parse_args()
    bundle = (arguments.bundle or demonstrator_folder()).resolve()
    with tempfile.TemporaryDirectory() as folder:
        own = synthesize(Path(folder), bundle, arguments.threads, arguments.steps)
    print(
        f"{own['voxels']} voxels, one sample, {arguments.steps} steps, {own['precision']}, {arguments.threads} threads"
    )
    for name in ("denoise", "decode", "write", "rest", "seconds", "cpu_seconds"):
        print(f"  {name.replace('_', ' '):<12} {own[name]:8.1f} s")
    print(f"  peak memory  {own['peak_gb']:8.2f} GB", flush=True)
    cubes = published_way(bundle, arguments.threads, own["precision"])
    print(
        f"The published way, same networks: {cubes['step']:.3f} s a step and {cubes['decode']:.1f} s to decode a cube, "
        f"{CUBES} cubes x {CUBE_STEPS} steps: {cubes['seconds'] / 3600:.1f} h, "
        f"{cubes['seconds'] / own['seconds']:.0f} times as long"
    )
    large = large_operations()
    print(
        f"ESTIMATE for an H200 at {SHARE:.0%} of {PEAK / 1e12:.0f} TFLOP/s: {large['parameters'] / 1e6:.0f}M denoiser, "
        f"{LARGE_STEPS} steps of {large['tflop_step']:.2f} TFLOP, decoding {large['tflop_decode']:.2f} TFLOP: "
        f"{large['h200_seconds_estimate']:.1f} s (target 15)"
    )
    machine = {"threads": arguments.threads, "steps": arguments.steps}
    write_result(arguments.json, {"machine": machine, "own": own, "published": cubes, "large": large})
    broken = []
    if own["seconds"] > MAX_SECONDS:
        broken.append(f"{own['seconds']:.0f} s instead of {MAX_SECONDS:.0f}")
    if own["peak_gb"] * 1e9 > MAX_BYTES:
        broken.append(f"{own['peak_gb']:.1f} GB instead of {MAX_BYTES / 1e9:.0f}")
    print(f"Gates that do not hold: {'; '.join(broken)}." if broken else "Every gate holds.")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
