"""The intensity of healthy wall, and how it drifts from slice to slice of a stack.

A surface coil is more sensitive to the near slices, and the inversion time that nulls healthy wall changes with the
time since the contrast agent was given: healthy wall of one slice may be as bright as border zone of another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

PURE_WALL = 0.95
"""Share of wall above which a pixel shows wall alone, without blood or fat in its prism."""
_MIN_PIXELS = 30
"""Pixels below which a slice has no level of its own."""
_MIN_SLICES = 4
"""Slices with a level of their own below which no drift is looked for."""
_WINDOW = 2.5
"""Standard deviations around a level within which pixels count as healthy; farther up begins scar."""
_ERROR = 1.5
"""Standard error of a level in standard deviations over the root of its pixels; of a mean it would be 1."""
_NOTABLE = 0.5
"""Standard deviations of healthy wall that the drift must span to be one."""
_CLEAR = 3.0
"""Standard errors that it must span."""
_MAX_JUMP = 3.0
"""Standard deviations from the drift beyond which the level of a slice is that of scar rather than of healthy wall."""
_MIN_AGREEING = 2 / 3
"""Share of the slices that must lie nearer to the drift: where scar fills many of them, their levels are no drift."""


@dataclass(frozen=True, eq=False)
class Drift:
    """How the level of healthy wall drifts along a stack.

    Attributes:
        offsets: (k,) intensity by which healthy wall of each slice lies above that of the stack; all 0 without drift.
        levels: intensities of healthy wall at both ends of the drift.
    """

    offsets: Floats
    levels: tuple[float, float] = (0.0, 0.0)

    def __bool__(self) -> bool:
        return bool(self.offsets.any())


@dataclass(frozen=True, eq=False)
class _SliceLevels:
    """Levels of the slices that have one.

    Attributes:
        slices: (S,) which slices.
        levels, deviations: (S,) of healthy wall.
        errors: (S,) standard error of each level.
    """

    slices: npt.NDArray[np.intp]
    levels: Floats
    deviations: Floats
    errors: Floats

    def part(self, chosen: npt.NDArray[np.bool_]) -> _SliceLevels:
        """Some of them."""
        return _SliceLevels(self.slices[chosen], self.levels[chosen], self.deviations[chosen], self.errors[chosen])


def lower_mode(values: Floats) -> tuple[float, float]:
    """Mean and deviation of healthy wall: the lowest high peak of the density, and the scatter below it.

    The density has a Gaussian kernel of Silverman's width; a high peak reaches 30 % of the highest one. No scar is
    mixed into the pixels below it.

    Args:
        values: (N,) intensities of pixels full of wall, not all the same.
    """
    quarter, three_quarters = np.percentile(values, [25, 75])
    sizes = [size for size in (values.std(), (three_quarters - quarter) / 1.34) if size > 0]
    width = 0.9 * min(sizes) * len(values) ** -0.2
    places = np.linspace(values.min(), values.max(), 512)
    counts, edges = np.histogram(values, places)
    centers = (edges[1:] + edges[:-1]) / 2
    reach = (centers[:, None] - centers) / width
    density = np.exp(-0.5 * reach**2) @ counts
    framed = np.concatenate([[-np.inf], density, [-np.inf]])
    peaks = (density >= framed[:-2]) & (density > framed[2:]) & (density > 0.3 * density.max())
    mode = float(centers[np.argmax(peaks)])
    below = values[values <= mode]
    deviation = float(np.sqrt(np.mean((below - mode) ** 2))) if len(below) else 0.0
    return mode, deviation or float(width)


def find_drift(
    image: npt.NDArray[np.generic], wall: npt.NDArray[np.floating], remote: npt.NDArray[np.floating] | None
) -> Drift:
    """How the level of healthy wall drifts from slice to slice.

    The level of a slice is the mean of its remote region, else the lower mode of its wall away from the edges. The
    drift is a robust line through the levels (Theil 1950, Sen 1968). A slice departs from it by the share s^2 / (s^2 +
    e^2) of what its own level departs, with the scatter s of the levels around the line and the standard error e of
    its level, which is large where few pixels are healthy; and not at all where its level is that of scar.

    Args:
        image: (k, j, i) intensities.
        wall: (k, j, i), share of each pixel that is wall.
        remote: (k, j, i), share of each pixel that is healthy reference; None where there is none.

    Returns:
        Offsets of 0 where the line spans less than 0.5 standard deviations of healthy wall or 3 standard errors, where
        fewer than 4 slices have a level, and where more than a third of them do not follow the line.
    """
    none = Drift(np.zeros(len(wall)))
    found = _slice_levels(np.asarray(image, np.float64), wall, remote)
    if len(found.slices) < _MIN_SLICES:
        return none
    deviation = float(np.median(found.deviations))
    near = np.abs(_residuals(found, *_robust_line(found))) <= _MAX_JUMP * deviation
    kept = found.part(near)
    if len(kept.slices) < max(_MIN_SLICES, _MIN_AGREEING * len(found.slices)):
        return none
    slope, start = _robust_line(kept)
    residual = _residuals(kept, slope, start)
    scatter = 1.4826 * float(np.median(np.abs(residual)))
    span = slope * np.ptp(kept.slices)
    error = np.hypot(scatter, np.median(kept.errors)) / (np.std(kept.slices) * np.sqrt(len(kept.slices)))
    if abs(span) < max(_NOTABLE * deviation, _CLEAR * error * np.ptp(kept.slices)):
        return none
    levels = start + slope * np.arange(len(wall))
    levels[kept.slices] += scatter**2 / np.maximum(scatter**2 + kept.errors**2, 1e-12) * residual
    shown = levels[found.slices]
    return Drift(levels - np.median(shown), (float(shown.min()), float(shown.max())))


def _slice_levels(
    image: Floats, wall: npt.NDArray[np.floating], remote: npt.NDArray[np.floating] | None
) -> _SliceLevels:
    pure = wall >= PURE_WALL
    inner = _without_edge(pure)
    walls, remotes = {}, {}
    for k in range(len(wall)):
        healthy = np.array([]) if remote is None else image[k][remote[k] > 0.5]
        values = image[k][inner[k] if np.count_nonzero(inner[k]) >= _MIN_PIXELS else pure[k]]
        if len(healthy) >= _MIN_PIXELS and np.isfinite(healthy).all():
            remotes[k] = float(healthy.mean()), float(healthy.std()), len(healthy)
        elif len(values) >= _MIN_PIXELS and np.isfinite(values).all() and np.ptp(values) > 0:
            walls[k] = values, *lower_mode(values)
    common = float(np.median([deviation for _, _, deviation in walls.values()])) if walls else 0.0
    found = {k: _around(values, mode, max(common, deviation)) for k, (values, mode, deviation) in walls.items()}
    found = dict(sorted((found | remotes).items()))
    levels, deviations, counts = np.array(list(found.values()), np.float64).reshape(-1, 3).T
    return _SliceLevels(np.array(list(found), np.intp), levels, deviations, _ERROR * deviations / np.sqrt(counts))


def _without_edge(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """(k, j, i) pixels whose four neighbors in the slice belong to a mask, too."""
    padded = np.pad(mask, ((0, 0), (1, 1), (1, 1)))
    return mask & padded[:, :-2, 1:-1] & padded[:, 2:, 1:-1] & padded[:, 1:-1, :-2] & padded[:, 1:-1, 2:]


def _around(values: Floats, level: float, deviation: float) -> tuple[float, float, int]:
    """The mean of the pixels around a level, which moves to their middle; the deviation, and how many they are."""
    near = values
    for _ in range(20):
        near = values[np.abs(values - level) <= _WINDOW * deviation]
        level = float(near.mean())
    return level, deviation, len(near)


def _residuals(found: _SliceLevels, slope: float, start: float) -> Floats:
    return found.levels - start - slope * found.slices


def _robust_line(found: _SliceLevels) -> tuple[float, float]:
    """Slope per slice and value at slice 0 of the line through the levels."""
    first, second = np.triu_indices(len(found.slices), 1)
    slopes = (found.levels[second] - found.levels[first]) / (found.slices[second] - found.slices[first])
    slope = float(np.median(slopes))
    return slope, float(np.median(found.levels - slope * found.slices))
