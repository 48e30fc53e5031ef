"""The noise of a scan, voxel by voxel, with the doubts about it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.doubts import Doubt
from deeprecon.dwmri.observe.independent import independent_volumes
from deeprecon.dwmri.observe.noise_level import estimate_noise
from deeprecon.dwmri.observe.second_noise import FEW_VOLUMES, level_of_few, noise_doubts, second_estimate
from deeprecon.jobs.run import Run

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def measure_noise(
    scan: DwiScan, mask: Mask, rician: bool, run: Run, independent: Mask | None = None
) -> tuple[Floats, tuple[Doubt, ...]]:
    """(k, j, i) noise of the real and the imaginary part, everywhere above 0, and the doubts about it.

    Args:
        scan: finite.
        mask: (k, j, i).
        rician: whether the estimate takes the scan for magnitudes.
        run: device and threads.
        independent: (V,) volumes with independent noise; found if left out.
    """
    array = np.asarray(scan.array, np.float32)
    if independent is None:
        independent = independent_volumes(array, mask)
    sigma = estimate_noise(array, mask, run.device, run.threads, rician, independent)
    second = second_estimate(array, scan.gradients, mask, scan.signed, independent)
    level, volumes = float(np.median(sigma[mask])), int(independent.sum())
    if volumes < FEW_VOLUMES:
        found = level_of_few(level, second)
        sigma, level = sigma * np.float32(found / level), found
    return sigma, noise_doubts(level, volumes, second, scan.name)
