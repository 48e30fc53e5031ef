"""What the networks see of an X-ray: on the detector's pixels, and on one scale whatever the exposure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.parameters import BeamName, Turn, XrayView
from deeprecon.ctpa.projection import Beam, Geometry, Image, View, detector_axes
from deeprecon.data.errors import InputError
from deeprecon.data.radiograph import Radiograph

Array = npt.NDArray[np.float64]

USUAL_SIDE = 430.0
"""Longer side in mm of a picture that does not tell its pixels' size: detectors are 35 x 43 or 43 x 43 cm."""
UPRIGHT, AT_THE_BED = 1800.0, 1000.0
"""Usual distance in mm from source to detector of PA and of AP views."""
BODY = 0.2
"""Share of the range of brightness above which a pixel counts as body."""
LEAST_CONTRAST = 1e-3
"""Least interquartile range of the body, as a share of the range of brightness."""
LIMIT = 4.0
"""Largest value of a standardized image; markers and implants beyond it are clipped."""
MOST_SHIFT = 60.0
"""mm by which an X-ray may lie beside the projection of its CT."""
SEARCH_PIXEL = 6.0
"""Size in mm of the pixels on which the whole range is searched."""
COVERED = 0.95
"""Share of the field, along rows and columns, that an X-ray must cover to go without a note."""


@dataclass(frozen=True, eq=False)
class XrayImage:
    """An X-ray as the networks take it.

    Attributes:
        image: (rows towards the head, columns to the left) float32 on `projection.detector_axes`; see `standardize`.
        covered: (rows, columns) where the X-ray shows the detector; elsewhere its rim goes on.
        notes: what had to be assumed, in words.
    """

    image: Image
    covered: npt.NDArray[np.bool_]
    notes: tuple[str, ...]


def geometry_of(
    view: str, chosen: XrayView = XrayView.AUTO, beam: BeamName = BeamName.CONE, source_distance: float | None = None
) -> Geometry:
    """Where source, patient and detector stood.

    Args:
        view: what the file says, "PA", "AP" or "".
        chosen: what the user says; where that is auto, the file's view counts, else PA.
        beam: see there.
        source_distance: from source to detector in mm; None for what is usual for the view.
    """
    side = View(chosen.value if chosen is not XrayView.AUTO else view or "PA")
    usual = UPRIGHT if side is View.PA else AT_THE_BED
    return Geometry(Beam(beam.value), side, usual if source_distance is None else source_distance)


def condition_image(
    radiograph: Radiograph,
    geometry: Geometry,
    grid: Grid,
    *,
    turn: Turn = Turn.NONE,
    flip: bool = False,
    invert: bool = False,
    pixel_spacing: float = 0.0,
    shift: tuple[float, float] = (0.0, 0.0),
) -> XrayImage:
    """Bring a radiograph onto the detector's pixels, its middle on the detector's middle.

    Args:
        radiograph: as `read_radiograph` returns it, top row nearest to the head; its view as far as it is known.
        geometry: see `geometry_of`.
        grid: of the CT; see `projection.detector_axes`.
        turn: clockwise, before anything else.
        flip: swap left and right, after the turn.
        invert: swap bright and dark.
        pixel_spacing: in mm at the detector; 0 for what the file says, or else `USUAL_SIDE` over the pixels.
        shift: of the image on the detector in mm, towards the head and to the left; see `find_shift`.

    Raises:
        InputError: the image has no gray values between dark and bright.
    """
    notes = []
    if not radiograph.view:
        notes.append(f"It does not say whether it is a PA or an AP view; it is taken as {geometry.view.value}.")
    quarters = int(turn.value) // 90
    image = oriented(radiograph.image, turn, flip, invert)
    if pixel_spacing:
        spacing = (pixel_spacing, pixel_spacing)
    elif radiograph.spacing is not None:
        across, down = radiograph.spacing
        spacing = (down, across) if quarters % 2 else (across, down)
    else:
        size = USUAL_SIDE / max(image.shape)
        spacing = (size, size)
        notes.append(
            f"It does not say how large its pixels are; they are taken as {size:.3f} mm, as the longer side of a "
            f"detector is usually {USUAL_SIDE:.0f} mm."
        )
    rows, columns = image.shape
    v, u = detector_axes(grid, geometry)
    field = (float(u[-1] - u[0] + u[1] - u[0]), float(v[-1] - v[0] + v[1] - v[0]))
    size_mm = (columns * spacing[0], rows * spacing[1])
    if min(side / wanted for side, wanted in zip(size_mm, field, strict=True)) < COVERED:
        notes.append(
            f"It shows {size_mm[0]:.0f} x {size_mm[1]:.0f} mm of the {field[0]:.0f} x {field[1]:.0f} mm at the "
            "detector; beyond, its rim is continued."
        )
    upwards = image[::-1].astype(np.float64)
    v, u = v - shift[0], u - shift[1]
    placed = _weights(v, rows, spacing[1]) @ upwards @ _weights(u, columns, spacing[0]).T
    covered = (np.abs(v) < 0.5 * size_mm[1])[:, None] & (np.abs(u) < 0.5 * size_mm[0])[None, :]
    try:
        return XrayImage(standardize(placed, covered), covered, tuple(notes))
    except ValueError as error:
        raise InputError(
            f"{radiograph.name} has no gray values between dark and bright.", "Give the original X-ray."
        ) from error


