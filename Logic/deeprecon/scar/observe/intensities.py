"""From LGE intensities to the share of each pixel that is scar, with a hard threshold or with partial volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume
from deeprecon.scar.observe.extrapolation import fill_from_neighbors
from deeprecon.scar.observe.healthy_level import PURE_WALL, lower_mode
from deeprecon.scar.observe.populations import are_two_populations
from deeprecon.scar.thresholds import Threshold, WallIntensities, parse_threshold

_MOSTLY_WALL = 0.75
"""Share of wall above which a pixel's own intensity is a better estimate of its wall than that of its neighbors."""
_MIN_PIXELS = 30
"""Pixels below which no intensity statistics are made."""
_NEAR = 3.0
"""Standard deviations from healthy wall within which a threshold is doubtful."""


@dataclass(frozen=True)
class Levels:
    """Intensities of one stack.

    Attributes:
        healthy, deviation: mean and standard deviation of healthy wall.
        threshold: above it lies scar.
        plateau: of pixels full of scar.
        maximum: of the wall; its 99th percentile, as the maximum itself would be one pixel's noise.
        found: what the rule gave; `threshold` is at least the healthy level.
        enhanced: False where the rule needs scar and the wall's intensities are one population.
    """

    healthy: float
    deviation: float
    threshold: float
    plateau: float
    maximum: float
    found: float
    enhanced: bool


def levels(
    lge: Volume, wall: npt.NDArray[np.floating], remote: npt.NDArray[np.floating] | None, rule: str | Threshold
) -> Levels:
    """Healthy level, threshold and scar level of a stack.

    Only pixels full of wall are used. Healthy wall is the remote region where one is given, else the lower mode of the
    wall's intensities (`lower_mode`). The plateau is the median of the wall's pixels above the middle between threshold
    and maximum.

    Args:
        lge: (k, j, i).
        wall: (k, j, i), share of each pixel that is wall.
        remote: (k, j, i), share of each pixel that is the healthy reference; None estimates it.
        rule: see `deeprecon.scar.thresholds.RULES`.

    Raises:
        InputError: shapes differ; no or too little wall or remote region; NaN; or a constant image.
    """
    rule = parse_threshold(rule) if isinstance(rule, str) else rule
    values = wall_intensities(lge, wall)
    maximum = float(np.percentile(values, 99))
    if remote is None:
        healthy, deviation = lower_mode(values)
    else:
        healthy, deviation = _remote(lge, remote)
    found = rule.intensity(WallIntensities(values, healthy, deviation, maximum))
    threshold = max(found, float(np.nextafter(healthy, np.inf)))
    enhanced = not rule.needs_scar or are_two_populations(values)
    above = values[values >= (threshold + maximum) / 2] if maximum > threshold else np.array([])
    plateau = float(np.median(above)) if len(above) else 2 * threshold - healthy
    plateau = max(plateau, float(np.nextafter(threshold, np.inf)))
    return Levels(healthy, deviation, threshold, plateau, maximum, found, enhanced)


def threshold_doubts(
    lge: Volume, wall: npt.NDArray[np.floating], remote: npt.NDArray[np.floating] | None, rule: str | Threshold
) -> tuple[Doubt, ...]:
    """What is doubtful about a threshold of a rule that needs scar. Args and Raises: see `levels`."""
    rule = parse_threshold(rule) if isinstance(rule, str) else rule
    found = levels(lge, wall, remote, rule)
    if not found.enhanced:
        return (
            Doubt(
                "no-enhanced-wall",
                lge.name,
                f"No enhanced wall found: the intensities are one population around {found.healthy:.4g}, so "
                f"that {rule} has nothing to separate and no pixel counts as scar.",
                "If there is scar, draw it, or use the threshold nsd:5.",
                assumed=True,
            ),
        )
    if rule.needs_scar and (found.found < found.healthy + _NEAR * found.deviation or found.found <= found.healthy):
        distance = (found.found - found.healthy) / found.deviation if found.deviation else 0.0
        clamped = "" if found.found > found.healthy else ", and the healthy level itself is taken"
        return (
            Doubt(
                "threshold-near-healthy",
                lge.name,
                f"The threshold {rule} is an intensity of {found.found:.4g}, only {distance:.1f} standard deviations "
                f"from healthy wall ({found.healthy:.4g}), so that its noise counts as scar{clamped}.",
                "Use the threshold nsd:5, give a remote region, or draw the scar.",
            ),
        )
    return ()


