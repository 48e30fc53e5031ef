"""The intensities of a wall with the mixture that was fitted to them, for pictures and tables."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.scar.observe.mixture.tissues import BORDER_AND_CORE, Pixels, TissueLevels

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FittedIntensities:
    """A histogram and the tissues that explain it.

    Attributes:
        edges: (H + 1,) of the bins.
        counts: (H,) pixels of wall alone in each, the healthy level of all slices and places made equal.
        tissues: name of each tissue -> (H,) pixels that the mixture expects of it.
        levels: name of each tissue, and of blood where a cavity is seen -> its mean level.
        noise: its standard deviation.
        magnitude: whether it is Rician, else Gaussian.
    """

    edges: Floats
    counts: Floats
    tissues: dict[str, Floats]
    levels: dict[str, float]
    noise: float
    magnitude: bool


_BINS = 80
_KINDS = {"healthy wall": (0,), "border zone": (3,), "scar": (1,), "partial pixels": (2, 4)}
"""Name of a tissue -> its kinds of composition."""


def fitted_intensities(wall: Pixels, levels: TissueLevels) -> FittedIntensities:
    """The histogram of the pixels that the levels were fitted to."""
    healthy = float(levels.slice_levels[np.unique(wall.slices)].mean())
    values = wall.values - levels.healthy_at(wall) + healthy
    counts, edges = np.histogram(values, _BINS)
    centers = (edges[1:] + edges[:-1])[:, None] / 2
    density = np.exp(levels.noise.log_density(centers, healthy + levels.contrasts, levels.deviations))
    expected = len(values) * (edges[1] - edges[0]) * levels.weights * density
    made = levels.compositions
    tissues = {name: expected[:, np.isin(made.kinds, kinds)].sum(axis=1) for name, kinds in _KINDS.items()}
    means = {"healthy wall": healthy, "border zone": healthy + levels.border, "scar": healthy + levels.core}
    if made is not BORDER_AND_CORE:
        del tissues["border zone"], means["border zone"]
    if levels.blood is not None:
        means["blood"] = healthy + levels.blood
    return FittedIntensities(edges, counts.astype(np.float64), tissues, means, levels.deviation, levels.noise.rician)
