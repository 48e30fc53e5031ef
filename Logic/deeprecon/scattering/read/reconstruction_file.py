"""Reconstructions in HDF5: what is evaluated and exported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError, names_damage
from deeprecon.scattering.read.far_field_data import RegionGeometry
from deeprecon.scattering.read.hdf5 import open_hdf5

HINT = "Give the reconstruction.h5 of scattering reconstruct."


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """Contrast of S objects.

    Attributes:
        polar: (S, angles, rings) float32 contrast.
        k: wave number times radius of the region.
        method: of the inversion.
        geometry: of the region.
    """

    polar: npt.NDArray[np.float32]
    k: float
    method: str
    geometry: RegionGeometry


@names_damage
def read_reconstruction(path: Path) -> Reconstruction:
    """Read a file that `write_reconstruction` wrote.

    Raises:
        InputError: another or a damaged file.
    """
    try:
        with open_hdf5(path, HINT) as file:
            polar = np.asarray(file["contrast"][()], np.float32)
            attributes = dict(file.attrs)
        speed = attributes.get("sound_speed")
        geometry = RegionGeometry(
            float(attributes["radius_mm"]),
            np.asarray(attributes["plane_to_ras"], np.float64),
            None if speed is None else float(speed),
        )
        result = Reconstruction(polar, float(attributes["kappa"]), str(attributes["method"]), geometry)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is no reconstruction: {error}.", HINT) from error
    if polar.ndim != 3 or not np.isfinite(polar).all() or geometry.plane_to_ras.shape != (4, 4):
        raise InputError(f"{path} is damaged: contrast is {polar.shape} or holds no finite numbers.", HINT)
    return result
