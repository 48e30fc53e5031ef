"""Microvascular obstruction: a dark core of an infarct, which contrast agent does not reach, counts as scar."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Bools = npt.NDArray[np.bool_]

_LEAST_PIXELS = 3
"""Dark pixels in a slice below which they are noise."""
_MAX_OUTER = 0.1
"""Share of the border of an obstruction that may lie on the outer side of the wall: it spreads from the inner one."""
_MIN_SCAR = 0.5
"""Scar around an obstruction at least, in shares of its own size: what healthy wall encloses is no infarct."""


def obstructed(scar: Bools, wall: Bools, blood: Bools) -> Bools:
    """(k, j, i) pixels of wall that are not enhanced and are enclosed by scar, or by scar and blood, in their slice.

    Args:
        scar: (k, j, i) enhanced pixels.
        wall: (k, j, i) pixels with wall.
        blood: (k, j, i) pixels of the cavity.
    """
    from scipy.ndimage import binary_dilation, label

    found = np.zeros_like(wall)
    everywhere = np.ones((3, 3), bool)
    for k in np.flatnonzero(scar.any(axis=(1, 2))):
        parts, count = label(wall[k] & ~scar[k])
        beyond = ~wall[k] & ~binary_dilation(blood[k], everywhere)
        for number in range(1, count + 1):
            part = parts == number
            size = np.count_nonzero(part)
            ring = binary_dilation(part, everywhere) & ~part
            outer = np.count_nonzero(ring & beyond)
            rim = np.count_nonzero(ring & scar[k])
            near = np.count_nonzero(binary_dilation(part, everywhere, iterations=4) & scar[k])
            if size >= _LEAST_PIXELS and outer <= _MAX_OUTER * (outer + rim) and near >= _MIN_SCAR * size:
                found[k] |= part
    return found