def scar_fraction(
    lge: Volume,
    wall: npt.NDArray[np.floating],
    remote: npt.NDArray[np.floating] | None,
    rule: str | Threshold,
    soft: bool,
) -> npt.NDArray[np.float32]:
    """Share of each pixel's wall that is scar, (k, j, i) float32; 0 outside the wall.

    Soft: an intensity between healthy wall and scar means a pixel that holds both. The share rises linearly from 0 to
    1/2 at the threshold and on to 1 at the scar's plateau. It starts 2 standard deviations above the healthy level
    (at most half-way to the threshold); otherwise the upper half of the noise would add up to scar. Hard: 1 from the
    threshold on.
    The intensity of a pixel with less than three quarters of wall is dominated by blood or fat; such a pixel gets the
    share of the nearest better pixels in its slice (its own where the slice has none).
    Where a rule that needs scar finds no enhanced wall, there is none.

    Args and Raises: see `levels`.
    """
    found = levels(lge, wall, remote, rule)
    if not found.enhanced:
        return np.zeros(wall.shape, np.float32)
    values = np.asarray(lge.array, np.float64)
    if soft:
        floor = found.healthy + min(2 * found.deviation, (found.threshold - found.healthy) / 2)
        share = np.interp(values, [floor, found.threshold, found.plateau], [0.0, 0.5, 1.0])
    else:
        share = (values >= found.threshold).astype(np.float64)
    share = fill_from_neighbors(share, wall >= _MOSTLY_WALL, wall > 0)
    return np.where(wall > 0, share, 0).astype(np.float32)


def scar_and_core(
    lge: Volume,
    wall: npt.NDArray[np.floating],
    remote: npt.NDArray[np.floating] | None,
    rules: tuple[str, str],
    soft: bool,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Shares of each pixel's wall that are scar and scar core, by two thresholds; the core is never the larger one.

    Where the maximum itself does not reach the scar's threshold, as in a slice without scar, there is no core.

    Args:
        rules: for scar and for core; the others and Raises: see `levels`.

    Raises:
        InputError: also where the intensity of the core's threshold does not lie above that of the scar's.
    """
    first, second = (levels(lge, wall, remote, rule) for rule in rules)
    low, high = first.threshold, second.threshold
    if first.maximum <= low or not first.enhanced:
        return scar_fraction(lge, wall, remote, rules[0], soft), np.zeros(wall.shape, np.float32)
    if high <= low:
        raise InputError(
            f"{lge.name}: the threshold of the core, {rules[1]}, is an intensity of {high:.4g} and does not lie above "
            f"that of the scar, {rules[0]}, which is {low:.4g}.",
            "Raise --core-threshold or lower --threshold.",
        )
    scar, core = (scar_fraction(lge, wall, remote, rule, soft) for rule in rules)
    return scar, np.minimum(core, scar)


def wall_intensities(lge: Volume, wall: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Intensities of the pixels full of wall, after all checks.

    Raises:
        InputError: see `levels`.
    """
    if lge.array.shape != wall.shape:
        raise InputError(f"{lge.name} {lge.array.shape} and its wall {wall.shape} differ in shape.")
    held = np.asarray(lge.array, np.float64)[wall > 0]
    if len(held) == 0:
        raise InputError(f"{lge.name}: no pixel holds myocardium.", "Check the myocardium segment and its labels.")
    if not np.isfinite(held).all():
        count = int((~np.isfinite(held)).sum())
        raise InputError(f"{lge.name}: {count} wall pixels are not numbers (NaN or infinite).", "Repair the file.")
    values = np.asarray(lge.array, np.float64)[wall >= PURE_WALL]
    if len(values) < _MIN_PIXELS:
        raise InputError(
            f"{lge.name}: only {len(values)} pixels are full of myocardium, too few for intensity statistics.",
            "Give the scar itself instead of intensities.",
        )
    if values.min() == values.max():
        raise InputError(f"{lge.name}: all wall pixels have the intensity {values[0]:g}.", "Is this the LGE image?")
    return values


def _remote(lge: Volume, remote: npt.NDArray[np.floating]) -> tuple[float, float]:
    """Mean and standard deviation of the remote region."""
    values = check_remote(lge, remote)
    return float(values.mean()), float(values.std())


def check_remote(lge: Volume, remote: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Intensities of the remote region.

    Raises:
        InputError: its shape differs, it is too small, or it holds NaN.
    """
    if remote.shape != lge.array.shape:
        raise InputError(f"{lge.name} {lge.array.shape} and its remote region {remote.shape} differ in shape.")
    values = np.asarray(lge.array, np.float64)[remote > 0.5]
    if len(values) < _MIN_PIXELS:
        raise InputError(
            f"{lge.name}: the remote region holds {len(values)} pixels, at least {_MIN_PIXELS} are needed.",
            "Draw it larger, or leave it out to have it estimated.",
        )
    if not np.isfinite(values).all():
        raise InputError(f"{lge.name}: the remote region holds pixels that are not numbers (NaN or infinite).")
    return values
