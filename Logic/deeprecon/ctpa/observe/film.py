"""Standardized films: an X-ray on the detector's pixels, on one scale whatever the exposure."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.observe.projection import Beam, Geometry, Image, View, detector_axes
from deeprecon.ctpa.parameters import BeamName, SynthesizeParameters, Turn, XrayView
from deeprecon.data.errors import InputError
from deeprecon.data.radiograph import Radiograph

Array = npt.NDArray[np.float64]

TYPICAL_SIDE = 430.0
"""Assumed longer side in mm of an image without pixel spacing: detectors are 35 x 43 or 43 x 43 cm."""
TYPICAL_DISTANCE_PA, TYPICAL_DISTANCE_AP = 1800.0, 1000.0
"""Typical distance in mm from source to detector of PA and AP views."""
BODY_SHARE = 0.2
"""Share of the range of gray values above which a pixel is body."""
MIN_CONTRAST = 1e-3
"""Minimum interquartile range of the body, as a share of the range of gray values."""
MAX_VALUE = 4.0
"""Maximum of a standardized image; markers and implants beyond are clipped."""
MIN_COVERAGE = 0.95
"""Minimum share of the field, along rows and columns, that an X-ray covers; a smaller one is noted."""


@dataclass(frozen=True, eq=False)
class XrayImage:
    """A standardized X-ray, the input of the networks.

    Attributes:
        image: (rows towards the head, columns to the left) float32 on `projection.detector_axes`; see `standardize`.
        covered: (rows, columns) pixels within the film that are no padding; elsewhere its border is continued.
        notes: assumptions, as sentences.
    """

    image: Image
    covered: npt.NDArray[np.bool_]
    notes: tuple[str, ...]


def standardized_xray(
    radiograph: Radiograph, parameters: SynthesizeParameters, grid: Grid
) -> tuple[XrayImage, Geometry]:
    """A standardized radiograph and its geometry, from the settings or, where they are at their defaults, its file.

    Args:
        radiograph, grid: see `film_on_detector`.
        parameters: of the synthesis.

    Raises:
        InputError: see `film_on_detector`.
    """
    if parameters.view is not XrayView.AUTO:
        radiograph = replace(radiograph, view=parameters.view.value)
    distance = parameters.source_distance or radiograph.source_distance
    geometry = acquisition_geometry(radiograph.view, parameters.beam, distance)
    image = film_on_detector(
        radiograph, geometry, grid, turn=parameters.turn, flip=parameters.flip, invert=parameters.invert,
        pixel_spacing=parameters.pixel_spacing,
    )  # fmt: skip
    return image, geometry


def acquisition_geometry(view: str, beam: BeamName = BeamName.CONE, source_distance: float | None = None) -> Geometry:
    """The geometry of an acquisition.

    Args:
        view: "PA" or "AP"; "" where it is unknown, for PA.
        beam: see there.
        source_distance: from source to detector in mm; None for the typical one of the view.
    """
    side = View(view or "PA")
    typical = TYPICAL_DISTANCE_PA if side is View.PA else TYPICAL_DISTANCE_AP
    return Geometry(Beam(beam.value), side, typical if source_distance is None else source_distance)


def film_on_detector(
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
    """Resample a radiograph on the detector's pixels, its middle on the detector's middle, and standardize it.

    Args:
        radiograph: as `read_radiograph` returns it, top row nearest to the head; its view "" where it is unknown.
        geometry: see `acquisition_geometry`.
        grid: of the CT; see `projection.detector_axes`.
        turn: clockwise, before the flip.
        flip: swap left and right, after the turn.
        invert: swap bright and dark.
        pixel_spacing: in mm at the detector; 0 for that of the file, or else `TYPICAL_SIDE` over the pixels.
        shift: of the image on the detector in mm, towards the head and to the left; see
            `deeprecon.ctpa.observe.alignment`.

    Raises:
        InputError: the image has no gray values between dark and bright.
    """
    notes = []
    if not radiograph.view:
        notes.append(f"It does not say whether it is a PA or an AP view; it is taken as {geometry.view.value}.")
    quarters = int(turn.value) // 90
    image = oriented(radiograph.image, turn, flip, invert)
    spacing, note = _pixel_spacing(radiograph, image, quarters, pixel_spacing)
    notes += [note] if note else []
    rows, columns = image.shape
    v, u = detector_axes(grid, geometry)
    field = (float(u[-1] - u[0] + u[1] - u[0]), float(v[-1] - v[0] + v[1] - v[0]))
    size_mm = (columns * spacing[0], rows * spacing[1])
    if min(side / wanted for side, wanted in zip(size_mm, field, strict=True)) < MIN_COVERAGE:
        notes.append(
            f"It shows {size_mm[0]:.0f} x {size_mm[1]:.0f} mm of the {field[0]:.0f} x {field[1]:.0f} mm at the "
            "detector; beyond, its rim is continued."
        )
    upwards = image[::-1].astype(np.float64)
    v, u = v - shift[0], u - shift[1]
    resampled = _weights(v, rows, spacing[1]) @ upwards @ _weights(u, columns, spacing[0]).T
    covered = (np.abs(v) < 0.5 * size_mm[1])[:, None] & (np.abs(u) < 0.5 * size_mm[0])[None, :]
    if radiograph.known is not None:
        known = oriented(radiograph.known.astype(np.float32), turn, flip)[::-1].astype(np.float64)
        covered &= _weights(v, rows, spacing[1]) @ known @ _weights(u, columns, spacing[0]).T > 0.5
    try:
        return XrayImage(standardize(resampled, covered), covered, tuple(notes))
    except ValueError as error:
        raise InputError(
            f"{radiograph.name} has no gray values between dark and bright.", "Give the original X-ray."
        ) from error


def _pixel_spacing(
    radiograph: Radiograph, image: Image, quarters: int, given: float
) -> tuple[tuple[float, float], str | None]:
    """Pixel spacing in mm along columns and rows of the turned image, and a note where it is assumed."""
    if given:
        return (given, given), None
    if radiograph.spacing is not None:
        across, down = radiograph.spacing
        return ((down, across) if quarters % 2 else (across, down)), None
    size = TYPICAL_SIDE / max(image.shape)
    return (size, size), (
        f"It does not say how large its pixels are; they are taken as {size:.3f} mm, as the longer side of a "
        f"detector is usually {TYPICAL_SIDE:.0f} mm."
    )


def oriented(image: Image, turn: Turn = Turn.NONE, flip: bool = False, invert: bool = False) -> Image:
    """A radiograph in 0 .. 1, turned clockwise, then flipped left to right, then inverted."""
    turned = np.rot90(image, -int(turn.value) // 90)
    turned = turned[:, ::-1] if flip else turned
    return 1 - turned if invert else turned


def standardize(image: npt.ArrayLike, covered: npt.NDArray[np.bool_] | None = None) -> Image:
    """An X-ray minus its median, over its interquartile range, both of the body alone.

    The result does not depend on gain and offset of the exposure, which are unknown, nor on the area of air around the
    patient.

    Args:
        image: (rows, columns), what absorbs more is larger.
        covered: pixels within the film; all if left out.

    Raises:
        ValueError: the body has no contrast.
    """
    values = np.asarray(image, np.float64)
    known = values.ravel() if covered is None else values[covered]
    low, high = np.percentile(known, (1, 99))
    body = known[known > low + BODY_SHARE * (high - low)]
    if high == low or not len(body):
        raise ValueError("the image is flat")
    quarter, median, three_quarters = np.percentile(body, (25, 50, 75))
    if three_quarters - quarter < MIN_CONTRAST * (high - low):
        raise ValueError("the body has no contrast")
    standardized: Image = np.clip((values - median) / (three_quarters - quarter), -MAX_VALUE, MAX_VALUE).astype(
        np.float32
    )
    return standardized


def _weights(points: Array, count: int, spacing: float) -> Array:
    """(points, count) weights of pixels around 0: linear interpolation where points are denser than pixels, else
    averages under a triangle of twice the points' spacing. Beyond the image its border is continued."""
    centers = (np.arange(count) - 0.5 * (count - 1)) * spacing
    reach = max(spacing, float(points[1] - points[0]))
    inside = np.clip(points, centers[0], centers[-1])
    weights = np.maximum(1 - np.abs(inside[:, None] - centers[None, :]) / reach, 0)
    normalized: Array = weights / weights.sum(axis=1, keepdims=True)
    return normalized
