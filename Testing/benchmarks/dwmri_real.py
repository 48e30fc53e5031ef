"""Real scans: does the residual look like noise, and do two halves of a scan agree better than with dipy's methods?

    DEEPRECON_DATA=FOLDER python Testing/benchmarks/dwmri_real.py [--methods NAME ...]

The folder has dwi/philips_ax_b1000 and dwi/siemens_sag_b2000 with dwi.nii.gz, dwi.bval and dwi.bvec. The weighted
volumes are split into two halves with directions that are spread alike, each with all b0; each half is denoised by
itself and a tensor fitted. Two measures: how well a half's tensor foretells the weighted volumes of the other half as
they were scanned (root mean square difference over the noise; the other half's own noise makes it at least 1), and how
well the tensors agree: mean difference of FA and mean angle between the principal directions where both raw halves have
FA > 0.3. Agreement alone rewards blur, which both halves share. The exit code is 1 where dipy's best foretells better.
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
from dipy.core.gradients import gradient_table as dipy_table
from dipy.reconst.dti import TensorModel

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
from deeprecon.dwmri.tensor import fit_tensor
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


def run_method(
    scan: DwiScan, sigma: np.ndarray, mask: np.ndarray, method: str, steps: int
) -> tuple[np.ndarray, dict[str, float]]:
    """What a method makes of a scan, and figures about its residual."""
    array = np.asarray(scan.array, np.float32)
    if method == "noisy":
        return array, {}
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder), Path(folder), "cpu", torch.get_num_threads(), resolve_precision("cpu"), 0, Silent())
        found = denoise(array, scan.gradients, mask, sigma, Method(method), True, steps, run).array
    weighted = ~scan.gradients.b0
    expected = (rician_mean(found / sigma[..., None]) * sigma[..., None]).astype(np.float32)
    white = whiteness((array - expected)[..., weighted], found[..., weighted], sigma, mask)
    figures = {"variance_ratio": white.variance_ratio, "residual_edges": white.edge_correlation}
    return found, figures


def foretelling_error(
    found: np.ndarray, table: GradientTable, magnitudes: bool, other: DwiScan, sigma: np.ndarray, mask: np.ndarray
) -> float:
    """Root mean square difference, over the noise, of the other half as scanned from what this half's tensor foretells.

    Args:
        found: (k, j, i, V) this half.
        table: of the V volumes.
        magnitudes: whether it still has the bias of magnitudes, which then needs not be added.
        other: as scanned; its weighted volumes are looked at.
        sigma: (k, j, i) noise of the other half.
        mask: (k, j, i).
    """
    weighted = ~other.gradients.b0
    wanted = other.gradients.subset(weighted)
    signal = np.nan_to_num(found[mask])  # dipy leaves holes
    model = TensorModel(dipy_table(table.bvals, bvecs=table.directions), return_S0_hat=True)
    fitted = model.fit(np.maximum(signal, 1e-3 * signal.mean()))
    level = sigma[mask][:, None]
    expected = fitted.predict(dipy_table(wanted.bvals, bvecs=wanted.directions)) / level
    if not magnitudes:
        expected = rician_mean(expected)
    return float(np.sqrt(np.mean((expected - other.array[mask][:, weighted] / level) ** 2)))


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
    print(
        "scan               method       foretells  FA difference  angle  coherence  FA      residual variance, edges"
    )
    for name in SCANS:
        scan, _ = with_finite_values(read_dwi(root / name / "dwi.nii.gz"))
        mask = find_mask(scan)
        parts = [scan.volumes(part) for part in halves(scan.gradients)]
        sigmas = [estimate_noise(np.asarray(part.array, np.float32), mask, "cpu") for part in parts]
        clear: np.ndarray | None = None
        for method in arguments.methods:
            maps, errors, figures = [], [], {}
            for part, other, sigma, level in zip(parts, parts[::-1], sigmas, sigmas[::-1], strict=True):
                found, figures = run_method(part, sigma, mask, method, arguments.steps)
                fitted = fit_tensor(found, part.gradients, mask)
                assert fitted is not None
                maps.append(fitted)
                errors.append(foretelling_error(found, part.gradients, method == "noisy", other, level, mask))
            if clear is None:
                clear = mask & (maps[0].fa > 0.3) & (maps[1].fa > 0.3)
            cosine = np.abs((maps[0].direction[clear] * maps[1].direction[clear]).sum(axis=-1))
            row = {
                "scan": name,
                "method": method,
                "foretelling_error": float(np.sqrt(np.mean(np.square(errors)))),
                "fa_difference": float(np.abs(maps[0].fa - maps[1].fa)[mask].mean()),
                "angle": float(np.degrees(np.arccos(np.clip(cosine, 0, 1))).mean()),
                "coherence": float(np.mean([coherence(one, mask, scan.ijk_to_ras)["as given"] for one in maps])),
                "mean_fa": float(np.mean([one.fa[mask].mean() for one in maps])),
            } | figures
            rows.append(row)
            print(f"{name:<18} {method:<12} {row['foretelling_error']:9.4f} {row['fa_difference']:14.4f} "
                  f"{row['angle']:7.2f} {row['coherence']:9.3f}  {row['mean_fa']:.4f}  "
                  f"{figures.get('variance_ratio', 0):.3f} {figures.get('residual_edges', 0):.3f}",
                  flush=True)  # fmt: skip
            arguments.json.parent.mkdir(parents=True, exist_ok=True)
            write_json(arguments.json, {"machine": {"platform": platform.platform()}, "rows": rows})
    broken = []
    for name in SCANS:
        found = {row["method"]: row for row in rows if row["scan"] == name}
        dipys = [found[method] for method in ("mppca", "local-pca") if method in found]
        if "network" not in found or not dipys:
            continue
        if found["network"]["foretelling_error"] > min(row["foretelling_error"] for row in dipys):
            broken.append(name)
    print(f"Written to {arguments.json}")
    print(f"One of dipy's foretells better: {', '.join(broken)}." if broken else "Foretells better than dipy's best.")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
