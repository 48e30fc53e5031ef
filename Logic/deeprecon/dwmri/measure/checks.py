"""Checks of a result: residual, tensor, gradient table and order of signals become metrics and warnings."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.dwmri.findings import Findings
from deeprecon.dwmri.measure.fiber_coherence import better_flip, fiber_coherence
from deeprecon.dwmri.measure.residual import residual_statistics
from deeprecon.dwmri.measure.tensor import TensorMaps
from deeprecon.dwmri.noise.rician import rician_mean

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

MAX_NEIGHBOR_CORRELATION = 0.15
"""Correlation of neighbors in the residual that the noise of a scanner may have."""

MAX_VARIANCE_RATIO = 1.2
"""Variance of the residual over that of the noise up to which no more than noise was removed, with the errors of the
noise's estimate."""


def check_residual(
    before: DwiScan, after: DwiScan, sigma: Floats, mask: Mask, rician: bool, interpolated: bool, findings: Findings
) -> None:
    """Statistics of the residual of the weighted volumes, of the b0 where there are no others.

    Args:
        before, after: the scan and the result.
        sigma: (k, j, i) noise.
        mask: (k, j, i).
        rician: whether the bias of magnitudes was corrected.
        interpolated: whether the scan was interpolated in this run, so that its noise is correlated.
        findings: gets metrics and warnings.
    """
    b0 = before.gradients.b0
    weighted = b0 if b0.all() else ~b0
    noisy, expected = (np.asarray(scan.array, np.float32) for scan in (before, after))
    if rician:
        expected = (rician_mean(expected / sigma[..., None]) * sigma[..., None]).astype(np.float32)
    residual = (noisy - expected)[..., weighted]
    statistics = residual_statistics(residual, np.asarray(after.array)[..., weighted], sigma, mask)
    lag1 = max(statistics.lag1)
    findings.metrics |= {
        "residual_variance_ratio": statistics.variance_ratio,
        "residual_lag1": lag1,
        "residual_edge_correlation": statistics.edge_correlation,
        "residual_mean_edge_correlation": statistics.mean_edge_correlation,
    }
    if statistics.structured:
        findings.warn(
            "The residual is larger at edges than elsewhere: anatomy may have been lost. Look at residual.nii.gz."
        )
    if statistics.variance_ratio > MAX_VARIANCE_RATIO:
        findings.warn(
            f"The residual has {statistics.variance_ratio:.2f} times the variance of the noise: more than noise was "
            "removed, or the noise was taken for smaller than it is. Look at residual.nii.gz, or try another method."
        )
    if lag1 > MAX_NEIGHBOR_CORRELATION and not interpolated:
        findings.warn(
            f"Neighbors in the residual are correlated ({lag1:.2f}): the scan may have been interpolated or "
            "filtered before. Denoise first, before any other step."
        )


def check_tensors(
    before: TensorMaps, after: TensorMaps, mask: Mask, ijk_to_ras: npt.NDArray[np.float64], findings: Findings
) -> None:
    """Mean FA and MD, and the fiber coherence of the gradient table and its flips."""
    for name, maps in (("before", before), ("after", after)):
        findings.metrics[f"mean_fa_{name}"] = float(maps.fa[mask].mean())
        findings.metrics[f"mean_md_{name}"] = float(maps.md[mask].mean())
    coherence = fiber_coherence(after, mask, ijk_to_ras)
    findings.metrics |= {f"coherence {name}": value for name, value in coherence.items()}
    if flip := better_flip(coherence):
        findings.warn(
            f"The gradient table fits better with its {flip} axis flipped (fiber coherence {coherence[flip]:.3f} "
            f"instead of {coherence['as given']:.3f}): check how it was converted. Nothing was changed."
        )


def check_attenuation(scan: DwiScan, mask: Mask, findings: Findings) -> None:
    """Percentage of weighted values above the mean b0, which no diffusion explains."""
    b0 = scan.gradients.b0
    if b0.any() and not b0.all():
        mean = scan.array[..., b0].mean(axis=-1)[mask]
        above = scan.array[..., ~b0][mask] > mean[:, None]
        findings.metrics["dwi_above_b0_percent"] = 100 * float(above.mean())
