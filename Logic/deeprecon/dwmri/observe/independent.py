"""Which volumes of a scan have noise of their own.

A volume that is repeated, an average of others, or foretold from them (lost slices, here or in FSL's eddy) adds no
noise of its own. Then the smallest singular values are zero, or as small as rounding, whatever the noise.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

LEAST_SHARE = 0.25
"""Of the usual residual, below which a volume's is not noise: noise at a signal of zero still has 0.65."""
ALIKE = 1.5
"""Factor within which residuals tie: of volumes that were repeated, the last one is taken for the repeat."""
MOST_VOXELS = 5000
"""Of a slice that are looked at."""
FEWEST_VOLUMES = 4
"""That are left to measure noise on."""
SPARE_VOXELS = 20
"""Of a slab beyond twice as many as volumes."""


def independent_volumes(array: Floats, mask: Mask) -> Mask:
    """(V,) which volumes have noise of their own, as far as can be told.

    What the best linear combination of the others leaves of a volume is its noise and what only it shows. It is taken
    slice by slice, as volumes are often repaired in some slices only. Where it is far below the usual, the volume is a
    combination of others, and so are these of it: one is left out at a time, until no other one is explained.

    At least half of the volumes stay, as in images without noise.

    Args:
        array: (k, j, i, V).
        mask: (k, j, i).
    """
    volumes = array.shape[-1]
    kept = np.ones(volumes, bool)
    grams = np.stack([_covariance(voxels) for voxels in _slabs(array, mask)] or [np.eye(volumes)])
    while kept.sum() > max(FEWEST_VOLUMES, (volumes + 1) // 2):
        left = _residuals(grams[:, kept][:, :, kept])
        share = left / np.maximum(np.median(left, axis=1, keepdims=True), 1e-12)
        dependent = share < LEAST_SHARE
        if not dependent.any():
            break
        slabs = dependent.sum(axis=0)
        most = slabs >= max(1.0, 0.9 * float(slabs.max()))
        size = np.exp(np.where(dependent, np.log(np.maximum(share, 1e-6)), 0).sum(axis=0) / np.maximum(slabs, 1))
        chosen = np.flatnonzero(most & (size <= ALIKE * size[most].min()))[-1]
        kept[np.flatnonzero(kept)[chosen]] = False
    return kept


def _slabs(array: Floats, mask: Mask) -> Iterator[Doubles]:
    """(N, V) voxels in the mask of slices, or of several that follow each other where one has too few."""
    fewest = 2 * array.shape[-1] + SPARE_VOXELS
    waiting: list[Floats] = []
    for values, inside in zip(array, mask, strict=True):
        waiting.append(values[inside])
        if sum(map(len, waiting)) >= fewest:
            voxels = np.concatenate(waiting)
            yield voxels[:: 1 + len(voxels) // max(MOST_VOXELS, 2 * fewest)].astype(np.float64)
            waiting = []


def _covariance(voxels: Doubles) -> Doubles:
    """(V, V) of voxels (N, V), over those that are to spare."""
    centered = voxels - voxels.mean(axis=0)
    found: Doubles = centered.T @ centered / (len(voxels) - voxels.shape[1])
    return found


def _residuals(grams: Doubles) -> Doubles:
    """(S, V) standard deviation of what the others leave of each volume, from covariances (S, V, V)."""
    size = np.maximum(np.trace(grams, axis1=1, axis2=2), 1e-12)[:, None, None]
    inverse = np.linalg.inv(grams + 1e-12 * size * np.eye(grams.shape[-1]))
    found: Doubles = 1 / np.sqrt(np.maximum(np.diagonal(inverse, axis1=1, axis2=2), 1e-30))
    return found
