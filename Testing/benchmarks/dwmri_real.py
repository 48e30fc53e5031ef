"""Real scans: structure in the residual, and agreement of two halves of a scan, for the default method and dipy's.

    DEEPRECON_DATA=FOLDER python Testing/benchmarks/dwmri_real.py [--methods NAME ...]

The folder has dwi/philips_ax_b1000 and dwi/siemens_sag_b2000 with dwi.nii.gz, dwi.bval and dwi.bvec. First the default
method is applied to each scan: structure in the residual, mean FA, and fiber coherence with the table as given and with
its axes flipped. Then the weighted volumes are split into two halves with directions that are spread alike, each with
all b0; each half is denoised by itself and a tensor fitted. Two measures: the error of the prediction of the weighted
volumes of the other half, as they were scanned, by a half's tensor (in units of the noise; the noise of the other half
makes it at least 1), and the agreement of the tensors: mean difference of FA and mean angle between the principal
directions where both raw halves have FA > 0.3.

Agreement alone rewards blur, which both halves share. The root mean square of the prediction error is due to the few
voxels that moved between the volumes as much as to noise: at the edge of the head and in fluid repeated b0 of the
Philips scan differ by 2 to 5 times the noise, inside by 1.0. Hence the exit code depends on its median absolute value,
scaled to be that of Gaussian noise: 1 where one of dipy's methods predicts better, or where the residual has structure.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from dipy.core.gradients import gradient_table as dipy_table
from dipy.reconst.dti import TensorModel

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.common import argument_parser, write_result

from deeprecon.data.diffusion.files import read_dwi
from deeprecon.data.diffusion.gradients import GradientTable
from deeprecon.data.diffusion.scan import DwiScan, with_finite_values
from deeprecon.dwmri.fit.denoising import denoise
from deeprecon.dwmri.measure.fiber_coherence import fiber_coherence
from deeprecon.dwmri.measure.residual import residual_statistics
from deeprecon.dwmri.measure.tensor import fit_tensor
from deeprecon.dwmri.noise.rician import rician_mean
from deeprecon.dwmri.observe.mask import find_mask
from deeprecon.dwmri.observe.noise_level import estimate_noise
from deeprecon.dwmri.parameters import EnhanceParameters, Method
from deeprecon.jobs.run import Run, SilentReporter
from deeprecon.training.devices import resolve_precision

SCANS = ("philips_ax_b1000", "siemens_sag_b2000")
METHODS = ("noisy", "network", "pca", "mppca", "local-pca", "patch2self", "nlmeans")
OURS = ("noisy", "network", "pca")
STRUCTURE = 0.10
"""Largest correlation of the residual with edges."""


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
) -> tuple[np.ndarray, tuple[float, float]]:
    """A method's result, the variance of its residual over that of the noise, and its correlation with edges."""
    array = np.asarray(scan.array, np.float32)
    if method == "noisy":
        return array, (0.0, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        run = Run(
            Path(folder), Path(folder), "cpu", torch.get_num_threads(), resolve_precision("cpu"), 0, SilentReporter()
        )
        found = denoise(scan, mask, sigma, Method(method), True, steps, run).after.array
    weighted = ~scan.gradients.b0
    expected = (rician_mean(found / sigma[..., None]) * sigma[..., None]).astype(np.float32)
    statistics = residual_statistics((array - expected)[..., weighted], found[..., weighted], sigma, mask)
    return found, (statistics.variance_ratio, statistics.edge_correlation)


def prediction_error(
    found: np.ndarray, table: GradientTable, magnitudes: bool, other: DwiScan, sigma: np.ndarray, mask: np.ndarray
) -> np.ndarray:
    """(N, W) differences, over the noise, of the other half as scanned from the prediction by this half's tensor.

    Args:
        found: (k, j, i, V) this half.
        table: of the V volumes.
        magnitudes: whether it still has the bias of magnitudes, which then needs not be added.
        other: as scanned; its weighted volumes are predicted.
        sigma: (k, j, i) noise of the other half.
        mask: (k, j, i).
    """
    weighted = ~other.gradients.b0
    predicted = other.gradients.subset(weighted)
    signal = np.nan_to_num(found[mask])  # dipy leaves holes
    model = TensorModel(dipy_table(table.bvals, bvecs=table.directions), return_S0_hat=True)
    fitted = model.fit(np.maximum(signal, 1e-3 * signal.mean()))
    level = sigma[mask][:, None]
    expected = fitted.predict(dipy_table(predicted.bvals, bvecs=predicted.directions)) / level
    if not magnitudes:
        expected = rician_mean(expected)
    return np.asarray(expected - other.array[mask][:, weighted] / level)


def measure_all_volumes(name: str, scan: DwiScan, mask: np.ndarray, steps: int) -> dict[str, Any]:
    """The default method on all volumes: metrics of the residual, FA and fiber coherence."""
    sigma = estimate_noise(np.asarray(scan.array, np.float32), mask, "cpu")
    found, (variance, edges) = run_method(scan, sigma, mask, "network", steps)
    before, after = (fit_tensor(array, scan.gradients, mask) for array in (scan.array.astype(np.float32), found))
    assert before is not None
    assert after is not None
    coherence = fiber_coherence(after, mask, scan.ijk_to_ras)
    others = max(value for flip, value in coherence.items() if flip != "as given")
    noisy_fa, fa = float(before.fa[mask].mean()), float(after.fa[mask].mean())
    print(f"{name}: residual's variance {variance:.3f} of the noise, correlation with edges {edges:.3f}; mean FA "
          f"{noisy_fa:.3f} before, {fa:.3f} after; fiber coherence {coherence['as given']:.3f} as given, "
          f"{others:.3f} at most with an axis flipped", flush=True)  # fmt: skip
    return {
        "scan": name,
        "method": "network, all volumes",
        "residual_variance": variance,
        "residual_edges": edges,
        "mean_fa_before": noisy_fa,
        "mean_fa": fa,
        "fiber_coherence": coherence,
    }


def main() -> int:
    parser = argument_parser(__doc__, "dwmri_real")
    parser.add_argument("--methods", nargs="*", choices=METHODS, default=list(METHODS), metavar="NAME")
    parser.add_argument("--steps", type=int, default=EnhanceParameters().steps)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    root = Path(os.environ.get("DEEPRECON_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data") / "dwi"
    if not root.is_dir():
        print(f"Skipped: there are no scans at {root}. Set DEEPRECON_DATA to the folder that has dwi/.")
        return 0
    scans = {name: with_finite_values(read_dwi(root / name / "dwi.nii.gz"))[0] for name in SCANS}
    masks = {name: find_mask(scan) for name, scan in scans.items()}
    rows: list[dict[str, Any]] = []
    if "network" in arguments.methods:
        rows += [measure_all_volumes(name, scans[name], masks[name], arguments.steps) for name in SCANS]
    broken = [f"{row['scan']}: structure in the residual" for row in rows if row["residual_edges"] > STRUCTURE]
    print("\nhalves             method      prediction: median, rms   FA difference  angle  coherence  FA     "
          "residual's variance, edges")  # fmt: skip
    for name in SCANS:
        scan, mask = scans[name], masks[name]
        parts = [scan.volumes(part) for part in halves(scan.gradients)]
        sigmas = [estimate_noise(np.asarray(part.array, np.float32), mask, "cpu") for part in parts]
        clear: np.ndarray | None = None
        for method in ("noisy", *(method for method in arguments.methods if method != "noisy")):
            maps, errors, residuals = [], [], []
            for part, other, sigma, level in zip(parts, parts[::-1], sigmas, sigmas[::-1], strict=True):
                found, residual = run_method(part, sigma, mask, method, arguments.steps)
                fitted = fit_tensor(found, part.gradients, mask)
                assert fitted is not None
                maps.append(fitted)
                residuals.append(residual)
                errors.append(prediction_error(found, part.gradients, method == "noisy", other, level, mask).ravel())
            if clear is None:
                clear = mask & (maps[0].fa > 0.3) & (maps[1].fa > 0.3)
            cosine = np.abs((maps[0].direction[clear] * maps[1].direction[clear]).sum(axis=-1))
            error = np.concatenate(errors)
            row = {
                "scan": name,
                "method": method,
                "prediction_median": float(np.median(np.abs(error)) / 0.6745),
                "prediction_rms": float(np.sqrt(np.mean(error**2))),
                "fa_difference": float(np.abs(maps[0].fa - maps[1].fa)[mask].mean()),
                "angle": float(np.degrees(np.arccos(np.clip(cosine, 0, 1))).mean()),
                "fiber_coherence": float(
                    np.mean([fiber_coherence(one, mask, scan.ijk_to_ras)["as given"] for one in maps])
                ),
                "mean_fa": float(np.mean([one.fa[mask].mean() for one in maps])),
                "residual_variance": float(np.mean([variance for variance, _ in residuals])),
                "residual_edges": float(np.mean([edges for _, edges in residuals])),
            }
            rows.append(row)
            print(f"{name:<18} {method:<12} {row['prediction_median']:9.4f} {row['prediction_rms']:9.4f} "
                  f"{row['fa_difference']:18.4f} {row['angle']:7.2f} {row['fiber_coherence']:8.3f}   "
                  f"{row['mean_fa']:.4f}  {row['residual_variance']:.3f} {row['residual_edges']:.3f}",
                  flush=True)  # fmt: skip
            write_result(arguments.json, {"rows": rows})
        found_here = {row["method"]: row for row in rows if row["scan"] == name and "prediction_median" in row}
        dipys = [row["prediction_median"] for method, row in found_here.items() if method not in OURS]
        if "network" in found_here and dipys and found_here["network"]["prediction_median"] > min(dipys):
            broken.append(f"{name}: one of dipy's predicts better")
    print(f"Written to {arguments.json}")
    print(f"Does not hold: {'; '.join(broken)}." if broken else "No structure, and predicts better than dipy's best.")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
