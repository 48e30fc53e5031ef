"""The file of a reconstruction, from which it is evaluated and exported: HDF5, as the data are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path
from deeprecon.scattering.optional import optional
from deeprecon.scattering.read.measurements import Geometry

HINT = "Give the reconstruction.h5 of scattering reconstruct."


@dataclass(frozen=True, eq=False)
class Result:
    """Contrasts of S objects.

    Attributes:
        polar: (S, angles, rings) float32.
        k: wave number times radius of the region.
        method: how they were found.
        geometry: of the region.
    """

    polar: npt.NDArray[np.float32]
    k: float
    method: str
    geometry: Geometry


def write_result(path: Path, result: Result) -> None:
    """Write a result, atomically."""
    h5py = optional("h5py")
    with atomic_path(path) as part, h5py.File(part, "w") as file:
        file.create_dataset("contrast", data=result.polar, dtype="f4", compression="gzip", shuffle=True)
        file.attrs.update({"kappa": result.k, "method": result.method, "radius_mm": result.geometry.radius_mm})
        file.attrs["plane_to_ras"] = result.geometry.plane_to_ras
        if result.geometry.sound_speed is not None:
            file.attrs["sound_speed"] = result.geometry.sound_speed


def read_result(path: Path) -> Result:
    """Read what `write_result` wrote.

    Raises:
        InputError: another or a damaged file.
    """
    h5py = optional("h5py")
    try:
        with h5py.File(path, "r") as file:
            polar = np.asarray(file["contrast"][()], np.float32)
            attributes = dict(file.attrs)
        speed = attributes.get("sound_speed")
        geometry = Geometry(
            float(attributes["radius_mm"]),
            np.asarray(attributes["plane_to_ras"], np.float64),
            None if speed is None else float(speed),
        )
        result = Result(polar, float(attributes["kappa"]), str(attributes["method"]), geometry)
    except OSError as error:
        raise InputError(f"{path} is no readable HDF5 file: {error}.", HINT) from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is no reconstruction: {error}.", HINT) from error
    if polar.ndim != 3 or not np.isfinite(polar).all() or geometry.plane_to_ras.shape != (4, 4):
        raise InputError(f"{path} is damaged: contrast is {polar.shape} or holds no finite numbers.", HINT)
    return result
