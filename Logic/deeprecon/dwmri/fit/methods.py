"""The methods by name, all given the same scan, mask and noise map, and the same correction of the bias."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import nn

from deeprecon.data.diffusion.gradients import GradientTable
from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.errors import InputError
from deeprecon.dwmri.filters import gaussian
from deeprecon.dwmri.fit import classical
from deeprecon.dwmri.fit.local_pca import local_pcas
from deeprecon.dwmri.fit.pca import LARGE
from deeprecon.dwmri.fit.rician import correct_bias
from deeprecon.dwmri.fit.selfsupervised import noise_taps, refine, simulate
from deeprecon.dwmri.observe.mask import bounding_box
from deeprecon.dwmri.parameters import Method
from deeprecon.jobs.run import Run
from deeprecon.training.estimate import free_bytes

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

MARGIN = 4
"""Voxels around the mask that are looked at: the network sees three far."""
FINER_BYTES, FINER_BASE = 400, 0.5e9
"""Memory that a scan of half the voxel size takes, report and all: for each value before, and of the program."""

CLASSICAL: dict[Method, classical.Denoiser] = {
    Method.MPPCA: classical.mppca,
    Method.LOCAL_PCA: classical.local_pca,
    Method.NLMEANS: classical.non_local_means,
    Method.PATCH2SELF: classical.patch2self,
    Method.PATCH2SELF_DIPY_1: classical.patch2self_version(1),
    Method.PATCH2SELF_DIPY_3: classical.patch2self_version(3),
}


@dataclass(frozen=True, eq=False)
class Denoised:
    """A method's result.

    Attributes:
        array: (k, j, i, V); outside of the mask the scan as it was.
        uncertainty: (k, j, i) standard error of a voxel, root mean square over the volumes, in units of the image; 0
            outside of the mask. It comes from one or more simulated repeats, and so knows noise and blur, but not
            what the model of the noise leaves out.
        history: curve name -> values, with the steps under "step"; empty for methods that do not train.
        figures: about the method, for the result.
    """

    array: Floats
    uncertainty: Floats
    history: dict[str, list[float]] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)


def enhance_with(
    network: nn.Module, scan: DwiScan, mask: Mask, sigma: Floats, scale: int, rician: bool, run: Run
) -> tuple[Denoised, DwiScan, Mask, Floats]:
    """Put a scan through a supervised network.

    Args:
        network: of a bundle.
        scan: finite.
        mask, sigma: (k, j, i).
        scale: 1, or 2 for a network that refines a scan interpolated to half the voxel size.
        rician: whether the simulated repeat behind the uncertainty has the noise of magnitudes.
        run: device, seed and reporter.

    Returns:
        The result; the scan, mask and noise on its grid.

    Raises:
        InputError: too little memory for voxels of half the size.
    """
    from deeprecon.dwmri.fit.context import downsample, finer_scan
    from deeprecon.dwmri.fit.supervised import apply

    base, inside, level = scan, mask, sigma
    if scale == 2:
        _refuse_too_large(scan)
        base = finer_scan(scan)
        inside, level = np.kron(mask, np.ones((2, 2, 2), bool)), np.kron(sigma, np.ones((2, 2, 2), np.float32))

    def once(values: Floats) -> Floats:
        array = finer_scan(scan.with_array(values)).array if scale == 2 else values
        return apply(network, np.asarray(array, np.float32), scan.gradients, base.ijk_to_ras, inside, level, run.device)

    found = once(scan.array.astype(np.float32))
    run.reporter.progress(0.5)
    coarse = downsample(found) if scale == 2 else found
    repeat = simulate(coarse / sigma[..., None], rician, (0.0, 0.0, 0.0), np.random.default_rng([run.seed, 1]))
    wrong = once(repeat * sigma[..., None]) - found
    error = np.sqrt(gaussian(np.mean(wrong**2, axis=-1), 1.0)).astype(np.float32)
    result, uncertainty = base.array.astype(np.float32), np.where(inside, error, 0).astype(np.float32)
    result[inside] = found[inside]
    return Denoised(result, uncertainty), base, np.asarray(inside), np.asarray(level)


def _refuse_too_large(scan: DwiScan) -> None:
    need, free = FINER_BYTES * scan.array.size + FINER_BASE, free_bytes("cpu")
    if free is not None and need > free:
        raise InputError(
            f"{scan.name} with voxels of half the size takes about {need / 1e9:.1f} GB of memory, of which "
            f"{free / 1e9:.1f} GB are free.",
            "Crop the scan to the head, or to what is of interest, or close other programs.",
        )


def denoise(
    array: Floats,
    table: GradientTable,
    mask: Mask,
    sigma: Floats,
    method: Method,
    rician: bool,
    steps: int,
    run: Run,
    independent: Mask | None = None,
) -> Denoised:
    """Take the noise off a scan.

    Args:
        array: (k, j, i, V) finite.
        table: of the V volumes.
        mask: (k, j, i), not empty.
        sigma: (k, j, i) noise, above 0.
        method: which.
        rician: whether the bias of magnitudes is taken off.
        steps: training steps of the network.
        run: device, threads, seed, checkpoint folder and reporter.
        independent: (V,) volumes with noise of their own, for methods that measure noise themselves; all if left out.

    Raises:
        InputError: a package that the method needs is missing.
    """
    box = bounding_box(mask, MARGIN)
    inside, level = mask[box], sigma[box]
    scaled = np.ascontiguousarray(array[box] / level[..., None])
    history: dict[str, list[float]] = {}
    figures: dict[str, Any] = {}
    if method is Method.NETWORK:
        refined = refine(scaled, inside, rician, steps, run)
        found, error, history, figures = refined.array, refined.error, refined.history, refined.figures
    else:
        stride = 2 if inside.sum() > LARGE else None

        def once(values: Floats, again: bool = False) -> Floats:
            if method is Method.PCA:
                parts = local_pcas(values, inside, rician, run.device, run.threads, stride if again else None)
                return np.asarray(sum(parts[1:], parts[0]) / len(parts), np.float32)
            noise = level if not again else np.ones_like(level)
            own = np.ones(len(table), bool) if again or independent is None else independent
            clean = CLASSICAL[method](values * noise[..., None], table, inside, noise, own) / noise[..., None]
            return correct_bias(clean, np.ones_like(level)) if rician else clean

        found = once(scaled)
        taps = noise_taps(scaled, found, inside, rician)
        run.reporter.progress(0.6)
        run.reporter.status("Measuring the uncertainty on a simulated repeat")
        repeat = simulate(found, rician, taps, np.random.default_rng([run.seed, 1]))
        wrong = once(repeat, again=True) - found
        error = np.sqrt(gaussian(np.mean(wrong**2, axis=-1), 1.0)).astype(np.float32)
    result, uncertainty = array.copy(), np.zeros(mask.shape, np.float32)
    result[mask] = (found * level[..., None])[inside]
    uncertainty[mask] = (error * level)[inside]
    return Denoised(result, uncertainty, history, figures)
