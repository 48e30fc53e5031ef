"""The place of the lungs in a CT of any field of view and orientation."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.grid import Grid, bounds, resample
from deeprecon.data.volume import Volume

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

VOXEL = 4.0
"""Size in mm of the voxels in which lungs are looked for."""
MAX_AIR_HU = -400.0
"""HU below which a voxel is air or lung."""
MIN_LUNG_HU = -970.0
"""Minimum median of the HU of a lung: gas in the bowel is darker."""
MIN_LITRES = 0.2
"""Minimum volume of both lungs: those of an infant."""
MIN_SHARE = 0.2
"""Minimum volume of a lung over that of the larger one."""
OUTERMOST = 0.005
"""Share of the lungs' voxels at each end of an axis that does not count as their extent."""


def lung_center(volume: Volume) -> Array | None:
    """The middle of the box around the lungs, RAS mm; None where no lungs are found.

    Lungs are the largest regions of air within the body: air that does not reach the border of its axial slice, and
    is not as dark as gas.

    Raises:
        InputError: see `resample`.
    """
    lower, upper = bounds(volume)
    counts = np.maximum(8, np.ceil((upper - lower) / VOXEL)).astype(int)
    i, j, k = (int(count) for count in counts)
    across, deep, high = (upper - lower).tolist()
    hu, affine = resample(volume, Grid((k, j, i), (across, deep, high)))
    lungs = find_lungs(hu, float(np.prod((upper - lower) / counts)) / 1e6)
    if lungs is None:
        return None
    middle = [_middle(lungs, axis) for axis in (2, 1, 0)]
    center: Array = affine[:3, :3] @ np.array(middle) + affine[:3, 3]
    return center


def find_lungs(hu: npt.NDArray[np.int16], litres: float) -> Mask | None:
    """Voxels of the lungs; None without lungs.

    Args:
        hu: (k, j, i).
        litres: volume of a voxel.
    """
    from scipy import ndimage

    air = hu < MAX_AIR_HU
    within_slice = np.zeros((3, 3, 3), bool)
    within_slice[1] = ndimage.generate_binary_structure(2, 1)
    labels, _ = ndimage.label(air, within_slice)
    rim = [labels[:, 0], labels[:, -1], labels[:, :, 0], labels[:, :, -1]]
    outside = np.unique(np.concatenate([plane.ravel() for plane in rim]))
    labels, count = ndimage.label(air & ~np.isin(labels, outside))
    if not count:
        return None
    numbers = np.arange(1, count + 1)
    sizes = ndimage.sum_labels(labels > 0, labels, numbers)
    large = numbers[sizes * litres >= MIN_SHARE * MIN_LITRES]
    bright = {int(number): float(np.median(hu[labels == number])) > MIN_LUNG_HU for number in large}
    sizes = {number: float(sizes[number - 1]) for number, is_lung in bright.items() if is_lung}
    largest = max(sizes.values(), default=0.0)
    kept = [number for number, size in sizes.items() if size >= MIN_SHARE * largest]
    if sum(sizes[number] for number in kept) * litres < MIN_LITRES:
        return None
    found: Mask = np.isin(labels, kept)
    return found


def _middle(mask: Mask, axis: int) -> float:
    """Middle of a mask's extent along an axis, as an index."""
    counts = np.cumsum(mask.sum(axis=tuple(other for other in range(3) if other != axis)))
    first, last = np.searchsorted(counts, [OUTERMOST * counts[-1], (1 - OUTERMOST) * counts[-1]])
    return 0.5 * float(first + last)
