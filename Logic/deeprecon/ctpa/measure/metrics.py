"""Image metrics of a synthetic CT against the true one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.grid import HIGH, LOW
from deeprecon.ctpa.patches import Windows, seam_planes
from deeprecon.numerics import similarity

Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float32]

HU_RANGE = float(HIGH - LOW)
"""Data range in HU of PSNR and SSIM: fixed, since one taken from the images grows with their outliers."""


def psnr(result: npt.ArrayLike, truth: npt.ArrayLike, mask: Mask | None = None) -> float:
    """Peak signal-to-noise ratio in dB over `HU_RANGE`, of values clipped to the range of the networks."""
    return similarity.psnr(_clipped(result), _clipped(truth), HU_RANGE, mask)


def mae(result: npt.ArrayLike, truth: npt.ArrayLike, mask: Mask | None = None) -> float:
    """Mean absolute error in HU, clipped as in `psnr`."""
    error = np.abs(_clipped(result) - _clipped(truth))
    return float(np.mean(error if mask is None else error[mask]))


def ssim(result: npt.ArrayLike, truth: npt.ArrayLike, masks: Sequence[Mask | None] = (None,)) -> list[float]:
    """Structural similarity over `HU_RANGE` in each of several masks, clipped as in `psnr`; see `similarity.ssim`."""
    return similarity.ssim_in_masks(_clipped(result), _clipped(truth), HU_RANGE, masks)


def seam_ratio(hu: npt.ArrayLike, windows: Windows) -> float:
    """Mean gradient across the planes where patches meet, over that elsewhere; 1 without seams.

    Blending hides seams even where the anatomy is wrong: report it only together with a metric of the anatomy.
    """
    volume = np.asarray(hu, np.float32)
    ratios = []
    for axis in range(3):
        step = np.abs(np.diff(volume, axis=axis)).mean(axis=tuple(other for other in range(3) if other != axis))
        planes = seam_planes(windows, axis)
        rest = np.setdiff1d(np.arange(4, len(step) - 4), planes)
        if planes and len(rest) and step[rest].mean() > 0:
            ratios.append(float(step[planes].mean() / step[rest].mean()))
    return float(np.mean(ratios)) if ratios else 1.0


def _clipped(hu: npt.ArrayLike) -> Values:
    values: Values = np.clip(np.asarray(hu, np.float32), LOW, HIGH)
    return values
