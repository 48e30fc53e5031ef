"""Contrast of sound speeds: q = n^2 - 1 with the refractive index n = background / speed."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]

_MIN_CONTRAST = -0.99


def contrast_from_speed(speed: Floats, background: float) -> npt.NDArray[np.float64]:
    """q = (background / speed)^2 - 1, same shape: positive where sound is slower than in the background."""
    return np.asarray((background / speed) ** 2 - 1)


def speed_from_contrast(contrast: Floats, background: float) -> npt.NDArray[np.float64]:
    """The inverse of `contrast_from_speed`; contrasts below -0.99 are raised to -0.99."""
    return np.asarray(background / np.sqrt(1 + np.maximum(contrast, _MIN_CONTRAST)))
