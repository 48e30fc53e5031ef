"""Prediction of a volume from the other volumes of its b-value.

It is a Gaussian process over the directions of a shell with an unknown mean, as in FSL's eddy (Andersson and
Sotiropoulos 2015, NeuroImage 122:166), and the mean among b0 volumes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.gradients import GradientTable
from deeprecon.dwmri.observe.outliers import shells_with_b0

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

MIN_DIRECTIONS, MIN_B0 = 5, 2
"""Other volumes of its b-value that are needed to predict a weighted volume, and a b0."""
B0_TOLERANCE = 5.0
"""s/mm2 by which b0 volumes may differ to be alike: scanners write up to about 5 for b = 0, and IVIM has b = 10 too."""
_KERNEL_WIDTH, _NOISE_VARIANCE = 0.6, 0.05
"""Sine of the angle over which directions are alike, and variance of the noise, of a process of variance 1."""


def other_volumes(table: GradientTable, volume: int) -> Numbers:
    """The other volumes of a volume's b-value."""
    group = next(group for group in shells_with_b0(table) if volume in group)
    if table.b0[volume]:
        group = group[np.abs(table.bvals[group] - table.bvals[volume]) <= B0_TOLERANCE]
    others: Numbers = group[group != volume]
    return others


def volumes_needed(table: GradientTable, volume: int) -> int:
    """Other volumes of its b-value that are needed to predict a volume."""
    return MIN_B0 if table.b0[volume] else MIN_DIRECTIONS


def prediction_weights(table: GradientTable, good: Numbers, volume: int) -> Floats:
    """(V,) weights of the good volumes in the prediction of one; they add up to 1, and the others have none."""
    weights = np.zeros(len(table), np.float32)
    if table.b0[volume]:
        weights[good] = 1 / len(good)
        return weights

    directions = table.directions[good]
    inverse = _inverse_covariance(directions)
    near = direction_covariance(table.directions[volume], directions) @ inverse
    mean = inverse.sum(axis=0) / inverse.sum()
    weights[good] = near + (1 - near.sum()) * mean
    return weights


def left_out_residuals(voxels: Floats, table: GradientTable, good: Numbers) -> Floats:
    """(..., G) what each good volume measured minus its prediction from the other good ones.

    All of them come from one inverse covariance (Dubrule 1983, Mathematical Geology 15:687).

    Args:
        voxels: (..., G) of the good volumes.
        table: of all volumes.
        good: (G,) volumes of one b-value.
    """
    if table.b0[good[0]]:
        count = len(good)
        return np.asarray((voxels - voxels.mean(axis=-1, keepdims=True)) * (count / (count - 1)), np.float32)
    inverse = _inverse_covariance(table.directions[good])
    row = inverse.sum(axis=0)
    about_mean = inverse - np.outer(row, row) / row.sum()
    return np.asarray(voxels @ (about_mean / np.diagonal(about_mean)), np.float32)


def direction_covariance(first: Doubles, second: Doubles) -> Doubles:
    """(..., D) covariance of the signal along unit vectors (..., 3) and (D, 3); opposite ones are alike.

    exp((cos^2 - 1) / (2 width^2)) is a series of even powers of cos with positive weights, and so positive definite for
    any directions, which exp(-angle^2 / (2 width^2)) of the angle between axes is not: with 90 directions its weights
    are useless.
    """
    cosine: Doubles = first @ second.T
    return np.exp((cosine**2 - 1) / (2 * _KERNEL_WIDTH**2))


def _inverse_covariance(directions: Doubles) -> Doubles:
    """(D, D) inverse covariance of noisy signals along unit vectors."""
    noisy = direction_covariance(directions, directions) + _NOISE_VARIANCE * np.eye(len(directions))
    return np.asarray(np.linalg.inv(noisy), np.float64)
