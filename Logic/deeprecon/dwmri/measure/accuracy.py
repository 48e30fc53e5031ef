"""Errors of an enhanced scan whose clean signal is known, and how much of the signal went into the residual."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import laplace

from deeprecon.data.diffusion.gradients import GradientTable
from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.dwmri.filters import gaussian, gradient_magnitude
from deeprecon.dwmri.measure.residual import EDGE_SIGMA, edge_correlation
from deeprecon.dwmri.measure.tensor import fit_tensor
from deeprecon.dwmri.noise.correlation import lag1
from deeprecon.dwmri.noise.rician import rician_mean, rician_std
from deeprecon.numerics.similarity import psnr

Floats = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

VOLUMES_WITH_EDGES = 8
"""So many weighted volumes are enough for edge ratio and HFEN."""


def accuracy(
    result: Floats,
    clean: DwiScan,
    mask: Mask,
    labels: Mapping[str, Mask] | None = None,
    noisy: Floats | None = None,
    sigma: Floats | None = None,
) -> dict[str, float]:
    """Compare a scan with the clean one.

    Args:
        result: (k, j, i, V).
        clean: the truth.
        mask: (k, j, i) where metrics are computed.
        labels: with `lesions`, `white` and `crossings`, for the metrics that need them.
        noisy: (k, j, i, V) what was enhanced, for the metrics of the residual.
        sigma: (k, j, i) noise, if known. Then the residual is taken from the mean of magnitudes and in units of their
            own noise at the true signal: else it is smaller where noise or signal are, whatever the method.

    Returns:
        psnr_dwi and psnr_b0 in dB (peak: 99.9th percentile of the truth), hfen (high-frequency error norm: relative
        error of a Laplacian of Gaussian of 1.5 voxels), edge_ratio (gradients projected on the true ones at the
        strongest fifth of the edges, 1 = as sharp), fa_error, md_error in 1e-6 mm2/s, direction_error in degrees (white
        matter of one direction), lesion_rmse, residual_edge_correlation (above 0: anatomy was lost; below 0: noise was
        kept at edges), residual_lag1.
    """
    table = clean.gradients
    weighted, b0 = ~table.b0, table.b0
    truth, result = clean.array.astype(np.float32), np.asarray(result, np.float32)
    metrics: dict[str, float] = {}
    for name, chosen in (("psnr_dwi", weighted), ("psnr_b0", b0)):
        if chosen.any():
            peak = float(np.percentile(truth[mask][:, chosen], 99.9))
            metrics[name] = psnr(result[mask][:, chosen], truth[mask][:, chosen], peak)
    metrics |= _sharpness(result, truth, np.flatnonzero(weighted), mask)
    metrics |= _tensor_errors(result, truth, table, mask, labels)
    if labels is not None and labels["lesions"].any():
        error = (result - truth)[labels["lesions"]][:, weighted]
        metrics["lesion_rmse"] = float(np.sqrt(np.mean(error**2)))
    if noisy is not None:
        residual = (noisy - result)[..., weighted]
        if sigma is not None:
            unit = np.where(mask, sigma, 1)[..., None]
            expected = rician_mean(result[..., weighted] / unit) * unit
            std = rician_std(truth[..., weighted] / unit) * unit
            residual = ((noisy[..., weighted] - expected) / std).astype(np.float32)
        metrics["residual_edge_correlation"] = edge_correlation(residual, truth[..., weighted], mask)
        metrics["residual_lag1"] = float(np.mean(lag1(residual, mask)))
    return metrics


def laplacian_of_gaussian(array: Floats, sigma: float) -> Floats:
    """(k, j, i) Laplacian of a smoothed volume, per voxel squared."""
    found: Floats = laplace(gaussian(array, sigma), mode="nearest")
    return found


def _sharpness(result: Floats, truth: Floats, volumes: npt.NDArray[np.int64], mask: Mask) -> dict[str, float]:
    """HFEN and edge ratio, see `accuracy`, over some of the volumes."""
    ratios, errors = [], []
    for volume in volumes[:: max(1, len(volumes) // VOLUMES_WITH_EDGES)]:
        true_image, image = truth[..., volume] * mask, result[..., volume] * mask
        true_edges, edges = gradient_magnitude(true_image, EDGE_SIGMA), gradient_magnitude(image, EDGE_SIGMA)
        strong = mask & (true_edges > np.percentile(true_edges[mask], 80))
        ratios.append(float((edges[strong] * true_edges[strong]).sum() / (true_edges[strong] ** 2).sum()))
        sharp, other = (laplacian_of_gaussian(each, 1.5)[mask] for each in (true_image, image))
        errors.append(float(np.linalg.norm(other - sharp) / np.linalg.norm(sharp)))
    return {"hfen": float(np.mean(errors)), "edge_ratio": float(np.mean(ratios))}


def _tensor_errors(
    result: Floats, truth: Floats, table: GradientTable, mask: Mask, labels: Mapping[str, Mask] | None
) -> dict[str, float]:
    """Errors of FA, MD and direction, see `accuracy`; empty where the table does not determine a tensor."""
    true_maps, maps = fit_tensor(truth, table, mask), fit_tensor(result, table, mask)
    if true_maps is None or maps is None:
        return {}
    clear = mask & (true_maps.fa > 0.3)
    if labels is not None:
        clear &= labels["white"] & ~labels["crossings"]
    cosine = np.abs((maps.direction[clear] * true_maps.direction[clear]).sum(axis=-1))
    return {
        "fa_error": float(np.abs(maps.fa - true_maps.fa)[mask].mean()),
        "md_error": 1e6 * float(np.abs(maps.md - true_maps.md)[mask].mean()),
        "direction_error": float(np.degrees(np.arccos(np.clip(cosine, 0, 1))).mean()),
    }
