"""The linearized far field (Born approximation) and its adjoint.

Weak contrast scatters once: u_inf(r; s) = C int exp(-ik (r - s).x) q(x) dx with C = exp(i pi/4) k^2 / sqrt(8 pi k).
Data of all directions sample the Fourier transform of q inside the Ewald disc of radius 2k.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import jv

from deeprecon.scattering.physics.directions import angular_offsets, angular_orders
from deeprecon.scattering.physics.image_grids import ring_radii

Floats = npt.NDArray[np.floating[Any]]
Complex = npt.NDArray[np.complexfloating[Any, Any]]


def born_factor(k: float) -> complex:
    """C, the ratio of a far field to the Fourier transform of the scattering sources q u."""
    return complex(np.exp(0.25j * math.pi) * k**2 / math.sqrt(8 * math.pi * k))


class BornOperator:
    """Contrast on a square grid to its linearized far field.

    Args:
        k: wave number times the length unit.
        axis: (n,) coordinates of the pixels' centers, the same for x and y.
        observation, incidence: (No,) and (Ni,) angles in radians.
    """

    def __init__(self, k: float, axis: Floats, observation: Floats, incidence: Floats) -> None:
        x, y = (part.ravel() for part in np.meshgrid(axis, axis))
        self._out = np.exp(-1j * k * (np.outer(np.cos(observation), x) + np.outer(np.sin(observation), y)))
        self._in = np.exp(1j * k * (np.outer(np.cos(incidence), x) + np.outer(np.sin(incidence), y)))
        self._scale = born_factor(k) * float(axis[1] - axis[0]) ** 2
        self._n = len(axis)

    def forward(self, q: npt.NDArray[Any]) -> npt.NDArray[np.complex128]:
        """(n, n) contrast, rows are y, to (No, Ni) far field."""
        result: npt.NDArray[np.complex128] = self._scale * (self._out * q.ravel()) @ self._in.T
        return result

    def adjoint(self, far_field: Complex) -> npt.NDArray[np.complex128]:
        """(No, Ni) to (n, n), so that <forward(q), d> = <q, adjoint(d)> with <a, b> = sum a conj(b)."""
        back = (self._out.conj() * (far_field @ self._in.conj())).sum(axis=0)
        result: npt.NDArray[np.complex128] = (np.conj(self._scale) * back).reshape(self._n, self._n)
        return result


class PolarBorn:
    """Contrast on the polar grid to its linearized far field in midpoint and offset: one matrix for each angular order.

    d_l(h) = 2 pi C int J_l(2k rho sin h) q_l(rho) rho drho.

    Args:
        k: wave number times the radius of the region.
        angles: N, the number of directions and of angles of the image.
        rings: of the image.

    Attributes:
        bessel: (N, N, rings) J_l(2k rho sin h) by order, offset and ring.
        blocks: (N, N, rings) matrix of each order.
    """

    def __init__(self, k: float, angles: int, rings: int) -> None:
        self.k, self.angles, self.rings = k, angles, rings
        phase = 2 * k * np.outer(np.sin(angular_offsets(angles)), ring_radii(rings))
        self.bessel = np.stack([jv(order, phase) for order in angular_orders(angles)])
        self.blocks = 2 * np.pi * born_factor(k) * self.bessel * ring_radii(rings) / rings

    def forward(self, q: npt.NDArray[Any]) -> npt.NDArray[np.complex128]:
        """(..., Ntheta, Nrho) contrast to (..., N, N) data [midpoint, offset]."""
        return apply_order_blocks(self.blocks, q)

    def adjoint(self, data: Complex) -> npt.NDArray[np.complex128]:
        """(..., N, N) to (..., Ntheta, Nrho), so that <forward(q), d> = <q, adjoint(d)>."""
        return apply_order_blocks(self.blocks.conj().swapaxes(-1, -2), data)


def apply_order_blocks(blocks: npt.NDArray[Any], values: npt.NDArray[Any]) -> npt.NDArray[np.complex128]:
    """(..., N, J) to (..., N, I): one (I, J) matrix of (N, I, J) `blocks` for each angular order of the first axis."""
    series = np.fft.fft(values, axis=-2)
    mapped = np.einsum("lij,...lj->...li", blocks, series, optimize=True)
    return np.asarray(np.fft.ifft(mapped, axis=-2))
