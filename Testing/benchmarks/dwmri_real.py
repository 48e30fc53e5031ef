"""Real scans: does the residual look like noise, and do two halves of a scan agree better than with dipy's methods?

    DEEPRECON_DATA=FOLDER python Testing/benchmarks/dwmri_real.py [--methods NAME ...]

The folder has dwi/philips_ax_b1000 and dwi/siemens_sag_b2000 with dwi.nii.gz, dwi.bval and dwi.bvec. The weighted
volumes are split into two halves with directions that are spread alike, each with all b0; each half is denoised by
itself and a tensor fitted. Agreement: mean difference of FA and mean angle between the principal directions where both
raw halves have FA > 0.3. The exit code is 1 where dipy's best is better.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Logic"))

from deeprecon.data.dwi_io import read_dwi
from deeprecon.data.dwi_scan import DwiScan, with_finite_values
from deeprecon.data.files import write_json
from deeprecon.data.gradients import GradientTable
from deeprecon.dwmri.coherence import coherence
from deeprecon.dwmri.mask import find_mask
from deeprecon.dwmri.methods import denoise
from deeprecon.dwmri.noise import estimate_noise, whiteness
from deeprecon.dwmri.parameters import EnhanceParameters, Method
from deeprecon.dwmri.rician import rician_mean
from deeprecon.dwmri.tensor import TensorMaps, fit_tensor
from deeprecon.jobs.run import Run
from deeprecon.training.devices import resolve_precision

SCANS = ("philips_ax_b1000", "siemens_sag_b2000")
METHODS = ("noisy", "network", "pca", "mppca", "local-pca")


class Silent:
    """Says nothing."""

    def status(self, text: str) -> None: ...
    def progress(self, fraction: float, seconds_left: float | None = None) -> None: ...
    def metric(self, step: int, **values: float) -> None: ...
    def warning(self, message: str) -> None: ...


def halves(table: GradientTable) -> list[np.ndarray]:
    """Volume numbers of two halves: each direction goes where its nearest taken ones are farther away."""
    parts: list[list[int]] = [[], []]
    for volume in np.flatnonzero(~table.b0):

        def near(part: list[int], volume: int = int(volume)) -> float:
            return max((abs(float(table.directions[volume] @ table.directions[v])) for v in part), default=0.0)

        order = sorted(range(2), key=lambda n: (len(parts[n]) > len(parts[1 - n]), near(parts[n])))
        parts[order[0]].append(int(volume))
    return [np.array(sorted([*part, *np.flatnonzero(table.b0)])) for part in parts]


def run_method(scan: DwiScan, mask: np.ndarray, method: str, steps: int) -> tuple[TensorMaps | None, dict[str, float]]:
    """The tensor after a method, and figures about its residual."""
    array = np.asarray(scan.array, np.float32)
    if method == "noisy":
        return fit_tensor(array, scan.gradients, mask), {}
    sigma = estimate_noise(array, mask, "cpu", torch.get_num_threads())
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), Path(folder), "cpu", torch.get_num_threads(), resolve_precision("cpu"), 0, Silent())
        found = denoise(array, scan.gradients, mask, sigma, Method(method), True, steps, run).array
    weighted = ~scan.gradients.b0
    expected = (rician_mean(found / sigma[..., None]) * sigma[..., None]).astype(np.float32)
    white = whiteness((array - expected)[..., weighted], found[..., weighted], sigma, mask)
    figures = {"variance_ratio": white.variance_ratio, "residual_edges": white.edge_correlation}
    return fit_tensor(found, scan.gradients, mask), figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS), metavar="NAME")
    parser.add_argument("--steps", type=int, default=EnhanceParameters().steps)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, default=Path("out/dwmri_real.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    root = Path(os.environ.get("DEEPRECON_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data") / "dwi"
    rows: list[dict[str, Any]] = []
    print("scan               method       FA difference  angle  coherence  FA      residual variance, edges")
    for name in SCANS:
        scan, _ = with_finite_values(read_dwi(root / name / "dwi.nii.gz"))
        mask = find_mask(scan)
        clear: np.ndarray | None = None
        for method in arguments.methods:
            maps, figures = [], {}
            for part in halves(scan.gradients):
                found, figures = run_method(scan.volumes(part), mask, method, arguments.steps)
                assert found is not None
                maps.append(found)
            if clear is None:
                clear = mask & (maps[0].fa > 0.3) & (maps[1].fa > 0.3)
            cosine = np.abs((maps[0].direction[clear] * maps[1].direction[clear]).sum(axis=-1))
            row = {
                "scan": name,
                "method": method,
                "fa_difference": float(np.abs(maps[0].fa - maps[1].fa)[mask].mean()),
                "angle": float(np.degrees(np.arccos(np.clip(cosine, 0, 1))).mean()),
                "coherence": float(np.mean([coherence(one, mask, scan.ijk_to_ras)["as given"] for one in maps])),
                "mean_fa": float(np.mean([one.fa[mask].mean() for one in maps])),
            } | figures
            rows.append(row)
            print(f"{name:<18} {method:<12} {row['fa_difference']:12.4f} {row['angle']:7.2f} {row['coherence']:9.3f}  "
                  f"{row['mean_fa']:.4f}  {figures.get('variance_ratio', 0):.3f} "
                  f"{figures.get('residual_edges', 0):.3f}", flush=True)  # fmt: skip
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            write_json(arguments.json, {"machine": {"platform": platform.platform()}, "rows": rows})
    broken = []
    for name in SCANS:
        found = {row["method"]: row for row in rows if row["scan"] == name}
        dipys = [found[method] for method in ("mppca", "local-pca") if method in found]
        if "network" not in found or not dipys:
            continue
        for figure in ("fa_difference", "angle"):
            if found["network"][figure] > min(row[figure] for row in dipys):
                broken.append(f"{name}: {figure}")
    print(f"Written to {arguments.json}")
    print(f"Not better than dipy's best: {'; '.join(broken)}." if broken else "Better than dipy's best on both scans.")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
