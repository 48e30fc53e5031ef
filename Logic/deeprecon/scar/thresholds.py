"""The threshold rules that separate scar from healthy wall in LGE intensities; `RULES` is the only list of them.

Every rule counts from the level of healthy wall: the zero of an image has no meaning, and in phase-sensitive images
(PSIR) healthy wall is negative or lies on an offset.

A new rule is one function and one entry in `RULES`: the command line, its messages and the panel follow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError


@dataclass(frozen=True, eq=False)
class WallIntensities:
    """What a rule may use of one stack.

    Attributes:
        values: (N,) intensities of the pixels that are full of wall.
        healthy, deviation: mean and standard deviation of healthy wall.
        maximum: the 99th percentile of `values`, since the maximum itself would be the noise of one pixel.
    """

    values: npt.NDArray[np.float64]
    healthy: float
    deviation: float
    maximum: float


def standard_deviations(wall: WallIntensities, number: float) -> float:
    """`number` standard deviations above healthy wall (Flett et al. 2011, JACC Cardiovasc Imaging 4:150)."""
    return wall.healthy + number * wall.deviation


def percent_of_maximum(wall: WallIntensities, number: float) -> float:
    """`number` percent of the way from healthy wall to the maximum."""
    return wall.healthy + number / 100 * (wall.maximum - wall.healthy)


def half_maximum(wall: WallIntensities, number: float) -> float:
    """Full width at half maximum (Amado et al. 2004, JACC 44:2383), half-way from healthy wall to the maximum."""
    return percent_of_maximum(wall, 50.0)


def otsu(wall: WallIntensities, number: float) -> float:
    """The split with the least variance within both parts, on 256 bins (Otsu 1979, IEEE TSMC 9:62)."""
    counts, edges = np.histogram(wall.values, 256)
    centers = (edges[1:] + edges[:-1]) / 2
    low = np.cumsum(counts)[:-1]
    high = len(wall.values) - low
    total = np.cumsum(counts * centers)
    between = low * high * (total[:-1] / np.maximum(low, 1) - (total[-1] - total[:-1]) / np.maximum(high, 1)) ** 2
    best = np.flatnonzero(between == between.max())  # the criterion is flat over an empty valley: take its middle
    return float((edges[best[0] + 1] + edges[best[-1] + 1]) / 2)


@dataclass(frozen=True)
class Rule:
    """A threshold rule.

    Attributes:
        intensity: (intensities, number) -> threshold.
        usage: how it is written, for messages.
        label: how the panel calls it.
        bounds: lowest and highest number after the colon; None for a rule without a number.
        default: number that the panel starts with.
        needs_scar: the rule divides any wall in two, also one that is healthy throughout.
    """

    intensity: Callable[[WallIntensities, float], float]
    usage: str
    label: str
    bounds: tuple[float, float] | None = None
    default: float = 0.0
    needs_scar: bool = True


RULES: dict[str, Rule] = {
    "nsd": Rule(
        standard_deviations, "nsd:N (such as nsd:5)", "SD above healthy wall", (0.0, 20.0), 5.0, needs_scar=False
    ),
    "fwhm": Rule(half_maximum, "fwhm", "half-way to the maximum (FWHM)"),
    "max": Rule(percent_of_maximum, "max:PERCENT (such as max:60)", "% of the way to the maximum", (1.0, 99.0), 60.0),
    "otsu": Rule(otsu, "otsu", "automatic (Otsu)"),
}
"""Name on the command line -> rule."""
*_first, _last = (rule.usage for rule in RULES.values())
USAGE = f"{', '.join(_first)} or {_last}"
"""How the rules are written."""


@dataclass(frozen=True)
class Threshold:
    """A key of `RULES` and its number, 0 for rules without one."""

    rule: str
    number: float = 0.0

    def intensity(self, wall: WallIntensities) -> float:
        """The intensity above which wall is scar."""
        return RULES[self.rule].intensity(wall, self.number)

    @property
    def needs_scar(self) -> bool:
        """See `Rule`."""
        return RULES[self.rule].needs_scar

    def __str__(self) -> str:
        return self.rule if RULES[self.rule].bounds is None else f"{self.rule}:{self.number:g}"


def parse_threshold(text: str) -> Threshold:
    """Read a rule and its number, such as "nsd:5", "fwhm", "max:60" or "otsu".

    Raises:
        InputError: an unknown rule, or a number that is missing, not wanted or out of bounds.
    """
    hint = f"Write it as {USAGE}."
    name, colon, number = text.strip().lower().partition(":")
    rule = RULES.get(name)
    if rule is None or (rule.bounds is None and colon):
        raise InputError(f"Unknown threshold {text!r}.", hint)
    if rule.bounds is None:
        return Threshold(name)
    try:
        value = float(number)
    except ValueError:
        raise InputError(f"The threshold {text!r} needs a number.", hint) from None
    low, high = rule.bounds
    if not low <= value <= high:
        raise InputError(f"The threshold {text!r} lies outside {low:g} to {high:g}.", hint)
    return Threshold(name, value)
