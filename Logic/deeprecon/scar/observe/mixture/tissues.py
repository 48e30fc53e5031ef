"""The tissues of a wall and their signals in one stack of LGE images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.scar.observe.mixture.noise import Noise

Floats = npt.NDArray[np.float64]

SHARES = np.linspace(0, 1, 9)
"""Shares of a pixel that a tissue may fill: none, all, and partial pixels between."""


@dataclass(frozen=True, eq=False)
class Compositions:
    """What a pixel of wall may be made of.

    Attributes:
        scar: (T,) share of scar, border zone and core together.
        core: (T,) share of core.
        border_signal, core_signal: (T,) factors of the contrasts of border zone and core in its signal.
        kinds: (T,) number of the kind: compositions of one kind are equally likely. 0 is healthy wall, 1 all core; the
            others are partial pixels and border zone.
    """

    scar: Floats
    core: Floats
    border_signal: Floats
    core_signal: Floats
    kinds: npt.NDArray[np.intp]

    def weights(self, mass: Floats) -> Floats:
        """(T,) weights, given the mass of each composition: equal within a kind, at sum 1."""
        total = np.bincount(self.kinds, mass)[self.kinds] / np.bincount(self.kinds)[self.kinds]
        return np.asarray(total / total.sum())


_INNER = SHARES[1:-1]
_PARTIAL = np.full(len(_INNER), 2)
_ZERO = np.zeros_like(SHARES)

ONE_SCAR = Compositions(SHARES, SHARES, _ZERO, SHARES, np.concatenate([[0], _PARTIAL, [1]]))
"""Healthy wall, scar of one level, and mixtures of both."""
BORDER_AND_CORE = Compositions(
    np.concatenate([SHARES, np.ones_like(SHARES[1:])]),
    np.concatenate([_ZERO, SHARES[1:]]),
    np.concatenate([SHARES, 1 - SHARES[1:]]),
    np.concatenate([_ZERO, SHARES[1:]]),
    np.concatenate([[0], _PARTIAL, [3], _PARTIAL + 2, [1]]),
)
"""Healthy wall, border zone and core, and mixtures of neighbors: core lies within border zone."""


@dataclass(frozen=True, eq=False)
class Pixels:
    """Pixels of a stack.

    Attributes:
        values: (N,) intensities.
        slices: (N,) index of their slice.
        shapes: (N, B) smooth functions of position, over which shading is expanded, about -1 to 1.
        neighbors: (N, 4) which of them are its neighbors within the slice; N where one is not among them.
    """

    values: Floats
    slices: npt.NDArray[np.intp]
    shapes: Floats
    neighbors: npt.NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.values)


def pixels_at(lge: Floats, mask: npt.NDArray[np.bool_], frame: npt.NDArray[np.bool_]) -> Pixels:
    """The pixels of a mask; shading is linear along the three axes of the array.

    Args:
        lge: (k, j, i) intensities.
        mask: (k, j, i) which pixels.
        frame: (k, j, i) across which the shapes run from -1 to 1.
    """
    places, reach = np.argwhere(mask), np.argwhere(frame)
    low, high = reach.min(axis=0), reach.max(axis=0)
    shapes = 2 * (places - low) / np.maximum(high - low, 1) - 1
    numbers = np.full(tuple(size + 2 for size in mask.shape), len(places))
    numbers[1:-1, 1:-1, 1:-1][mask] = np.arange(len(places))
    k, j, i = places.T + 1
    steps = ((0, 1), (0, -1), (1, 0), (-1, 0))
    neighbors = np.stack([numbers[k, j + down, i + right] for down, right in steps], axis=1)
    return Pixels(lge[mask].astype(np.float64), places[:, 0], shapes.astype(np.float64), neighbors)


@dataclass(frozen=True, eq=False)
class TissueLevels:
    """Signals of the tissues in a stack.

    The signal of a pixel of wall is the healthy level at its slice and place, plus the contrasts of border zone and
    core times their parts and the gain at its place.

    Attributes:
        compositions: what pixels are made of.
        noise: its distribution.
        deviation: of the noise.
        scar_deviation: by which the signal of scar varies, in addition to the noise.
        slice_levels: (K,) healthy level of each slice, at the middle of the shapes.
        healthy_shading: (B,) of the healthy level, per shape.
        core: how much brighter core, or scar of one level, is than healthy wall.
        border: the same of border zone; 0 where there is none of its own.
        blood: the same of blood; None where no cavity is seen.
        gain: (B,) relative shading of the contrasts, per shape.
        weights: (T,) share of the wall's pixels that have each composition.
        log_likelihood: of the pixels that it was fitted to.
    """

    compositions: Compositions
    noise: Noise
    deviation: float
    scar_deviation: float
    slice_levels: Floats
    healthy_shading: Floats
    core: float
    border: float
    blood: float | None
    gain: Floats
    weights: Floats
    log_likelihood: float = -np.inf

    @property
    def contrasts(self) -> Floats:
        """(T,) brightness of each composition over healthy wall, without shading."""
        return np.asarray(self.compositions.border_signal * self.border + self.compositions.core_signal * self.core)

    def healthy_at(self, pixels: Pixels) -> Floats:
        """(N,) signal of healthy wall."""
        return np.asarray(self.slice_levels[pixels.slices] + pixels.shapes @ self.healthy_shading)

    def gain_at(self, pixels: Pixels) -> Floats:
        """(N,) factor on the contrasts, 0.5 to 2."""
        return np.clip(1 + pixels.shapes @ self.gain, 0.5, 2.0)

    def signals(self, pixels: Pixels) -> Floats:
        """(N, T) signal of each composition."""
        return np.asarray(self.healthy_at(pixels)[:, None] + self.gain_at(pixels)[:, None] * self.contrasts)

    @property
    def deviations(self) -> Floats:
        """(T,) of the intensities of each composition."""
        return np.hypot(self.deviation, self.contrasts / self.core * self.scar_deviation)
