"""How far the wall that was drawn in a slice may differ from the mesh's though the slice lies right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.scar.observe.alignment.pixels import Pixels

Floats = npt.NDArray[np.float64]

_WAVES = 4
"""Waves around the circumference, at most, of an error of a contour."""
_SPREAD_LIMITS = (0.01, 1.0)
"""Bounds of the standard deviation of each wave in mm."""
_LEAST_LEVEL = 0.1
"""Least standard deviation in mm of how far outwards a contour lies all around: readers and the steps of a mesh make as
much, and where the wall is parallel to the normal a millimeter through the plane shows less."""
LEVELS = (0, 2 * _WAVES + 1)
"""Columns of `contour_changes` for the inner and the outer contour all around."""


def contour_changes(pixels: Pixels, places: Floats, gradients: Floats) -> Floats:
    """(N, 2 (2 W + 1)) change of the expected shares with waves of the inner and of the outer contour, per mm outwards.

    Waves are 1, cos f, sin f, ... up to W = 4 in the angle f around the middle of the slice.

    Args:
        pixels: of the stack.
        places: (N, 3) where they lie.
        gradients: (N, 3) of the expected shares there.
    """
    middles = pixels.sums(places * pixels.share[:, None]) / pixels.sums(pixels.share)[:, None]
    away = (places - middles[pixels.owner])[:, :2]
    angle = np.arctan2(away[:, 1], away[:, 0])
    outwards = (gradients[:, :2] * away).sum(axis=1) / np.maximum(np.linalg.norm(away, axis=1), 1e-6)
    terms = [np.ones(len(angle))]
    for wave in range(1, _WAVES + 1):
        terms += [np.cos(wave * angle), np.sin(wave * angle)]
    waves = np.stack(terms, axis=1)
    inner, outer = np.minimum(-outwards, 0)[:, None], np.maximum(-outwards, 0)[:, None]
    return np.concatenate([waves * inner, waves * outer], axis=1)


@dataclass(frozen=True, eq=False)
class Reduced:
    """Products of the changes with each other and with the differences, contour errors integrated out.

    Attributes:
        matrix: (S, C, C).
        vector: (S, C).
        spread: the most likely standard deviation of a wave in mm, under the one that was assumed.
        rest: (N,) differences without the most likely contour errors.
    """

    matrix: Floats
    vector: Floats
    spread: float
    rest: Floats


def without_contours(
    pixels: Pixels, changes: Floats, contours: Floats, difference: Floats, variance: float, spread: float
) -> Reduced:
    """Integrate the errors of the contours of each slice out of the least-squares problem.

    Args:
        pixels: of the stack.
        changes: (N, C) with the numbers that are wanted.
        contours: (N, W) of `contour_changes`.
        difference: (N,) of observed and expected shares.
        variance: of the noise of a pixel.
        spread: standard deviation of each wave in mm.
    """
    expected = np.full(contours.shape[1], spread)
    expected[list(LEVELS)] = max(spread, _LEAST_LEVEL)
    turning = np.setdiff1d(np.arange(contours.shape[1]), LEVELS)
    size = changes.shape[1]
    matrix, vector = np.zeros((len(pixels.slices), size, size)), np.zeros((len(pixels.slices), size))
    rest, squares = difference.copy(), 0.0
    ends = np.searchsorted(pixels.owner, np.arange(len(pixels.slices) + 1))
    for number in range(len(pixels.slices)):
        part = slice(ends[number], ends[number + 1])
        wanted, waves, left = changes[part], contours[part], difference[part]
        covariance = np.linalg.inv(waves.T @ waves / variance + np.diag(expected**-2.0))
        mixed, right = wanted.T @ waves / variance, waves.T @ left / variance
        matrix[number] = wanted.T @ wanted / variance - mixed @ covariance @ mixed.T
        error = covariance @ right
        vector[number] = wanted.T @ left / variance - mixed @ error
        rest[part] -= waves @ error
        squares += float((error**2 + np.diag(covariance))[turning].sum())
    likely = np.sqrt(squares / (len(pixels.slices) * len(turning)))
    return Reduced(matrix, vector, float(np.clip(likely, *_SPREAD_LIMITS)), rest)
