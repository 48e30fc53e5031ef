"""The Lippmann-Schwinger equation, and from it the far field of any contrast image.

u = u_i + k^2 G * (q u). The free-space Green's function is truncated beyond the diameter of the region, so that its
Fourier transform is smooth and the convolution spectrally accurate (Vico, Greengard and Ferrando 2016, J Comput Phys
323:191).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import special
from torch import Tensor

from deeprecon.data.errors import InputError
from deeprecon.scattering.physics.born import born_factor

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
        self._kernel = torch.from_numpy(self._make_kernel()).to(self._device, self._dtype)

    def _make_kernel(self) -> npt.NDArray[np.complex128]:
        """(2n, 2n) Fourier transform of the truncated kernel, from a grid of 4n points along a side."""
        n, k = self.n, self.k
        cutoff = 1.5 * n * self._spacing  # beyond the diagonal of the square, sqrt(2)
        line = 2 * np.pi * np.fft.fftfreq(4 * n, d=self._spacing)
        s = np.hypot(line[:, None], line[None])
        gap = s**2 - k**2
        near = np.abs(gap) < 1e-6 * k**2
        gap[near], s[near] = 1.0, k * (1 + 1e-3)  # the transform is smooth: the value of a close s is taken at s = k
        gap[near] = s[near] ** 2 - k**2
        h0, h1 = special.hankel1(0, cutoff * k), special.hankel1(1, cutoff * k)
        bessel = s * special.j1(cutoff * s) * h0 - k * special.j0(cutoff * s) * h1
        kernel = np.fft.ifft2((1 + 0.5j * np.pi * cutoff * bessel) / gap)
        kept = np.r_[0:n, 3 * n : 4 * n]
        return np.asarray(np.fft.fft2(kernel[np.ix_(kept, kept)]))

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


def gmres(operator: Any, given: Tensor, tolerance: float) -> tuple[Tensor, int, float]:
    """Solve operator(x) = given for each row at once, by GMRES without restart (Saad and Schultz 1986).

    Args:
        operator: linear, (B, P) complex to (B, P), one row from one row.
        given: (B, P).
        tolerance: relative residual that every row must reach.

    Returns:
        (B, P) solution, iterations, and the largest relative residual.
    """
    size = torch.linalg.vector_norm(given, dim=1)
    scale = torch.where(size > 0, size, torch.ones_like(size))
    basis = [given / scale[:, None]]
    columns: list[Tensor] = []
    target = torch.zeros(len(given), 1, 1, dtype=given.dtype, device=given.device)
    target[:, 0, 0] = size.to(given.dtype)
    weights, residual, norm = target, 1.0, size
    for count in range(1, MAX_ITERATIONS + 1):
        vector = operator(basis[-1])
        column = []
        for earlier in basis:  # modified Gram-Schmidt
            share = (earlier.conj() * vector).sum(dim=1)
            vector = vector - share[:, None] * earlier
            column.append(share)
        solved, norm = norm == 0, torch.linalg.vector_norm(vector, dim=1)
        # A row that is solved exactly adds zeros; an entry of their own leaves its solution, and the rank full.
        columns.append(torch.stack([*column, torch.where(solved, 1.0, norm).to(given.dtype)], dim=1))
        basis.append(vector / norm.clamp_min(torch.finfo(norm.dtype).tiny)[:, None])
        hessenberg = torch.zeros(len(given), count + 1, count, dtype=given.dtype, device=given.device)
        for index, entries in enumerate(columns):
            hessenberg[:, : index + 2, index] = entries
        target = torch.nn.functional.pad(target, (0, 0, 0, 1))
        # The CPU's default, "gelsy", takes its order of columns from memory that is not set: other bits each time.
        weights = torch.linalg.lstsq(hessenberg, target, driver="gels").solution
        left = torch.linalg.vector_norm(target - hessenberg @ weights, dim=(1, 2)) / scale
        residual = float(left.max())
        if residual <= tolerance:
            break
    solution = sum(weights[:, index] * vector for index, vector in enumerate(basis[: len(columns)]))
    assert isinstance(solution, Tensor)
    return solution, len(columns), residual
