"""Denoising by a method's name: all methods get the same scan, mask and noise map, and the same bias correction."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.gradients import GradientTable
from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.dwmri.filters import gaussian
from deeprecon.dwmri.fit import baselines
from deeprecon.dwmri.fit.local_pca import local_pcas, mean_of_results
from deeprecon.dwmri.fit.refinement import refine
from deeprecon.dwmri.noise.correlation import noise_taps
from deeprecon.dwmri.noise.rician import correct_bias
from deeprecon.dwmri.noise.windows import LARGE_MASK
from deeprecon.dwmri.observe.independent import first_equal
from deeprecon.dwmri.observe.mask import bounding_box
from deeprecon.dwmri.parameters import Method
from deeprecon.dwmri.simulate.repeats import simulate_repeat
from deeprecon.jobs.run import Run

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

BASELINES: dict[Method, baselines.Denoiser] = {
    Method.MPPCA: baselines.mppca,
    Method.LOCAL_PCA: baselines.local_pca,
    Method.NLMEANS: baselines.non_local_means,
    Method.PATCH2SELF: baselines.patch2self,
    Method.PATCH2SELF_DIPY_1: baselines.patch2self_version(1),
    Method.PATCH2SELF_DIPY_3: baselines.patch2self_version(3),
}


@dataclass(frozen=True, eq=False)
class Enhancement:
    """A scan before and after, on one grid: of half the voxel size where a network refines it.

    Attributes:
        before: float32, finite.
        after: float32.
        mask: (k, j, i).
        sigma: (k, j, i) noise.
        uncertainty: (k, j, i) standard error of a voxel, root mean square over the volumes, in units of the image; 0
            outside of the mask. It comes from one or more simulated repeats, and so includes noise and blur, but not
            what the noise model leaves out.
        history: curve name -> values, with the steps under "step"; empty for methods that do not train.
        metrics: of the method, for the result.
    """

    before: DwiScan
    after: DwiScan
    mask: Mask
    sigma: Floats
    uncertainty: Floats
    history: dict[str, list[float]] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)


def denoise(
    scan: DwiScan,
    mask: Mask,
    sigma: Floats,
    method: Method,
    rician: bool,
    steps: int,
    run: Run,
    independent: Mask | None = None,
) -> Enhancement:
    """Remove the noise from a scan, from all of its field: at the rim of the mask nothing changes.

    The mask is where the method learns and where its error is measured. Voxels that are 0 in every volume, as where a
    scanner or a program cut the background away, stay so.

    Args:
        scan: finite.
        mask: (k, j, i), not empty.
        sigma: (k, j, i) noise, above 0.
        method: which.
        rician: whether the bias of magnitudes is corrected.
        steps: training steps of the network.
        run: device, threads, seed, checkpoint folder and reporter.
        independent: (V,) volumes with independent noise, for methods that estimate noise themselves; all if left out.

    Raises:
        InputError: a package that the method needs is missing.
    """
    array, table = np.asarray(scan.array, np.float32), scan.gradients
    distinct, source = np.unique(first_equal(array), return_inverse=True)
    if len(distinct) < len(table):  # what is there twice would count as signal
        own = None if independent is None else independent[distinct]
        part = denoise(scan.volumes(distinct), mask, sigma, method, rician, steps, run, own)
        return replace(part, before=scan, after=scan.with_array(np.asarray(part.after.array)[..., source]))
    scaled = array / sigma[..., None]
    history: dict[str, list[float]] = {}
    metrics: dict[str, Any] = {}
    if method is Method.NETWORK:
        refined = refine(scaled, mask, rician, steps, run)
        found, error, history, metrics = refined.array, refined.error, refined.history, refined.metrics
    else:
        own = np.ones(len(table), bool) if independent is None else independent
        found, error = _denoise_without_training(scaled, table, mask, sigma, method, rician, run, own)
    result = found * sigma[..., None]
    result[~array.any(axis=-1)] = 0
    uncertainty = np.where(mask, error * sigma, 0).astype(np.float32)
    return Enhancement(scan, scan.with_array(result), mask, sigma, uncertainty, history, metrics)


def smoothed_error(difference: Floats) -> Floats:
    """(k, j, i) root mean square over the volumes of a difference (k, j, i, V), smoothed over one voxel."""
    return np.sqrt(gaussian(np.mean(difference**2, axis=-1), 1.0)).astype(np.float32)


def _denoise_without_training(
    scaled: Floats,
    table: GradientTable,
    mask: Mask,
    sigma: Floats,
    method: Method,
    rician: bool,
    run: Run,
    independent: Mask,
) -> tuple[Floats, Floats]:
    """The result, and (k, j, i) its error on a simulated repeat of the scan, both in units of the noise as `scaled`."""
    large = mask.sum() > LARGE_MASK

    def apply(
        values: Floats, inside: Mask, noise: Floats, measured: Mask, stride: int | None, everywhere: bool
    ) -> Floats:
        if method is Method.PCA:
            return mean_of_results(local_pcas(values, inside, rician, run.device, run.threads, stride, everywhere))
        field = np.ones_like(inside) if everywhere else inside
        clean = BASELINES[method](values * noise[..., None], table, field, noise, measured) / noise[..., None]
        return correct_bias(clean, np.ones_like(noise)) if rician else clean

    found = apply(scaled, mask, sigma, independent, stride=None, everywhere=True)
    taps = noise_taps(scaled, found, mask, rician)
    run.reporter.progress(0.6)
    run.reporter.status("Measuring the uncertainty on a simulated repeat")
    box = bounding_box(mask)
    repeat = simulate_repeat(found[box], rician, taps, np.random.default_rng([run.seed, 1]))
    level, measured = np.ones_like(sigma[box]), np.ones(len(table), bool)
    again = apply(repeat, mask[box], level, measured, stride=2 if large else None, everywhere=False)
    error = np.zeros(mask.shape, np.float32)
    error[box] = smoothed_error(again - found[box])
    return found, error
