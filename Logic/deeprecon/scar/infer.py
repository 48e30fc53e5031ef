"""Reading the field at mesh nodes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from deeprecon.scar.network import Field


def predict(
    field: Field, nodes: npt.NDArray[np.float64], batch: int = 16_384
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Scar probability and its uncertainty.

    Args:
        field: fitted, on any device.
        nodes: (N, 3) RAS mm.
        batch: nodes at a time; bounds the memory.

    Returns:
        (N,) probability, the mean over the ensemble's members; and (N,) uncertainty, their standard deviation (0 to
        0.5). It tells how far equally good fits differ, largest in the gaps between slices; it does not know of errors
        that all share, such as shifted slices.
    """
    mean, spread = np.empty((2, len(nodes)), np.float32)
    with torch.no_grad():
        for first in range(0, len(nodes), batch):
            part = slice(first, first + batch)
            members = torch.sigmoid(field(field.coordinates(nodes[part])))
            mean[part] = members.mean(dim=0).cpu().numpy()
            spread[part] = members.std(dim=0, correction=0).cpu().numpy()
    return mean, spread
