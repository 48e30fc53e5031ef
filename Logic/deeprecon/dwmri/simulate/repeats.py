"""Simulated repeats of a scan: its clean signal with new noise, as strong and as correlated as its own."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def simulate_repeat(clean: Floats, rician: bool, taps: tuple[float, float, float], rng: np.random.Generator) -> Floats:
    """A repeat of a scan (k, j, i, V) with noise of variance 1: the magnitude of a complex image, or a real one.

    Args:
        clean: without noise, in units of the noise.
        rician: whether the magnitude is taken.
        taps: weights of the neighbors along k, j and i in the noise, see `noise.correlation.noise_taps`.
        rng: of the noise.
    """
    noisy = np.array(np.moveaxis(clean, -1, 0), np.float32, order="C")  # each volume contiguous
    for volume in noisy:
        volume += _noise(volume.shape, taps, rng)
        if rician:
            np.hypot(volume, _noise(volume.shape, taps, rng), out=volume)
    return np.ascontiguousarray(np.moveaxis(noisy, 0, -1))


def _noise(shape: tuple[int, ...], taps: tuple[float, float, float], rng: np.random.Generator) -> Floats:
    noise = rng.standard_normal(shape, dtype=np.float32)
    for axis, tap in enumerate(taps):
        if tap:
            before, after = np.roll(noise, 1, axis), np.roll(noise, -1, axis)
            noise = ((noise + tap * (before + after)) / np.sqrt(1 + 2 * tap * tap)).astype(np.float32)
    return noise
