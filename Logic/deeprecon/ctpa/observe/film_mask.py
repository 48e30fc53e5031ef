"""Which pixels of a film show the patient: no collimated border, frame, marker, text or metal."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]

FRAME = 0.15
"""Maximum share of a side that a frame or a collimated border takes."""
EXTREME, FILLED = 0.02, 0.6
"""A line of a frame: at least this share of its pixels is within `EXTREME` of black or of white."""
SHARP = 0.55
"""Minimum difference within `WINDOW` of the side at the edge of a marker or of metal, as a share of the range."""
WINDOW, GROWTH = 0.012, 0.02
"""As shares of the longer side: the window of `SHARP`, and by how much a marker is taken larger."""
MAX_MARKER = 0.03
"""Maximum share of the image that the box around a marker or a piece of metal takes; larger edges are the body's."""


def patient_pixels(image: npt.NDArray[np.float32]) -> Mask:
    """The pixels that are neither border nor marker.

    Args:
        image: (rows, columns) 0 to 1, of a film in any orientation.
    """
    from scipy import ndimage

    low, high = np.percentile(image, (0.5, 99.5))
    values = np.clip((image - low) / max(float(high - low), 1e-6), 0, 1)
    found = np.zeros(image.shape, bool)
    rows, columns = (_inner(values, axis) for axis in (0, 1))
    found[rows, columns] = True
    side = max(image.shape)
    size = max(3, round(WINDOW * side))
    sharp = ndimage.maximum_filter(values, size) - ndimage.minimum_filter(values, size) > SHARP
    labels, _ = ndimage.label(ndimage.binary_dilation(sharp, iterations=max(1, round(GROWTH * side))))
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if np.prod([part.stop - part.start for part in box]) < MAX_MARKER * image.size:
            found[box] &= labels[box] != number
    return found


def _inner(values: npt.NDArray[np.float32], axis: int) -> slice:
    """The lines along an axis that lie within the frame, one more left out beside a frame."""
    filled = [((values < EXTREME).mean(axis=1 - axis) > FILLED), ((values > 1 - EXTREME).mean(axis=1 - axis) > FILLED)]
    frame = filled[0] | filled[1]
    reach = round(FRAME * len(frame))
    first, last = (int(np.flatnonzero(lines[:reach]).max(initial=-2)) + 2 for lines in (frame, frame[::-1]))
    return slice(first, len(frame) - last)
