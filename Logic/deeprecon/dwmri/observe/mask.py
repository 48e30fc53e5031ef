"""Where the head is: given as a file, or found on the images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.errors import InputError
from deeprecon.data.volume_io import read_volume

Mask = npt.NDArray[np.bool_]

FEWEST = 100
"""Voxels that a mask must have for anything to be measured in it."""


def read_mask(path: Path, scan: DwiScan) -> Mask:
    """A mask (k, j, i) on the grid of a scan; every value above 0 is inside.

    Raises:
        InputError: not readable, on another grid, or (nearly) empty.
    """
    volume = read_volume(path)
    if volume.array.shape != scan.shape or not np.allclose(volume.ijk_to_ras, scan.ijk_to_ras, atol=1e-2):
        raise InputError(
            f"The mask {path.name} ({_size(volume.array.shape)} voxels) does not lie on the grid of {scan.name} "
            f"({_size(scan.shape)}).",
            "Draw it on the scan, or resample it to its grid.",
        )
    mask = np.nan_to_num(volume.array) > 0
    if mask.sum() < FEWEST:
        raise InputError(f"The mask {path.name} has {mask.sum()} voxels, which are too few.", "Draw it anew.")
    return np.asarray(mask, bool)


def find_mask(scan: DwiScan) -> Mask:
    """The head: the largest piece above Otsu's threshold on the smoothed mean of the b0 (else all) volumes, filled.

    Where that finds hardly anything, as in scans of skull-stripped or tiny pieces, every voxel with signal is taken.
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
        if found.sum() >= max(FEWEST, 0.02 * found.size):
            return np.asarray(found, bool)
    return np.asarray(signal if signal.any() else np.ones(mean.shape), bool)


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(count) for count in shape[::-1])


def bounding_box(mask: Mask, margin: int) -> tuple[slice, slice, slice]:
    """Slices (k, j, i) around a mask, `margin` voxels wider where the grid goes on."""
    box: list[Any] = []
    for axis in range(3):
        inside = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        box.append(slice(max(int(inside[0]) - margin, 0), int(inside[-1]) + margin + 1))
    return box[0], box[1], box[2]
