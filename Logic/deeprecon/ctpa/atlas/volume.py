"""An atlas: a CT of a chest with labels, about the middle of its lungs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.grid import AIR, Hu, block_mean
from deeprecon.ctpa.simulate.solids import Label

Array = npt.NDArray[np.float64]
Labels = npt.NDArray[np.uint8]
Densities = npt.NDArray[np.float32]

MAX_HU = 2000
"""Higher values, of metal, do not count."""
ENHANCED = (Label.HEART, Label.VESSEL, Label.LIVER, Label.SPLEEN)
BLOOD_HU = 50
"""What is enhanced by contrast agent in a CT has the HU of blood in a film, which is taken without."""


@dataclass(frozen=True, eq=False)
class Atlas:
    """A CT that is deformed until its projection fits a film.

    Attributes:
        name: for messages.
        hu: (k, j, i) from foot to head, front to back, right to left; air outside of the body.
        labels: (k, j, i) `simulate.solids.Label`.
        spacing: of the voxels in mm along i, j, k.
        first: middle of the first voxel in mm along x, y and z (to the left, to the back, to the head) from the middle
            of the lungs.
        center: that middle in the atlas's own file, RAS mm.
    """

    name: str
    hu: Hu
    labels: Labels
    spacing: tuple[float, float, float]
    first: tuple[float, float, float]
    center: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def densities(self) -> Densities:
        """(k, j, i) relative to water, without contrast agent."""
        hu = np.where(np.isin(self.labels, ENHANCED), np.minimum(self.hu, BLOOD_HU), np.clip(self.hu, AIR, MAX_HU))
        return np.asarray((hu.astype(np.float32) + 1000) / 1000, np.float32)

    def coarser(self, factor: int) -> tuple[Densities, tuple[float, float, float], tuple[float, float, float]]:
        """Means of the densities over blocks, the size of a block in mm, and the middle of the first one."""
        offset = 0.5 * (factor - 1)
        x, y, z = self.spacing
        first = [start + offset * size for start, size in zip(self.first, self.spacing, strict=True)]
        return (
            block_mean(self.densities(), factor),
            (factor * x, factor * y, factor * z),
            (first[0], first[1], first[2]),
        )
