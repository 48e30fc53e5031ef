"""Tiles and windows of X-ray to CT: tiled decoding against untiled, windowed denoising against the whole latent.

    python Testing/benchmarks/ctpa_decoding.py [--minutes 3.0] [--json out/ctpa_decoding.json] [--skip-sizes]

1. Decoding with random weights, tile by tile and at once, for several sizes of tiles (gate: equal to the bit).
2. A small denoiser, trained here for `--minutes` of processor time on phantoms, draws held-out ones three ways: the
   whole at once, windows fused at every step, and the published way (cubes drawn one by one, each without knowing its
   place, put together with constant weights). The seam ratio is shown with figures of the anatomy, for blending alone
   hides seams (gate: the seam ratio of fused windows over that of the whole is 1.00 +- 0.05, at an error of at most
   1.05 times).
3. Processor time, time and peak memory of decoding each resolution, and of denoising steps with their estimate.

Times depend on what else the computer does; processor time does not. The exit code is 1 when a gate fails.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import numpy as np
import torch
from benchmarks.common import argument_parser, write_result
from benchmarks.ctpa_baselines import blend, training_pair

from deeprecon.ctpa.autoencoder.network import AUTOENCODERS, Autoencoder
from deeprecon.ctpa.autoencoder.tiling import decode_tiled
from deeprecon.ctpa.diffusion.denoiser import DENOISERS, Denoiser, DenoiserShape, ray_weights
from deeprecon.ctpa.diffusion.processes import PROCESSES, sample
from deeprecon.ctpa.diffusion.sampling import DTYPES, SamplingPlan, denoise_latent, denoising_bytes
from deeprecon.ctpa.grid import FULL, Grid, to_hu, to_network
from deeprecon.ctpa.measure.metrics import mae, seam_ratio
from deeprecon.ctpa.measure.projection_check import check_projection
from deeprecon.ctpa.observe.body import body_mask
from deeprecon.ctpa.observe.projection import Geometry, line_integrals
from deeprecon.ctpa.patches import Blending, Windows
from deeprecon.ctpa.simulate.chests import draw_grid, make_anatomy
from deeprecon.jobs.run import Run, SilentReporter
from deeprecon.training.devices import resolve_precision

TILES = ((4, 24, 24), (8, 8, 8), (8, 12, 24), (16, 16, 16))
GRID = Grid((24, 24, 24))
WINDOW, STEPS, TRAINING, HELD_OUT = 16, 12, 60, 6
SEAM, ERROR = 0.05, 1.05


def randomized(model: torch.nn.Module) -> None:
    """No layer is left at zero, as after training."""
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.02)
    model.eval()


def decoder(dtype: torch.dtype) -> Autoencoder:
    torch.manual_seed(0)
    model = Autoencoder(AUTOENCODERS["small-8x"])
    randomized(model)
    return model.to(dtype)


def precisions() -> list[str]:
    """fp32, and bf16 where it is faster: without hardware for it bf16 takes hours."""
    return ["fp32", *(["bf16"] if resolve_precision("cpu", "auto") == "bf16" else [])]


def tiled_against_untiled() -> list[dict[str, Any]]:
    rows = []
    for precision in precisions():
        dtype = DTYPES[precision]
        model = decoder(dtype)
        latent = torch.randn(8, 28, 24, 24).to(dtype)
        latent[:, 14:] *= 0.3
        with torch.no_grad():
            whole = to_hu(model.decode(latent[None])[0, 0].float().numpy())
        for size in TILES:
            differing = int((decode_tiled(model, latent, size) != whole).sum())
            rows.append({"precision": precision, "tile": list(size), "voxels": whole.size, "differing": differing})
            print(f"tiles {size!s:14} {precision} {differing} of {whole.size} voxels differ", flush=True)
    return rows


def chest(seed: int, geometry: Geometry) -> tuple[torch.Tensor, torch.Tensor, np.ndarray, np.ndarray]:
    """Volume in -1 .. 1, standardized X-ray, HU, X-ray."""
    hu, _ = draw_grid(make_anatomy(seed), GRID)
    xray = line_integrals(hu, GRID, geometry)
    standard = (xray - np.median(xray)) / (np.percentile(xray, 75) - np.percentile(xray, 25))
    return torch.from_numpy(to_network(hu))[None], torch.from_numpy(standard.astype(np.float32))[None], hu, xray


def trained(chests: list[Any], geometry: Geometry, seconds: float) -> tuple[Denoiser, int, float, float]:
    """A denoiser of voxels, trained for so much processor time on whole volumes and windows; steps, mean, deviation."""
    torch.manual_seed(0)
    volumes, xrays = torch.stack([chest[0] for chest in chests]), torch.stack([chest[1] for chest in chests])
    mean, deviation = float(volumes.mean()), float(volumes.std())
    data = (volumes - mean) / deviation
    model = Denoiser(DenoiserShape(1, (24, 48), 1, 16), 1)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    whole, process, start, steps = ray_weights(GRID, geometry), PROCESSES["rectified-flow"], time.process_time(), 0
    while time.process_time() - start < seconds:
        done = (time.process_time() - start) / seconds
        optimizer.param_groups[0]["lr"] = 2e-3 * min(1.0, 10 * done + 0.05) * (1 - 0.95 * done)
        chosen, where, lifted = torch.randint(len(data), (2,)), (slice(None),) * 3, whole
        if steps % 2:
            first = (torch.randint((GRID.shape[0] - WINDOW) // 2 + 1, (3,)) * 2).tolist()
            where = tuple(slice(start, start + WINDOW) for start in first)
            lifted = ray_weights(GRID, geometry, where)
        x, t, target = training_pair(process, data[(chosen, slice(None), *where)])
        loss = (model(x, t, xrays[chosen], lifted, torch.rand(2) < 0.1) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        steps += 1
    return model.eval(), steps, mean, deviation


@torch.no_grad()
def cubes(model: Denoiser, xray: torch.Tensor, geometry: Geometry, seed: int) -> np.ndarray:
    """The published way: each cube is a draw of its own, at a place it does not know, then averaged."""
    generator = torch.Generator().manual_seed(seed)
    features = model.features(xray[None])
    windows = Windows.cubes(GRID.shape, WINDOW, 12)
    spots = list(windows)

    def draw(_: Any) -> np.ndarray:
        spot = spots[int(torch.randint(len(spots), (), generator=generator))]
        where = ray_weights(GRID, geometry, spot)

        def predict(x: torch.Tensor, t: float) -> torch.Tensor:
            return model.denoise(x, torch.tensor([t]), features, where)

        noise = torch.randn((1, 1, WINDOW, WINDOW, WINDOW), generator=generator)
        return sample(PROCESSES["rectified-flow"], predict, noise, STEPS)[0].numpy()

    return blend(windows, draw, 1, Blending.CONSTANT)[0]


def compare_windows(minutes: float) -> dict[str, Any]:
    geometry = Geometry()
    chests = [chest(seed, geometry) for seed in range(TRAINING)]
    model, steps, mean, deviation = trained(chests, geometry, 60 * minutes)
    print(f"trained for {steps} steps on {TRAINING} phantoms of {GRID.shape}", flush=True)
    run = Run(Path("."), Path("."), "cpu", 1, "fp32", 0, SilentReporter())
    seams = Windows.cubes(GRID.shape, WINDOW, WINDOW // 2)
    figures: dict[str, list[list[float]]] = {"truth": [], "whole": [], "windows": [], "cubes": []}
    for number in range(HELD_OUT):
        _, xray, hu, image = chest(10_000 + number, geometry)
        drawn = {"truth": (to_network(hu) - mean) / deviation}
        for name, window in (("whole", 0), ("windows", WINDOW)):
            plan = SamplingPlan(STEPS, window=window)
            process = PROCESSES["rectified-flow"]
            found = denoise_latent(model, process, xray[0].numpy(), GRID, geometry, plan, number, run)
            drawn[name] = found.latent[0].numpy()
        drawn["cubes"] = cubes(model, xray, geometry, number)
        for name, values in drawn.items():
            result = to_hu(values * deviation + mean)
            check = check_projection(result, image, GRID, geometry)
            own = Windows.cubes(GRID.shape, WINDOW, 12) if name == "cubes" else seams
            error = mae(result, hu, body_mask(hu))
            figures[name].append([seam_ratio(result, own), error, check.nrmse])
    rows = {
        name: dict(zip(("seam", "mae", "nrmse"), np.mean(rows, axis=0).tolist(), strict=True))
        for name, rows in figures.items()
    }
    for name, row in rows.items():
        print(f"{name:8} seam ratio {row['seam']:.3f}  error in the body {row['mae']:.1f} HU  X-ray {row['nrmse']:.3f}")
    return {"steps": steps, **rows}


def _decode(coarser: int, precision: str, answer: Any) -> None:
    torch.set_num_threads(1)
    model = decoder(DTYPES[precision])
    latent = torch.randn(8, *FULL.coarser(8).shape).to(next(model.parameters()))
    out = np.empty([count >> coarser for count in FULL.shape], np.int16)
    wall, processor = time.time(), time.process_time()
    decode_tiled(model, latent, (16, 16, 16), out, coarser)
    answer.put((time.time() - wall, time.process_time() - processor, _peak()))


def _step(window: int, precision: str, answer: Any) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    shape, grid = DENOISERS["small"], FULL.coarser(8)
    model = Denoiser(shape, 8).eval()
    xray = np.zeros((FULL.shape[0], FULL.shape[2]), np.float32)
    run = Run(Path("."), Path("."), "cpu", 1, precision, 0, SilentReporter())
    before, wall, processor = _peak(), time.time(), time.process_time()
    denoise_latent(model, PROCESSES["rectified-flow"], xray, grid, Geometry(), SamplingPlan(1, window=window), 0, run)
    answer.put((time.time() - wall, time.process_time() - processor, _peak() - before))


def _peak() -> float:
    """Largest memory of this process so far, in GB."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage's figure is inherited from the process that started this one
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024 / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)


