"""Replacement of lost slices and volumes by what is predicted from the other volumes.

The prediction is a Gaussian process over the directions of a shell, as in FSL's eddy (Andersson and Sotiropoulos 2015,
NeuroImage 122:166), and the mean among b0 volumes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.gradients import GradientTable
from deeprecon.data.errors import InputError
from deeprecon.dwmri.observe.outliers import shells_with_b0

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

MIN_DIRECTIONS, MIN_B0 = 5, 2
"""Other volumes of its b-value that are needed to predict a weighted volume, and a b0."""
B0_TOLERANCE = 5.0
"""s/mm2 by which b0 volumes may differ to be alike: scanners write up to about 5 for b = 0, and IVIM has b = 10 too."""
_KERNEL_WIDTH, _NOISE_VARIANCE = 0.6, 0.05
"""Sine of the angle over which directions are alike, and variance of the noise, of a process of variance 1."""


def impute_slices(array: Floats, table: GradientTable, lost: Mask) -> tuple[Floats, Mask]:
    """The scan with the lost slices replaced, and (k, V) which could not be: too few volumes of their shell have them.

    A prediction is scaled by the ratio of the volume's other slices to their prediction, unless most of them are lost.

    Args:
        array: (k, j, i, V).
        table: of the V volumes.
        lost: (k, V), see `observe.outliers.find_outliers`.
    """
    result, left = array.copy(), np.zeros_like(lost)
    for volume in map(int, np.flatnonzero(lost.any(axis=0))):
        others = _others(table, volume)
        predicted: dict[int, Floats] = {}
        for k in range(len(array)):
            good = others[~lost[k, others]]
            if len(good) >= _min_others(table, volume):
                predicted[k] = np.maximum(array[k] @ _prediction_weights(table, good, volume), 0)
        kept = [k for k in predicted if not lost[k, volume]]
        expected = sum(float(predicted[k].sum()) for k in kept)
        gain = 1.0
        if expected > 0 and 2 * len(kept) > len(array):
            gain = sum(float(array[k, ..., volume].sum()) for k in kept) / expected
        for k in map(int, np.flatnonzero(lost[:, volume])):
            if k in predicted:
                result[k, ..., volume] = gain * predicted[k]
            else:
                left[k, volume] = True
    return result, left


def check_imputable(volumes: Sequence[int], table: GradientTable) -> None:
    """Raise InputError unless all of these volumes can be predicted from the others.

    Raises:
        InputError: a number that no volume has, or too few others of the same b-value.
    """
    if missing := [volume for volume in volumes if volume >= len(table)]:
        raise InputError(
            f"impute: there is no volume {', '.join(map(str, missing))}: the scan has {len(table)}.",
            f"Volumes are counted from 0; the last one is {len(table) - 1}.",
        )
    for volume in volumes:
        others, needed = np.setdiff1d(_others(table, volume), volumes), _min_others(table, volume)
        if len(others) < needed:
            raise InputError(
                f"impute: volume {volume} cannot be predicted: {len(others)} other volumes of b = "
                f"{table.bvals[volume]:.0f} are left, {needed} are needed.",
                "Choose fewer volumes, or remove it from the scan and its table.",
            )


def _prediction_weights(table: GradientTable, good: Numbers, volume: int) -> Floats:
    """(V,) weights of the good volumes in the prediction of one; they add up to 1, and the others have none."""
    weights = np.zeros(len(table), np.float32)
    if table.b0[volume]:
        weights[good] = 1 / len(good)
        return weights

    directions = table.directions[good]
    inverse = np.linalg.inv(direction_covariance(directions, directions) + _NOISE_VARIANCE * np.eye(len(good)))
    near = direction_covariance(table.directions[volume], directions) @ inverse
    mean = inverse.sum(axis=0) / inverse.sum()
    weights[good] = near + (1 - near.sum()) * mean
    return weights


def direction_covariance(first: Doubles, second: Doubles) -> Doubles:
    """(..., D) covariance of the signal along unit vectors (..., 3) and (D, 3); opposite ones are alike.

    exp((cos^2 - 1) / (2 width^2)) is a series of even powers of cos with positive weights, and so positive definite for
    any directions, which exp(-angle^2 / (2 width^2)) of the angle between axes is not: with 90 directions its weights
    are useless.
    """
    cosine: Doubles = first @ second.T
    return np.exp((cosine**2 - 1) / (2 * _KERNEL_WIDTH**2))


def _others(table: GradientTable, volume: int) -> Numbers:
    """The other volumes of a volume's b-value."""
    group = next(group for group in shells_with_b0(table) if volume in group)
    if table.b0[volume]:
        group = group[np.abs(table.bvals[group] - table.bvals[volume]) <= B0_TOLERANCE]
    others: Numbers = group[group != volume]
    return others


def _min_others(table: GradientTable, volume: int) -> int:
    return MIN_B0 if table.b0[volume] else MIN_DIRECTIONS
