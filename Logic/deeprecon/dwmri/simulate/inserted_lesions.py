"""Small lesions that are inserted into a scan before noise is added to it: copies of other places of the scan.

Local PCA blurs small lesions, and a network that is trained on its result hardly ever sees one. From balls with the
signal of voxels from elsewhere ("copy-paste", Ghiasi et al. 2021, CVPR) it learns what noise and local PCA do to such
structures.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

VOLUME_FRACTION = 0.1
"""Of the mask's voxels that inserted lesions cover."""
RADII = (0.5, 2.0)
"""Smallest and largest radius in voxels: larger structures survive local PCA."""


def insert_lesions(clean: Floats, mask: Mask, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """A scan with balls in it, each with the signal of a voxel from elsewhere, and partial volumes at their surface.

    Args:
        clean: (k, j, i, V) without noise.
        mask: (k, j, i); places and signals are drawn in it.
        rng: of places, radii and signals.

    Returns:
        The scan, and (k, j, i) the inserted fraction of each voxel, 0 to 1.
    """
    inserted, fractions = clean.copy(), np.zeros(mask.shape, np.float32)
    voxels = np.argwhere(mask)
    needed, covered = VOLUME_FRACTION * len(voxels), 0.0
    reach = int(np.ceil(RADII[1])) + 1
    while covered < needed:
        place = voxels[rng.integers(len(voxels))]
        center, radius = place + rng.uniform(-0.5, 0.5, 3), rng.uniform(*RADII)
        starts = np.maximum(place - reach, 0)
        window = tuple(slice(start, middle + reach + 1) for start, middle in zip(starts, place, strict=True))
        offsets = np.moveaxis(np.indices(mask[window].shape), 0, -1) + starts - center
        part = np.clip(radius + 0.5 - np.linalg.norm(offsets, axis=-1), 0, 1).astype(np.float32) * mask[window]
        signal = clean[tuple(voxels[rng.integers(len(voxels))])]
        inserted[window] += part[..., None] * (signal - inserted[window])
        fractions[window] = np.maximum(fractions[window], part)
        covered += float(part.sum())
    return inserted, fractions
