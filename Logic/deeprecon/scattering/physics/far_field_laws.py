"""Laws that every far field obeys: reciprocity, and conservation of energy where the objects do not absorb.

Far fields are (S, N, N) [observation, incidence] on `directions(N)`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.scattering.physics.directions import angular_orders, max_angular_order

Complex = npt.NDArray[np.complexfloating[Any, Any]]


def reciprocal(far_field: Complex) -> Complex:
    """Far fields with source and receiver exchanged, u(-d; -x): equal to u(x; d), also where the objects absorb."""
    half = far_field.shape[-1] // 2
    return np.roll(far_field, (-half, -half), (-2, -1)).swapaxes(-1, -2)


def reciprocity_defect(far_field: Complex) -> float:
    """|u(x; d) - u(-d; -x)| / |u|: 0 without noise, sqrt(2) times the relative size of independent noise."""
    size = float(np.linalg.norm(far_field))
    return float(np.linalg.norm(far_field - reciprocal(far_field))) / size if size else 0.0


def energy_defect(far_field: Complex, k: float) -> float:
    """Relative deviation of far fields from the optical theorem: 0 for lossless objects.

    The scattered energy int |u_inf|^2 equals -sqrt(8 pi / k) Re(exp(i pi/4) u_inf(d, d)). Far fields with another wave
    number, time convention or scale, or without their imaginary part, deviate.

    Args:
        far_field: (S, N, N) on the same uniform directions.
        k: wave number.
    """
    n = far_field.shape[-1]
    scattered = (np.abs(far_field) ** 2).sum(axis=(1, 2)) * 2 * np.pi / n
    forward = (np.exp(0.25j * np.pi) * np.einsum("sii->si", far_field)).real.sum(axis=1)
    extinguished = -math.sqrt(8 * np.pi / k) * forward
    total = np.abs(scattered).sum()
    return float(np.abs(scattered - extinguished).sum() / total) if total else 0.0


@dataclass(frozen=True)
class EnergyBalance:
    """The wave number at which far fields conserve energy, and how well they do.

    Attributes:
        ratio: that wave number divided by the stated one; 1 / ratio^(1/2) is the factor by which amplitudes would
            have to be too large instead.
        error: standard error of `ratio`.
        defect: |A + A^H + A^H A| / |A^H A| at the stated wave number.
        rest: the same at the wave number of `ratio`.
        noise: the same as it is expected from the noise alone.
    """

    ratio: float
    error: float
    defect: float
    rest: float
    noise: float


def energy_balance(far_field: Complex, k: float) -> EnergyBalance | None:
    """Wave number from the unitarity of the scattering operator; None for far fields that are 0.

    Without absorption the scattering operator 1 + A is unitary, where A is exp(i pi/4) sqrt(k / 2 pi) times the far
    field operator (Colton and Kress 2013, section 8.4): A + A^H + A^H A = 0. A far field does not depend on k, a and q
    by themselves but on k a and q, apart from its scale: so this is all that far fields of one frequency tell about
    their wave number. With A at a stated k, the factor alpha = sqrt(ratio) of A is fitted to all entries. In angular
    orders, noise is white; the two reciprocal measurements of each entry have independent noise, hence give A^H A
    without bias, and the size of the noise.

    Args:
        far_field: (S, N, N) on uniform directions.
        k: stated wave number times the radius of the region.
    """
    n = far_field.shape[-1]
    kept = np.abs(angular_orders(n)) <= min(max_angular_order(k), n // 2 - 1)
    series = np.fft.fft(np.eye(n))[kept] / math.sqrt(n)
    scale = np.exp(0.25j * np.pi) * math.sqrt(k / (2 * np.pi)) * 2 * np.pi / n
    one, other = (scale * series @ part @ series.conj().T for part in (far_field, reciprocal(far_field)))
    linear = -_hermitian(one + other)
    square = _hermitian(_adjoint(other) @ one)
    power = float((np.abs(square) ** 2).sum())
    if not power:
        return None
    alpha = float((linear * square.conj()).real.sum()) / power
    rest = linear - alpha * square
    sizes = [linear - square, rest, (one - other) / math.sqrt(2)]
    defect, left, noise = (float(np.linalg.norm(values)) / math.sqrt(power) for values in sizes)
    # Each entry occurs up to four times: in the Hermitian matrix and by reciprocity. Where few entries matter, what is
    # left of them may be small by chance: the mean over all of them is the least that is expected.
    error = math.sqrt(4 * float(((rest * square.conj()).real ** 2).sum())) / power
    error = max(error, math.sqrt(2 / kept.sum() ** 2) * left)
    return EnergyBalance(alpha * abs(alpha), 2 * abs(alpha) * error, defect, left, noise)


def _adjoint(values: Complex) -> Complex:
    return values.conj().swapaxes(-1, -2)


def _hermitian(values: Complex) -> Complex:
    return (values + _adjoint(values)) / 2
