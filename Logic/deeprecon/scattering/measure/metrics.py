"""Image scores: relative error, PSNR and SSIM of contrast images over the measured disc."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.numerics import similarity
from deeprecon.scattering.physics.image_grids import pixel_centers, ring_weights, to_square

Floats = npt.NDArray[np.floating[Any]]

DATA_RANGE = 1.0
"""Range of contrast for PSNR and SSIM, the same for every object."""
_SIDE = 64


def relative_l2(found: Floats, truth: Floats) -> npt.NDArray[np.float64]:
    """(S,) |found - truth| / |truth| over the disc, of (S, angles, rings) images; rings count by their area.

    An empty image has an error of 1. NaN where the truth is empty.
    """
    weights = ring_weights(truth.shape[-1])
    error = ((found.astype(np.float64) - truth) ** 2 * weights).sum(axis=(1, 2))
    size = (truth.astype(np.float64) ** 2 * weights).sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(size > 0, np.sqrt(error / size), np.nan))


def psnr(found: Floats, truth: Floats) -> npt.NDArray[np.float64]:
    """(S,) peak signal-to-noise ratio over the disc in dB, with a peak of `DATA_RANGE`."""
    weights = ring_weights(truth.shape[-1]) / truth.shape[-2]
    error = ((found.astype(np.float64) - truth) ** 2 * weights).sum(axis=(1, 2))
    return np.asarray(10 * np.log10(DATA_RANGE**2 / np.maximum(error, 1e-20)))


def ssim(found: Floats, truth: Floats) -> npt.NDArray[np.float64]:
    """(S,) mean structural similarity over the disc (Wang et al. 2004, IEEE Trans Image Process 13:600).

    Of (S, angles, rings) images on a square grid of 64, with uniform windows of 7 x 7.
    """
    axis = pixel_centers(_SIDE)
    x, y = np.meshgrid(axis, axis)
    a, b = to_square(found, axis), to_square(truth, axis)
    inside = np.hypot(x, y) <= 1
    pairs = zip(a, b, strict=True)
    return np.array([similarity.ssim(*pair, DATA_RANGE, inside, sample_covariance=False) for pair in pairs])


def image_scores(found: Floats, truth: Floats) -> dict[str, npt.NDArray[np.float64]]:
    """Scores of each object by name, each (S,), and those of an empty image."""
    empty = np.zeros_like(truth)
    return {
        "relative_l2": relative_l2(found, truth),
        "relative_l2_empty": relative_l2(empty, truth),
        "psnr_db": psnr(found, truth),
        "psnr_db_empty": psnr(empty, truth),
        "ssim": ssim(found, truth),
        "ssim_empty": ssim(empty, truth),
    }


def mean_scores(scores: Mapping[str, Floats]) -> dict[str, float]:
    """Mean of each score over the objects for which it is defined; scores that are defined for none are left out."""
    means = {name: float(np.nanmean(values)) for name, values in scores.items() if np.isfinite(values).any()}
    return {name: value for name, value in means.items() if math.isfinite(value)}
