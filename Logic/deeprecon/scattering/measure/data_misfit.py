"""Agreement of contrast images with the measured far fields, for which the true contrast need not be known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.jobs.run import Run
from deeprecon.scattering.physics.directions import directions
from deeprecon.scattering.physics.image_grids import pixel_centers, required_pixels, to_square
from deeprecon.scattering.read.far_field_data import FarFieldData

Floats = npt.NDArray[np.floating[Any]]

_MIN_CONTRAST = -0.95
_MIN_EXCESS = 0.05
"""Of squared misfits, shares of the far field's energy, above which one image explains the data worse than another."""


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


def network_doubts(network: Sequence[float], tikhonov: Sequence[float], name: str) -> tuple[Doubt, ...]:
    """Whether images of a network explain the far fields worse than those of Tikhonov regularization, for any object.

    Worse is an image that leaves 5 % more of the far field's energy unexplained, whatever the noise: images for which
    less is between them may be better or worse. On objects like those of the training none was found.

    An assumption, not a contradiction: the data are sound, and as usual in inverse problems the misfit is stated beside
    the images; that the objects are like those of the training is what is assumed.

    Args:
        network, tikhonov: `data_misfits` of the same objects; the shorter one counts.
        name: of the data.
    """
    pairs = list(zip(network, tikhonov, strict=False))
    if not (worse := [pair for pair in pairs if pair[0] ** 2 - pair[1] ** 2 > _MIN_EXCESS]):
        return ()
    ours, theirs = np.mean(worse, axis=0)
    text = (
        f"The network is assumed to be valid, but its images of {len(worse)} of {len(pairs)} compared objects explain "
        f"the far fields worse than Tikhonov regularization does: their misfit is {ours:.2f}, not {theirs:.2f}."
    )
    way_out = "Use --method tikhonov, or a network that was trained on objects like these."
    return (Doubt("network-misfit", name, text, way_out, assumed=True),)
