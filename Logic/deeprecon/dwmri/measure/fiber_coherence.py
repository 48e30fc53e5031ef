"""Fiber coherence index: along a bundle, the principal direction points to voxels of a similar principal direction.

It is highest for the correct gradient table, and lower where an axis is flipped (Schilling et al. 2019, Magn. Reson.
Imaging 58:82).
"""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt

from deeprecon.dwmri.measure.tensor import TensorMaps

Mask = npt.NDArray[np.bool_]

MIN_FA = 0.3
_MIN_COSINE = float(np.cos(np.radians(30)))
"""Of the angle within which a direction points to a neighbor."""
MIN_RATIO = 1.05
"""Of the coherence of a flipped table to that of the given one, from which the flipped one fits better."""
MIN_VOXELS = 200
"""Voxels with FA above `MIN_FA` that are needed."""

FLIPS = {"as given": (1, 1, 1), "left-right": (-1, 1, 1), "front-back": (1, -1, 1), "up-down": (1, 1, -1)}
"""Flips of the directions in RAS; flipping two axes is the same as flipping the third."""


def fiber_coherence(maps: TensorMaps, mask: Mask, ijk_to_ras: npt.NDArray[np.float64]) -> dict[str, float]:
    """Fiber coherence index under each flip of the table; empty where too few voxels have a direction.

    It is the share of pairs of neighbors along a principal direction of which both directions point to each other.
    Flipping the table flips the fitted directions, so that nothing has to be fitted again.
    """
    clear = mask & (maps.fa > MIN_FA)
    if clear.sum() < MIN_VOXELS:
        return {}
    return {name: _index(maps.direction * np.array(signs), clear, ijk_to_ras) for name, signs in FLIPS.items()}


def better_flip(coherence: dict[str, float]) -> str:
    """The flip that fits clearly better than the given table; empty where none does."""
    if not coherence:
        return ""
    best = max(coherence, key=lambda name: coherence[name])
    return best if coherence[best] > MIN_RATIO * coherence["as given"] else ""


def _index(direction: npt.NDArray[np.floating], clear: Mask, ijk_to_ras: npt.NDArray[np.float64]) -> float:
    """Pairs of clear neighbors whose directions both point to each other, over those of which at least one does."""
    agreeing = total = 0
    for step in product((-1, 0, 1), repeat=3):
        if step <= (0, 0, 0):  # each pair once
            continue
        toward = ijk_to_ras[:3, :3] @ np.array(step[::-1], float)
        toward /= np.linalg.norm(toward)
        here, there = _pair(step, clear.shape)
        points = np.abs(direction @ toward) > _MIN_COSINE
        both = clear[here] & clear[there]
        total += int((both & (points[here] | points[there])).sum())
        agreeing += int((both & points[here] & points[there]).sum())
    return agreeing / max(total, 1)


def _pair(step: tuple[int, ...], shape: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    here = tuple(slice(max(-s, 0), count - max(s, 0)) for s, count in zip(step, shape, strict=True))
    there = tuple(slice(max(s, 0), count - max(-s, 0)) for s, count in zip(step, shape, strict=True))
    return here, there
