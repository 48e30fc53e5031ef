"""Doubts about a radiograph before it is used."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.observe.film import BODY_SHARE, TYPICAL_SIDE, oriented
from deeprecon.ctpa.parameters import SynthesizeParameters, Turn, XrayView
from deeprecon.data.doubts import Doubt
from deeprecon.data.radiograph import Radiograph

AGES = (0.0, 1.0, 5.0, 10.0, 16.0)
"""Ages in years of `MIN_WIDTHS` and `MAX_WIDTHS`, which are interpolated between; from the last one on adults."""
MIN_WIDTHS, MAX_WIDTHS = (80.0, 90.0, 110.0, 140.0, 200.0), (220.0, 260.0, 320.0, 420.0, 560.0)
"""Range in mm of the width of a chest at the detector, arms at the sides included, by age."""


def film_doubts(radiograph: Radiograph, parameters: SynthesizeParameters) -> tuple[Doubt, ...]:
    """Those of the reader that the settings do not settle, what is assumed without a header, and the chest's size.

    Args:
        radiograph: as read.
        parameters: a view, a turn or flip, and an inversion that are asked for there settle what the file leaves open.
    """
    settled = {
        "film-view": parameters.view is not XrayView.AUTO,
        "film-orientation": parameters.turn is not Turn.NONE or parameters.flip,
        "film-polarity": parameters.invert,
    }
    found = radiograph.doubts + _assumptions(radiograph, parameters)
    left = tuple(doubt for doubt in found if not settled.get(doubt.code))
    return left + _size_doubts(radiograph, parameters)


def _assumptions(radiograph: Radiograph, parameters: SynthesizeParameters) -> tuple[Doubt, ...]:
    """What the file does not state: the way up, the bright end, the size of the pixels."""
    missing = []
    known = {doubt.code for doubt in radiograph.doubts}
    if not radiograph.header and not known & {"film-turned", "film-orientation"}:
        missing.append(("film-orientation", "which way is up", "as it is stored; --turn and --flip change it"))
    if not radiograph.header and "film-polarity" not in known:
        missing.append(
            ("film-polarity", "which end is bright", "as bright where more is absorbed; --invert changes it")
        )
    if radiograph.spacing is None and not parameters.pixel_spacing:
        side = f"as {TYPICAL_SIDE:.0f} mm for the longer side; --pixel-spacing states it"
        missing.append(("film-spacing", "the size of its pixels", side))
    return tuple(
        Doubt(code, radiograph.name, f"It does not state {what}; it is taken {how}.", assumed=True)
        for code, what, how in missing
    )


def chest_width(image: npt.NDArray[np.float32], known: npt.NDArray[np.bool_] | None = None) -> float:
    """Width of the body in pixels: from the first to the last of a row, the median over the middle half of the rows.

    Args:
        image: (rows, columns) 0 to 1, upright, what absorbs more is brighter.
        known: (rows, columns) False for padding.
    """
    rows = slice(len(image) // 4, -(-3 * len(image) // 4))
    values = image[rows]
    inside = np.ones_like(values, bool) if known is None else known[rows]
    if not inside.any():
        return 0.0
    low, high = np.percentile(values[inside], (1, 99))
    body = inside & (values > low + BODY_SHARE * (high - low))
    first, last = body.argmax(axis=1), body.shape[1] - body[:, ::-1].argmax(axis=1)
    widths = (last - first)[body.any(axis=1)]
    return float(np.median(widths)) if len(widths) else 0.0


def _size_doubts(radiograph: Radiograph, parameters: SynthesizeParameters) -> tuple[Doubt, ...]:
    given = parameters.pixel_spacing
    if not given and radiograph.spacing is None:
        return ()
    quarters = int(parameters.turn.value) // 90
    across = given or (radiograph.spacing or (0.0, 0.0))[quarters % 2]
    image = oriented(radiograph.image, parameters.turn, parameters.flip, parameters.invert)
    known = (
        None
        if radiograph.known is None
        else oriented(radiograph.known.astype(np.float32), parameters.turn, parameters.flip) > 0.5
    )
    width = chest_width(image, known) * across
    age = parameters.patient_age or (AGES[-1] if radiograph.age is None else radiograph.age)
    low, high = (float(np.interp(age, AGES, widths)) for widths in (MIN_WIDTHS, MAX_WIDTHS))
    if low <= width <= high:
        return ()
    whose = "adults' are" if age >= AGES[-1] else f"those at an age of {age:.3g} years are"
    found = (
        f"With pixels of {across:.3g} mm the chest is {width:.0f} mm wide at the detector, where {whose} {low:.0f} to "
        f"{high:.0f} mm."
    )
    way_out = (
        "State the size of its pixels at the detector with --pixel-spacing, or the age of a child with --patient-age."
    )
    return (Doubt("film-size", radiograph.name, found, way_out),)
