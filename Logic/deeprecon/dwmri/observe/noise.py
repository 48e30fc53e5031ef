"""How noisy a scan is, whether its noise is correlated, and whether what was taken off it is noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.dwmri.filters import gradient_magnitude, smooth_in_mask
from deeprecon.dwmri.fit.pca import LARGE, noise_map
from deeprecon.dwmri.fit.rician import stabilize
from deeprecon.dwmri.measure.metrics import EDGE_SIGMA, edge_correlation, lag1
from deeprecon.dwmri.observe.independent import independent_volumes
from deeprecon.numerics.similarity import correlation

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

RADIUS, STRIDES = 2, (2, 3)
"""Of the windows in voxels; the second stride is that of large scans, whose noise map is as exact with it."""
ROUNDS = 2
"""In which the level is measured again on magnitudes that the last one made vary alike."""
SMOOTHING = 2.0
"""Voxels over which the noise map is smoothed: coils are smooth, and single windows are not exact."""
STRUCTURE = 0.15
"""Correlation of the residual with edges from which the user is told: noise alone has about -0.05 to 0.05."""
MEAN_STRUCTURE = 0.35
"""The same for the mean of the residual over the volumes, in units of what noise gives."""


def estimate_noise(
    array: Floats, mask: Mask, device: str, threads: int = 1, rician: bool = True, independent: Mask | None = None
) -> Floats:
    """(k, j, i) noise of the real and the imaginary part, smooth, everywhere above 0.

    Magnitudes vary less where the signal is low: with `rician` the level is measured again after a first one has told
    how low it is there (4 % of bias with a shell of b = 2500), and where noise varies over the image, how much.

    Where no window fits into the mask, and in scans with too few volumes for its small singular values to tell (under
    four), the level comes from the differences of neighbors instead.

    Args:
        array: (k, j, i, V).
        mask: (k, j, i).
        device, threads: see `noise_map`.
        rician: whether these are magnitudes.
        independent: (V,) volumes with noise of their own, which alone are looked at; found if left out.
    """
    array = array[..., independent_volumes(array, mask) if independent is None else independent]
    level = _level(array, mask, device, threads)
    for _ in range(ROUNDS if rician else 0):
        level = level * _level(stabilize(array / level[..., None]), mask, device, threads)
    return level


def _level(array: Floats, mask: Mask, device: str, threads: int) -> Floats:
    found = np.zeros(mask.shape, np.float32)
    if array.shape[-1] >= 4:
        stride = STRIDES[int(mask.sum() > LARGE)]
        found = noise_map(array, mask, RADIUS, stride, device, threads)
    if not (found > 0).any():
        return np.full(mask.shape, _from_differences(array, mask), np.float32)
    return np.maximum(smooth_in_mask(found, found > 0, SMOOTHING), 1e-6 * float(found.max())).astype(np.float32)


def _from_differences(array: Floats, mask: Mask) -> float:
    """Noise from the second differences along i and j, by their median (Immerkaer 1996)."""
    data = array.astype(np.float64)
    for axis in (1, 2):
        if data.shape[axis] >= 3:
            inner: list[Any] = [slice(None)] * 4
            parts = []
            for start, weight in ((0, 1.0), (1, -2.0), (2, 1.0)):
                inner[axis] = slice(start, data.shape[axis] - 2 + start)
                parts.append(weight * data[tuple(inner)])
            data = sum(parts) / np.sqrt(6)
    crop = tuple(slice((a - b) // 2, (a - b) // 2 + b) for a, b in zip(mask.shape, data.shape[:3], strict=True))
    inside = data[mask[crop]] if mask[crop].any() else data
    return max(float(np.median(np.abs(inside))) / 0.6745, 1e-6 * max(float(np.abs(array).max()), 1e-6))


@dataclass(frozen=True)
class Whiteness:
    """Whether a residual is noise.

    Attributes:
        variance_ratio: its variance over that of the noise: slightly below 1 where only noise was taken off.
        lag1: correlation of neighbors along k, j, i.
        edge_correlation: of its size with the edges of the enhanced scan.
        mean_edge_correlation: the same of its mean over the volumes, which noise alone makes small everywhere.
    """

    variance_ratio: float
    lag1: tuple[float, float, float]
    edge_correlation: float
    mean_edge_correlation: float

    @property
    def structured(self) -> bool:
        """Whether anatomy went into the residual."""
        return self.edge_correlation > STRUCTURE or self.mean_edge_correlation > MEAN_STRUCTURE


def whiteness(residual: Floats, enhanced: Floats, sigma: Floats, mask: Mask) -> Whiteness:
    """Look for structure in a residual.

    Args:
        residual: (k, j, i, W) noisy minus enhanced, of the weighted volumes. Rician bias makes it positive where the
            signal is low; that is no lost anatomy, so hand it over with the bias taken off.
        enhanced: (k, j, i, W).
        sigma: (k, j, i) noise.
        mask: (k, j, i).
    """
    scaled = residual / sigma[..., None]
    mean = np.abs(scaled.mean(axis=-1, dtype=np.float64))
    edges = gradient_magnitude(enhanced.mean(axis=-1, dtype=np.float64), EDGE_SIGMA)
    return Whiteness(
        variance_ratio=float(np.mean(scaled[mask].astype(np.float64) ** 2)),
        lag1=lag1(scaled, mask),
        edge_correlation=edge_correlation(scaled, enhanced, mask),
        mean_edge_correlation=correlation(mean[mask], edges[mask]),
    )
