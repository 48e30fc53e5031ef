"""Slices and volumes that lost their signal to motion, and what the other volumes foretell in their place.

The prediction is a Gaussian process over the directions of a shell, as in FSL's eddy (Andersson and Sotiropoulos 2015,
NeuroImage 122:166).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.gradients import GradientTable

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

LEAST_LOSS = 0.3
"""Share of its signal that a slice must have lost."""
DEVIATIONS = 5.0
"""Robust standard deviations of the slices by which it must lie below them."""
FEWEST = 6
"""Volumes of a kind that are needed to tell what is usual among them."""
_REACH, _NOISE = 0.6, 0.05
"""Angle in radians over which directions are alike, and variance of the noise, of a process of variance 1."""


def find_dropouts(array: Floats, table: GradientTable, mask: Mask) -> Mask:
    """(k, V) which slices of which volumes lost their signal.

    A slice is held against the same one of the volumes of its shell, after what the whole volume differs by.

    Args:
        array: (k, j, i, V).
        table: of the V volumes.
        mask: (k, j, i).
    """
    lost = np.zeros((array.shape[0], array.shape[-1]), bool)
    area = mask.sum(axis=(1, 2))
    shown = area >= max(20, 0.1 * area.max())
    if shown.sum() < 3:
        return lost
    means = np.stack([array[k][mask[k]].mean(axis=0, dtype=np.float64) for k in np.flatnonzero(shown)])
    for volumes in _groups(table):
        if len(volumes) < FEWEST:
            continue
        usual = np.maximum(np.median(means[:, volumes], axis=1, keepdims=True), 1e-12)
        ratio = np.log(np.maximum(means[:, volumes] / usual, 1e-6))
        whole = np.median(ratio, axis=0, keepdims=True)
        relative = ratio - np.where(whole < np.log(0.5), 0.0, whole)
        spread = 1.4826 * np.median(np.abs(relative - np.median(relative)))
        lost[np.ix_(shown, volumes)] = relative < min(np.log(1 - LEAST_LOSS), -DEVIATIONS * spread)
    return lost


def fill_dropouts(array: Floats, table: GradientTable, lost: Mask) -> tuple[Floats, int]:
    """The scan with the lost slices replaced, and how many could not be: too few volumes of their kind have them.

    Args:
        array: (k, j, i, V).
        table: of the V volumes.
        lost: (k, V), see `find_dropouts`.
    """
    result, left = array.copy(), 0
    groups = _groups(table)
    for k, volume in np.argwhere(lost):
        volumes = next(group for group in groups if volume in group)
        good = volumes[~lost[k, volumes]]
        if len(good) < FEWEST - 1:
            left += 1
            continue
        weights = _weights(table, good, volume)
        result[k, :, :, volume] = np.maximum(array[k][..., good] @ weights, 0)
    return result, left


def _weights(table: GradientTable, good: npt.NDArray[np.int64], volume: int) -> Floats:
    """(G,) weights of the good volumes in the prediction of one; they add up to 1."""
    if table.b0[volume]:
        return np.full(len(good), 1 / len(good), np.float32)

    def alike(first: Any, second: Any) -> Any:
        angle = np.arccos(np.clip(np.abs(first @ second.T), 0, 1))
        return np.exp(-0.5 * (angle / _REACH) ** 2)

    directions = table.directions[good]
    inverse = np.linalg.inv(alike(directions, directions) + _NOISE * np.eye(len(good)))
    near = alike(table.directions[volume], directions) @ inverse
    mean = inverse.sum(axis=0) / inverse.sum()
    weights: Floats = (near + (1 - near.sum()) * mean).astype(np.float32)
    return weights


def _groups(table: GradientTable) -> list[npt.NDArray[np.int64]]:
    """Volume numbers of the b0 and of each shell."""
    return [np.flatnonzero(table.b0), *(volumes for _, volumes in table.shells)]
