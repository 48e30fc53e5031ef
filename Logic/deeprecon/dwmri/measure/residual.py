"""Whether the residual, the scan minus the result, is noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.dwmri.filters import gradient_magnitude
from deeprecon.dwmri.noise.correlation import lag1
from deeprecon.numerics.similarity import correlation

Floats = npt.NDArray[np.floating[Any]]
Mask = npt.NDArray[np.bool_]

EDGE_SIGMA = 0.7
"""Voxels over which edges are measured."""
MAX_EDGE_CORRELATION = 0.15
"""Correlation of the residual with edges that is no reason for a warning: noise alone has about -0.05 to 0.05."""
MAX_MEAN_EDGE_CORRELATION = 0.35
"""The same for the mean of the residual over the volumes, in units of its standard error."""


@dataclass(frozen=True)
class ResidualStatistics:
    """Statistics of a residual.

    Attributes:
        variance_ratio: its variance over that of the noise: slightly below 1 where only noise was removed.
        lag1: correlation of neighbors along k, j, i.
        edge_correlation: of its size with the edges of the enhanced scan.
        mean_edge_correlation: the same of its mean over the volumes, in which noise is small everywhere.
    """

    variance_ratio: float
    lag1: tuple[float, float, float]
    edge_correlation: float
    mean_edge_correlation: float

    @property
    def structured(self) -> bool:
        """Whether anatomy went into the residual."""
        return self.edge_correlation > MAX_EDGE_CORRELATION or self.mean_edge_correlation > MAX_MEAN_EDGE_CORRELATION


def residual_statistics(residual: Floats, enhanced: Floats, sigma: Floats, mask: Mask) -> ResidualStatistics:
    """Statistics of a residual that show anatomy and correlated noise in it.

    Args:
        residual: (k, j, i, W) noisy minus enhanced, of the weighted volumes. Rician bias makes it positive where the
            signal is low, which is no lost anatomy: subtract it before.
        enhanced: (k, j, i, W).
        sigma: (k, j, i) noise.
        mask: (k, j, i).
    """
    scaled = residual / sigma[..., None]
    mean = np.abs(scaled.mean(axis=-1, dtype=np.float64))
    return ResidualStatistics(
        variance_ratio=float(np.mean(scaled[mask].astype(np.float64) ** 2)),
        lag1=lag1(scaled, mask),
        edge_correlation=edge_correlation(scaled, enhanced, mask),
        mean_edge_correlation=correlation(mean[mask], _edges(enhanced)[mask]),
    )


def edge_correlation(residual: Floats, reference: Floats, mask: Mask) -> float:
    """Correlation of the residual's size with the edges of the mean of `reference` (both (k, j, i, W)): 0 = none lost.

    0 too where one of them is the same everywhere.
    """
    size = np.sqrt(np.mean(residual.astype(np.float64) ** 2, axis=-1))[mask]
    return correlation(size, _edges(reference)[mask])


def _edges(scan: Floats) -> Floats:
    """(k, j, i) gradient of the mean of (k, j, i, W)."""
    return gradient_magnitude(scan.mean(axis=-1, dtype=np.float64), EDGE_SIGMA)
