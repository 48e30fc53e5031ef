"""What the intensity of each pixel says about the share of its wall that is scar, given the levels of the tissues."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deeprecon.scar.observe.healthy_level import PURE_WALL
from deeprecon.scar.observe.mixture.levels import COUPLING, around, log_sum
from deeprecon.scar.observe.mixture.tissues import SHARES, Pixels, TissueLevels

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_DRAWN_SHARES = (0.06, 0.19, 0.31, 0.44)
"""Equally likely shares of a pixel at the border of a drawn wall that are not wall: drawn pixels are mostly wall."""
_REACH = 3
"""Pixels to either side within which the tissue beside the wall is looked for."""
_TAIL = 5.0
"""Log likelihood from which on it falls like that of Student's t distribution, so that no single pixel decides."""
_ROUNDS = 20


def inner_pixels(wall: npt.NDArray[np.floating]) -> Bools:
    """(k, j, i) pixels of wall alone: of a drawn wall, whose border may be partial, those within it."""
    pure = np.asarray(wall >= PURE_WALL)
    if not is_drawn(wall):
        return pure
    padded = np.pad(pure, ((0, 0), (1, 1), (1, 1)))
    return pure & padded[:, :-2, 1:-1] & padded[:, 2:, 1:-1] & padded[:, 1:-1, :-2] & padded[:, 1:-1, 2:]


def is_drawn(wall: npt.NDArray[np.floating]) -> bool:
    """Whether a wall is drawn pixel by pixel, without partial pixels."""
    return bool(np.isin(wall, (0, 1)).all())


def log_densities(lge: Floats, wall: npt.NDArray[np.floating], pixels: Pixels, levels: TissueLevels) -> Floats:
    """(N, T) log density of each pixel's intensity for each composition of its wall.

    A pixel that is not wall alone holds the tissue beside the wall, too: as much as its share of wall leaves, or, where
    the wall is drawn, up to one half. The signal of that tissue is the mean beside the wall nearby.

    Args:
        lge: (k, j, i) intensities.
        wall: (k, j, i) share of each pixel that is wall.
        pixels: all pixels with wall.
        levels: of the tissues.
    """
    places = wall > 0
    signals = levels.signals(pixels)
    beside = _tissue_beside(lge, wall)[places]
    inner = inner_pixels(wall)[places] | ~np.isfinite(beside)
    beside = np.where(inner, 0.0, beside)
    densities = []
    for part in _DRAWN_SHARES if is_drawn(wall) else (1 - wall[places],):
        other = np.where(inner, 0.0, part)[:, None]
        mixed = (1 - other) * signals + other * beside[:, None]
        densities.append(levels.noise.log_density(pixels.values[:, None], mixed, levels.deviations))
    return np.asarray(np.logaddexp.reduce(densities, axis=0) - np.log(len(densities)))


def _tissue_beside(lge: Floats, wall: npt.NDArray[np.floating]) -> Floats:
    """(k, j, i) mean intensity of what is not wall within `_REACH` pixels, NaN where there is none.

    Pixels beside those with wall are left out, since they may hold some.
    """
    from scipy.ndimage import binary_dilation, uniform_filter

    cross = np.zeros((3, 3, 3), bool)
    cross[1, 1], cross[1, :, 1] = True, True
    free = ~binary_dilation(wall > 0, cross) & np.isfinite(lge)
    size = (1, 2 * _REACH + 1, 2 * _REACH + 1)
    count = uniform_filter(free.astype(np.float64), size, mode="constant")
    total = uniform_filter(np.where(free, lge, 0.0), size, mode="constant")
    return np.asarray(np.divide(total, count, out=np.full(lge.shape, np.nan), where=count > 1e-9))


def posterior(densities: Floats, pixels: Pixels, levels: TissueLevels) -> Floats:
    """(N, T) probability of each composition, given a pixel's own intensity and its neighbors' scar.

    The Markov random field of `fit_levels`, by its mean field.
    """
    joint = densities + np.log(np.maximum(levels.weights, 1e-12))
    belongs = _normalized(joint)
    for _ in range(_ROUNDS):
        scar = belongs @ levels.compositions.scar
        belongs = _normalized(joint + COUPLING * around(scar, pixels)[:, None] * levels.compositions.scar)
    return belongs


def _normalized(joint: Floats) -> Floats:
    return np.asarray(np.exp(joint - log_sum(joint)[:, None]))


def share_likelihoods(densities: Floats, of: Floats, weights: Floats) -> Floats:
    """(N, S) log likelihood of each of `SHARES` of a tissue, 0 for the likeliest.

    Args:
        densities: (N, T) of the compositions.
        of: (T,) share of the tissue in each composition.
        weights: (T,) of the compositions, which those of the same share are averaged by.
    """
    found = np.full((len(densities), len(SHARES)), -np.inf)
    for place, share in enumerate(SHARES):
        same = np.isclose(of, share)
        scale = np.log(np.maximum(weights[same], 1e-12) / np.maximum(weights[same], 1e-12).sum())
        found[:, place] = np.logaddexp.reduce(densities[:, same] + scale, axis=1)
    found -= found.max(axis=1, keepdims=True)
    return np.asarray(-_TAIL * np.log1p(-found / _TAIL))
