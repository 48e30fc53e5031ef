"""Baseline denoisers: those of dipy, and Patch2Self.

dipy runs on one thread: its many small matrices are up to 17 times slower on more, which wait for each other.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.gradients import GradientTable
from deeprecon.data.errors import InputError

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Denoiser = Callable[[Floats, GradientTable, Mask, Floats, Mask], Floats]
"""(k, j, i, V) noisy, table, mask, noise map and (V,) volumes with independent noise -> (k, j, i, V) denoised."""

RADIUS = 2
"""Of dipy's windows in voxels, its own default."""


def mppca(array: Floats, table: GradientTable, mask: Mask, sigma: Floats, independent: Mask) -> Floats:
    """dipy's local PCA with the threshold of Marchenko and Pastur.

    It estimates the noise itself, on volumes with independent noise; the others go through PCA with that level.
    """
    local, rest, radius = _dipy("denoise.localpca"), ~independent, _radius(array)
    found = np.empty_like(array)
    with _one_thread():
        found[..., independent], noise = local.mppca(
            array[..., independent], mask=mask, patch_radius=radius, return_sigma=True
        )
        if rest.any():
            found[..., rest] = local.localpca(array, sigma=noise, mask=mask, patch_radius=radius)[..., rest]
    return _in_mask(found, array, mask)


def local_pca(array: Floats, table: GradientTable, mask: Mask, sigma: Floats, independent: Mask) -> Floats:
    """dipy's local PCA with a noise map from dipy's `pca_noise_estimate` (Manjon et al. 2013).

    That estimate needs three slices; with fewer, the noise map is ours.
    """
    measured = table.subset(np.flatnonzero(independent))
    with _one_thread():
        gradients = _dipy("core.gradients").gradient_table(
            measured.bvals, bvecs=measured.directions, b0_threshold=measured.b0_threshold
        )
        noise = sigma.astype(np.float64)
        if min(mask.shape) >= 3:
            noise = _dipy("denoise.pca_noise_estimate").pca_noise_estimate(
                array[..., independent].astype(np.float64), gradients, correct_bias=True, smooth=3
            )
        found = _dipy("denoise.localpca").localpca(array, sigma=noise, mask=mask, patch_radius=_radius(array))
    return _in_mask(found, array, mask)


def non_local_means(array: Floats, table: GradientTable, mask: Mask, sigma: Floats, independent: Mask) -> Floats:
    """dipy's non-local means, volume by volume, with the median of our noise map: its own is twice too high.

    The bias of magnitudes is corrected afterwards, as for all methods.
    """
    level = float(np.median(sigma[mask]))
    found = np.empty_like(array)
    for volume in range(array.shape[-1]):
        found[..., volume] = _dipy("denoise.nlmeans").nlmeans(
            array[..., volume], sigma=level, mask=mask, patch_radius=1, block_radius=2, rician=False, num_threads=1
        )
    return _in_mask(found, array, mask)


def patch2self(array: Floats, table: GradientTable, mask: Mask, sigma: Floats, independent: Mask) -> Floats:
    """Patch2Self with ordinary least squares on the voxels alone, as published (Fadnavis et al. 2020, NeurIPS).

    Each volume is predicted from all others, among b0 or weighted ones. dipy 1.12.1 repeats earlier volumes at the end
    of the series; hence this solution of the same equations, by the Gram matrix that they share.
    """
    result = array.copy()
    flat = array.reshape(-1, array.shape[-1]).astype(np.float64)
    for chosen in (np.flatnonzero(table.b0), np.flatnonzero(~table.b0)):
        if len(chosen) < 2:
            continue
        values = flat[:, chosen]
        mean = values.mean(axis=0)
        gram = (values - mean).T @ (values - mean)
        inverse = np.linalg.inv(gram + 1e-9 * np.trace(gram) / len(chosen) * np.eye(len(chosen)))
        weights = -inverse / np.diag(inverse)[None, :]
        np.fill_diagonal(weights, 0.0)
        result[..., chosen] = ((values - mean) @ weights + mean).reshape(*array.shape[:3], -1)
    return result if (array < 0).any() else np.maximum(result, 0)  # magnitudes


def patch2self_version(version: int) -> Denoiser:
    """Patch2Self as in dipy, with its errors, for comparison: versions 1 and 3."""

    def denoise(array: Floats, table: GradientTable, mask: Mask, sigma: Floats, independent: Mask) -> Floats:
        if array.shape[-1] < 5:
            raise InputError(f"dipy's Patch2Self needs 5 volumes, there are {array.shape[-1]}.", "Choose pca.")
        with _one_thread():
            found = _dipy("denoise.patch2self").patch2self(
                array, table.bvals, model="ols", version=version, b0_threshold=table.b0_threshold, verbose=False
            )
        return np.asarray(found, np.float32)

    return denoise


def _radius(array: Floats) -> npt.NDArray[np.int64]:
    """(3,) `RADIUS`, fewer along axes that are shorter than a window."""
    return np.array([min(RADIUS, (count - 1) // 2) for count in array.shape[:3]])


def _in_mask(found: npt.NDArray[Any], array: Floats, mask: Mask) -> Floats:
    """The result in the mask, and the scan itself elsewhere and where dipy gives NaN (near the edge of the grid)."""
    return np.where(mask[..., None] & np.isfinite(found), found, array).astype(np.float32)


def _dipy(name: str) -> Any:
    import importlib

    try:
        return importlib.import_module(f"dipy.{name}")
    except ModuleNotFoundError as error:
        raise InputError(
            f"This method is dipy's, and {error.name} is not installed.", 'Install it: pip install "deeprecon[dwmri]".'
        ) from error


def _one_thread() -> AbstractContextManager[Any]:
    from threadpoolctl import threadpool_limits

    limits: AbstractContextManager[Any] = threadpool_limits(1)
    return limits