def alone(task: Any, *arguments: Any) -> tuple[float, float, float]:
    """In a process of its own, so that its memory is its own."""
    context = multiprocessing.get_context("spawn")
    answer = context.Queue()
    process = context.Process(target=task, args=(*arguments, answer))
    process.start()
    found: tuple[float, float, float] = answer.get()
    process.join()
    return found


def sizes() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for precision in precisions():
        for coarser in (2, 1, 0):
            shape = " x ".join(str(count >> coarser) for count in FULL.shape[::-1])
            wall, processor, memory = alone(_decode, coarser, precision)
            rows.append({"what": f"decode {shape}", "precision": precision, "seconds": wall, "processor": processor,
                         "gb": memory})  # fmt: skip
            print(f"decode {shape:16} {precision}  {wall:6.1f} s, {processor:6.1f} of processor, peak {memory:.2f} GB",
                  flush=True)  # fmt: skip
        for window in (0, 48, 32, 16):
            wall, processor, memory = alone(_step, window, precision)
            estimate = denoising_bytes(DENOISERS["small"], FULL.coarser(8), window, 1, precision) / 1e9
            rows.append({"what": f"step, window {window}", "precision": precision, "seconds": wall,
                         "processor": processor, "gb": memory, "estimate_gb": estimate})  # fmt: skip
            print(f"step, window {window:2} {precision}  {wall:6.1f} s, {processor:6.1f} of processor, "
                  f"{memory:.2f} GB, estimated {estimate:.2f}", flush=True)  # fmt: skip
    return rows


def main() -> int:
    parser = argument_parser(__doc__, "ctpa_decoding")
    parser.add_argument("--minutes", type=float, default=3.0, help="processor time of the training")
    parser.add_argument("--skip-sizes", action="store_true", help="leave out part 3")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tiled = tiled_against_untiled()
    drawn = compare_windows(arguments.minutes)
    measured = [] if arguments.skip_sizes else sizes()
    seam = drawn["windows"]["seam"] / drawn["whole"]["seam"]
    error = drawn["windows"]["mae"] / drawn["whole"]["mae"]
    gates = {
        "tiled decoding equals untiled to the bit": all(row["differing"] == 0 for row in tiled),
        f"seam ratio of windows over whole {seam:.3f} within 1 +- {SEAM}": abs(seam - 1) <= SEAM,
        f"error of windows over whole {error:.3f} at most {ERROR}": error <= ERROR,
    }
    for text, passed in gates.items():
        print(f"{'passed' if passed else 'FAILED'}: {text}")
    result = {"tiled": tiled, "drawn": drawn, "sizes": measured, "gates": gates}
    write_result(arguments.json, json.loads(json.dumps(result)))
    return 0 if all(gates.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
