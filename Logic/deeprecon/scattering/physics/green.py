"""Green's functions of the Helmholtz equation in two and three dimensions: outgoing waves, time convention exp(-iwt).

(Lap + k^2) G = -delta: i/4 H0(kr) in two dimensions (a line source), exp(ikr) / (4 pi r) in three (a point source). The
kernel of the volume integral is truncated beyond the diameter of the grid, so that its Fourier transform is smooth and
the convolution spectrally accurate (Vico, Greengard and Ferrando 2016, J Comput Phys 323:191).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import special

Floats = npt.NDArray[np.floating[Any]]
Complex = npt.NDArray[np.complex128]

_CUTOFF = {2: 1.5, 3: 1.8}
"""Radius of truncation over the side of the grid: beyond its diagonal."""


def green_function(k: float, distance: Floats, dimension: int) -> Complex:
    """Field of a source of unit strength, at distances above 0; same shape."""
    if dimension == 2:
        return np.asarray(0.25j * special.hankel1(0, k * distance))
    return np.asarray(np.exp(1j * k * distance) / (4 * np.pi * distance))


def far_field_factor(k: float, dimension: int) -> complex:
    """Far field of a source of unit strength at the origin.

    The far field u_inf is defined by u = exp(ikr) / r^((dimension - 1) / 2) u_inf at large distances r.
    """
    if dimension == 2:
        return complex(np.exp(0.25j * math.pi) / math.sqrt(8 * math.pi * k))
    return complex(1 / (4 * math.pi))


def kernel_spectrum(k: float, n: int, spacing: float, dimension: int) -> Complex:
    """(2n, ...) Fourier transform of the truncated kernel, from a grid of 4n points along a side.

    Args:
        k: wave number.
        n: pixels along a side of the grid.
        spacing: of the pixels, in the unit of 1 / k.
        dimension: 2 or 3.
    """
    cutoff = _CUTOFF[dimension] * n * spacing
    line = 2 * np.pi * np.fft.fftfreq(4 * n, d=spacing)
    if dimension == 2:
        s = np.hypot(line[:, None], line[None])
    else:
        s = np.sqrt(line[:, None, None] ** 2 + line[:, None] ** 2 + line**2)
    gap = s**2 - k**2
    near = np.abs(gap) < 1e-6 * k**2
    gap[near], s[near] = 1.0, k * (1 + 1e-3)  # the transform is smooth: the value of a close s is taken at s = k
    gap[near] = s[near] ** 2 - k**2
    kernel = np.fft.ifftn(_truncated(k, s, cutoff, dimension) / gap)
    kept = np.r_[0:n, 3 * n : 4 * n]
    return np.asarray(np.fft.fftn(kernel[np.ix_(*[kept] * dimension)]))


def _truncated(k: float, s: Floats, cutoff: float, dimension: int) -> Complex:
    """(s^2 - k^2) times the Fourier transform of the kernel that ends at the radius `cutoff`."""
    if dimension == 2:
        h0, h1 = special.hankel1(0, cutoff * k), special.hankel1(1, cutoff * k)
        bessel = s * special.j1(cutoff * s) * h0 - k * special.j0(cutoff * s) * h1
        return np.asarray(1 + 0.5j * np.pi * cutoff * bessel)
    sine = cutoff * np.sinc(cutoff * s / np.pi)  # sin(cutoff s) / s
    return np.asarray(1 - np.exp(1j * cutoff * k) * (np.cos(cutoff * s) - 1j * k * sine))
