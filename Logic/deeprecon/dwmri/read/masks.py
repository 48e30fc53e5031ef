"""Masks of a scan, of whole numbers or of probabilities, and labels, on its grid or another one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.labels_on_grid import labels_on_grid
from deeprecon.data.segmentation import is_label
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume
from deeprecon.jobs.run import Run

Mask = npt.NDArray[np.bool_]

MIN_MASK_VOXELS = 100
"""Voxels that a mask must have for anything to be measured in it."""
MAX_PERCENT, MAX_LABELS = 100.0, 20
"""Highest value of a mask of probabilities in percent, and how many different whole numbers are still labels."""


def read_mask(path: Path, scan: DwiScan, run: Run) -> Mask:
    """A mask (k, j, i) on the grid of a scan; what is inside, see `voxels_inside`.

    A mask that is stored in another order of axes is the same one; one on another grid is interpolated at the scan's
    voxels.

    Raises:
        InputError: not readable, elsewhere, or (nearly) empty.
    """
    volume = read_volume(path)
    inside, doubts = voxels_inside(replace(volume, name=path.name))
    found, elsewhere = labels_on_grid(replace(volume, array=inside), scan.volume(scan.array[..., 0]))
    mask = np.asarray(found, bool)
    if mask.sum() < MIN_MASK_VOXELS:
        raise InputError(f"The mask {path.name} has {mask.sum()} voxels, which are too few.", "Draw it anew.")
    run.consider((*doubts, *volume.doubts, *elsewhere))
    return mask


def voxels_inside(drawn: Volume) -> tuple[Mask, tuple[Doubt, ...]]:
    """The voxels that a mask shows as inside, and the doubt about it.

    Every value above 0 is inside; of probabilities, those above 0.5 (above 50, where they are in percent).
    """
    values = np.nan_to_num(np.asarray(drawn.array, np.float64))
    threshold, doubts = _threshold(values, drawn.name)
    return values > threshold, doubts


def _threshold(values: npt.NDArray[np.float64], name: str) -> tuple[float, tuple[Doubt, ...]]:
    """The value above which a voxel is inside, and the doubt about it."""
    highest = float(values.max(initial=0.0))
    fractions = bool((values != np.round(values)).any())
    percent = abs(highest - MAX_PERCENT) < 1 and (fractions or len(np.unique(values)) > MAX_LABELS)
    if not percent and not (fractions and 0 < highest <= 1.001):
        return 0.0, ()
    threshold = MAX_PERCENT / 2 if percent else 0.5
    text = f"its values are many, as of a probability: those above {threshold:g} are taken as inside."
    return threshold, (Doubt("mask-probability", name, text, "Give a mask of 0 and 1.", assumed=True),)


def read_labels(path: Path, scan: DwiScan, run: Run) -> npt.NDArray[np.uint8]:
    """Labels (k, j, i) on the grid of a scan, see `labels_on_grid`.

    Raises:
        InputError: not readable, no labels, or elsewhere.
    """
    volume = read_volume(path)
    if not is_label(volume):
        raise InputError(f"{path} holds no labels: its values are not a few whole numbers from 0 to 255.")
    labels = replace(volume, array=np.asarray(volume.array).astype(np.uint8))
    found, doubts = labels_on_grid(labels, scan.volume(scan.array[..., 0]))
    run.consider((*volume.doubts, *doubts))
    return np.asarray(found, np.uint8)
