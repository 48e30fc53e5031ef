"""The field that an object scatters to any receivers, and its derivative: Lippmann-Schwinger equation and adjoint.

Inside the region u = u_i + k^2 G * (q u) with the contrast q = eps_r - 1 = n^2 - 1; receivers measure k^2 G_r (q u).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deeprecon.data.errors import InputError
from deeprecon.scattering.physics.arrangement import Arrangement
from deeprecon.scattering.physics.green import kernel_spectrum
from deeprecon.scattering.physics.region import Region
from deeprecon.scattering.physics.volume_integral import MAX_ITERATIONS, gmres, row_norms

Floats = npt.NDArray[np.floating[Any]]
Complex = npt.NDArray[np.complex128]


class ForwardModel:
    """Scattered fields of one wave number, for all sources at once, on the CPU or a GPU.

    The fields of the last object are kept: they are where the solution for the next one starts.

    Args:
        k: wave number of the background in rad/m.
        arrangement: sources and receivers, outside of the region.
        region: with at least 8 pixels in the shortest wavelength.
        device: of torch.
        double: compute in double instead of single precision.
        tolerance: relative residual of the fields; single precision reaches 1e-6.
    """

    def __init__(
        self,
        k: float,
        arrangement: Arrangement,
        region: Region,
        device: str = "cpu",
        double: bool = False,
        tolerance: float = 1e-4,
    ) -> None:
        self.k, self.region, self.tolerance = k, region, tolerance
        self._dtype = torch.complex128 if double else torch.complex64
        self._device = torch.device(device)
        d, points = region.dimension, region.points()
        self._kernel = self._tensor(k**2 * kernel_spectrum(k, region.n, region.spacing, d))
        self._arriving = self._tensor(arrangement.arriving(k, points))
        receivers, number = arrangement.distinct_receivers()
        self._leaving = self._tensor(k**2 * region.spacing**d * arrangement.leaving(k, receivers, points))
        self._number = torch.from_numpy(number).to(self._device)
        self._fields: Tensor | None = None
        self._adjoint_fields: Tensor | None = None

    def scattered(self, contrast: npt.NDArray[Any]) -> Complex:
        """(V, R) scattered fields of a contrast, `region.shape`.

        Raises:
            InputError: the iteration does not converge.
        """
        q = self._tensor(contrast).flatten()
        return self._to_numpy(self._receive(q * self._solve_fields(q)))

    def linearized(self, contrast: npt.NDArray[Any], change: npt.NDArray[Any]) -> Complex:
        """(V, R) first-order change of the scattered fields by a change of the contrast."""
        q, dq = self._tensor(contrast).flatten(), self._tensor(change).flatten()
        sources = dq * self._solve_fields(q)
        return self._to_numpy(self._receive(sources + q * self._solve(q, self._convolve(sources))))

    def adjoint(self, contrast: npt.NDArray[Any], data: npt.NDArray[Any]) -> Complex:
        """Image of (V, R) data, so that <linearized(dq), d> = <dq, adjoint(d)> with <a, b> = sum a conj(b)."""
        q = self._tensor(contrast).flatten()
        image = self._back(q, self._solve_fields(q), self._tensor(data))
        return self._to_numpy(image).reshape(self.region.shape)

    def misfit_and_gradient(
        self, contrast: Floats, data: npt.NDArray[Any], used: npt.NDArray[np.bool_]
    ) -> tuple[float, npt.NDArray[np.float64]]:
        """|F(q) - d|^2 / (2 |d|^2) over the used data, and its gradient by a real contrast.

        Args:
            contrast: `region.shape`, real.
            data: (V, R) measured scattered fields.
            used: (V, R) which of them count.
        """
        q = self._tensor(contrast).flatten()
        measured, mask = self._tensor(np.where(used, data, 0)), torch.from_numpy(used).to(self._device)
        fields = self._solve_fields(q)
        rest = torch.where(mask, self._receive(q * fields) - measured, 0)
        size = float((measured.abs() ** 2).sum())
        gradient = self._back(q, fields, rest).real.cpu().numpy().astype(np.float64) / size
        return 0.5 * float((rest.abs() ** 2).sum()) / size, gradient.reshape(self.region.shape)

    def born(self, contrast: npt.NDArray[Any]) -> Complex:
        """(V, R) scattered fields of a contrast in the Born approximation: each wave scatters once."""
        return self._to_numpy(self._receive(self._tensor(contrast).flatten() * self._arriving))

    def born_adjoint(self, data: npt.NDArray[Any]) -> Complex:
        """Image of (V, R) data, so that <born(q), d> = <q, born_adjoint(d)>."""
        image = (self._arriving * self._send(self._tensor(data))).conj().sum(dim=0)
        return self._to_numpy(image).reshape(self.region.shape)

    def born_matrix(self) -> Complex:
        """(V R, n^d) linearized scattered fields of a weak contrast."""
        rows = self._leaving[self._number] * self._arriving[:, None]
        return self._to_numpy(rows.flatten(0, 1))

    def _back(self, q: Tensor, fields: Tensor, data: Tensor) -> Tensor:
        """Adjoint of the derivative. The equation is complex symmetric, so that its adjoint is its conjugate."""
        self._adjoint_fields = self._solve(q, self._send(data), self._adjoint_fields)
        return (fields * self._adjoint_fields).conj().sum(dim=0)

    def _solve_fields(self, q: Tensor) -> Tensor:
        fields = self._solve(q, self._arriving, self._fields)
        self._fields = fields
        return fields

    def _solve(self, q: Tensor, given: Tensor, start: Tensor | None = None) -> Tensor:
        def operator(fields: Tensor) -> Tensor:
            return fields - self._convolve(q * fields)

        size = row_norms(given)
        rest = given if start is None else given - operator(start)
        found, _, residual = gmres(operator, rest, self.tolerance, size)
        if not residual <= 10 * self.tolerance:
            raise InputError(
                f"The wave equation was not solved within {MAX_ITERATIONS} iterations (residual {residual:.1e}).",
                "Use lower frequencies, or a smaller region.",
            )
        return found if start is None else start + found

    def _convolve(self, sources: Tensor) -> Tensor:
        """k^2 G * sources, (V, P)."""
        n, d = self.region.n, self.region.dimension
        axes = tuple(range(1, d + 1))
        spectrum = torch.fft.fftn(sources.view(-1, *self.region.shape), s=(2 * n,) * d, dim=axes) * self._kernel
        inside: Tensor = torch.fft.ifftn(spectrum, dim=axes)[(slice(None), *[slice(n)] * d)]
        return inside.flatten(1)

    def _receive(self, sources: Tensor) -> Tensor:
        received: Tensor = torch.gather(sources @ self._leaving.T, 1, self._number)
        return received

    def _send(self, data: Tensor) -> Tensor:
        """(V, P) fields of the receivers as sources of the conjugate of (V, R) data."""
        at_receivers = torch.zeros(len(data), len(self._leaving), dtype=self._dtype, device=self._device)
        at_receivers.scatter_add_(1, self._number, data)
        return at_receivers.conj() @ self._leaving

    def _tensor(self, values: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self._device, self._dtype)

    def _to_numpy(self, values: Tensor) -> Complex:
        return np.asarray(values.cpu().numpy(), np.complex128)
