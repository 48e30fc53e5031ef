"""Writing of reconstructions as HDF5; `read.reconstruction_file` reads them."""

from __future__ import annotations

from pathlib import Path

from deeprecon.scattering.read.hdf5 import create_hdf5
from deeprecon.scattering.read.reconstruction_file import Reconstruction


def write_reconstruction(path: Path, result: Reconstruction) -> None:
    """Write a reconstruction, atomically."""
    with create_hdf5(path) as file:
        file.create_dataset("contrast", data=result.polar, dtype="f4", compression="gzip", shuffle=True)
        file.attrs.update({"kappa": result.k, "method": result.method, "radius_mm": result.geometry.radius_mm})
        file.attrs["plane_to_ras"] = result.geometry.plane_to_ras
        if result.geometry.sound_speed is not None:
            file.attrs["sound_speed"] = result.geometry.sound_speed
