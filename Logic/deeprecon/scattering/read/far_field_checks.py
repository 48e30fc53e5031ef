"""Contradictions within far fields: roles of source and receiver, directions of incidence, wave number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.scattering.physics.directions import high_order_share
from deeprecon.scattering.physics.far_field_laws import energy_balance, reciprocity_defect

Complex = npt.NDArray[np.complexfloating[Any, Any]]

MAX_HIGH_ORDER_SHARE = 1e-2
"""Of the energy; above it, directions are too few or the noise is too strong."""
_MIN_DEFECT = 0.2
"""Reciprocity defect, that of 14 % noise, below which roles are not doubted."""
_MAX_DEFECT_RATIO = 0.5
"""Of the defects of another reading and of the given one, where the other is right."""
_TIE = 1.1
"""Ratio of two defects that are the same up to noise: the simpler reading is named."""
_MIN_WAVE_NUMBER_ERROR, _STANDARD_ERRORS = 0.05, 4.0
_MAX_BALANCE_NOISE = 0.25
"""Noise, relative to what the energy balance compares, above which it is biased."""
_EXACT = 0.15
"""Share of the defect that another wave number leaves: absorption leaves 0.2 and more."""
_WITHIN_NOISE = 1.2
"""Defect relative to that of the noise alone."""


def role_doubts(given: Complex, exchanged: Complex, name: str) -> tuple[Doubt, ...]:
    """Whether far fields obey reciprocity, u(x; d) = u(-d; -x), only with other roles of rows and columns.

    A transposed far field on the same directions of incidence and observation is that of the object rotated by 180
    degrees, and as reciprocal as the right one: only true images tell, see `measure.orientation`. On other directions
    or in other numbers of the two it is not reciprocal; nor is one whose incident directions are the places of the
    sources, which are opposite to the directions of propagation.

    Args:
        given: (S, N, N) as the file states, on uniform directions.
        exchanged: the same from values read as incidence, then observation.
        name: of the file.
    """
    half = given.shape[-1] // 2
    turned = "the incident directions are turned by 180 degrees (places of sources instead of directions of travel)"
    swapped = "its values are read as incidence, then observation"
    readings = {
        ("incidence-reversed", turned): np.roll(given, -half, axis=-1),
        ("roles-exchanged", swapped): exchanged,
        ("roles-exchanged", f"{swapped}, and {turned}"): np.roll(exchanged, -half, axis=-1),
    }
    as_given = reciprocity_defect(given)
    defects = {reading: reciprocity_defect(values) for reading, values in readings.items()}
    smallest = min(defects.values())
    (code, reading), defect = next(entry for entry in defects.items() if entry[1] <= _TIE * smallest)
    if as_given < _MIN_DEFECT or defect > _MAX_DEFECT_RATIO * as_given:
        return ()
    way_out = (
        "Turn inc_param.cent by pi." if code == "incidence-reversed" else "Transpose the far field of each object."
    )
    text = (
        f"The far fields obey reciprocity only if {reading}: they deviate from it by {100 * defect:.0f} % then, by "
        f"{100 * as_given:.0f} % as given."
    )
    return (Doubt(code, name, text, way_out),)


def wave_number_doubts(far_field: Complex, k: float, name: str) -> tuple[Doubt, ...]:
    """Whether far fields conserve energy at another wave number than the stated one (`energy_balance`).

    A wrong scale of the amplitudes looks the same. Absorption looks like too small a stated wave number, where noise
    hides the difference: this is an assumption with which the run goes on. Far fields that conserve energy at no wave
    number are not doubted here but noted by the reader; where noise is strong or the contrast weak, nothing is found.

    Args:
        far_field: (S, N, N) on uniform directions.
        k: stated wave number times the radius of the region.
        name: of the file.
    """
    if high_order_share(far_field) > MAX_HIGH_ORDER_SHARE:
        return ()
    balance = energy_balance(far_field, k)
    if balance is None or balance.noise > _MAX_BALANCE_NOISE or balance.ratio <= 0:
        return ()
    if abs(balance.ratio - 1) <= max(_MIN_WAVE_NUMBER_ERROR, _STANDARD_ERRORS * balance.error):
        return ()
    exact = balance.rest <= _EXACT * balance.defect
    if not exact and balance.rest > _WITHIN_NOISE * balance.noise:
        return ()
    amplitude = 1 / math.sqrt(balance.ratio)
    found = (
        f"energy is conserved at k = {k * balance.ratio:.3g} (wave number times radius), not at the stated {k:.4g}, "
        f"unless the amplitudes are {amplitude:.2f} times what they should be"
    )
    way_out = "State the right kappa and scale of the far fields."
    if balance.ratio > 1 and not exact:
        text = f"The objects are assumed to absorb and k to be right, for {found}."
        return (Doubt("wave-number-doubtful", name, text, way_out, assumed=True),)
    return (Doubt("wave-number-doubtful", name, f"The wave number contradicts the far fields: {found}.", way_out),)
