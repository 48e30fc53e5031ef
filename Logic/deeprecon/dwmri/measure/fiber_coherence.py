"""Whether the gradient table fits the image: in a bundle, the direction of a voxel leads to voxels of like direction.

A flipped axis breaks that (Schilling et al. 2019, Magn. Reson. Imaging 58:82).
"""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt

from deeprecon.dwmri.measure.tensor import TensorMaps

Mask = npt.NDArray[np.bool_]

LEAST_FA = 0.3
_CLOSE = float(np.cos(np.radians(30)))
"""Cosine of the angle within which a direction leads to a neighbor."""
CLEARLY = 1.05
"""Ratio from which another table fits better."""
FEWEST = 200
"""Voxels with a clear direction that are needed for a verdict."""

FLIPS = {"as given": (1, 1, 1), "left-right": (-1, 1, 1), "front-back": (1, -1, 1), "up-down": (1, 1, -1)}
"""Flips of the directions in RAS; flipping two axes is the same as flipping the third."""


def coherence(maps: TensorMaps, mask: Mask, ijk_to_ras: npt.NDArray[np.float64]) -> dict[str, float]:
    """Coherence of the principal directions under each flip of the table; empty where too few voxels have a direction.

    It is the share of voxels with a direction to whose neighbor in this direction the neighbor's own direction leads.
    Flipping the table flips the fitted directions, so that nothing has to be fitted again.
    """
    clear = mask & (maps.fa > LEAST_FA)
    if clear.sum() < FEWEST:
        return {}
    return {name: _index(maps.direction * np.array(signs), clear, ijk_to_ras) for name, signs in FLIPS.items()}


def better_flip(found: dict[str, float]) -> str:
    """The flip that fits clearly better than the table as it is; empty where none does."""
    if not found:
        return ""
    best = max(found, key=lambda name: found[name])
    return best if found[best] > CLEARLY * found["as given"] else ""


def _index(direction: npt.NDArray[np.floating], clear: Mask, ijk_to_ras: npt.NDArray[np.float64]) -> float:
    """Share of the clear voxels whose direction leads to a clear neighbor of like direction, over all clear ones."""
    agreeing = total = 0
    for step in product((-1, 0, 1), repeat=3):
        if step <= (0, 0, 0):  # each pair once
            continue
        toward = ijk_to_ras[:3, :3] @ np.array(step[::-1], float)
        toward /= np.linalg.norm(toward)
        here, there = _pair(step, clear.shape)
        leads = np.abs(direction @ toward) > _CLOSE
        both = clear[here] & clear[there]
        total += int((both & (leads[here] | leads[there])).sum())
        agreeing += int((both & leads[here] & leads[there]).sum())
    return agreeing / max(total, 1)


def _pair(step: tuple[int, ...], shape: tuple[int, ...]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    here = tuple(slice(max(-s, 0), count - max(s, 0)) for s, count in zip(step, shape, strict=True))
    there = tuple(slice(max(s, 0), count - max(-s, 0)) for s, count in zip(step, shape, strict=True))
    return here, there
