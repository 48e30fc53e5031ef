"""The calibration of a sensor, checked on the periods in which the arm is still: there it must measure 1 g."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt

Floats = npt.NDArray[np.float64]

TOLERANCE = 0.05
"""g; accepted deviation from 1 g."""

_BLOCK = 10.0  # s
_STILL = 0.013  # g; largest standard deviation on each axis (van Hees et al. 2014, J Appl Physiol 117:738)
_MIN_BLOCKS = 2
_MAX_SHARE = 0.25  # of the still blocks that may deviate, in some positions of the arm


def still_weights(times: Floats, values: Floats, usable: npt.NDArray[np.bool_]) -> Floats:
    """The acceleration in g in each still period of 10 s.

    Args:
        times: (N,) s.
        values: (N, 3) g on the axes, or (N, 1) magnitude.
        usable: (N,) samples to look at.
    """
    block = (times / _BLOCK).astype(np.int64)
    expected = np.median(np.bincount(block))
    block, values = block[usable], values[usable]
    if not len(block):
        return np.empty(0)
    count = np.bincount(block)
    full = count > 0.9 * expected
    means = np.stack([np.bincount(block, column)[full] / count[full] for column in values.T], axis=1)
    squares = np.stack([np.bincount(block, column**2)[full] / count[full] for column in values.T], axis=1)
    still = (squares - means**2 < _STILL**2).all(axis=1)
    return np.asarray(np.linalg.norm(means[still], axis=1))


def check_calibration(where: str, weights: Floats) -> tuple[float, tuple[Doubt, ...]]:
    """Compare still periods with 1 g.

    Args:
        where: file or event, for the doubt.
        weights: of `still_weights`; fewer than two are not judged.

    Returns:
        Factor with which the still periods measure 1 g, 1 where they do within 5 %; and a doubt where they do not.
    """
    if len(weights) < _MIN_BLOCKS:
        return 1.0, ()
    weight = float(np.median(weights))
    deviating = (np.abs(weights / weight - 1) > TOLERANCE).mean()
    if deviating > _MAX_SHARE:
        low, high = np.quantile(weights, (0.05, 0.95))
        text = f"a still arm measures {low:.2f} to {high:.2f} g, depending on its position, instead of 1 g."
        way_out = "Give a recording with calibrated axes; if this is accepted, it is used as it is."
        return 1.0, (Doubt("calibration-doubtful", where, text, way_out),)
    if abs(weight - 1) > TOLERANCE:
        text = f"a still arm measures {weight:.2f} g instead of 1 g."
        way_out = "Give a calibrated recording; if this is accepted, it is scaled so that a still arm measures 1 g."
        return 1 / weight, (Doubt("calibration-doubtful", where, text, way_out),)
    return 1.0, ()
