"""The default method and dipy's on phantoms whose clean signal is known.

    python Testing/benchmarks/dwmri_denoising.py [--seeds 5] [--settings NAME ...] [--methods NAME ...]

33 volumes at SNR 10, 20 and 30, then one factor at a time at SNR 20: 15 and 70 volumes, noise that varies over the
image, and correlated noise. Every method gets the same mask, noise map and bias correction. Seconds are those of the
CPU. An interrupted run resumes. The exit code is 1 when a gate fails.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.common import argument_parser, write_result

from deeprecon.dwmri.filters import smooth_in_mask
from deeprecon.dwmri.fit.denoising import denoise
from deeprecon.dwmri.measure.accuracy import accuracy
from deeprecon.dwmri.observe.noise_level import estimate_noise
from deeprecon.dwmri.parameters import EnhanceParameters, Method
from deeprecon.dwmri.simulate.head import make_phantom
from deeprecon.jobs.run import Run, SilentReporter
from deeprecon.training.devices import resolve_precision

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

SETTINGS: dict[str, dict[str, Any]] = {
    "SNR 10": {"snr": 10},
    "SNR 20": {"snr": 20},
    "SNR 30": {"snr": 30},
    "15 volumes": {"shells": [(1000.0, 12)]},
    "70 volumes": {"b0": 6, "shells": [(1000.0, 32), (2500.0, 32)]},
    "varying noise": {"varying": True},
    "correlated noise": {"correlated": True},
}
OURS = ("network", "pca")
DIPYS = ("mppca", "local-pca", "patch2self", "nlmeans")
MEAN_GAIN, MIN_GAIN = 1.0, 0.5
"""dB of the weighted volumes above the best of dipy's: on the mean over the settings, and in each."""
EDGE_RATIO, STRUCTURE, LESIONS = (0.99, 1.01), 0.10, 0.55
SMALLER_IS_BETTER = ("fa_error", "md_error", "direction_error")


def measure(setting: str, seed: int, methods: list[str], device: str, threads: int) -> list[dict[str, Any]]:
    """Metrics of each method on one phantom, and of the noisy scan."""
    made = make_phantom(**SETTINGS[setting], noise_seed=seed)
    noisy = np.asarray(made.noisy.array, np.float32)
    sigma = estimate_noise(noisy, made.mask, device, threads)
    rows = []
    for method in ("noisy", *methods):
        start, found = time.process_time(), noisy
        if method != "noisy":
            with tempfile.TemporaryDirectory() as folder:
                run = Run(
                    Path(folder), Path(folder), device, threads, resolve_precision(device), seed, SilentReporter()
                )
                steps = EnhanceParameters().steps
                done = denoise(made.noisy, made.mask, sigma, Method(method), True, steps, run)
                found = np.asarray(done.after.array)
        seconds = time.process_time() - start
        metrics = accuracy(found, made.clean, made.mask, made.labels, noisy, made.sigma)
        if method in OURS:
            metrics |= uncertainty_metrics(done.uncertainty, found - made.clean.array, made.mask)
        rows.append({"setting": setting, "seed": seed, "method": method, "seconds": round(seconds, 2)} | metrics)
    return rows


def uncertainty_metrics(uncertainty: Floats, error: Floats, mask: Mask) -> dict[str, float]:
    """Ratio of the uncertainty to the error, and its correlation with the error averaged over neighbors."""
    square = np.mean(error.astype(np.float32) ** 2, axis=-1)
    around = np.sqrt(smooth_in_mask(square, mask, 1.0))
    ratio = np.sqrt(np.mean(uncertainty[mask] ** 2) / np.mean(square[mask]))
    return {
        "uncertainty_ratio": float(ratio),
        "uncertainty_correlation": float(np.corrcoef(uncertainty[mask], around[mask])[0, 1]),
    }


def summary(rows: list[dict[str, Any]], setting: str) -> dict[str, dict[str, float]]:
    """Mean metrics over the seeds by method."""
    found: dict[str, dict[str, float]] = {}
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["setting"] == setting and row["method"] == method]
        if own:
            names = [name for name, value in own[0].items() if isinstance(value, float | int) and name != "seed"]
            found[method] = {name: float(np.mean([row[name] for row in own])) for name in names}
    return found


