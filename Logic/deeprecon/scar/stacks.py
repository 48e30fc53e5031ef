"""Stacks of slices: what the images say about the wall and the scar."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Stack:
    """Parallel slices of one acquisition, in canonical order: axis 0 of the arrays runs across the slices.

    Attributes:
        wall: (k, j, i) float32, share of each pixel that is myocardium, 0 to 1.
        scar: (k, j, i) float32, scar volume over wall volume in each pixel's prism, 0 to 1; 0 is data ("no scar
            here") wherever `wall` > 0 and has no meaning elsewhere.
        ijk_to_ras: (4, 4) float64, pixel index (i, j, k, 1) to RAS mm; k counts slices.
        thickness: of the imaged slab along the slice normal in mm; may differ from the slice spacing.
        name: for messages.
    """

    wall: npt.NDArray[np.float32]
    scar: npt.NDArray[np.float32]
    ijk_to_ras: npt.NDArray[np.float64]
    thickness: float
    name: str = "stack"
