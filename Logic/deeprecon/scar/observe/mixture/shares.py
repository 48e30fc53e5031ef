"""From the intensities of one stack to the shares of scar in its pixels, without a threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.volume import Volume
from deeprecon.scar.observe.intensities import check_remote, wall_intensities
from deeprecon.scar.observe.mixture.intensities import FittedIntensities, fitted_intensities
from deeprecon.scar.observe.mixture.levels import fit_border, fit_levels, log_likelihood
from deeprecon.scar.observe.mixture.obstruction import obstructed
from deeprecon.scar.observe.mixture.pixels import inner_pixels, log_densities, posterior, share_likelihoods
from deeprecon.scar.observe.mixture.tissues import SHARES, Pixels, TissueLevels, pixels_at
from deeprecon.scar.observe.populations import MIN_PREFERENCE

Floats = npt.NDArray[np.float64]
Shares = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]

_BORDER_PARAMETERS = 3
"""That a border zone adds to the mixture: its level, its share of the wall, and that of its mixtures with core."""
_LEAST_STEP = 2.0
"""Standard deviations of noise between healthy wall, border zone and core below which they cannot be told apart."""
_LEAST_BORDER = 0.1
"""Share of border zone in the scar below which it is not told from partial pixels."""
_LEAST_CONTRAST = 2.5
"""Standard deviations of noise by which scar is brighter than healthy wall at least."""
_LEAST_SCAR = 4.0
"""Pixels of scar at least."""
_CERTAIN = 1e3
"""Log likelihood by which a pixel of the remote region is healthy; finite, for a fit follows it."""
_MIN_PIXELS = 30
"""Pixels within a drawn wall below which its border is looked at, too."""
_BLOOD_MARGIN = 2
"""Pixels that the border of the cavity is left out, where it holds wall and trabeculae."""


@dataclass(frozen=True, eq=False)
class MixtureShares:
    """What the fitted mixture finds in one stack.

    Attributes:
        scar: (k, j, i) expected share of each pixel's wall that is scar; 0 outside the wall.
        likelihood: (k, j, i, S) log likelihood of each of `SHARES` of scar, by the intensity of the pixel alone.
        core, core_likelihood: the same of scar core; None where the data do not tell it from border zone.
        obstruction: (k, j, i) dark pixels within scar that count as scar.
        intensities: that the levels were fitted to.
        doubts: about them.
    """

    scar: Shares
    likelihood: Shares
    core: Shares | None
    core_likelihood: Shares | None
    obstruction: Bools
    intensities: FittedIntensities
    doubts: tuple[Doubt, ...] = ()


def mixture_shares(
    lge: Volume, wall: npt.NDArray[np.floating], remote: npt.NDArray[np.floating] | None, blood: Bools
) -> MixtureShares:
    """Fit the mixture to a stack and read the share of scar in every pixel by it.

    Args:
        lge: (k, j, i).
        wall: (k, j, i), share of each pixel that is wall.
        remote: (k, j, i), share of each pixel that is healthy reference; None where there is none.
        blood: (k, j, i) pixels of the cavities.

    Raises:
        InputError: shapes differ; no or too little wall or remote region; NaN; or a constant image.
    """
    wall_intensities(lge, wall)
    known = np.zeros(wall.shape, bool)
    if remote is not None:
        check_remote(lge, remote)
        known = remote > 0.5
    image, shown = np.asarray(lge.array, np.float64), wall > 0
    inner = inner_pixels(wall)
    if np.count_nonzero(inner) < _MIN_PIXELS:
        inner = wall >= wall.max()
    pure, pixels = pixels_at(image, inner, shown), pixels_at(image, shown, shown)
    cavity = pixels_at(image, _inner_blood(blood, shown, image), shown)
    magnitude = bool(np.nanmin(image) >= 0)
    levels = fit_levels(pure, cavity, known[inner], len(wall), magnitude)
    levels = _with_border(pure, cavity, known[inner], levels)
    densities = log_densities(image, wall, pixels, levels)
    densities[known[shown], 1:] = densities[known[shown], :1] - _CERTAIN
    belongs = posterior(densities, pixels, levels)
    if not _enhanced(belongs, levels):
        return _without_scar(lge, shown, pure, levels)
    made = levels.compositions
    dark = _on_grid(belongs @ made.scar, shown) > 0.5
    dark = obstructed(dark, shown, blood) & ~known
    filled = dark[shown]
    densities[filled] = np.log(np.maximum(made.core_signal, 1e-6))  # as if it were as bright as scar, if less sure
    belongs[filled] = np.eye(len(made.scar))[-1]
    core = core_likelihood = None
    if levels.border:
        core = _on_grid(belongs @ made.core, shown)
        core_likelihood = _on_grid(share_likelihoods(densities, made.core, levels.weights), shown)
    likelihood = _on_grid(share_likelihoods(densities, made.scar, levels.weights), shown)
    scar = _on_grid(belongs @ made.scar, shown)
    return MixtureShares(scar, likelihood, core, core_likelihood, dark, fitted_intensities(pure, levels))


def _with_border(wall: Pixels, blood: Pixels, known: Bools, levels: TissueLevels) -> TissueLevels:
    """The levels with border zone of its own where the data prefer it, else as they are."""
    if levels.core < 2 * _LEAST_STEP * levels.deviation:
        return levels
    found = fit_border(wall, blood, known, levels)
    gain = 2 * (log_likelihood(wall, known, found) - log_likelihood(wall, known, levels))
    preferred = gain - _BORDER_PARAMETERS * np.log(len(wall)) > MIN_PREFERENCE
    return found if preferred and _has_border(found) else levels


def _has_border(levels: TissueLevels) -> bool:
    """Whether the levels can be told apart, and there is enough border zone not to be partial pixels."""
    step = min(levels.border, levels.core - levels.border) / levels.deviation
    kinds = np.bincount(levels.compositions.kinds, levels.weights)
    return bool(step >= _LEAST_STEP and kinds[3] >= _LEAST_BORDER * kinds[1:].sum())


def _enhanced(belongs: Floats, levels: TissueLevels) -> bool:
    scar = belongs @ levels.compositions.scar
    return bool(levels.core >= _LEAST_CONTRAST * levels.deviation and np.count_nonzero(scar > 0.5) >= _LEAST_SCAR)


def _inner_blood(blood: Bools, wall: Bools, image: Floats) -> Bools:
    """(k, j, i) pixels within the cavities of the slices that show wall."""
    from scipy.ndimage import binary_erosion

    square = np.ones((1, 3, 3), bool)
    inner = np.asarray(binary_erosion(blood, square, iterations=_BLOOD_MARGIN))
    return inner & wall.any(axis=(1, 2), keepdims=True) & np.isfinite(image)


def _without_scar(lge: Volume, shown: Bools, wall: Pixels, levels: TissueLevels) -> MixtureShares:
    zero = np.zeros(shown.shape, np.float32)
    likelihood = np.broadcast_to(np.log(np.maximum(1 - SHARES, 1e-3)), (*shown.shape, len(SHARES)))
    doubt = Doubt(
        "no-enhanced-wall",
        lge.name,
        f"No enhanced wall found: the intensities are one population around {np.median(wall.values):.4g}, so that no "
        "pixel counts as scar.",
        "If there is scar, draw it, or use the threshold nsd:5.",
        assumed=True,
    )
    no_scar = np.zeros(shown.shape, bool)
    intensities = fitted_intensities(wall, levels)
    return MixtureShares(zero, likelihood.astype(np.float32), None, None, no_scar, intensities, (doubt,))


def _on_grid(values: Floats, shown: Bools) -> Shares:
    """Values of the pixels with wall as an array of the stack; 0 elsewhere."""
    found = np.zeros((*shown.shape, *values.shape[1:]), np.float32)
    found[shown] = values
    return found
