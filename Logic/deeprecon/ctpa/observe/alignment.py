"""Where an X-ray lies on the detector of its CT: the two were never taken with the patient in one place."""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.observe.film import XrayImage, standardize
from deeprecon.ctpa.observe.projection import Geometry, Image, detector_axes, gaussian_blur

Mask = npt.NDArray[np.bool_]

MAX_SHIFT = 60.0
"""mm by which an X-ray may lie beside the projection of its CT."""
BACKGROUND_SIGMA = 25.0
"""Standard deviation in mm of what is subtracted before two images are compared."""
MARGIN = 40.0
"""mm along the rim of a projection that are not compared: rays there leave the CT through its ends."""
SEARCH_PIXEL = 6.0
"""Size in mm of the pixels on which the whole range is searched."""


def find_shift(xray: XrayImage, projection: Image, grid: Grid, geometry: Geometry) -> tuple[tuple[float, float], float]:
    """How far an X-ray must be moved to fit a CT's projection.

    Args:
        xray: on the detector of `projection.detector_axes`.
        projection: of the CT onto the same pixels.
        grid, geometry: see there.

    Returns:
        The shift in mm, towards the head and to the left, with the highest correlation, and that correlation.
    """
    v, u = detector_axes(grid, geometry)
    pixel = (float(v[1] - v[0]), float(u[1] - u[0]))
    factor = max(1, round(SEARCH_PIXEL / pixel[0]))
    structure = [_structure(image, pixel[0]) for image in (xray.image, standardize(projection))]
    rim = [round(MARGIN / size) for size in pixel]
    inner = np.zeros_like(xray.covered)
    inner[rim[0] : -rim[0], rim[1] : -rim[1]] = True
    best, shift = -np.inf, (0, 0)
    for step in dict.fromkeys((factor, 1)):  # all of the range on coarse pixels, then close by on the fine ones
        moved, fixed, known, used = (
            _coarser(np.asarray(image, np.float32), step) for image in (*structure, xray.covered, inner)
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


def _coarser(image: Image, factor: int) -> Image:
    """Means over squares of pixels; what is left over at the end is cut off."""
    rows, columns = (count // factor for count in image.shape)
    squares = image[: rows * factor, : columns * factor].reshape(rows, factor, columns, factor)
    mean: Image = squares.mean(axis=(1, 3), dtype=np.float32)
    return mean


def _structure(image: Image, pixel: float) -> Image:
    """An image less its surroundings: ribs, diaphragm and the heart's border, which tell where something lies."""
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
    """Of two images where they overlap, the first one moved by whole pixels; `known` and `used` are of each of them."""
    (to_rows, from_rows), (to_columns, from_columns) = (
        (slice(max(step, 0), count + min(step, 0)), slice(max(-step, 0), count + min(-step, 0)))
        for step, count in zip((rows, columns), fixed.shape, strict=True)
    )
    inside = known[from_rows, from_columns] & used[to_rows, to_columns]
    first, second = moved[from_rows, from_columns][inside], fixed[to_rows, to_columns][inside]
    if first.size < 2:
        return -1.0
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / scale if scale > 0 else -1.0
