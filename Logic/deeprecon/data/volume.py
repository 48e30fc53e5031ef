"""Volumes: an array and where it lies in the patient."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Volume:
    """A 3D image with its geometry.

    Attributes:
        array: (k, j, i) as Slicer orders it; i runs fastest.
        ijk_to_ras: (4, 4) float64, voxel index (i, j, k, 1) to RAS millimetres; voxel centres at whole numbers.
        name: file or node it came from, for messages.
        slice_thickness: of the acquired slab in mm where the format says so (DICOM); not the slice spacing.
    """

    array: npt.NDArray[np.generic]
    ijk_to_ras: npt.NDArray[np.float64]
    name: str = "volume"
    slice_thickness: float | None = None

    @property
    def spacing(self) -> npt.NDArray[np.float64]:
        """(3,) voxel size along i, j, k in mm."""
        return np.linalg.norm(self.ijk_to_ras[:3, :3], axis=0)
