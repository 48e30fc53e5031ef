"""Evaluation of the field at mesh nodes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from deeprecon.scar.fit.field import Field


def members(field: Field, nodes: npt.NDArray[np.float64], batch: int = 16_384) -> npt.NDArray[np.float32]:
    """(M, N) scar probability by each of the ensemble's members.

    Args:
        field: fitted, on any device.
        nodes: (N, 3) RAS mm.
        batch: nodes at a time; bounds the memory.
    """
    result = np.empty((len(field.biases[0]), len(nodes)), np.float32)
    with torch.no_grad():
        for first in range(0, len(nodes), batch):
            part = slice(first, first + batch)
            result[:, part] = torch.sigmoid(field(field.coordinates(nodes[part]))).cpu().numpy()
    return result


def samples(field: Field, spread: float, nodes: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """(M, N) equally likely probabilities: the members, moved apart from their mean by the factor `spread`."""
    found = members(field, nodes)
    mean = found.mean(axis=0)
    moved: npt.NDArray[np.float32] = np.clip(mean + spread * (found - mean), 0, 1)
    return moved


def predict(
    field: Field, spread: float, nodes: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Scar probability and its uncertainty.

    Args:
        field: fitted, on any device.
        spread: factor on the uncertainty, see `FieldFit.spread`.
        nodes: (N, 3) RAS mm.

    Returns:
        (N,) probability, the mean over the ensemble's members; and (N,) uncertainty, their standard deviation times
        `spread`, at most 0.5. It shows how far equally good fits differ, which is most in the gaps between slices; it
        does not include errors that all members share, such as wrong contours.
    """
    found = members(field, nodes)
    return found.mean(axis=0), np.minimum(spread * found.std(axis=0), 0.5).astype(np.float32)
