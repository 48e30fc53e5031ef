"""Images that fit the truth only when rotated by 180 degrees: roles of source and receiver are exchanged."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.scattering.fit.linear import LinearInversion
from deeprecon.scattering.physics.image_grids import ring_weights
from deeprecon.scattering.read.far_field_data import FarFieldData

Floats = npt.NDArray[np.floating[Any]]

_ROLE_CODES = ("roles-exchanged", "incidence-reversed")
_OBJECTS = 64
"""Most objects that are compared."""
_RINGS = 32
_REGULARIZATION = 3.0
_MIN_GAIN, _MIN_CORRELATION = 0.05, 0.3
"""Of the correlation with the rotated truth, to be believed."""


def truth_doubts(measured: FarFieldData) -> tuple[Doubt, ...]:
    """Whether the true images fit the far fields only when source and receiver are exchanged.

    By reciprocity, a transposed far field is that of the object rotated by 180 degrees, so that images by Tikhonov
    regularization are compared with the true ones. Nothing is found without true images or for symmetric objects, nor
    told again where reading has found that roles are wrong.
    """
    known = measured.polar is not None and measured.polar.shape[1] == measured.angles
    found = any(doubt.code in _ROLE_CODES for doubt in measured.doubts)
    if found or (not known and measured.image is None):
        return ()
    some = measured.subset(slice(0, None, -(-len(measured) // _OBJECTS)))
    rings = some.polar.shape[2] if known and some.polar is not None else _RINGS
    images = LinearInversion(some.k, some.angles, rings).tikhonov(some.midpoint(), _REGULARIZATION)
    return orientation_doubts(
        images,
        some.truth(rings),
        measured.name,
        "Transpose the far field of each object, or rotate the true images.",
    )


def orientation_doubts(images: Floats, truth: Floats, name: str, way_out: str) -> tuple[Doubt, ...]:
    """Whether (S, angles, rings) images fit the truth better when it is rotated by 180 degrees, over all objects.

    Args:
        images, truth: contrast on the same grid; an even number of angles.
        name: of the file that the doubt is about.
        way_out: of the doubt.
    """
    rotated = np.roll(truth, truth.shape[1] // 2, axis=1)
    given, turned = _correlation(images, truth), _correlation(images, rotated)
    if turned < max(_MIN_CORRELATION, given + _MIN_GAIN):
        return ()
    text = (
        "The true images fit the far fields only with source and receiver exchanged, which rotates them by 180 "
        f"degrees: their correlation with the reconstruction is {turned:.2f} then, {given:.2f} as given."
    )
    return (Doubt("roles-exchanged", name, text, way_out),)


def _correlation(one: Floats, other: Floats) -> float:
    """Mean cosine of the angle between the images of each object, over the disc; empty ones are left out."""
    weights = ring_weights(one.shape[-1])
    product = (one * other * weights).sum(axis=(1, 2))
    size = np.sqrt((one**2 * weights).sum(axis=(1, 2)) * (other**2 * weights).sum(axis=(1, 2)))
    filled = size > 0
    return float((product[filled] / size[filled]).mean()) if filled.any() else 0.0
