"""The supervised networks and a plain U-Net of about equal size, on pairs of phantoms.

    python Testing/benchmarks/dwmri_supervised.py [--steps 600] [--networks NAME ...] [--ablation]

Each network is trained on two heads at SNR 20, a third one selects the weights, and a fourth one is the test.
`--ablation` trains the multi-scale network without the edge loss, with accumulated gradients, in half precision and
compiled, which on a CPU takes a C++ compiler. Steps per second are of the complete training, compiling included. The
exit code is 1 when a network does not come out above the noisy scan.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.common import argument_parser, write_result

from deeprecon.dwmri.fit.supervised import apply_network
from deeprecon.dwmri.measure.accuracy import accuracy
from deeprecon.dwmri.networks.architectures import ARCHITECTURES, build, count_parameters
from deeprecon.dwmri.parameters import Architecture, TrainParameters
from deeprecon.dwmri.simulate.head import Phantom, make_phantom
from deeprecon.dwmri.training.optimization import train_network
from deeprecon.dwmri.training.pairs import Pair, Split, hold_out, make_pair
from deeprecon.jobs.run import Run, SilentReporter

SIZE = 45_000
"""Approximate number of weights of every network."""
ABLATION: dict[str, dict[str, Any]] = {
    "without the edge loss": {"edge_weight": 0.0},
    "accumulation of 2": {"accumulate": 2, "batch": 2},
    "bf16": {"precision": "bf16"},
    "compiled": {"compile": True},
}


def width_of(name: str) -> int:
    """The width at which a network has about SIZE weights."""
    return min(range(4, 65), key=lambda width: abs(count_parameters(build(name, width)) - SIZE))


def pair_of(seed: int, device: str) -> Pair:
    made = make_phantom(seed=seed, noise_seed=seed)
    clean = np.asarray(made.clean.array, np.float32)
    return make_pair(made.noisy, clean, made.mask, made.sigma, f"head {seed}", device)


def measure(
    label: str, settings: TrainParameters, split: Split, test: Phantom, device: str, precision: str
) -> dict[str, Any]:
    """Train and test one network."""
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), Path(folder), device, torch.get_num_threads(), precision, 0, SilentReporter())
        start = time.perf_counter()
        network, _ = train_network(split, settings, run)
        seconds = time.perf_counter() - start
    noisy = np.asarray(test.noisy.array, np.float32)
    found = apply_network(
        network, noisy, test.noisy.gradients, test.noisy.ijk_to_ras, test.mask, np.asarray(test.sigma), device
    )
    metrics = accuracy(found, test.clean, test.mask, test.labels, noisy)
    return {
        "network": label,
        "width": settings.width,
        "parameters": count_parameters(network),
        "steps_per_second": round(settings.steps / seconds, 2),
    } | metrics


def main() -> int:
    parser = argument_parser(__doc__, "dwmri_supervised")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument(
        "--networks", nargs="*", choices=list(ARCHITECTURES), default=list(ARCHITECTURES), metavar="NAME"
    )
    parser.add_argument("--ablation", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device, steps = arguments.device, arguments.steps
    split = hold_out([pair_of(seed, device) for seed in (11, 12, 13)], 0)
    test = make_phantom(seed=0, noise_seed=3)
    noisy = np.asarray(test.noisy.array, np.float32)
    rows: list[dict[str, Any]] = [{"network": "noisy"} | accuracy(noisy, test.clean, test.mask, test.labels, noisy)]
    print("network                   weights  steps/s  dB dwi   dB b0   HFEN    edge    FA")
    print(f"{'noisy':<41} {rows[0]['psnr_dwi']:7.2f} {rows[0]['psnr_b0']:7.2f} {rows[0]['hfen']:.4f}  "
          f"{rows[0]['edge_ratio']:.4f} {rows[0]['fa_error']:.4f}")  # fmt: skip
    plan: list[tuple[str, dict[str, Any]]] = [(name, {"network": Architecture(name)}) for name in arguments.networks]
    if arguments.ablation:
        plan += [
            (f"multi-scale, {label}", {"network": Architecture.MULTI_SCALE} | change)
            for label, change in ABLATION.items()
        ]
    for label, change in plan:
        options = {"width": width_of(change["network"].value), "steps": steps} | change
        precision = options.pop("precision", "fp32")
        row = measure(label, TrainParameters(**options), split, test, device, precision)
        rows.append(row)
        print(f"{label:<24} {row['parameters']:8d} {row['steps_per_second']:8.2f} {row['psnr_dwi']:7.2f} "
              f"{row['psnr_b0']:7.2f} {row['hfen']:.4f}  {row['edge_ratio']:.4f} "
              f"{row['fa_error']:.4f}", flush=True)  # fmt: skip
        machine = {"device": device, "threads": arguments.threads, "steps": steps}
        write_result(arguments.json, {"machine": machine, "rows": rows})
    broken = [row["network"] for row in rows[1:] if row["psnr_dwi"] <= rows[0]["psnr_dwi"]]
    print(f"Written to {arguments.json}")
    print(f"Not above the noisy scan: {', '.join(broken)}." if broken else "Every network is above the noisy scan.")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