def oriented(image: Image, turn: Turn = Turn.NONE, flip: bool = False, invert: bool = False) -> Image:
    """A radiograph of 0 to 1, turned clockwise, then left and right swapped, then bright and dark."""
    turned = np.rot90(image, -int(turn.value) // 90)
    turned = turned[:, ::-1] if flip else turned
    return 1 - turned if invert else turned


def standardize(image: npt.ArrayLike, covered: npt.NDArray[np.bool_] | None = None) -> Image:
    """An X-ray less its median, over its interquartile range, both of the body alone.

    Gain and offset of an exposure are unknown; afterwards no gain and no offset makes a difference, and neither does
    how much air there is beside the patient.

    Args:
        image: (rows, columns), what absorbs more is larger.
        covered: pixels that count; all if left out.

    Raises:
        ValueError: the body has no contrast.
    """
    values = np.asarray(image, np.float64)
    known = values.ravel() if covered is None else values[covered]
    low, high = np.percentile(known, (1, 99))
    body = known[known > low + BODY * (high - low)]
    if high == low or not len(body):
        raise ValueError("the image is flat")
    quarter, median, three_quarters = np.percentile(body, (25, 50, 75))
    if three_quarters - quarter < LEAST_CONTRAST * (high - low):
        raise ValueError("the body has no contrast")
    standardized: Image = np.clip((values - median) / (three_quarters - quarter), -LIMIT, LIMIT).astype(np.float32)
    return standardized


def find_shift(xray: XrayImage, projection: Image, grid: Grid, geometry: Geometry) -> tuple[tuple[float, float], float]:
    """How far an X-ray must be moved to fit a CT's projection: the patient never stands where the CT's middle is.

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
    best, shift = -np.inf, (0, 0)
    for step in dict.fromkeys((factor, 1)):  # all of the range on coarse pixels, then close by on the fine ones
        moved, fixed, known = (
            _coarser(image, step) for image in (xray.image, standardize(projection), xray.covered.astype(np.float32))
        )
        reach = [round(MOST_SHIFT / size / step) for size in pixel] if step == factor else [factor, factor]
        middle = [value // step for value in shift]
        candidates = product(*[range(at - by, at + by + 1) for at, by in zip(middle, reach, strict=True)])
        found = [
            (_correlation(moved, fixed, known > 0.5, rows, columns), rows, columns) for rows, columns in candidates
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


def _correlation(moved: Image, fixed: Image, known: npt.NDArray[np.bool_], rows: int, columns: int) -> float:
    """Of two images where they overlap, the first one moved by whole pixels."""
    (to_rows, from_rows), (to_columns, from_columns) = (
        (slice(max(step, 0), count + min(step, 0)), slice(max(-step, 0), count + min(-step, 0)))
        for step, count in zip((rows, columns), fixed.shape, strict=True)
    )
    inside = known[from_rows, from_columns]
    first, second = moved[from_rows, from_columns][inside], fixed[to_rows, to_columns][inside]
    first, second = first - first.mean(), second - second.mean()
    scale = float(np.sqrt((first**2).sum() * (second**2).sum()))
    return float((first * second).sum()) / scale if scale > 0 else -1.0


def _weights(points: Array, count: int, spacing: float) -> Array:
    """(points, count) weights of pixels around 0: linear where the points are closer than the pixels, else their mean
    under a tent as wide as two points are apart. Beyond the image its rim goes on."""
    centers = (np.arange(count) - 0.5 * (count - 1)) * spacing
    reach = max(spacing, float(points[1] - points[0]))
    inside = np.clip(points, centers[0], centers[-1])
    weights = np.maximum(1 - np.abs(inside[:, None] - centers[None, :]) / reach, 0)
    normalized: Array = weights / weights.sum(axis=1, keepdims=True)
    return normalized
