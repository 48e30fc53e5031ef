"""The fast method: three local PCAs that see different windows, averaged."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deeprecon.dwmri.fit.pca import LARGE, shrink
from deeprecon.dwmri.fit.rician import signal_of, stabilize

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

MOST_COMPONENTS = 32
"""Components of the whole scan that are looked at: what lies beyond is noise in scans of more volumes."""
RESULTS = 3
SIMILAR, SIMILAR_LIMITS = 1.6, (24, 48)
"""Voxels that are taken for alike, for each volume: more mix small lesions with what surrounds them."""


def principal_axes(array: Floats, mask: Mask, most: int) -> Floats:
    """(V, C) orthonormal axes along which the volumes (k, j, i, V) vary most in the mask, at most `most` of them."""
    values = array[mask].astype(np.float64)
    _, vectors = np.linalg.eigh(values.T @ values)
    return np.ascontiguousarray(vectors[:, ::-1][:, :most]).astype(np.float32)


def local_pcas(
    array: Floats, mask: Mask, rician: bool, device: str, threads: int, stride: int | None = None
) -> list[Floats]:
    """Three results (k, j, i, V) in units of the noise: windows of 3^3 and of 5^3 voxels, and of the voxels most alike.

    Small windows keep edges, large ones average more noise out, and those of similar voxels do both where the first two
    already tell what is similar; their errors differ, so that the mean is better than each.

    Args:
        array: (k, j, i, V) in units of the noise.
        mask: (k, j, i).
        rician: whether these are magnitudes: then the results are without their bias, and noise is made the same at any
            signal first.
        device, threads: see `shrink`.
        stride: of the windows; by the size of the mask if left out.
    """
    large = mask.sum() > LARGE
    small_stride, large_stride = (1, 2 if large else 1) if stride is None else (stride, stride)
    if rician:
        array = stabilize(array)
    volumes = array.shape[-1]
    axes = principal_axes(array, mask, MOST_COMPONENTS) if volumes > MOST_COMPONENTS else None
    data = array if axes is None else array @ axes
    similar = int(np.clip(SIMILAR * volumes, *SIMILAR_LIMITS))
    small = shrink(data, mask, 1, small_stride, device, threads)
    wide = shrink(data, mask, 2, large_stride, device, threads)
    alike = shrink(data, mask, 2, large_stride, device, threads, pilot=0.5 * (small + wide), similar=similar)
    parts = (part if axes is None else part @ axes.T for part in (small, wide, alike))
    return [signal_of(part) if rician else part for part in parts]
