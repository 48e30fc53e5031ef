"""The Lippmann-Schwinger equation, and from it the far field of any contrast image.

u = u_i + k^2 G * (q u). Sources and receivers that are not infinitely far away, three dimensions and derivatives:
`forward_model`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deeprecon.data.errors import InputError
from deeprecon.scattering.physics.born import born_factor
from deeprecon.scattering.physics.green import kernel_spectrum

Floats = npt.NDArray[np.floating[Any]]

MAX_ITERATIONS = 200


@dataclass(frozen=True, eq=False)
class TotalFields:
    """Total fields inside the scatterer.

    Attributes:
        fields: (Ni, n, n), 0 where the contrast is 0.
        iterations: of all directions together.
        residual: relative, the largest of all directions.
    """

    fields: Tensor
    iterations: int
    residual: float


class VolumeIntegral:
    """Solves for all directions at once, on the CPU or a GPU.

    Args:
        k: wave number times the length unit.
        axis: (n,) coordinates of the pixels' centers, the same for x and y; at least 8 in the shortest wavelength.
        device: of torch.
        double: compute in double instead of single precision.
    """

    def __init__(self, k: float, axis: Floats, device: str = "cpu", double: bool = False) -> None:
        self.k, self.n, self.axis = k, len(axis), axis
        self._spacing = float(axis[1] - axis[0])
        self._dtype = torch.complex128 if double else torch.complex64
        self._device = torch.device(device)
        kernel = kernel_spectrum(k, self.n, self._spacing, 2)
        self._kernel = torch.from_numpy(kernel).to(self._device, self._dtype)

    def convolve(self, sources: Tensor) -> Tensor:
        """G * sources for (..., n, n) complex sources."""
        n = self.n
        spectrum = torch.fft.fft2(sources, s=(2 * n, 2 * n)) * self._kernel
        result: Tensor = torch.fft.ifft2(spectrum)[..., :n, :n]
        return result

    def solve(self, contrast: Floats, incidence: Floats, tolerance: float = 1e-5) -> TotalFields:
        """Total fields of plane waves.

        Args:
            contrast: (n, n), rows are y.
            incidence: (Ni,) angles in radians.
            tolerance: relative residual; single precision reaches 1e-6.

        Raises:
            InputError: the iteration does not converge.
        """
        q = torch.from_numpy(np.ascontiguousarray(contrast)).to(self._device, self._dtype)
        support = torch.nonzero(q.flatten())[:, 0]
        if len(support) == 0:
            return TotalFields(
                torch.zeros(len(incidence), self.n, self.n, dtype=self._dtype, device=self._device), 0, 0.0
            )
        arriving = self._waves(incidence, 1.0)[:, support]
        strength = self.k**2 * q.flatten()[support]

        def operator(inside: Tensor) -> Tensor:
            sources = torch.zeros(len(inside), self.n * self.n, dtype=self._dtype, device=self._device)
            sources[:, support] = strength * inside
            return inside - self.convolve(sources.view(-1, self.n, self.n)).flatten(1)[:, support]

        inside, iterations, residual = gmres(operator, arriving, tolerance)
        if not residual <= 10 * tolerance:
            raise InputError(
                f"The wave equation was not solved within {MAX_ITERATIONS} iterations (residual {residual:.1e}).",
                "Lower the contrast or the wave number.",
            )
        fields = torch.zeros(len(incidence), self.n * self.n, dtype=self._dtype, device=self._device)
        fields[:, support] = inside
        return TotalFields(fields.view(-1, self.n, self.n), iterations, residual)

    def far_field(
        self, contrast: Floats, observation: Floats, incidence: Floats, tolerance: float = 1e-5
    ) -> npt.NDArray[np.complex128]:
        """(No, Ni) far field of an (n, n) contrast; angles in radians, errors as `solve`."""
        found = self.solve(contrast, incidence, tolerance)
        q = torch.from_numpy(np.ascontiguousarray(contrast)).to(self._device, self._dtype)
        sources = (q * found.fields).flatten(1)
        waves = self._waves(observation, -1.0)
        result = (waves @ sources.T).cpu().numpy().astype(np.complex128)
        return np.asarray(born_factor(self.k) * self._spacing**2 * result)

    def _waves(self, angles: Floats, sign: float) -> Tensor:
        """(N, n * n) plane waves exp(sign ik d.x)."""
        x, y = (part.ravel() for part in np.meshgrid(self.axis, self.axis))
        phase = sign * self.k * (np.outer(np.cos(angles), x) + np.outer(np.sin(angles), y))
        return torch.from_numpy(np.exp(1j * phase)).to(self._device, self._dtype)


def gmres(
    operator: Any, given: Tensor, tolerance: float, relative_to: Tensor | None = None
) -> tuple[Tensor, int, float]:
    """Solve operator(x) = given for each row at once, by GMRES without restart (Saad and Schultz 1986).

    Args:
        operator: linear, (B, P) complex to (B, P), one row from one row.
        given: (B, P).
        tolerance: relative residual that every row must reach.
        relative_to: (B,) what residuals are relative to; the norms of the rows of `given` if None.

    Returns:
        (B, P) solution, iterations, and the largest relative residual.
    """
    size = row_norms(given)
    scale = torch.where(size > 0, size, torch.ones_like(size))
    reference = scale if relative_to is None else torch.where(relative_to > 0, relative_to, scale)
    basis = [given / scale[:, None]]
    columns: list[Tensor] = []
    target = torch.zeros(len(given), 1, 1, dtype=given.dtype, device=given.device)
    target[:, 0, 0] = size.to(given.dtype)
    weights, residual, norm = target, float((size / reference).max()), size
    if residual <= tolerance:
        return torch.zeros_like(given), 0, residual
    for count in range(1, MAX_ITERATIONS + 1):
        vector = operator(basis[-1])
        column = []
        for earlier in basis:  # modified Gram-Schmidt
            share = (earlier.conj() * vector).sum(dim=1)
            vector = torch.addcmul(vector, share[:, None], earlier, value=-1)
            column.append(share)
        solved, norm = norm == 0, row_norms(vector)
        # A row that is solved exactly adds zeros; an entry of their own leaves its solution, and the rank full.
        columns.append(torch.stack([*column, torch.where(solved, 1.0, norm).to(given.dtype)], dim=1))
        basis.append(vector / norm.clamp_min(torch.finfo(norm.dtype).tiny)[:, None])
        hessenberg = torch.zeros(len(given), count + 1, count, dtype=given.dtype, device=given.device)
        for index, entries in enumerate(columns):
            hessenberg[:, : index + 2, index] = entries
        target = torch.nn.functional.pad(target, (0, 0, 0, 1))
        # The CPU's default, "gelsy", takes its order of columns from memory that is not set: other bits each time.
        weights = torch.linalg.lstsq(hessenberg, target, driver="gels").solution
        left = torch.linalg.vector_norm(target - hessenberg @ weights, dim=(1, 2)) / reference
        residual = float(left.max())
        if residual <= tolerance:
            break
    solution = sum(weights[:, index] * vector for index, vector in enumerate(basis[: len(columns)]))
    assert isinstance(solution, Tensor)
    return solution, len(columns), residual


def row_norms(values: Tensor) -> Tensor:
    """(B,) norms of (B, P) complex rows, from their real parts: the norm of complex values takes 70 times as long."""
    norms: Tensor = torch.linalg.vector_norm(torch.view_as_real(values.contiguous()).flatten(1), dim=1)
    return norms
