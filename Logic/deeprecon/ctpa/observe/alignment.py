"""Registration of an X-ray with the projection of its CT by a shift, as the patient lay differently in both."""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.grid import Grid, block_mean
from deeprecon.ctpa.observe.film import XrayImage, standardize
from deeprecon.ctpa.observe.projection import Geometry, Image, detector_axes, gaussian_blur
from deeprecon.numerics.similarity import correlation

Mask = npt.NDArray[np.bool_]

MAX_SHIFT = 60.0
"""Maximum shift of an X-ray from the projection of its CT in mm."""
BACKGROUND_SIGMA = 25.0
"""Standard deviation in mm of the Gaussian of the high-pass filter."""
MARGIN = 40.0
"""Margin of a projection in mm that is not compared: rays there leave the CT through its ends."""
SEARCH_PIXEL = 6.0
"""Size in mm of the pixels of the coarse search."""


def find_shift(
    xray: XrayImage, projection: Image, grid: Grid, geometry: Geometry, seen: Mask | None = None
) -> tuple[tuple[float, float], float]:
    """The shift of an X-ray with the highest correlation with a CT's projection.

    Args:
        xray: on the detector of `projection.detector_axes`.
        projection: of the CT onto the same pixels.
        grid, geometry: see there.
        seen: pixels of the projection whose rays lie within the CT; all if left out.

    Returns:
        The shift in mm, towards the head and to the left, and the correlation.
    """
    v, u = detector_axes(grid, geometry)
    pixel = (float(v[1] - v[0]), float(u[1] - u[0]))
    factor = max(1, round(SEARCH_PIXEL / pixel[0]))
    filtered = [_high_pass(image, pixel[0]) for image in (xray.image, standardize(projection))]
    margin = [round(MARGIN / size) for size in pixel]
    inner = np.zeros_like(xray.covered)
    inner[margin[0] : -margin[0], margin[1] : -margin[1]] = True
    inner &= True if seen is None else seen
    best, shift = -np.inf, (0, 0)
    for step in dict.fromkeys((factor, 1)):  # the whole range on coarse pixels, then refined on fine ones
        moved, fixed, known, used = (
            block_mean(np.asarray(image, np.float32), step) for image in (*filtered, xray.covered, inner)
        )
        reach = [round(MAX_SHIFT / size / step) for size in pixel] if step == factor else [factor, factor]
        middle = [value // step for value in shift]
        candidates = product(*[range(at - by, at + by + 1) for at, by in zip(middle, reach, strict=True)])
        found = [
            (_correlation(moved, fixed, known > 0.5, used > 0.5, rows, columns), rows, columns)
            for rows, columns in candidates
        ]
        best, *place = max(found)
        shift = (place[0] * step, place[1] * step)
    return (shift[0] * pixel[0], shift[1] * pixel[1]), float(best)


def _high_pass(image: Image, pixel: float) -> Image:
    """An image without its low frequencies: ribs, diaphragm and the border of the heart remain."""
    values = image.astype(np.float64)
    result: Image = (values - gaussian_blur(values, BACKGROUND_SIGMA / pixel)).astype(np.float32)
    return result


def _correlation(
    moved: Image,
    fixed: Image,
    known: Mask,
    used: Mask,
    rows: int,
    columns: int,
) -> float:
    """Of two images where they overlap, the first one shifted by pixels; `known` and `used` are their masks."""
    (to_rows, from_rows), (to_columns, from_columns) = (
        (slice(max(step, 0), count + min(step, 0)), slice(max(-step, 0), count + min(-step, 0)))
        for step, count in zip((rows, columns), fixed.shape, strict=True)
    )
    inside = known[from_rows, from_columns] & used[to_rows, to_columns]
    first, second = moved[from_rows, from_columns][inside], fixed[to_rows, to_columns][inside]
    return correlation(first, second, constant=-1.0)
