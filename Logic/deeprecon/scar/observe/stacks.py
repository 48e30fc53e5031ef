"""Stacks of observed slices: shares of wall and scar in every pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.scar.observe.mixture.intensities import FittedIntensities


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
        core: (k, j, i) float32, core volume over wall volume, at most `scar`; None where the images do not
            separate core from border zone.
        shifts: (k, 2) float64, mm along the rows (i) and columns (j) by which each slice is to be moved to lie on the
            heart; None for no move.
        doubts: about the scar that was read from intensities.
        likelihood, core_likelihood: (k, j, i, S) float32, log likelihood of equally spaced shares of scar, and of core,
            from 0 to 1, by the pixel's intensity alone; None where they are not read by a mixture.
        mixture: the intensities that they were read from; None without a mixture.
    """

    wall: npt.NDArray[np.float32]
    scar: npt.NDArray[np.float32]
    ijk_to_ras: npt.NDArray[np.float64]
    thickness: float
    name: str = "stack"
    core: npt.NDArray[np.float32] | None = None
    shifts: npt.NDArray[np.float64] | None = None
    doubts: tuple[Doubt, ...] = ()
    likelihood: npt.NDArray[np.float32] | None = None
    core_likelihood: npt.NDArray[np.float32] | None = None
    mixture: FittedIntensities | None = None

    @property
    def offsets(self) -> npt.NDArray[np.float64]:
        """(k, 3) RAS mm by which each slice is to be moved."""
        if self.shifts is None:
            return np.zeros((len(self.wall), 3))
        axes = self.ijk_to_ras[:3, :2] / np.linalg.norm(self.ijk_to_ras[:3, :2], axis=0)
        moved: npt.NDArray[np.float64] = self.shifts @ axes.T
        return moved

    @property
    def normal(self) -> npt.NDArray[np.float64]:
        """(3,) unit vector across the slices, towards the next one."""
        u, v, step = self.ijk_to_ras[:3, :3].T.astype(np.float64)
        normal = np.cross(u, v)
        normal /= np.linalg.norm(normal)
        return normal if normal @ step > 0 else -normal
