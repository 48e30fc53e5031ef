"""Replacement of lost slices and volumes by what is predicted from the other volumes, see `observe.prediction`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.gradients import GradientTable
from deeprecon.data.errors import InputError
from deeprecon.dwmri.observe.prediction import left_out_residuals, other_volumes, prediction_weights, volumes_needed

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Imputed:
    """A scan with lost slices replaced.

    Attributes:
        array: (k, j, i, V).
        filled: (k, V) slices that were replaced.
        left: (k, V) lost slices that were not: too few volumes of their shell have them.
        squared_error: (k, j, i) sum over the filled volumes of the squared error of their prediction, in squared units
            of the image. It is what the other volumes differ by from their own prediction, and holds their noise.
    """

    array: Floats
    filled: Mask
    left: Mask
    squared_error: Floats

    def with_error_of_filled(self, uncertainty: Floats, mask: Mask) -> Floats:
        """(k, j, i) root mean square over the volumes of the standard errors: of measured ones, and of filled ones.

        Args:
            uncertainty: (k, j, i) of the measured volumes.
            mask: (k, j, i); outside it stays.
        """
        volumes = self.filled.shape[1]
        measured = (volumes - self.filled.sum(axis=1))[:, None, None]
        total = np.sqrt((measured * uncertainty**2 + self.squared_error) / volumes)
        return np.where(mask, np.maximum(total, uncertainty), uncertainty).astype(np.float32)


def impute_slices(array: Floats, table: GradientTable, lost: Mask) -> Imputed:
    """Replace the lost slices.

    A prediction is scaled by the ratio of the volume's other slices to their prediction, unless most of them are lost.

    Args:
        array: (k, j, i, V).
        table: of the V volumes.
        lost: (k, V), see `observe.outliers.find_outliers`.
    """
    result, left = array.copy(), np.zeros_like(lost)
    squared_error = np.zeros(array.shape[:3], np.float32)
    for volume in map(int, np.flatnonzero(lost.any(axis=0))):
        others = other_volumes(table, volume)
        predicted: dict[int, Floats] = {}
        for k in range(len(array)):
            good = others[~lost[k, others]]
            if len(good) >= volumes_needed(table, volume):
                predicted[k] = np.maximum(array[k] @ prediction_weights(table, good, volume), 0)
        kept = [k for k in predicted if not lost[k, volume]]
        expected = sum(float(predicted[k].sum()) for k in kept)
        gain = 1.0
        if expected > 0 and 2 * len(kept) > len(array):
            gain = sum(float(array[k, ..., volume].sum()) for k in kept) / expected
        for k in map(int, np.flatnonzero(lost[:, volume])):
            if k in predicted:
                good = others[~lost[k, others]]
                result[k, ..., volume] = gain * predicted[k]
                squared_error[k] += np.mean(left_out_residuals(array[k][..., good], table, good) ** 2, axis=-1)
            else:
                left[k, volume] = True
    return Imputed(result, lost & ~left, left, squared_error)


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
        others, needed = np.setdiff1d(other_volumes(table, volume), volumes), volumes_needed(table, volume)
        if len(others) < needed:
            raise InputError(
                f"impute: volume {volume} cannot be predicted: {len(others)} other volumes of b = "
                f"{table.bvals[volume]:.0f} are left, {needed} are needed.",
                "Choose fewer volumes, or remove it from the scan and its table.",
            )
