"""Doubts about a CT: values that are no HU, though their range looks like it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.volume import Volume

AIR_HU = (-1050.0, -500.0)
"""Range of the median of air and lungs."""
TISSUE_HU = (-200.0, 300.0)
"""Range of the median of what is neither."""
MIN_MAXIMUM, USUAL_MAXIMUM = 400.0, 1000.0
"""HU that bone exceeds in every chest, and in nearly every one."""
MIN_CUT = 1e-4
"""Share of the voxels at the maximum of a CT that was cut; averaged bone has its maximum at a few."""
MAX_EQUAL = 0.5
"""Share of the voxels within 20 HU of the median of tissue that have one value, in an image with noise."""
_BINS = 4.0


def ct_doubts(volume: Volume) -> tuple[Doubt, ...]:
    """The doubts about a CT: of its reader, and about its values, see `_value_doubts`."""
    return (*volume.doubts, *_value_doubts(volume))


def _value_doubts(volume: Volume) -> tuple[Doubt, ...]:
    """Whether air and tissue lie where they do in HU, and whether the values were cut to a window.

    What scanners fill the field with outside of the image (the lowest value, and those below -1024) does not count:
    in stored values that were not rescaled it is the only thing near -1000.

    Args:
        volume: finite values, in any orientation.
    """
    values = np.asarray(volume.array)
    low, high = float(values.min()), float(values.max())
    seen = values[values > max(low, -1024.0)].astype(np.float32)
    if not seen.size:
        return ()
    air, tissue = _medians(seen)
    where = volume.name
    if not (AIR_HU[0] <= air <= AIR_HU[1] and TISSUE_HU[0] <= tissue <= TISSUE_HU[1]):
        found = (
            f"Its values are no HU: air and lungs are at {air:.0f} and tissue at {tissue:.0f}, expected "
            f"{AIR_HU[0]:.0f} to {AIR_HU[1]:.0f} and {TISSUE_HU[0]:.0f} to {TISSUE_HU[1]:.0f}."
        )
        way_out = "Give the CT in HU: its rescale intercept (often -1024) may not have been applied, or a window was."
        return (Doubt("ct-offset", where, found, way_out),)
    below = USUAL_MAXIMUM if _has_noise(values, tissue) else MIN_MAXIMUM
    if high < below and (values == high).sum() > max(10, MIN_CUT * values.size):
        found = f"It was cut to a window: no value is above {high:.0f} HU, where bone and contrast are."
        return (Doubt("ct-clipped", where, found, "Give the original scan."),)
    return ()


def _has_noise(values: npt.NDArray[Any], tissue: float) -> bool:
    """Whether tissue varies; a phantom of constant parts has its maximum in many voxels, and is no window."""
    near = np.asarray(values[np.abs(values - tissue) < 20], np.float64)
    return bool((near == np.median(near)).mean() < MAX_EQUAL) if near.size else False


def _medians(values: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Medians of the lower and the upper one of two classes of values, by Otsu's threshold."""
    clipped = np.clip(values, -1100, 2500)
    counts, edges = np.histogram(clipped, np.arange(-1102, 2506, _BINS))
    middles = 0.5 * (edges[:-1] + edges[1:])
    below = np.cumsum(counts).astype(float)
    total, mass = below[-1], np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (mass[-1] * below / total - mass) ** 2 / (below * (total - below))
    threshold = edges[1:][int(np.nanargmax(np.where(np.isfinite(between), between, -1.0)))]
    parts = clipped[clipped < threshold], clipped[clipped >= threshold]
    lower, upper = (float(np.median(part)) if part.size else float(np.median(clipped)) for part in parts)
    return lower, upper