def gates(rows: list[dict[str, Any]], settings: list[str]) -> list[str]:
    """Gates of the default method that do not hold."""
    broken, gains = [], []
    for setting in settings:
        mean = summary(rows, setting)
        if "network" not in mean or not set(DIPYS) & set(mean):
            continue
        own, dipys = mean["network"], [mean[name] for name in DIPYS if name in mean]
        gain = own["psnr_dwi"] - max(other["psnr_dwi"] for other in dipys)
        gains.append(gain)
        if gain < MIN_GAIN:
            broken.append(f"{setting}: only {gain:+.2f} dB")
        if own["psnr_b0"] < max(other["psnr_b0"] for other in dipys):
            broken.append(f"{setting}: b0")
        broken += [f"{setting}: {name}" for name in SMALLER_IS_BETTER if own[name] > min(o[name] for o in dipys)]
        if not EDGE_RATIO[0] <= own["edge_ratio"] <= EDGE_RATIO[1]:
            broken.append(f"{setting}: edge ratio {own['edge_ratio']:.4f}")
        if own["residual_edge_correlation"] > STRUCTURE:  # below 0 noise was kept at edges, and no anatomy lost
            broken.append(f"{setting}: residual/edge correlation {own['residual_edge_correlation']:.3f}")
        if own["lesion_rmse"] > LESIONS * mean["noisy"]["lesion_rmse"]:
            broken.append(f"{setting}: lesions {own['lesion_rmse'] / mean['noisy']['lesion_rmse']:.2f}")
    if gains and np.mean(gains) < MEAN_GAIN:
        broken.append(f"mean gain {np.mean(gains):.2f} dB")
    if gains:
        print(f"gain over the best of dipy's: mean {np.mean(gains):+.2f} dB, least {min(gains):+.2f} dB")
    return broken


def main() -> int:
    parser = argument_parser(__doc__, "dwmri_denoising")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--settings", nargs="*", choices=list(SETTINGS), default=list(SETTINGS), metavar="NAME")
    parser.add_argument("--methods", nargs="*", default=[*OURS, *DIPYS], metavar="NAME")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", module="dipy")
    torch.set_num_threads(arguments.threads)
    rows: list[dict[str, Any]] = []
    if arguments.json.exists():
        rows = json.loads(arguments.json.read_text(encoding="utf-8"))["rows"]
    machine = {"device": arguments.device, "threads": arguments.threads}
    for seed in range(arguments.seeds):
        for setting in arguments.settings:
            there = {row["method"] for row in rows if row["setting"] == setting and row["seed"] == seed}
            missing = [method for method in arguments.methods if method not in there]
            if not missing:
                continue
            found = measure(setting, seed, missing, arguments.device, arguments.threads)
            rows += [row for row in found if row["method"] not in there]
            write_result(arguments.json, {"machine": machine, "rows": rows})
            values = ", ".join(f"{row['method']} {row['psnr_dwi']:.2f}" for row in found)
            print(f"{setting}, seed {seed}: {values}", flush=True)
    for setting in arguments.settings:
        print(f"\n{setting:<17} dB dwi  dB b0   FA     MD     deg  edge   r-edge lesion      s")
        for method, mean in summary(rows, setting).items():
            print(f"{method:<16} {mean['psnr_dwi']:6.2f} {mean['psnr_b0']:6.2f} {mean['fa_error']:.4f} "
                  f"{mean['md_error']:6.1f} {mean['direction_error']:5.2f} {mean['edge_ratio']:.4f} "
                  f"{mean['residual_edge_correlation']:6.3f} {mean['lesion_rmse']:6.2f} "
                  f"{mean['seconds']:6.1f}")  # fmt: skip
        for method, mean in summary(rows, setting).items():
            if method in OURS:
                print(f"{method}: uncertainty {mean['uncertainty_ratio']:.2f} times the error, correlation with that "
                      f"around each voxel {mean['uncertainty_correlation']:.2f}")  # fmt: skip
    print()
    broken = gates(rows, arguments.settings)
    print(f"Written to {arguments.json}")
    print(f"Gates that do not hold: {'; '.join(broken)}." if broken else "Every gate holds.")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
