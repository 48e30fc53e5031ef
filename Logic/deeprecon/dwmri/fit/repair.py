"""Slices and volumes that lost their signal or were corrupted, and what the other volumes foretell in their place.

The prediction is a Gaussian process over the directions of a shell, as in FSL's eddy (Andersson and Sotiropoulos 2015,
NeuroImage 122:166), and the mean among b0 volumes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.gradients import GradientTable
from deeprecon.data.errors import InputError

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

LEAST_CHANGE = 0.3
"""Share of the usual signal that a slice must have lost, or that the others must leave of it unexplained."""
LEAST_DEPARTURE = 3.0
"""Times as much as of another slice that the others must leave of it unexplained."""
DEVIATIONS = 5.0
"""Robust standard deviations of the slices by which it must differ from them."""
FEWEST_JUDGED = 3
"""Volumes of a kind that are needed to tell what is usual among them."""
FEWEST_DIRECTIONS, FEWEST_B0 = 5, 2
"""Other volumes of its b-value that are needed to foretell a weighted volume, and a b0."""
SAME_B0 = 5.0
"""s/mm2 by which b0 volumes may differ to be alike: scanners write up to about 5 for b = 0, and IVIM has b = 10 too."""
_REACH, _NOISE = 0.6, 0.05
"""Sine of the angle over which directions are alike, and variance of the noise, of a process of variance 1."""


def find_outliers(array: Floats, table: GradientTable, mask: Mask) -> tuple[Mask, Mask]:
    """(k, V) which slices of which volumes lost their signal or are corrupted, and (V,) which volumes could be judged.

    A slice is held against the same one of the other volumes of its shell: its mean, which must be neither lower nor
    higher, and what they leave of it unexplained, such as the stripes of a spike, which hardly change the mean. Both
    are taken beside the volume's other slices, so that neither its gain nor a head that moved counts.

    Args:
        array: (k, j, i, V).
        table: of the V volumes.
        mask: (k, j, i).
    """
    found, judged = np.zeros((array.shape[0], array.shape[-1]), bool), np.zeros(array.shape[-1], bool)
    area = mask.sum(axis=(1, 2))
    shown = np.flatnonzero(area >= max(20, 0.1 * area.max()))
    if len(shown) < 3:
        return found, judged
    slices = [array[k][mask[k]] for k in shown]
    for volumes in _groups(table):
        if len(volumes) < FEWEST_JUDGED:
            continue
        judged[volumes] = True
        measured = [_against_usual(voxels[:, volumes].astype(np.float64)) for voxels in slices]
        level, departure = (np.stack(rows) for rows in zip(*measured, strict=True))
        excess = np.log(np.maximum(departure, 1e-6))
        excess -= np.median(excess, axis=1, keepdims=True)
        # of whole volumes, no scanner's gain is below half or above twice, and no motion departs by all of the signal
        level = _beside_whole(level, np.abs(np.median(level, axis=0)) > np.log(2))
        excess = _beside_whole(excess, np.median(departure, axis=0) > 1)
        changed = np.abs(level) > max(-np.log(1 - LEAST_CHANGE), DEVIATIONS * _spread(level))
        departed = excess > max(np.log(LEAST_DEPARTURE), DEVIATIONS * _spread(excess))
        out = changed | (departed & (departure > LEAST_CHANGE))
        found[np.ix_(shown, volumes)] = out
        found[:, volumes] |= out.all(axis=0)
    return found, judged


def fill_slices(array: Floats, table: GradientTable, lost: Mask) -> tuple[Floats, Mask]:
    """The scan with the lost slices replaced, and (k, V) which could not be: too few volumes of their kind have them.

    What is foretold is scaled by what the volume's other slices have of what is foretold for them, unless most of them
    are lost.

    Args:
        array: (k, j, i, V).
        table: of the V volumes.
        lost: (k, V), see `find_outliers`.
    """
    result, left = array.copy(), np.zeros_like(lost)
    for volume in map(int, np.flatnonzero(lost.any(axis=0))):
        others = _others(table, volume)
        foretold: dict[int, Floats] = {}
        for k in range(len(array)):
            good = others[~lost[k, others]]
            if len(good) >= _fewest(table, volume):
                foretold[k] = np.maximum(array[k] @ _weights(table, good, volume), 0)
        kept = [k for k in foretold if not lost[k, volume]]
        expected = sum(float(foretold[k].sum()) for k in kept)
        gain = 1.0
        if expected > 0 and 2 * len(kept) > len(array):
            gain = sum(float(array[k, ..., volume].sum()) for k in kept) / expected
        for k in map(int, np.flatnonzero(lost[:, volume])):
            if k in foretold:
                result[k, ..., volume] = gain * foretold[k]
            else:
                left[k, volume] = True
    return result, left


def check_named(volumes: Sequence[int], table: GradientTable) -> None:
    """Raise InputError unless whole volumes can be foretold from the others.

    Raises:
        InputError: a number that no volume has, or too few others of the same b-value, as where all are named.
    """
    if missing := [volume for volume in volumes if volume >= len(table)]:
        raise InputError(
            f"impute: there is no volume {', '.join(map(str, missing))}: the scan has {len(table)}.",
            f"Volumes are counted from 0; the last one is {len(table) - 1}.",
        )
    for volume in volumes:
        others, fewest = np.setdiff1d(_others(table, volume), volumes), _fewest(table, volume)
        if len(others) < fewest:
            raise InputError(
                f"impute: volume {volume} cannot be foretold: {len(others)} other volumes of b = "
                f"{table.bvals[volume]:.0f} are left, {fewest} are needed.",
                "Name fewer volumes, or remove it from the scan and its table.",
            )


def _against_usual(voxels: Doubles) -> tuple[Doubles, Doubles]:
    """Of a slice (N, G) of a kind's volumes, (G,) the log of each mean over the usual one, and how far each departs.

    The departure is the standard deviation of what the best linear combination of the others leaves of a volume, over
    the usual mean. All of them stand on the diagonal of the inverse of the volumes' Gram matrix. It is 0 where the
    voxels are too few for such combinations.
    """
    count, volumes = voxels.shape
    means = voxels.mean(axis=0)
    usual = max(float(np.median(means)), 1e-12)
    level = np.log(np.maximum(means / usual, 1e-6))
    if count < 2 * volumes:
        return level, np.zeros(volumes)
    gram = voxels.T @ voxels / (count - volumes)
    inverse = np.linalg.inv(gram + 1e-9 * max(float(np.trace(gram)), 1e-12) * np.eye(volumes))
    return level, 1 / np.sqrt(np.diag(inverse)) / usual


def _beside_whole(values: Doubles, kept: Mask) -> Doubles:
    """(K, G) values without each volume's median, which stays where it is `kept`."""
    beside: Doubles = values - np.where(kept, 0.0, np.median(values, axis=0))
    return beside


