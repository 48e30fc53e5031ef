"""Writing of scattered fields as HDF5, in the layout that `read.field_file` describes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from deeprecon.scattering.read.field_file import FORMAT
from deeprecon.scattering.read.hdf5 import create_hdf5
from deeprecon.scattering.read.scattered_fields import ScatteredFields, check_fields


def write_field_file(path: Path, fields: ScatteredFields) -> None:
    """Write fields, atomically.

    Raises:
        InputError: see `check_fields`.
    """
    check_fields(fields)
    arrangement = fields.arrangement
    kind = "plane" if arrangement.plane_waves else ("line", "point")[arrangement.dimension - 2]
    with create_hdf5(path) as file:
        file.attrs.update(
            {
                "format": FORMAT,
                "time_convention": "exp(-iwt)",
                "length_unit": "m",
                "speed": fields.speed,
                "source_kind": kind,
                "receiver_kind": "far" if arrangement.far_field else "near",
                "calibrated": int(fields.calibrated),
                "plane_to_ras": fields.plane_to_ras,
            }
        )
        if fields.center is not None:
            file.attrs["center"] = fields.center
        if fields.side is not None:
            file.attrs["side"] = fields.side
        file["frequency"] = np.array([band.frequency for band in fields.bands])
        file["source"], file["receiver"] = arrangement.source, arrangement.receiver
        used = np.stack([band.used for band in fields.bands])
        file["scattered"] = np.where(used, np.stack([band.scattered for band in fields.bands]), np.nan)
        if all(band.incident is not None for band in fields.bands):
            file["incident"] = np.stack([np.asarray(band.incident) for band in fields.bands])
