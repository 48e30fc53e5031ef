"""The body and the lungs in a CT, without labels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]

LUNG_HU = (-980, -500)
"""HU of a voxel of lung, within the body."""


def body_mask(hu: npt.ArrayLike) -> Mask:
    """The body, lungs included: the voxels of each row between the outermost tissue."""
    tissue = np.asarray(hu) > -500
    right = np.maximum.accumulate(tissue, axis=2)
    left = np.maximum.accumulate(tissue[:, :, ::-1], axis=2)[:, :, ::-1]
    front = np.maximum.accumulate(tissue, axis=1)
    back = np.maximum.accumulate(tissue[:, ::-1], axis=1)[:, ::-1]
    mask: Mask = right & left & front & back
    return mask


def lung_mask(hu: npt.ArrayLike) -> Mask:
    """Voxels of the body with the HU of lung."""
    volume = np.asarray(hu)
    mask: Mask = body_mask(volume) & (volume > LUNG_HU[0]) & (volume < LUNG_HU[1])
    return mask
