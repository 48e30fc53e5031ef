"""The unit of the accelerations in a file, detected from the weight of a resting arm."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.seizure.parameters import Unit

TO_G = {Unit.G: 1.0, Unit.MG: 1e-3, Unit.M_S2: 1 / 9.80665}
"""Factor from each unit to g."""

_MEDIAN_RANGE = {Unit.G: (0.6, 2.0), Unit.MG: (600.0, 2000.0), Unit.M_S2: (6.0, 19.0)}
"""Plausible median magnitude of a wrist in each unit: near 1 g, since it rests most of the time."""


def detect_unit(path: Path, magnitude: npt.NDArray[np.float64], unit: Unit = Unit.AUTO) -> Unit:
    """The unit in which a resting arm weighs 1 g; a given unit is checked.

    Args:
        path: of the file, for messages.
        magnitude: (N,) in the unit of the file.
        unit: given by the user, or AUTO.

    Raises:
        InputError: no unit fits, or the given one does not.
    """
    median = float(np.median(magnitude))
    fitting = [known for known, (low, high) in _MEDIAN_RANGE.items() if low <= median <= high]
    if unit is Unit.AUTO:
        if not fitting:
            hint = "Expected is 1 in g, 1000 in mg, 9.8 in m/s2. Raw counts must be scaled first."
            raise InputError(f"{path}: the median acceleration is {median:.4g}, which fits no unit.", hint)
        return fitting[0]
    if unit not in fitting:
        hint = f"It fits {fitting[0].value}." if fitting else "Raw counts must be scaled first."
        raise InputError(f"{path}: the median acceleration is {median:.4g}, which is not 1 g in {unit.value}.", hint)
    return unit
