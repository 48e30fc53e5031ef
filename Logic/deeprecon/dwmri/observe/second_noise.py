"""A second estimate of the noise level, from the background or from repeated b0: a check of the first."""

from __future__ import annotations

import itertools
from itertools import product

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.gradients import GradientTable
from deeprecon.data.doubts import Doubt

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

MIN_RATIO = 0.5
"""Of the noise level to the second estimate, below which the two contradict each other."""
MIN_VOXELS = 100
"""Of a corner that are needed."""
RAYLEIGH_QUARTILES, NORMAL_QUARTILES = 0.9066, 1.349
"""Distance of the quartiles of magnitudes without signal, and of Gaussian noise, in units of sigma."""
B0_TOLERANCE = 5.0
"""s/mm2 by which repeated b0 may differ."""


def second_estimate(array: Floats, table: GradientTable, mask: Mask, signed: bool) -> float | None:
    """The lower one of two estimates, each None where the scan does not allow it; None where it allows neither.

    Args:
        array: (k, j, i, V).
        table: of the V volumes.
        mask: (k, j, i) of the head.
        signed: whether these are no magnitudes.
    """
    found = [value for value in (_background(array, mask, signed), _repeated(array, table, mask)) if value is not None]
    return min(found, default=None)


def noise_doubt(level: float, second: float | None, name: str) -> tuple[Doubt, ...]:
    """The doubt about a noise level that is far below a second estimate."""
    if second is None or level >= MIN_RATIO * second:
        return ()
    text = (
        f"the noise level is {level:.4g}, but {second:.4g} by the background and repeated b0: little would be removed."
    )
    way_out = "Look for volumes that were averaged, repeated or filtered, and leave them out with --exclude."
    return (Doubt("noise-too-low", name, text, way_out),)


def _background(array: Floats, mask: Mask, signed: bool) -> float | None:
    """The lowest level of the corners of the field of view, where the scanner did not set them to 0.

    Elsewhere around the head lie the scalp and ghosts of it.
    """
    levels = []
    for corner in product(*[(slice(0, count // 4), slice(count - count // 4, count)) for count in mask.shape[1:]]):
        around = array[:, corner[0], corner[1]][~mask[:, corner[0], corner[1]]]
        noise = around[(around != 0).all(axis=-1)]
        if len(noise) >= max(MIN_VOXELS, 0.5 * len(around)):
            low, high = np.quantile(noise, (0.25, 0.75), axis=0)
            levels.append(float(np.median(high - low)) / (NORMAL_QUARTILES if signed else RAYLEIGH_QUARTILES))
    return min(levels, default=None)


def _repeated(array: Floats, table: GradientTable, mask: Mask) -> float | None:
    """Median over the mask of the difference of repeated b0."""
    numbers = np.flatnonzero(table.b0)
    pairs = [
        (one, other)
        for one, other in itertools.pairwise(numbers)
        if abs(table.bvals[one] - table.bvals[other]) <= B0_TOLERANCE
    ]
    levels = [
        float(np.median(np.abs(array[..., one][mask] - array[..., other][mask]))) / 0.6745 / np.sqrt(2)
        for one, other in pairs
    ]
    return float(np.median(levels)) if levels else None
