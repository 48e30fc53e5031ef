"""Writing of far-field data as HDF5, in the layout that `read.far_field_file` describes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy.typing as npt

from deeprecon.scattering.read.far_field_data import FarFieldData
from deeprecon.scattering.read.hdf5 import create_hdf5


def write_far_fields(path: Path, data: FarFieldData, method: str) -> None:
    """Write far fields with true contrast and geometry where they are known.

    Args:
        path: of the file, written atomically.
        data: what to write.
        method: how the far fields were obtained; stored as the attribute `method`.
    """
    n, count = data.angles, len(data)
    circle = {"n": n, "app": 2 * math.pi * (n - 1) / n, "cent": math.pi * (n - 1) / n}
    with create_hdf5(path) as file:
        for name, values in (("real", data.far_field.real), ("imag", data.far_field.imag)):
            _store(file, f"farfield.{name}", values.reshape(count, -1).T)
        if data.image is not None and data.axis is not None:
            _store(file, "image", data.image.reshape(count, -1).T)
            file.attrs["Ngrid"] = len(data.axis)
        if data.polar is not None:
            _store(file, "polar", data.polar.reshape(count, -1).T)
            file["polar"].attrs["shape"] = data.polar.shape[1:]
        file.attrs.update({"kappa": data.k, "nfar": n, "ninc": n, "N_sample_max": count, "method": method})
        file.attrs["xlim"] = 1.0 if data.axis is None else float(data.axis[-1])
        file.attrs["region_radius"] = 1.0
        for kind in ("far", "inc"):
            file.attrs.update({f"{kind}_param.{name}": value for name, value in circle.items()})
        if data.geometry is not None:
            file.attrs["radius_mm"] = data.geometry.radius_mm
            file.attrs["plane_to_ras"] = data.geometry.plane_to_ras
            if data.geometry.sound_speed is not None:
                file.attrs["sound_speed"] = data.geometry.sound_speed


def _store(file: Any, name: str, values: npt.NDArray[Any]) -> None:
    rows, count = values.shape
    file.create_dataset(name, data=values, dtype="f4", chunks=(rows, min(count, 64)), compression="gzip", shuffle=True)
