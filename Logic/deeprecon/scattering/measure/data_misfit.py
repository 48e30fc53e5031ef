"""Agreement of contrast images with the measured far fields, for which the true contrast need not be known."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.jobs.run import Run
from deeprecon.scattering.physics.directions import directions
from deeprecon.scattering.physics.image_grids import pixel_centers, required_pixels, to_square
from deeprecon.scattering.read.far_field_data import FarFieldData

Floats = npt.NDArray[np.floating[Any]]

_MIN_CONTRAST = -0.95


def data_misfits(images: Floats, measured: FarFieldData, run: Run) -> list[float]:
    """|F(q) - d| / |d| of the first objects, where F solves the Lippmann-Schwinger equation.

    Args:
        images: (S, angles, rings) contrast of the first S objects.
        measured: the data, of as many or more objects.
        run: device and reporter; a stop request ends the list early.
    """
    if not len(images):
        return []
    from deeprecon.scattering.physics.volume_integral import VolumeIntegral  # torch only where it is needed

    run.reporter.status("Comparing images with the data")
    axis, theta = pixel_centers(required_pixels(measured.k, float(images.max()))), directions(measured.angles)
    solver = VolumeIntegral(measured.k, axis, run.device)
    misfits: list[float] = []
    for image, data in zip(images, measured.far_field, strict=False):
        if run.should_stop():
            break
        simulated = solver.far_field(np.maximum(to_square(image, axis), _MIN_CONTRAST), theta, theta)
        misfits.append(float(np.linalg.norm(simulated - data) / np.linalg.norm(data)))
    return misfits
