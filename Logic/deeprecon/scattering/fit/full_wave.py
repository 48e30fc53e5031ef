"""Full-wave inversion: the contrast whose scattered fields, with all multiple scattering, are those that were measured.

Minimizes the mean over the frequencies of |F(q) - d|^2 / (2 |d|^2), plus total variation, by L-BFGS with bounds (Byrd
et al. 1995, SIAM J Sci Comput 16:1190). F solves the Lippmann-Schwinger equation, its gradient the adjoint one. Low
frequencies come first, so that the phase of the field is never wrong by more than half a wave (Chew and Lin 1995, IEEE
Microw Guid Wave Lett 5:439). A stage ends where the misfit of its frequencies is that of the noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from deeprecon.scattering.fit.total_variation import total_variation
from deeprecon.scattering.parameters import Sign
from deeprecon.scattering.physics.forward_model import ForwardModel

Floats = npt.NDArray[np.floating[Any]]

MIN_CONTRAST = -0.95
"""Below it, waves in the object would be more than four times as fast as around it."""
FIELD_SMOOTHING, FAR_FIELD_SMOOTHING = 1.6e-2, 5e-4
"""Weights of the total variation: measured fields have errors of positions and calibration beside the noise."""
_ROUNDING = 0.02
_MEMORY = 20
BOUNDS = {Sign.POSITIVE: (0.0, None), Sign.NEGATIVE: (MIN_CONTRAST, 0.0), Sign.ANY: (MIN_CONTRAST, None)}


@dataclass(frozen=True, eq=False)
class Measured:
    """The data of one frequency.

    Attributes:
        label: of the frequency, for the user.
        model: of the arrangement and region.
        data: (V, R) scattered fields per unit strength of the sources.
        used: (V, R) which of them count.
        noise: relative to the norm of the data; None where it is not known.
    """

    label: str
    model: ForwardModel
    data: npt.NDArray[np.complex128]
    used: npt.NDArray[np.bool_]
    noise: float | None

    def misfit(self, contrast: Floats) -> float:
        """|F(q) - d| / |d|."""
        rest = np.where(self.used, self.model.scattered(contrast) - self.data, 0)
        return float(np.linalg.norm(rest) / np.linalg.norm(self.data[self.used]))


@dataclass(frozen=True, eq=False)
class Inversion:
    """Result of a full-wave inversion.

    Attributes:
        contrast: the image.
        history: a row for each evaluation: stage, evaluation, misfit.
        misfits: |F(q) - d| / |d| of each frequency.
        objective: what the last stage has minimized, misfit and total variation; infinite without a stage.
        at_noise: the misfit of the last stage has reached the noise.
    """

    contrast: npt.NDArray[np.float64]
    history: tuple[dict[str, Any], ...]
    misfits: tuple[float, ...]
    objective: float
    at_noise: bool


def invert_full_wave(
    bands: Sequence[Measured],
    start: Floats,
    sign: Sign,
    smoothing: float,
    steps: int,
    on_progress: Callable[[float], None] = lambda share: None,
    should_stop: Callable[[], bool] = lambda: False,
    inside: npt.NDArray[np.bool_] | None = None,
) -> Inversion:
    """Invert one object.

    Args:
        bands: from low to high frequency.
        start: image that the first stage starts from.
        sign: of the contrast.
        smoothing: weight of the total variation.
        steps: of each stage at most; each stage has the frequency before its own, too.
        on_progress: is given the share of the work that is done.
        should_stop: asked at each step; True ends the inversion with what it has.
        inside: pixels that may have contrast; all if None.

    Raises:
        InputError: the wave equation cannot be solved.
    """
    low, high = BOUNDS[sign]
    inside = np.ones(start.shape, bool) if inside is None else inside
    image = np.where(inside, np.clip(start, low, high), 0.0).astype(np.float64)
    history: list[dict[str, Any]] = []
    value, at_noise = math.inf, False
    for stage in range(len(bands)):
        if should_stop():
            break
        part = bands[max(0, stage - 1) : stage + 1]
        objective = _Objective(part, image, inside, smoothing)

        def step(values: Floats, stage: int = stage, objective: _Objective = objective) -> None:
            history.append({"stage": bands[stage].label, "step": len(history) + 1, "misfit": objective.misfit()})
            on_progress(min(1.0, (stage + objective.evaluations / steps) / len(bands)))
            if objective.at_noise() or should_stop():
                raise StopIteration

        found = minimize(
            objective,
            image[inside],
            jac=True,
            method="L-BFGS-B",
            bounds=[(low, high)] * int(inside.sum()),
            callback=step,
            options={"maxiter": steps, "maxcor": _MEMORY, "ftol": 1e-7, "gtol": 1e-10},
        )
        image = image.copy()
        image[inside] = found.x
        value, at_noise = float(found.fun), objective.at_noise()
    misfits = tuple(band.misfit(image) for band in bands)
    return Inversion(image, tuple(history), misfits, value, at_noise)


class _Objective:
    """Misfit of some frequencies plus total variation, and its gradient by the pixels that may have contrast."""

    def __init__(self, bands: Sequence[Measured], image: Floats, inside: npt.NDArray[np.bool_], weight: float) -> None:
        self._bands, self._image, self._inside, self._weight = bands, image.copy(), inside, weight
        self._misfits = [math.inf] * len(bands)
        self.evaluations = 0

    def __call__(self, values: Floats) -> tuple[float, npt.NDArray[np.float64]]:
        self._image[self._inside] = values
        self.evaluations += 1
        variation, gradient = total_variation(self._image, _ROUNDING)
        value, gradient = self._weight * variation, self._weight * gradient
        for index, band in enumerate(self._bands):
            half, part = band.model.misfit_and_gradient(self._image, band.data, band.used)
            self._misfits[index] = math.sqrt(2 * half)
            value, gradient = value + half / len(self._bands), gradient + part / len(self._bands)
        return value, gradient[self._inside]

    def misfit(self) -> float:
        """Root mean square over the frequencies of the last evaluation."""
        return float(np.sqrt(np.mean(np.square(self._misfits))))

    def at_noise(self) -> bool:
        """Whether every frequency fits as well as its noise allows."""
        return all(
            band.noise is not None and misfit <= band.noise
            for band, misfit in zip(self._bands, self._misfits, strict=True)
        )
