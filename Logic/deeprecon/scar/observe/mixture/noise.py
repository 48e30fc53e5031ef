"""Noise of images: Rician in magnitude images, Gaussian in phase-sensitive ones (PSIR).

A magnitude image is the length of a complex signal with Gaussian noise in both channels; its values have the Rice
distribution (Gudbjartsson and Patz 1995, Magn Reson Med 34:910). The phase is what the image does not show: with its
expected real part the Rician estimation becomes a Gaussian one, by expectation and maximization.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_TINY = 1e-300


@dataclass(frozen=True)
class Noise:
    """Whether values are magnitudes; all arguments of its functions are of shapes that fit each other."""

    rician: bool

    def log_density(self, values: Floats, signal: Floats, deviation: Floats | float) -> Floats:
        """Logarithm of the density of values, given signal and noise. Rician: values below 0 have none."""
        spread = 2 * np.square(deviation)
        if not self.rician:
            return np.asarray(-np.square(values - signal) / spread - 0.5 * np.log(np.pi * spread))
        from scipy.special import i0e

        x, nu = np.maximum(values, 0.5 * np.sqrt(spread) * 1e-3), np.abs(signal)
        bessel = np.log(np.maximum(i0e(2 * x * nu / spread), _TINY))
        return np.asarray(np.log(2 * x / spread) - np.square(x - nu) / spread + bessel)

    def expected_real(self, values: Floats, signal: Floats, deviation: Floats | float) -> Floats:
        """Expected value of the real channel, along the signal, given the value that was seen."""
        if not self.rician:
            return np.broadcast_to(values, np.broadcast_shapes(values.shape, signal.shape)).astype(np.float64)
        from scipy.special import i0e, i1e

        argument = values * np.abs(signal) / np.square(deviation)
        return np.asarray(values * i1e(argument) / np.maximum(i0e(argument), _TINY))

    def squared_error(self, values: Floats, signal: Floats, real: Floats) -> Floats:
        """Expected squared distance to the signal in one channel, given the value and its expected real part."""
        if not self.rician:
            return np.asarray(np.square(values - signal))
        return np.asarray((np.square(values) - 2 * real * np.abs(signal) + np.square(signal)) / 2)
