"""Reconstructed images as volumes for other programs, one slice for each object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.scattering.parameters import ExportParameters, Quantity
from deeprecon.scattering.physics.contrast import speed_from_contrast
from deeprecon.scattering.physics.image_grids import pixel_centers, to_square
from deeprecon.scattering.read.far_field_data import RegionGeometry
from deeprecon.scattering.read.reconstruction_file import Reconstruction

Floats = npt.NDArray[np.floating[Any]]


def write_image_volumes(
    images: Floats, truth: Floats | None, geometry: RegionGeometry, grid: int, folder: Path
) -> dict[str, Path]:
    """Write contrast, truth and difference where the truth is known, and sound speed where that of the background is.

    Args:
        images, truth: (S, angles, rings) contrast.
        geometry: of the region.
        grid: pixels along a side of the volumes.
        folder: of the files.

    Returns:
        The files by quantity.
    """
    axis, affine = pixel_centers(grid), geometry.image_to_ras(grid)
    volumes = {"contrast": to_square(images, axis)}
    if truth is not None:
        volumes["truth"] = to_square(truth, axis)
        volumes["difference"] = volumes["contrast"] - volumes["truth"]
    if geometry.sound_speed is not None:
        volumes["speed"] = speed_from_contrast(volumes["contrast"], geometry.sound_speed)
    paths = {name: folder / f"{name}.nrrd" for name in volumes}
    for name, values in volumes.items():
        write_volume(paths[name], Volume(values.astype(np.float32), affine, name))
    return paths


def export_volume(result: Reconstruction, name: str, parameters: ExportParameters, folder: Path) -> tuple[Path, Floats]:
    """Write the chosen quantity of a reconstruction; returns the file and the (S, n, n) values.

    Args:
        result: what to export.
        name: of its file, for messages.
        parameters: quantity, format and grid.
        folder: of the volume.

    Raises:
        InputError: sound speed is requested, but that of the background is not known.
    """
    values = to_square(result.polar, pixel_centers(parameters.grid))
    if parameters.quantity is Quantity.SPEED:
        background = parameters.background or result.geometry.sound_speed
        if background is None:
            raise InputError(
                f"{name} does not state the sound speed of the background.",
                "Give --background, such as 1480, or --quantity contrast.",
            )
        values = speed_from_contrast(values, background)
    path = folder / f"{parameters.quantity.value}.{parameters.format.value}"
    affine = result.geometry.image_to_ras(parameters.grid)
    write_volume(path, Volume(values.astype(np.float32), affine, parameters.quantity.value))
    return path, values
