"""Retrain the phantom-trained demonstrator that is shipped with the library, and measure it on new phantoms.

    python Testing/benchmarks/ctpa_demonstrator.py [--threads 1] [--output out/ctpa_demonstrator] [--install]
    python Testing/benchmarks/ctpa_demonstrator.py --bundle Logic/deeprecon/Resources/Bundles/ctpa-demonstrator

Four verbs, one after the other: train-autoencoder on patches of phantoms, phantom, prepare, train-diffusion. A step
that is done is not done again. Then phantoms that training has not seen are synthesized from their X-rays: PSNR and
projection error of the mean of the samples, with those of the mean CT. The exit code is 1 when a gate fails: 60
minutes of processor time (where it was trained here), 15 MB, and a PSNR above that of the mean CT.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.common import argument_parser, write_result

from deeprecon.ctpa.demonstrator import NAME
from deeprecon.ctpa.grid import PREVIEW
from deeprecon.ctpa.measure.metrics import mae, psnr
from deeprecon.ctpa.measure.projection_check import check_projection
from deeprecon.ctpa.observe.body import body_mask
from deeprecon.ctpa.observe.projection import Geometry
from deeprecon.ctpa.simulate.chests import draw_grid, make_anatomy
from deeprecon.data.volume_io import read_volume
from deeprecon.resources import resource_path

ROOT = Path(__file__).resolve().parents[2]
MAX_MINUTES, MAX_BYTES = 60.0, 15e6
HELD_OUT = 1_000_000
"""Number of the first chest to measure on, far from those of the training."""
FOR_MEAN = 12
"""Chests of the training whose mean is the baseline."""


def call(verb: str, *options: object) -> float:
    """Run a verb; returns the minutes of processor time.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, "-m", "deeprecon", "ctpa", verb, *map(str, options)]
    process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": sys.path[0]})
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"ctpa {verb} failed")
    return (usage.ru_utime + usage.ru_stime) / 60


def train(folder: Path, chests: int, autoencoder_steps: int, steps: int, threads: int) -> tuple[Path, dict[str, float]]:
    """The bundle and the minutes of each verb that was run now."""
    autoencoder, phantoms, store, model = (folder / name for name in ("autoencoder", "phantoms", "store", "model"))
    verbs: dict[Path, tuple[object, ...]] = {
        autoencoder: ("train-autoencoder", "--steps", autoencoder_steps),
        phantoms: ("phantom", "--count", chests),
        store: ("prepare", "--manifest", phantoms / "manifest.csv", "--bundle", autoencoder / "bundle",
                "--validation", 0.12, "--test", 0.0),
        model: ("train-diffusion", "--store", store, "--bundle", autoencoder / "bundle", "--patch", 32, "--batch", 2,
                "--steps", steps),
    }  # fmt: skip
    minutes = {}
    for output, (verb, *options) in verbs.items():
        if not (output / "result.json").is_file():
            needs_threads = () if verb == "phantom" else ("--threads", threads)
            minutes[str(verb)] = call(str(verb), *options, *needs_threads, "--output", output)
    return model / "bundle", minutes


def measure(bundle: Path, chests: int, samples: int, threads: int) -> list[dict[str, Any]]:
    """Figures of each held-out chest, of the mean of its samples and of the mean CT."""
    mean = np.mean([draw_grid(make_anatomy(seed), PREVIEW)[0].astype(np.float32) for seed in range(FOR_MEAN)], axis=0)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        call("phantom", "--count", chests, "--first", HELD_OUT, "--output", folder / "phantoms")
        for case in sorted((folder / "phantoms").glob("case_*")):
            call("synthesize", "--xray", case / "xray.nii.gz", "--bundle", bundle, "--samples", samples, "--threads",
                 threads, "--output", folder / case.name)  # fmt: skip
            metrics = json.loads((folder / case.name / "result.json").read_text(encoding="utf-8"))["metrics"]
            truth, found = (read_volume(path).array for path in (case / "ct.nii.gz", folder / case.name / "ct.nii.gz"))
            image = read_volume(folder / case.name / "xray.nii.gz").array[:, 0]
            body = body_mask(truth)
            rows.append(
                {
                    "psnr": psnr(found, truth, body),
                    "psnr_mean_ct": psnr(mean, truth, body),
                    "mae": mae(found, truth, body),
                    "mae_mean_ct": mae(mean, truth, body),
                    "nrmse": metrics["nrmse"],
                    "nrmse_mean_ct": check_projection(mean, image, PREVIEW, Geometry()).nrmse,
                    "trust": metrics["trust"],
                    **{name: metrics[name] for name in ("lung_hu", "blood_hu", "bone_hu", "seam_ratio")},
                }
            )
    return rows


def mean_of(values: list[float | None]) -> float | None:
    """Of those that were found; None where none was."""
    found = [value for value in values if value is not None]
    return float(np.mean(found)) if found else None


def main() -> int:
    parser = argument_parser(__doc__, "ctpa_demonstrator")
    parser.add_argument("--bundle", type=Path, help="measure this one and train none")
    parser.add_argument("--chests", type=int, default=72, help="to train the denoiser on")
    parser.add_argument("--autoencoder-steps", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=700, help="of the denoiser")
    parser.add_argument("--held-out", type=int, default=4, help="chests to measure on")
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, default=Path("out/ctpa_demonstrator"))
    parser.add_argument("--install", action="store_true", help="put the bundle into the library")
    arguments = parser.parse_args()
    bundle, minutes = arguments.bundle, {}
    if bundle is None:
        bundle, minutes = train(
            arguments.output, arguments.chests, arguments.autoencoder_steps, arguments.steps, arguments.threads
        )
    size = sum(path.stat().st_size for path in bundle.rglob("*") if path.is_file())
    rows = measure(bundle, arguments.held_out, arguments.samples, arguments.threads)
    means = {name: mean_of([row[name] for row in rows]) for name in rows[0] if name != "trust"}
    print(f"\n{len(rows)} held-out chests, mean of {arguments.samples} samples, inside the body; {size / 1e6:.1f} MB")
    print("                  PSNR dB   MAE HU   projection error (NRMSE)")
    for title, ending in (("demonstrator", ""), ("mean CT", "_mean_ct")):
        print(
            f"  {title:<14} {means['psnr' + ending]:8.2f} {means['mae' + ending]:8.1f} {means['nrmse' + ending]:10.3f}"
        )
    organs = {name: means[f"{name}_hu"] for name in ("lung", "blood", "bone")}
    print("  " + ", ".join(f"{name} " + ("not found" if hu is None else f"{hu:.0f} HU") for name, hu in organs.items()))
    if minutes:
        print(f"  trained in {sum(minutes.values()):.0f} minutes of processor time: {minutes}")
    broken = []
    if sum(minutes.values()) > MAX_MINUTES:
        broken.append(f"{sum(minutes.values()):.0f} minutes to train")
    if size > MAX_BYTES:
        broken.append(f"{size / 1e6:.1f} MB")
    if means["psnr"] <= means["psnr_mean_ct"]:
        broken.append("no better than the mean CT")
    if arguments.install and not broken:
        target = resource_path("Bundles") / NAME
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(bundle, target)
        print(f"Installed in {target}")
    write_result(
        arguments.json,
        {"bytes": size, "minutes": minutes, "means": means, "cases": rows},
    )
    print(f"Gates that do not hold: {'; '.join(broken)}." if broken else "Every gate holds.")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
