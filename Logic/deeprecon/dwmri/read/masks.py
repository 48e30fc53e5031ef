"""Masks of a scan, on its grid or another one, of whole numbers or of probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume
from deeprecon.jobs.run import Run
from deeprecon.numerics.grids import interpolate

Mask = npt.NDArray[np.bool_]

MIN_MASK_VOXELS = 100
"""Voxels that a mask must have for anything to be measured in it."""
MIN_SHARE = 0.5
"""Of the volume of a mask on another grid that must lie on the scan."""
SAME_PLACE = 0.3
"""Voxels by which the places of two grids may differ, as by rounding."""
MAX_PERCENT, MAX_LABELS = 100.0, 20
"""Highest value of a mask of probabilities in percent, and how many different whole numbers are still labels."""


def read_mask(path: Path, scan: DwiScan, run: Run) -> Mask:
    """A mask (k, j, i) on the grid of a scan.

    Every value above 0 is inside; of probabilities, those above 0.5 (above 50, where they are in percent). A mask that
    is stored in another order of axes is the same one; one on another grid is interpolated at the scan's voxels.

    Raises:
        InputError: not readable, elsewhere, or (nearly) empty.
    """
    volume = read_volume(path)
    values = np.nan_to_num(np.asarray(volume.array, np.float64))
    threshold, doubts = _threshold(values, path.name)
    doubts += volume.doubts
    inside = values > threshold
    mask = _reordered(volume, inside, scan)
    if mask is None:
        mask, doubt = _resampled(volume, inside, scan)
        doubts += (doubt,)
    if mask.sum() < MIN_MASK_VOXELS:
        raise InputError(f"The mask {path.name} has {mask.sum()} voxels, which are too few.", "Draw it anew.")
    run.consider(doubts)
    return mask


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


def _reordered(volume: Volume, inside: Mask, scan: DwiScan) -> Mask | None:
    """A mask in the order of the scan's axes; None where the grids differ."""
    between = np.linalg.inv(volume.ijk_to_ras) @ scan.ijk_to_ras  # from the scan's indices to the mask's
    turn = np.round(between[:3, :3])
    if not np.array_equal(np.abs(turn).sum(axis=0), np.ones(3)) or not np.array_equal(
        np.abs(turn).sum(axis=1), np.ones(3)
    ):
        return None
    axes = np.abs(turn).argmax(axis=0)  # axis (i, j, k) of the mask for each of the scan's
    flipped = turn[axes, np.arange(3)] < 0
    counts = np.array(volume.n)
    first = np.zeros(3)
    first[axes] = np.where(flipped, counts[axes] - 1, 0)
    exact = np.eye(4)
    exact[:3, :3], exact[:3, 3] = turn, first
    corners = np.array(np.meshgrid(*[(0, count - 1) for count in scan.shape[::-1]], [1])).reshape(4, -1)
    shape = tuple(counts[axes][::-1])
    if shape != scan.shape or np.abs((between - exact) @ corners).max() > SAME_PLACE:
        return None

    turned = inside.transpose([2 - int(axes[axis]) for axis in (2, 1, 0)])
    return np.asarray(turned[tuple(slice(None, None, -1 if flipped[axis] else 1) for axis in (2, 1, 0))])


def _resampled(volume: Volume, inside: Mask, scan: DwiScan) -> tuple[Mask, Doubt]:
    """A mask at the voxels of a scan with another grid, and the doubt about it.

    Raises:
        InputError: most of it lies elsewhere.
    """
    if volume.array.shape == scan.shape:
        raise InputError(
            f"The mask {volume.name} has as many voxels as {scan.name} but does not lie on the grid of the scan: its "
            "geometry is another one.",
            "Copy the geometry of the scan to the mask if it was drawn there.",
        )
    k, j, i = np.indices(scan.shape).reshape(3, -1)
    ras = scan.volume(np.zeros(scan.shape, np.uint8)).to_ras(np.stack([i, j, k], axis=1))
    indices = volume.to_ijk(ras)[:, ::-1]
    found = interpolate(inside.astype(np.float32), indices, "zero").reshape(scan.shape) > 0.5
    sizes = [float(np.prod(each.spacing)) for each in (volume, scan)]
    share = found.sum() * sizes[1] / max(inside.sum() * sizes[0], 1e-12)
    if share < MIN_SHARE:
        raise InputError(
            f"The mask {volume.name} ({_size(volume.array.shape)} voxels) does not lie on the grid of {scan.name} "
            f"({_size(scan.shape)}), and {100 * share:.0f} % of it lie on the scan.",
            "Draw it on the scan, or resample it to its grid.",
        )
    text = (
        f"it has another grid ({_size(volume.array.shape)} voxels) than {scan.name} ({_size(scan.shape)}) and was "
        f"interpolated: {found.sum()} voxels of the scan."
    )
    way_out = "Look at the mask in the result; draw it on the scan where it does not fit."
    return found, Doubt("mask-resampled", volume.name, text, way_out, assumed=True)


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(count) for count in shape[::-1])
