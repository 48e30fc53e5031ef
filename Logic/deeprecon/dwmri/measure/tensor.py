"""The diffusion tensor by weighted least squares, and its scalar maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.gradients import GradientTable

Floats = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

MAX_B = 1600.0
"""s/mm2 up to which volumes are used where they suffice: beyond, the signal of tissue is no longer a tensor's."""
_CHUNK = 20_000
_UPPER = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


@dataclass(frozen=True, eq=False)
class TensorMaps:
    """Maps (k, j, i), 0 outside of the mask.

    Attributes:
        fa: fractional anisotropy, 0 to 1.
        md: mean diffusivity in mm2/s.
        direction: (k, j, i, 3) principal direction in RAS, unit length.
    """

    fa: npt.NDArray[np.float32]
    md: npt.NDArray[np.float32]
    direction: npt.NDArray[np.float32]

    @property
    def color(self) -> npt.NDArray[np.float32]:
        """(k, j, i, 3) red for left-right, green for front-back, blue for up-down, each times FA."""
        return np.abs(self.direction) * self.fa[..., None]


def tensor_volumes(table: GradientTable) -> Mask | None:
    """(V,) the volumes that a tensor is fitted to; None where they do not determine its seven unknowns."""
    low = table.bvals <= MAX_B
    for chosen in (low, np.ones(len(table), bool)):
        design = _design(table.subset(chosen))
        if len(design) >= 7 and np.linalg.matrix_rank(design / np.abs(design).max(axis=0, initial=1e-12)) == 7:
            return chosen
    return None


def fit_tensor(array: Floats, table: GradientTable, mask: Mask) -> TensorMaps | None:
    """Fit a tensor in each voxel of the mask: log-linear, then weighted by the squares of the fitted signal.

    Salvador et al. 2005, Human Brain Mapping 24:144. Volumes beyond b = 1600 are left out where the others suffice.

    Args:
        array: (k, j, i, V) signal; values below a thousandth of the mean count as that.
        table: of the V volumes.
        mask: (k, j, i).

    Returns:
        None where the table does not determine a tensor, see `tensor_volumes`.
    """
    chosen = tensor_volumes(table)
    if chosen is None:
        return None
    signal = array[mask][:, chosen].astype(np.float64)
    logs = np.log(np.maximum(signal, max(1e-3 * float(signal.mean()) if signal.size else 0.0, 1e-12)))
    eigenvalues, direction = _eigensystems(logs, _design(table.subset(chosen)))
    mean = eigenvalues.mean(axis=1)
    size = np.sqrt((eigenvalues**2).sum(axis=1))
    deviation = np.sqrt(1.5 * ((eigenvalues - mean[:, None]) ** 2).sum(axis=1))
    fa = np.divide(deviation, size, out=np.zeros_like(mean), where=size > 0)

    def image(values: Floats) -> npt.NDArray[np.float32]:
        result = np.zeros((*mask.shape, *values.shape[1:]), np.float32)
        result[mask] = values
        return result

    return TensorMaps(image(fa), image(mean), image(direction))


def _design(table: GradientTable) -> npt.NDArray[np.float64]:
    """(V, 7) of log signal = log S0 - b g.D.g, with b in ms/um2 so that all columns are of like size."""
    g = table.directions
    columns = [-(1.0 if row == column else 2.0) * g[:, row] * g[:, column] for row, column in _UPPER]
    return np.stack([np.ones(len(table)), *(table.bvals / 1000 * column for column in columns)], axis=1)


def _eigensystems(logs: npt.NDArray[np.float64], design: npt.NDArray[np.float64]) -> tuple[Floats, Floats]:
    """(N, 3) eigenvalues in mm2/s, ascending, at least 0, and (N, 3) principal directions, of log signals (N, V)."""
    eigenvalues, direction = np.zeros((len(logs), 3)), np.zeros((len(logs), 3))
    inverse = np.linalg.pinv(design)
    outer = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
    for start in range(0, len(logs), _CHUNK):
        part = slice(start, start + _CHUNK)
        fitted = logs[part] @ inverse.T @ design.T
        weights = np.exp(2 * (fitted - fitted.max(axis=1, keepdims=True)))
        normal = (weights @ outer).reshape(-1, 7, 7)
        normal += 1e-9 * np.trace(normal, axis1=1, axis2=2)[:, None, None] * np.eye(7)
        solved = np.linalg.solve(normal, ((weights * logs[part]) @ design)[..., None])[..., 0]
        tensor = np.empty((len(solved), 3, 3))
        for number, (row, column) in enumerate(_UPPER):
            tensor[:, row, column] = tensor[:, column, row] = solved[:, 1 + number]
        values, vectors = np.linalg.eigh(tensor)
        eigenvalues[part], direction[part] = np.maximum(values, 0) / 1000, vectors[:, :, 2]
    return eigenvalues, direction
