"""How near an enhanced scan is to the truth, and how much of the scan went into the residual."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.dwmri.filters import gradient_magnitude, laplacian_of_gaussian
from deeprecon.dwmri.fit.rician import rician_mean, rician_spread
from deeprecon.dwmri.measure.tensor import fit_tensor
from deeprecon.numerics.similarity import correlation, psnr

Floats = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

EDGE_SIGMA = 0.7
"""Voxels over which edges are measured."""
VOLUMES_WITH_EDGES = 8
"""So many weighted volumes are enough for edge ratio and HFEN."""


def evaluate(
    result: Floats,
    clean: DwiScan,
    mask: Mask,
    labels: Mapping[str, Mask] | None = None,
    noisy: Floats | None = None,
    sigma: Floats | None = None,
) -> dict[str, float]:
    """Hold a scan against the clean one.

    Args:
        result: (k, j, i, V).
        clean: the truth.
        mask: (k, j, i) where figures are taken.
        labels: with `lesions` and `white`, for the figures that need them.
        noisy: (k, j, i, V) what was enhanced, for the figures about the residual.
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
    figures: dict[str, float] = {}
    for name, chosen in (("psnr_dwi", weighted), ("psnr_b0", b0)):
        if chosen.any():
            peak = float(np.percentile(truth[mask][:, chosen], 99.9))
            figures[name] = psnr(result[mask][:, chosen], truth[mask][:, chosen], peak)
    ratios, errors = [], []
    volumes = np.flatnonzero(weighted)
    for volume in volumes[:: max(1, len(volumes) // VOLUMES_WITH_EDGES)]:
        before, after = truth[..., volume] * mask, result[..., volume] * mask
        wanted, found = gradient_magnitude(before, EDGE_SIGMA), gradient_magnitude(after, EDGE_SIGMA)
        edges = mask & (wanted > np.percentile(wanted[mask], 80))
        ratios.append(float((found[edges] * wanted[edges]).sum() / (wanted[edges] ** 2).sum()))
        sharp, other = laplacian_of_gaussian(before, 1.5)[mask], laplacian_of_gaussian(after, 1.5)[mask]
        errors.append(float(np.linalg.norm(other - sharp) / np.linalg.norm(sharp)))
    figures |= {"hfen": float(np.mean(errors)), "edge_ratio": float(np.mean(ratios))}

    true_maps, maps = fit_tensor(truth, table, mask), fit_tensor(result, table, mask)
    if true_maps is not None and maps is not None:
        figures["fa_error"] = float(np.abs(maps.fa - true_maps.fa)[mask].mean())
        figures["md_error"] = 1e6 * float(np.abs(maps.md - true_maps.md)[mask].mean())
        clear = mask & (true_maps.fa > 0.3)
        if labels is not None:
            clear &= labels["white"] & ~labels["crossings"]
        cosine = np.abs((maps.direction[clear] * true_maps.direction[clear]).sum(axis=-1))
        figures["direction_error"] = float(np.degrees(np.arccos(np.clip(cosine, 0, 1))).mean())
    if labels is not None and labels["lesions"].any():
        wrong = (result - truth)[labels["lesions"]][:, weighted]
        figures["lesion_rmse"] = float(np.sqrt(np.mean(wrong**2)))
    if noisy is not None:
        residual = (noisy - result)[..., weighted]
        if sigma is not None:
            unit = np.where(mask, sigma, 1)[..., None]
            expected = rician_mean(result[..., weighted] / unit) * unit
            spread = rician_spread(truth[..., weighted] / unit) * unit
            residual = ((noisy[..., weighted] - expected) / spread).astype(np.float32)
        figures["residual_edge_correlation"] = edge_correlation(residual, truth[..., weighted], mask)
        figures["residual_lag1"] = float(np.mean(lag1(residual, mask)))
    return figures


def edge_correlation(residual: Floats, reference: Floats, mask: Mask) -> float:
    """Correlation of the residual's size with the edges of the mean of `reference` (both (k, j, i, W)): 0 = none lost.

    0 too where one of them is the same everywhere.
    """
    size = np.sqrt(np.mean(residual.astype(np.float64) ** 2, axis=-1))[mask]
    edges = gradient_magnitude(reference.mean(axis=-1, dtype=np.float64), EDGE_SIGMA)[mask]
    return correlation(size, edges)


def lag1(residual: Floats, mask: Mask) -> tuple[float, float, float]:
    """Mean correlation of neighbors along k, j and i over the volumes of a residual (k, j, i, W); 0 for white noise."""
    found = []
    for axis in range(3):
        first, second = [slice(None)] * 3, [slice(None)] * 3
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        both = mask[tuple(first)] & mask[tuple(second)]
        if both.sum() < 2:
            found.append(0.0)
            continue
        a = residual[tuple(first)][both].astype(np.float64)
        b = residual[tuple(second)][both].astype(np.float64)
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
        size = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
        found.append(float(np.mean((a * b).sum(axis=0)[size > 0] / size[size > 0])) if (size > 0).any() else 0.0)
    return found[0], found[1], found[2]
