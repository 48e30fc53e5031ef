"""The linearized (Born) far field, its adjoint, and the classical inversions: back-projection and Tikhonov.

Weak contrast scatters once: u_inf(r; s) = C int exp(-ik (r - s).x) q(x) dx with C = exp(i pi/4) k^2 / sqrt(8 pi k).
Data of all directions are the Fourier transform of q inside the Ewald disc of radius 2k.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.scattering.optional import optional
from deeprecon.scattering.physics.coordinates import offsets, orders, radii, ring_weights

Floats = npt.NDArray[np.floating[Any]]
Complex = npt.NDArray[np.complexfloating[Any, Any]]


def factor(k: float) -> complex:
    """C: what a far field has over the Fourier transform of the scattering sources q u."""
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
        self._scale = factor(k) * float(axis[1] - axis[0]) ** 2
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
    """The same in midpoint and offset and on the polar grid: one small matrix for each angular order.

    d_l(h) = 2 pi C int J_l(2k rho sin h) q_l(rho) rho drho.

    Args:
        k: wave number times the radius.
        angles: N, directions and angles of the image.
        rings: of the image.
    """

    def __init__(self, k: float, angles: int, rings: int) -> None:
        self.k, self.angles, self.rings = k, angles, rings
        bessel = optional("scipy.special").jv
        phase = 2 * k * np.outer(np.sin(offsets(angles)), radii(rings))
        self._bessel = np.stack([bessel(order, phase) for order in orders(angles)])
        self._blocks = 2 * np.pi * factor(k) * self._bessel * radii(rings) / rings
        self._weights = np.sqrt(ring_weights(rings))
        self._svd: tuple[Complex, Floats, Complex] | None = None

    def forward(self, q: npt.NDArray[Any]) -> npt.NDArray[np.complex128]:
        """(..., Ntheta, Nrho) contrast to (..., N, N) data [midpoint, offset]."""
        return self._apply(self._blocks, q)

    def adjoint(self, data: Complex) -> npt.NDArray[np.complex128]:
        """(..., N, N) to (..., Ntheta, Nrho), so that <forward(q), d> = <q, adjoint(d)>."""
        return self._apply(self._blocks.conj().swapaxes(-1, -2), data)

    def backprojection(self, data: Complex) -> npt.NDArray[np.float64]:
        """Filtered back-projection (Devaney 1982), in closed form for full circles of directions.

        q_l(rho) = 1 / (2 pi C) int_0^2k J_l(kappa rho) d_l kappa dkappa with kappa = 2k sin h: exact inside the Ewald
        disc for weak contrast. Each kappa is measured twice, by h and -h.

        Args:
            data: (..., N, N) [midpoint, offset].

        Returns:
            (..., Ntheta, Nrho) contrast.
        """
        h = offsets(self.angles)
        filtered = np.abs(2 * self.k * np.sin(h) * 2 * self.k * np.cos(h)) * np.pi / self.angles / 2
        blocks = self._bessel.swapaxes(-1, -2) * filtered / (2 * np.pi * factor(self.k))
        return self._apply(blocks, data).real

    def tikhonov(self, data: Complex, regularization: float) -> npt.NDArray[np.float64]:
        """The contrast q with least |forward(q) - d|^2 + regularization^2 |q|^2, norms over the discs' areas.

        Args:
            data: (..., N, N) [midpoint, offset].
            regularization: above 0; 0.3 serves weak contrast, 3 contrasts of 0.1 to 0.8 at k = 8.
        """
        if self._svd is None:
            self._svd = np.linalg.svd(self._blocks / self._weights, full_matrices=False)
        u, s, v = self._svd
        filtered = (s / (s**2 + regularization**2))[..., None, :]
        blocks = (v.conj().swapaxes(-1, -2) * filtered) @ u.conj().swapaxes(-1, -2) / self._weights[:, None]
        return self._apply(blocks, data).real

    @staticmethod
    def _apply(blocks: npt.NDArray[Any], values: npt.NDArray[Any]) -> npt.NDArray[np.complex128]:
        series = np.fft.fft(values, axis=-2)
        mapped = np.einsum("lij,...lj->...li", blocks, series, optimize=True)
        return np.asarray(np.fft.ifft(mapped, axis=-2))
