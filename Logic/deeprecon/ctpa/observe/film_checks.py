"""Doubts about a radiograph before it is used."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.observe.film import BODY_SHARE, oriented
from deeprecon.ctpa.parameters import SynthesizeParameters, XrayView
from deeprecon.data.doubts import Doubt
from deeprecon.data.radiograph import Radiograph

MIN_WIDTH, MAX_WIDTH = 200.0, 560.0
"""Range in mm of the width of an adult's chest at the detector, arms at the sides included."""


def film_doubts(radiograph: Radiograph, parameters: SynthesizeParameters) -> tuple[Doubt, ...]:
    """Those of the reader that the settings do not settle, and one about the size of the chest.

    Args:
        radiograph: as read.
        parameters: a view that is stated there settles which of PA and AP it is.
    """
    settled = () if parameters.view is XrayView.AUTO else ("film-view",)
    found = tuple(doubt for doubt in radiograph.doubts if doubt.code not in settled)
    return found + _size_doubts(radiograph, parameters)


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
    if MIN_WIDTH <= width <= MAX_WIDTH:
        return ()
    found = (
        f"With pixels of {across:.3g} mm the chest is {width:.0f} mm wide at the detector, where adults' are "
        f"{MIN_WIDTH:.0f} to {MAX_WIDTH:.0f} mm."
    )
    way_out = "State the size of its pixels at the detector with --pixel-spacing, or accept it for a child."
    return (Doubt("film-size", radiograph.name, found, way_out),)
