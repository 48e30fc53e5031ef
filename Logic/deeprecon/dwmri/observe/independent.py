"""Which volumes of a scan have independent noise.

A volume that is repeated, an average of others, or predicted from them (lost slices, here or in FSL's eddy) has no
independent noise. Then the smallest singular values are zero, or as small as rounding, whatever the noise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from deeprecon.dwmri.observe.leave_one_out import covariance, residual_std

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MIN_RESIDUAL_RATIO = 0.25
"""Of a volume's residual to the median, below which it is not noise: noise at a signal of zero still has 0.65."""
SAME = 1e-3
"""Standard deviation of the difference of two volumes to that of one of them, below which both are the same one."""
TIE_FACTOR = 1.5
"""Factor within which residuals tie: of repeated volumes, the last one is taken for the repeat."""
MAX_VOXELS = 5000
"""Of a slice that are used."""
MIN_VOLUMES = 4
"""That the noise is measured on."""
EXTRA_VOXELS = 20
"""Of a slab beyond twice as many as volumes."""


def independent_volumes(array: Floats, mask: Mask) -> Mask:
    """(V,) which volumes have independent noise, as far as can be determined.

    The residual of a volume's regression on the others is its noise and the signal that only it has. It is computed
    slice by slice, as volumes are often repaired in some slices only. Where it is far below the median, the volume is a
    combination of others, and so are these of it: one is left out at a time, until no other one is explained. Of
    volumes that are the same one, as in a series that was stored twice, the first is kept.

    At least half of the different volumes stay, as in images without noise.

    Args:
        array: (k, j, i, V).
        mask: (k, j, i).
    """
    volumes = array.shape[-1]
    covariances = np.stack([covariance(voxels) for voxels in _slabs(array, mask)] or [np.eye(volumes)])
    kept = _different(covariances)
    least = max(MIN_VOLUMES, (int(kept.sum()) + 1) // 2)
    while kept.sum() > least:
        residuals = residual_std(covariances[:, kept][:, :, kept])
        ratio = residuals / np.maximum(np.median(residuals, axis=1, keepdims=True), 1e-12)
        dependent = ratio < MIN_RESIDUAL_RATIO
        if not dependent.any():
            break
        slabs = dependent.sum(axis=0)
        most = slabs >= max(1.0, 0.9 * float(slabs.max()))
        size = np.exp(np.where(dependent, np.log(np.maximum(ratio, 1e-6)), 0).sum(axis=0) / np.maximum(slabs, 1))
        chosen = np.flatnonzero(most & (size <= TIE_FACTOR * size[most].min()))[-1]
        kept[np.flatnonzero(kept)[chosen]] = False
    return kept


def _different(covariances: Doubles) -> Mask:
    """(V,) all volumes but those that are the same as one before them."""
    variances = np.diagonal(covariances, axis1=1, axis2=2)
    distances = variances[:, :, None] + variances[:, None] - 2 * covariances
    same = np.tril(np.all(distances < SAME**2 * variances[:, :, None], axis=0), -1)
    return np.asarray(~same.any(axis=1))


def first_equal(array: Floats) -> npt.NDArray[np.int64]:
    """(V,) the number of the first volume that is equal to each one of (k, j, i, V), in every voxel."""
    first: dict[bytes, int] = {}
    numbers = range(array.shape[-1])
    return np.array([first.setdefault(hashlib.sha256(array[..., n].tobytes()).digest(), n) for n in numbers])


def _slabs(array: Floats, mask: Mask) -> Iterator[Doubles]:
    """(N, V) voxels in the mask of slices, or of several consecutive ones where one has too few."""
    needed = 2 * array.shape[-1] + EXTRA_VOXELS
    waiting: list[Floats] = []
    for values, inside in zip(array, mask, strict=True):
        waiting.append(values[inside])
        if sum(map(len, waiting)) >= needed:
            voxels = np.concatenate(waiting)
            yield voxels[:: 1 + len(voxels) // max(MAX_VOXELS, 2 * needed)].astype(np.float64)
            waiting = []