def _spread(values: Doubles) -> float:
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def _weights(table: GradientTable, good: Numbers, volume: int) -> Floats:
    """(V,) weights of the good volumes in the prediction of one; they add up to 1, and the others have none."""
    weights = np.zeros(len(table), np.float32)
    if table.b0[volume]:
        weights[good] = 1 / len(good)
        return weights

    directions = table.directions[good]
    inverse = np.linalg.inv(_alike(directions, directions) + _NOISE * np.eye(len(good)))
    near = _alike(table.directions[volume], directions) @ inverse
    mean = inverse.sum(axis=0) / inverse.sum()
    weights[good] = near + (1 - near.sum()) * mean
    return weights


def _alike(first: Doubles, second: Doubles) -> Doubles:
    """(..., D) covariance of the signal along unit vectors (..., 3) and (D, 3); opposite ones are alike.

    exp((cos^2 - 1) / (2 reach^2)) is the series of even powers of cos with positive weights, and so positive definite
    for any directions, which exp(-angle^2 / (2 reach^2)) of the angle between axes is not: the weights of a shell of 90
    directions were garbage with it.
    """
    cosine: Doubles = first @ second.T
    return np.exp((cosine**2 - 1) / (2 * _REACH**2))


def _groups(table: GradientTable) -> list[Numbers]:
    """Volume numbers of the b0 and of each shell."""
    return [np.flatnonzero(table.b0), *(volumes for _, volumes in table.shells)]


def _others(table: GradientTable, volume: int) -> Numbers:
    """The other volumes of a volume's b-value."""
    group = next(group for group in _groups(table) if volume in group)
    if table.b0[volume]:
        group = group[np.abs(table.bvals[group] - table.bvals[volume]) <= SAME_B0]
    others: Numbers = group[group != volume]
    return others


def _fewest(table: GradientTable, volume: int) -> int:
    return FEWEST_B0 if table.b0[volume] else FEWEST_DIRECTIONS
