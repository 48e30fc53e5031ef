"""Small structures that are planted into a scan before noise is added to it: copies of other places of the scan.

What denoises first blurs small lesions, and a network that is trained on its result hardly ever sees one. With balls
of the signal of voxels from elsewhere ("copy-paste", Ghiasi 2021) it learns what noise and local PCA do to such
structures.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

SHARE = 0.1
"""Of the mask's voxels that planted structures cover."""
RADII = (0.5, 2.0)
"""Least and largest radius in voxels: larger structures survive local PCA."""


def plant(clean: Floats, mask: Mask, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """A scan with balls in it, each with the signal of a voxel from elsewhere; at their rims volumes are partial.

    Args:
        clean: (k, j, i, V) without noise.
        mask: (k, j, i); places and signals are drawn in it.
        rng: of places, radii and signals.

    Returns:
        The scan, and (k, j, i) how much of each voxel is planted, 0 to 1.
    """
    planted, shares = clean.copy(), np.zeros(mask.shape, np.float32)
    voxels = np.argwhere(mask)
    wanted, covered = SHARE * len(voxels), 0.0
    reach = int(np.ceil(RADII[1])) + 1
    while covered < wanted:
        place = voxels[rng.integers(len(voxels))]
        center, radius = place + rng.uniform(-0.5, 0.5, 3), rng.uniform(*RADII)
        starts = np.maximum(place - reach, 0)
        window = tuple(slice(start, middle + reach + 1) for start, middle in zip(starts, place, strict=True))
        offsets = np.moveaxis(np.indices(mask[window].shape), 0, -1) + starts - center
        share = np.clip(radius + 0.5 - np.linalg.norm(offsets, axis=-1), 0, 1).astype(np.float32) * mask[window]
        signal = clean[tuple(voxels[rng.integers(len(voxels))])]
        planted[window] += share[..., None] * (signal - planted[window])
        shares[window] = np.maximum(shares[window], share)
        covered += float(share.sum())
    return planted, shares
