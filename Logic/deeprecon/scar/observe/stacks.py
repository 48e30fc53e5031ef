"""Stacks of observed slices: shares of wall and scar in every pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.scar.observe.alignment.motion import Motion
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
        motion: by which each slice is brought to where it was in the heart; None for no move.
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
    motion: Motion | None = None
    doubts: tuple[Doubt, ...] = ()
    likelihood: npt.NDArray[np.float32] | None = None
    core_likelihood: npt.NDArray[np.float32] | None = None
    mixture: FittedIntensities | None = None

    @property
    def moved(self) -> npt.NDArray[np.bool_]:
        """(k,) whether each slice has a motion other than none."""
        return np.asarray(np.abs(self.matrices - np.eye(4)).max(axis=(1, 2)) > 1e-9)

    @property
    def matrices(self) -> npt.NDArray[np.float64]:
        """(k, 4, 4) rigid motion of each slice in RAS mm."""
        return np.tile(np.eye(4), (len(self.wall), 1, 1)) if self.motion is None else self.motion.matrices

    @property
    def placed(self) -> npt.NDArray[np.float64]:
        """(k, 4, 4) pixel index (i, j, k, 1) of each slice to RAS mm, where it lies after its motion."""
        placed: npt.NDArray[np.float64] = self.matrices @ self.ijk_to_ras
        return placed

    @property
    def offsets(self) -> npt.NDArray[np.float64]:
        """(k, 3) RAS mm by which the middle of each slice's wall is moved."""
        return np.zeros((len(self.wall), 3)) if self.motion is None else self.motion.offsets

    @property
    def normal(self) -> npt.NDArray[np.float64]:
        """(3,) unit vector across the slices after their motion, towards the next one."""
        u, v, step = self.ijk_to_ras[:3, :3].T.astype(np.float64)
        normal = np.cross(u, v)
        normal /= np.linalg.norm(normal)
        turned: npt.NDArray[np.float64] = self.matrices[0, :3, :3] @ (normal if normal @ step > 0 else -normal)
        return turned
