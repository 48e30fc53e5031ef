"""Image scores: relative error and PSNR of contrast images over the measured disc.

No structural similarity: most of the disc is empty, so that the empty image has more of it than linear inversions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.scattering.physics.image_grids import ring_weights

Floats = npt.NDArray[np.floating[Any]]

DATA_RANGE = 1.0
"""Range of contrast for PSNR, the same for every object."""


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


def image_scores(found: Floats, truth: Floats) -> dict[str, npt.NDArray[np.float64]]:
    """Scores of each object by name, each (S,), and those of an empty image."""
    empty = np.zeros_like(truth)
    return {
        "relative_l2": relative_l2(found, truth),
        "relative_l2_empty": relative_l2(empty, truth),
        "psnr_db": psnr(found, truth),
        "psnr_db_empty": psnr(empty, truth),
    }


def mean_scores(scores: Mapping[str, Floats]) -> dict[str, float]:
    """Mean of each score over the objects for which it is defined; scores that are defined for none are left out."""
    means = {name: float(np.nanmean(values)) for name, values in scores.items() if np.isfinite(values).any()}
    return {name: value for name, value in means.items() if math.isfinite(value)}
