"""Slices and volumes that lost their signal or were corrupted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.gradients import GradientTable
from deeprecon.dwmri.observe.leave_one_out import covariance, residual_std

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

MIN_SIGNAL_CHANGE = 0.3
"""Share of the median signal that a slice must have lost, or that its residual must reach."""
MIN_RESIDUAL_RATIO = 3.0
"""Of a slice's residual to that of the volume's other slices."""
MIN_DEVIATIONS = 5.0
"""Robust standard deviations of the slices by which it must differ from them."""
MIN_AREA = 0.3
"""Of the largest slice's area in the mask, that a slice needs: less shows more or less of the head as it moves."""
MIN_COMPARED = 3
"""Volumes of a shell that are needed to compare them."""


def find_outliers(array: Floats, table: GradientTable, mask: Mask) -> tuple[Mask, Mask]:
    """(k, V) which slices of which volumes lost their signal or are corrupted, and (V,) which volumes were compared.

    A slice is compared with the same one of the other volumes of its shell: its mean, which must be neither lower nor
    higher, and the residual of its regression on them, such as the stripes of a spike, which hardly change the mean.
    Both are relative to the volume's other slices, so that neither its gain nor a head that moved counts.

    Args:
        array: (k, j, i, V).
        table: of the V volumes.
        mask: (k, j, i).
    """
    found, compared = np.zeros((array.shape[0], array.shape[-1]), bool), np.zeros(array.shape[-1], bool)
    area = mask.sum(axis=(1, 2))
    shown = np.flatnonzero(area >= max(20, MIN_AREA * area.max()))
    if len(shown) < 3:
        return found, compared
    slices = [array[k][mask[k]] for k in shown]
    for volumes in shells_with_b0(table):
        if len(volumes) < MIN_COMPARED:
            continue
        compared[volumes] = True
        measured = [_level_and_residual(voxels[:, volumes].astype(np.float64)) for voxels in slices]
        level, residual = (np.stack(rows) for rows in zip(*measured, strict=True))
        excess = np.log(np.maximum(residual, 1e-6))
        excess -= np.median(excess, axis=1, keepdims=True)
        # of all slices alike, no scanner's gain is below half or above twice, and no motion has such a residual
        level = _without_volume_median(level, np.abs(np.median(level, axis=0)) > np.log(2))
        excess = _without_volume_median(excess, np.median(residual, axis=0) > 1)
        changed = np.abs(level) > max(-np.log(1 - MIN_SIGNAL_CHANGE), MIN_DEVIATIONS * _robust_std(level))
        departed = excess > max(np.log(MIN_RESIDUAL_RATIO), MIN_DEVIATIONS * _robust_std(excess))
        out = changed | (departed & (residual > MIN_SIGNAL_CHANGE))
        found[np.ix_(shown, volumes)] = out
        found[:, volumes] |= out.all(axis=0)
    return found, compared


def shells_with_b0(table: GradientTable) -> list[Numbers]:
    """Volume numbers of the b0 and of each shell."""
    return [np.flatnonzero(table.b0), *(volumes for _, volumes in table.shells)]


def _level_and_residual(voxels: Doubles) -> tuple[Doubles, Doubles]:
    """Of a slice (N, G) of a shell's volumes, (G,) the log of each mean over the median one, and the residuals.

    A residual is the standard deviation of a volume's regression on the others, over the median mean; 0 where the
    voxels are too few for it.
    """
    count, volumes = voxels.shape
    means = voxels.mean(axis=0)
    median = max(float(np.median(means)), 1e-12)
    level = np.log(np.maximum(means / median, 1e-6))
    if count < 2 * volumes:
        return level, np.zeros(volumes)
    return level, residual_std(covariance(voxels, centered=False)) / median


def _without_volume_median(values: Doubles, kept: Mask) -> Doubles:
    """(K, G) values minus each volume's median, which stays where it is `kept`."""
    relative: Doubles = values - np.where(kept, 0.0, np.median(values, axis=0))
    return relative


def _robust_std(values: Doubles) -> float:
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))
