"""The mask of the head, found on the images."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.dwmri.read.masks import MIN_MASK_VOXELS

Mask = npt.NDArray[np.bool_]

MARGIN = 4
"""Voxels around the mask that count in it: the receptive field of the network reaches three far."""


def find_mask(scan: DwiScan) -> Mask:
    """The head: the largest component above Otsu's threshold on the smoothed mean of the b0 (else all) volumes, filled.

    Where that is nearly empty, as in tiny scans, the mask is every voxel with signal.
    """
    import SimpleITK as sitk

    chosen = scan.gradients.b0 if scan.gradients.b0.any() else np.ones(len(scan.gradients), bool)
    mean = scan.array[..., chosen].mean(axis=-1, dtype=np.float64).astype(np.float32)
    signal = mean > 0
    if min(mean.shape) >= 3:
        image = sitk.Median(sitk.GetImageFromArray(np.minimum(mean, np.percentile(mean, 99))), [1, 1, 1])
        inside = sitk.OtsuThreshold(image, 0, 1, 128)
        pieces = sitk.RelabelComponent(sitk.ConnectedComponent(inside))
        filled = sitk.BinaryFillhole(sitk.BinaryMorphologicalClosing(pieces == 1, [2, 2, 1]))
        found = np.asarray(sitk.GetArrayFromImage(filled), bool) & signal
        if found.sum() >= max(MIN_MASK_VOXELS, 0.02 * found.size):
            return np.asarray(found, bool)
    return np.asarray(signal if signal.any() else np.ones(mean.shape), bool)


def bounding_box(mask: Mask) -> tuple[slice, slice, slice]:
    """Slices (k, j, i) around a mask, `MARGIN` voxels wider as far as the grid reaches."""
    box: list[Any] = []
    for axis in range(3):
        inside = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        box.append(slice(max(int(inside[0]) - MARGIN, 0), int(inside[-1]) + MARGIN + 1))
    return box[0], box[1], box[2]
