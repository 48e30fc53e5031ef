"""The levels of the tissues in one stack, fitted as a mixture to the intensities of wall and blood."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from deeprecon.scar.observe.healthy_level import lower_mode
from deeprecon.scar.observe.mixture.noise import Noise
from deeprecon.scar.observe.mixture.tissues import BORDER_AND_CORE, ONE_SCAR, Pixels, TissueLevels

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

COUPLING = 0.7
"""Log-odds by which one neighbor that is scar makes a pixel scar."""
_FIRST_ROUNDS, _ROUNDS = 6, 80
_TOLERANCE = 0.01
"""Change of the log likelihood below which the fit ends."""
_LEVEL, _HEALTHY_SHADING, _SHADING = 0.01, 0.01, 0.1
"""Standard deviations before the image is seen, in shares of the scar's contrast: of the healthy level from slice to
slice, of its shading per shape, and of the contrast's. Healthy wall is nulled and hardly shaded; were it free, its
shading would take the place of scar."""
_CONTRADICTED = 50.0
"""Log likelihood that levels may lie below the likeliest ones on the way to them."""
_NEAR_ZERO = 5.0
"""Standard deviations from 0 beyond which the noise of a magnitude image is Gaussian, too."""
_MOST = 2.0
"""Contrast of scar over healthy wall at most, in shares of the way from healthy wall to the 99th percentile."""
_STARTS = (0.6, 1.0)
"""Scar levels to begin with, in the same."""
_MAX_VARIATION = 0.1
"""Deviation of the signal of scar at most, in shares of its contrast."""
_LEAST_MASS = 10.0
"""Pixels below which a tissue has no deviation of its own."""
_MAX_BLOOD = 3000
"""Pixels of blood that are looked at; more show the shading no better."""


def fit_levels(wall: Pixels, blood: Pixels, known: Bools, count: int, magnitude: bool) -> TissueLevels:
    """Fit the levels of healthy wall and scar by expectation and maximization.

    Partial pixels are a uniform class between healthy wall and scar, so that the levels are those of pure tissue. The
    prior of each pixel is a Markov random field over its neighbors (Zhang, Brady and Smith 2001, IEEE TMI 20:45): where
    intensities overlap, place tells scar from noise. Of several scar levels to begin with the likeliest is followed.

    Args:
        wall: pixels of wall alone.
        blood: pixels of blood alone; they show the shading where there is no scar. May be none.
        known: (N,) which pixels of the wall are known to be healthy.
        count: slices of the stack.
        magnitude: whether no value is negative; where noise reaches 0, it is then Rician, else Gaussian.
    """
    healthy, deviation, contrast = _rough(wall, known)
    noise = Noise(rician=magnitude and healthy < _NEAR_ZERO * deviation)
    starts = [share * contrast for share in _STARTS]
    if len(blood):
        starts.append(1.3 * max(float(np.median(blood.values)) - healthy, deviation))
    blood = _thinned(blood)
    begun = [_begin(wall, count, noise, healthy, deviation, start) for start in starts]
    fits = [_fit(wall, blood, known, one, contrast, _FIRST_ROUNDS) for one in begun]
    return _fit(wall, blood, known, max(fits, key=lambda one: one.log_likelihood), contrast, _ROUNDS)


def fit_border(wall: Pixels, blood: Pixels, known: Bools, levels: TissueLevels) -> TissueLevels:
    """The same with border zone of a level of its own, begun from the levels of one scar."""
    _, _, contrast = _rough(wall, known)
    mass = levels.weights[-1] / 3
    weights = np.concatenate([levels.weights[:-1], np.full(len(BORDER_AND_CORE.scar) - len(levels.weights) + 1, mass)])
    begin = replace(
        levels,
        compositions=BORDER_AND_CORE,
        border=0.5 * levels.core,
        core=1.1 * levels.core,
        weights=BORDER_AND_CORE.weights(weights),
    )
    return _fit(wall, _thinned(blood), known, begin, contrast, _ROUNDS)


def log_likelihood(wall: Pixels, known: Bools, levels: TissueLevels) -> float:
    """Of the pixels, were they independent."""
    return float(log_sum(_joint(wall, known, levels)).sum())


def _rough(wall: Pixels, known: Bools) -> tuple[float, float, float]:
    """Healthy level, its deviation, and the contrast of scar, roughly."""
    healthy, deviation = lower_mode(wall.values[known] if np.count_nonzero(known) >= 30 else wall.values)
    return healthy, deviation, max(float(np.percentile(wall.values, 99)) - healthy, deviation)


def _thinned(blood: Pixels) -> Pixels:
    every = slice(None, None, max(1, len(blood) // _MAX_BLOOD))
    return Pixels(blood.values[every], blood.slices[every], blood.shapes[every], blood.neighbors[every])


def _begin(wall: Pixels, count: int, noise: Noise, healthy: float, deviation: float, scar: float) -> TissueLevels:
    zero = np.zeros(wall.shapes.shape[1])
    weights = ONE_SCAR.weights(np.array([0.75, 0.15, 0.1 / (len(ONE_SCAR.scar) - 2)])[ONE_SCAR.kinds])
    slices = np.full(count, healthy)
    return TissueLevels(ONE_SCAR, noise, deviation, 0.0, slices, zero, scar, 0.0, None, zero, weights)


def _joint(wall: Pixels, known: Bools, levels: TissueLevels) -> Floats:
    """(N, T) log density of each intensity and composition."""
    densities = levels.noise.log_density(wall.values[:, None], levels.signals(wall), levels.deviations)
    joint = densities + np.log(np.maximum(levels.weights, 1e-12))
    joint[known, 1:] = -np.inf
    return joint


def _fit(wall: Pixels, blood: Pixels, known: Bools, levels: TissueLevels, contrast: float, rounds: int) -> TissueLevels:
    """Alternate between the composition of each pixel and the levels.

    With its neighbors' help healthy wall may win all pixels. Where the pixels by themselves contradict the last levels,
    the likeliest ones on the way are returned.

    Args:
        contrast: between scar and healthy wall, roughly: the scale of shading, and a bound of the scar's level.
    """
    scar, levels = np.full(len(wall), 0.5), replace(levels, log_likelihood=-np.inf)
    best = levels
    for _ in range(rounds):
        joint = _joint(wall, known, levels)
        independent = float(log_sum(joint).sum()) - _penalty(levels, contrast)
        before, levels = levels, replace(levels, log_likelihood=independent)
        best = max(best, levels, key=lambda one: one.log_likelihood)
        if abs(levels.log_likelihood - before.log_likelihood) < _TOLERANCE:
            break
        joint += COUPLING * around(scar, wall)[:, None] * levels.compositions.scar
        belongs = np.exp(joint - log_sum(joint)[:, None])
        scar = belongs @ levels.compositions.scar
        levels = _maximize(wall, blood, belongs, levels, contrast)
    return levels if levels.log_likelihood > best.log_likelihood - _CONTRADICTED else best


def log_sum(logs: Floats) -> Floats:
    """(N,) logarithm of the sum of exp over (N, T)."""
    most = logs.max(axis=1, keepdims=True)
    return np.asarray(most[:, 0] + np.log(np.exp(logs - most).sum(axis=1)))


def around(scar: Floats, pixels: Pixels) -> Floats:
    """(N,) sum over the neighbors of 2 s - 1, their share of scar s; of those that are not among the pixels 0."""
    return np.asarray(np.append(2 * scar - 1, 0.0)[pixels.neighbors].sum(axis=1))


def _penalty(levels: TissueLevels, contrast: float) -> float:
    varied = (
        (levels.slice_levels - levels.slice_levels.mean(), _LEVEL),
        (levels.healthy_shading, _HEALTHY_SHADING),
        (levels.gain * levels.core, _SHADING),
    )
    return 0.5 * sum(float(part @ part) / (scale * contrast) ** 2 for part, scale in varied)


def _maximize(wall: Pixels, blood: Pixels, belongs: Floats, levels: TissueLevels, contrast: float) -> TissueLevels:
    """The next levels, given the (N, T) probabilities of each composition."""
    values, spread = wall.values[:, None], levels.deviations
    real = levels.noise.expected_real(values, levels.signals(wall), spread)
    levels = _solve(wall, blood, belongs / spread**2, real, levels, contrast)
    error = belongs * levels.noise.squared_error(values, levels.signals(wall), real)
    mass = belongs.sum(axis=0)
    deviation = levels.deviation
    if mass[0] >= _LEAST_MASS:
        deviation = max(float(np.sqrt(error[:, 0].sum() / mass[0])), 1e-3 * float(np.std(wall.values)), 1e-9)
    excess = float(error[:, -1].sum() / mass[-1]) - deviation**2 if mass[-1] >= _LEAST_MASS else 0.0
    variation = min(float(np.sqrt(max(excess, 0.0))), _MAX_VARIATION * levels.core)
    return replace(levels, deviation=deviation, scar_deviation=variation, weights=levels.compositions.weights(mass))


def _solve(
    wall: Pixels, blood: Pixels, weights: Floats, real: Floats, levels: TissueLevels, contrast: float
) -> TissueLevels:
    """Levels and shading by weighted least squares with their priors.

    Args:
        weights, real: (N, T) weight and expected real channel of the wall's pixels, for each composition.
    """
    count, shapes = len(levels.slice_levels), wall.shapes.shape[1]
    starts = np.cumsum([0, count + 1 + shapes, 1, 1, 1, shapes])
    healthy, core, border, bright, gain = (slice(*ends) for ends in pairwise(starts.tolist()))
    # The unknowns: healthy level of each slice, its mean and shading; core; border zone; blood; shading of contrasts.
    parts = {"healthy": healthy, "core": core, "border": border, "blood": bright, "gain": gain}
    normal, right = np.zeros((gain.stop, gain.stop)), np.zeros(gain.stop)

    def add(pixels: Pixels, weights: Floats, real: Floats, factors: dict[str, Floats]) -> None:
        """Pixels whose signal is the sum over parts of the unknowns of a factor (T,) times the part's design."""
        ones = np.ones((len(pixels), 1))
        base = np.concatenate([np.eye(count)[pixels.slices], ones, pixels.shapes], axis=1)
        designs = {"healthy": base, "core": ones, "border": ones, "blood": ones, "gain": pixels.shapes}
        for row, factor in factors.items():
            right[parts[row]] += designs[row].T @ ((weights * real) @ factor)
            for column, other in factors.items():
                both = designs[row].T @ ((weights @ (factor * other))[:, None] * designs[column])
                normal[parts[row], parts[column]] += both

    made, one = levels.compositions, np.ones(1)
    factors = {"healthy": np.ones(len(made.scar)), "core": made.core_signal, "gain": levels.contrasts / levels.core}
    add(wall, weights, real, factors | ({"border": made.border_signal} if levels.border else {}))
    if len(blood):
        now = levels.blood or float(np.median(blood.values - levels.healthy_at(blood)))
        signal = levels.healthy_at(blood) + now * levels.gain_at(blood)
        seen = levels.noise.expected_real(blood.values, signal, levels.deviation)
        # A pixel far from the level is trabecula: the weight of Student's t of 3 degrees of freedom.
        weight = 4 / (3 + ((seen - signal) / levels.deviation) ** 2) / levels.deviation**2
        add(blood, weight[:, None], seen[:, None], {"healthy": one, "blood": one, "gain": one * now / levels.core})
    scales = np.full(gain.stop, np.inf)
    scales[:count], scales[count + 1 : healthy.stop], scales[gain] = _LEVEL, _HEALTHY_SHADING, _SHADING
    normal[np.diag_indices(gain.stop)] += 1 / (scales * contrast) ** 2
    normal[np.diag_indices(gain.stop)] += 1e-9 / levels.deviation**2  # for unknowns that no pixel has
    found = np.linalg.solve(normal, right)
    level = float(np.clip(found[core][0], 0.5 * levels.deviation, _MOST * contrast))
    return replace(
        levels,
        slice_levels=found[count] + found[:count],
        healthy_shading=found[count + 1 : healthy.stop],
        core=level,
        border=float(np.clip(found[border][0], 0.2 * level, 0.8 * level)) if levels.border else 0.0,
        blood=float(found[bright][0]) if len(blood) else None,
        gain=found[gain] / level,
    )
