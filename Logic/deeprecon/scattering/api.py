"""The verbs of `scattering` as functions of Python: `deeprecon.scattering.reconstruct` and the others."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.calls.call import Savers, call
from deeprecon.calls.result import Result
from deeprecon.calls.signature import documented
from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume
from deeprecon.scattering.physics.arrangement import Arrangement as Arrangement
from deeprecon.scattering.read.far_field_data import FarFieldData
from deeprecon.scattering.read.reconstruction_file import read_reconstruction
from deeprecon.scattering.read.scattered_fields import Band as Band
from deeprecon.scattering.read.scattered_fields import ScatteredFields
from deeprecon.scattering.write.far_field_file import write_far_fields
from deeprecon.scattering.write.field_file import write_field_file


class ContrastImages(Result):
    """Images of contrast; see `deeprecon.Result` for what all results have."""

    @cached_property
    def contrast(self) -> Volume:
        """(S, n, n) contrast eps_r - 1 (n^2 - 1) of S objects on square grids, one slice of the volume each, in RAS mm.

        Of measured fields: (1, n, n) in two dimensions, (n, n, n) in three.
        """
        return read_volume(self.outputs["contrast"])

    @cached_property
    def polar(self) -> npt.NDArray[np.float32]:
        """(S, angles, rings) the same on the polar grid of the inversion; not for measured fields.

        Raises
        ------
        InputError
            The data are measured fields of any arrangement.
        """
        if "result" not in self.outputs:
            raise InputError("Images of measured fields have no polar grid.", "Use contrast.")
        return read_reconstruction(self.outputs["result"]).polar


def _save_far_fields(path: Path, data: FarFieldData) -> Path:
    path = path.with_name(f"{path.name}.h5")
    write_far_fields(path, data, "given as arrays")
    return path


def _save_fields(path: Path, fields: ScatteredFields) -> Path:
    path = path.with_name(f"{path.name}.h5")
    write_field_file(path, fields)
    return path


_SAVERS: Savers = {FarFieldData: _save_far_fields, ScatteredFields: _save_fields}


@documented("scattering")
def reconstruct(**values: Any) -> ContrastImages:
    """Images of contrast from far fields, or from measured fields of any arrangement of sources and receivers.

    Far fields are an HDF5 file or `FarFieldData`: complex (S, N, N) [observation, incidence] of S objects on N uniform
    directions, and the wave number times the radius of the region. Measured fields of one object are a file (HDF5,
    ``.mat``, or ``.exp`` of the Institut Fresnel) or `ScatteredFields`, for the method ``fullwave``.

    Returns
    -------
    ContrastImages
        `contrast` (S, n, n) and `polar` (S, angles, rings), and `figures` such as ``data_misfit``.

    Examples
    --------
    >>> import deeprecon
    >>> made = deeprecon.scattering.phantom(count=3, k=4, rings=16)
    >>> found = deeprecon.scattering.reconstruct(made.outputs["data"], rings=16, grid=32, misfits=0)
    >>> found.contrast.array.shape
    (3, 32, 32)
    """
    return call(ContrastImages, "scattering", "reconstruct", values, _SAVERS)


@documented("scattering")
def train(**values: Any) -> Result:
    """Train BCR-Net on far fields, or MNN-H2 for measured fields, and keep it as a model bundle for `reconstruct`.

    Returns
    -------
    Result
        The outputs ``bundle``, a folder, and the tables ``history``, ``metrics`` and ``split``.
    """
    return call(Result, "scattering", "train", values, _SAVERS)


@documented("scattering")
def phantom(**values: Any) -> Result:
    """Simulate far fields of random objects.

    Returns
    -------
    Result
        The output ``data``, an HDF5 file with the far fields and the true images.

    Examples
    --------
    >>> import deeprecon
    >>> made = deeprecon.scattering.phantom(count=3, k=4, rings=16)
    >>> made.figures["objects"], made.figures["k"]
    (3, 4.0)
    """
    return call(Result, "scattering", "phantom", values)


@documented("scattering")
def prepare(**values: Any) -> Result:
    """Check a far-field file, or simulate the slices of a volume.

    Returns
    -------
    Result
        The output ``data``, an HDF5 file.
    """
    return call(Result, "scattering", "prepare", values, _SAVERS)


@documented("scattering")
def evaluate(**values: Any) -> Result:
    """Compare a reconstruction with the truth.

    Returns
    -------
    Result
        `figures`: means over the objects, such as ``relative_l2``; the table by object is the output ``table``.
    """
    return call(Result, "scattering", "evaluate", values, _SAVERS)


@documented("scattering")
def export(**values: Any) -> Result:
    """Write a reconstruction as a volume of sound speed in m/s or of contrast.

    Returns
    -------
    Result
        The output ``volume``.
    """
    return call(Result, "scattering", "export", values)
