"""Linear inversions of far fields: filtered back-projection and Tikhonov regularization."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.scattering.physics.born import PolarBorn, apply_order_blocks, born_factor
from deeprecon.scattering.physics.directions import angular_offsets
from deeprecon.scattering.physics.image_grids import ring_weights
from deeprecon.scattering.read.far_field_data import FarFieldData

Floats = npt.NDArray[np.floating[Any]]
Complex = npt.NDArray[np.complexfloating[Any, Any]]

_CHUNK = 128
"""Objects that are inverted at once."""


class LinearInversion:
    """Inverts the Born approximation on the polar grid.

    Args:
        k: wave number times the radius of the region.
        angles: N, the number of directions and of angles of the image.
        rings: of the image.
    """

    def __init__(self, k: float, angles: int, rings: int) -> None:
        self._born = PolarBorn(k, angles, rings)
        self._weights = np.sqrt(ring_weights(rings))
        self._svd: tuple[Complex, Floats, Complex] | None = None

    def backprojection(self, data: Complex) -> npt.NDArray[np.float64]:
        """Filtered back-projection (Devaney 1982), in closed form for full circles of directions.

        q_l(rho) = 1 / (2 pi C) int_0^2k J_l(kappa rho) d_l kappa dkappa with kappa = 2k sin h: exact inside the Ewald
        disc for weak contrast. Each kappa is measured twice, at h and -h.

        Args:
            data: (..., N, N) [midpoint, offset].

        Returns:
            (..., Ntheta, Nrho) contrast.
        """
        k, n = self._born.k, self._born.angles
        h = angular_offsets(n)
        filtered = np.abs(2 * k * np.sin(h) * 2 * k * np.cos(h)) * np.pi / n / 2
        blocks = self._born.bessel.swapaxes(-1, -2) * filtered / (2 * np.pi * born_factor(k))
        return apply_order_blocks(blocks, data).real

    def tikhonov(self, data: Complex, regularization: float) -> npt.NDArray[np.float64]:
        """The contrast q that minimizes |forward(q) - d|^2 + regularization^2 |q|^2, norms over the area of the disc.

        Args:
            data: (..., N, N) [midpoint, offset].
            regularization: above 0; 0.3 suits weak contrast, 3 suits contrasts of 0.1 to 0.8 at k = 8.
        """
        if self._svd is None:
            self._svd = np.linalg.svd(self._born.blocks / self._weights, full_matrices=False)
        u, s, v = self._svd
        filtered = (s / (s**2 + regularization**2))[..., None, :]
        blocks = (v.conj().swapaxes(-1, -2) * filtered) @ u.conj().swapaxes(-1, -2) / self._weights[:, None]
        return apply_order_blocks(blocks, data).real


def invert_linearly(
    measured: FarFieldData, rings: int, regularization: float | None, on_progress: Callable[[float], None]
) -> npt.NDArray[np.float32]:
    """(S, angles, rings) contrast of all objects.

    Args:
        measured: far fields.
        rings: of the images.
        regularization: of Tikhonov; None for filtered back-projection.
        on_progress: is given the share of the objects that is done.
    """
    inversion = LinearInversion(measured.k, measured.angles, rings)
    images = np.empty((len(measured), measured.angles, rings), np.float32)
    for start in range(0, len(measured), _CHUNK):
        part = slice(start, start + _CHUNK)
        data = measured.subset(part).midpoint()
        images[part] = (
            inversion.backprojection(data) if regularization is None else inversion.tikhonov(data, regularization)
        )
        on_progress(min(1.0, (start + _CHUNK) / len(measured)))
    return images
