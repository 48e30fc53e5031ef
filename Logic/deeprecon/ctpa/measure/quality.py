"""How far a synthetic CT may be trusted: what can be measured without a true one, and what that means in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.measure.metrics import LABEL_HU_LIMITS, body_mask
from deeprecon.ctpa.observe.projection import Beam, Geometry, Image, line_integrals
from deeprecon.ctpa.simulate.chests import Label

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

RESEARCH_ONLY = "SYNTHETIC, for research only: not a scan of the patient, not for diagnosis."
NO_EMBOLI = (
    "Pulmonary emboli cannot be recovered from a radiograph: neither their presence nor their absence shows here."
)
NO_DEPTH = "One view does not determine depth: how far to the front or back something lies is the model's guess."
DEMONSTRATOR = "The model is a phantom-trained demonstrator: what it draws is not anatomy of a patient."
STATEMENTS = (RESEARCH_ONLY, NO_EMBOLI, NO_DEPTH)
"""True of every result."""

ORGAN_LIMITS = {"lung": LABEL_HU_LIMITS[Label.LUNG], "blood": LABEL_HU_LIMITS[Label.HEART], "bone": LABEL_HU_LIMITS[Label.BONE]}
ORGAN_WORDS = {"lung": "lung", "blood": "blood in the heart", "bone": "bone in the spine"}
MIN_LUNG, MIN_BLOOD, MIN_BONE = 0.5, 0.02, 0.01
"""Volumes in litres below which an organ counts as not found."""
SEAM_LIMITS = (0.9, 1.1)
"""Seam ratios at which no seam shows. Two simulated chests have 0.99 to 1.05 at windows of 16 latent voxels or more."""
DISTANCE_TOLERANCE = 0.1
"""Share by which the tube may be farther or nearer than in training: at 1800 mm it moves nothing by more than 3 mm."""
MAX_CHECK_ROWS = 160
"""Most rows of the images whose error is measured."""


class QualityLevel(Enum):
    """A traffic light."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True)
class Reason:
    """Why a light is not green, in a sentence."""

    light: QualityLevel
    text: str


@dataclass(frozen=True)
class Thresholds:
    """What 99 of 100 cases like the held-out ones stay below; part of a bundle.

    Attributes:
        nrmse: of the projection check.
        distance: of an X-ray from those of the training.
    """

    nrmse: float
    distance: float


def prediction_limit(held_out: Sequence[float]) -> float | None:
    """What 99 of 100 further cases stay below, told from some positive figures; None from fewer than three.

    The one-sided prediction limit of Student's t for their logarithms (Hahn and Meeker 1991, Statistical Intervals,
    section 4.8): the largest of ten would be passed by every tenth case. The quantile of t is the series in Abramowitz
    and Stegun 1964, 26.7.5, within 2.5 %.
    """
    if (count := len(held_out)) < 3:
        return None
    logarithms = np.log(held_out)
    z, freedom = NormalDist().inv_cdf(0.99), count - 1
    t = (
        z
        + (z**3 + z) / 4 / freedom
        + (5 * z**5 + 16 * z**3 + 3 * z) / 96 / freedom**2
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384 / freedom**3
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160 / freedom**4
    )
    return float(np.exp(logarithms.mean() + t * logarithms.std(ddof=1) * np.sqrt(1 + 1 / count)))


@dataclass(frozen=True, eq=False)
class ProjectionCheck:
    """A synthetic CT held against the X-ray that it was made from.

    Attributes:
        xray: (rows towards the head, columns to the left) as the network took it, on the CT's detector.
        projected: the CT's projection, gain and offset fitted to the X-ray.
        difference: projected less X-ray; 0 where the X-ray does not show the field.
        nrmse: root of the mean squared difference over the X-ray's standard deviation.
        ncc: correlation.
        ssim: structural similarity of the two images.
    """

    xray: Image
    projected: Image
    difference: Image
    nrmse: float
    ncc: float
    ssim: float


def check_projection(
    hu: npt.ArrayLike, xray: Image, grid: Grid, geometry: Geometry, covered: Mask | None = None
) -> ProjectionCheck:
    """Project a CT with the X-ray's geometry and compare; gain and offset, which an X-ray does not tell, are fitted.

    The figures are of images of at most `MAX_CHECK_ROWS` rows, since finer noise says nothing about anatomy.

    Args:
        hu: (k, j, i) on the grid.
        xray: (rows towards the head, columns to the left) on the detector of `projection.detector_axes`, or a whole
            number of times finer.
        grid, geometry: see there.
        covered: pixels of the X-ray that count; all if left out.
    """
    fine = line_integrals(hu, grid, geometry)
    counts = np.ones_like(xray) if covered is None else covered.astype(np.float32)
    wanted, counts = _shrunk(xray, fine.shape[0]), _shrunk(counts, fine.shape[0])
    shrink = max(1, -(-len(fine) // MAX_CHECK_ROWS))
    rows = len(fine) // shrink if len(fine) % shrink == 0 else len(fine)
    seen, known, part = (_shrunk(image, rows) for image in (fine, wanted, counts))
    inside = part > 0.5
    x, y = seen[inside].astype(np.float64), known[inside].astype(np.float64)
    gain, offset = np.linalg.lstsq(np.stack([x, np.ones_like(x)], axis=1), y, rcond=None)[0]
    spread = max(float(y.std()), 1e-9)
    error = gain * x + offset - y
    flat = float(x.std()) == 0
    projected = (gain * fine + offset).astype(np.float32)
    fitted = np.where(inside, gain * seen + offset, known)
    return ProjectionCheck(
        xray=wanted,
        projected=projected,
        difference=np.where(counts > 0.5, projected - wanted, 0).astype(np.float32),
        nrmse=float(np.sqrt(np.mean(error**2))) / spread,
        ncc=0.0 if flat else float(np.corrcoef(x, y)[0, 1]),
        ssim=image_ssim(fitted, known),
    )


def image_ssim(first: npt.ArrayLike, second: npt.ArrayLike, size: int = 7) -> float:
    """Structural similarity of two images (Wang 2004; uniform windows of `size` pixels, K1 0.01, K2 0.03).

    The data range is that of the second image.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    samples = size**2 / (size**2 - 1)
    mean_a, mean_b = _box(a, size), _box(b, size)
    var_a, var_b = samples * (_box(a * a, size) - mean_a**2), samples * (_box(b * b, size) - mean_b**2)
    covariance = samples * (_box(a * b, size) - mean_a * mean_b)
    c1, c2 = (0.01 * np.ptp(b)) ** 2, (0.03 * np.ptp(b)) ** 2
    similarity = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    similarity /= (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    return float(similarity.mean())


def organ_medians(hu: npt.ArrayLike, grid: Grid) -> dict[str, float | None]:
    """Median HU of lung, of blood in the heart, and of bone in the spine; None for what is not found.

    No labels are at hand, so the lungs are found by their air, and the others by where they lie beside the lungs: the
    heart low between them in the front half, the spine behind their middle.
    """
    volume = np.asarray(hu)
    litre = float(np.prod(grid.spacing)) / 1e6
    lungs = body_mask(volume) & (volume < -500) & (volume > -980)
    found: dict[str, float | None] = {"lung": None, "blood": None, "bone": None}
    if lungs.sum() * litre < MIN_LUNG:
        return found
    found["lung"] = float(np.median(volume[lungs]))
    box = [_extent(lungs, axis, coordinates) for axis, coordinates in enumerate(grid.axes())]
    heart = volume[_within(grid, box, (0.05, 0.5), (0.2, 0.55), (0.3, 0.7))]
    spine = volume[_within(grid, box, (0.1, 0.9), (0.75, 1.25), (0.42, 0.58))]
    for name, values, least in (
        ("blood", heart[(heart > -50) & (heart < 700)], MIN_BLOOD),
        ("bone", spine[spine > 130], MIN_BONE),
    ):
        if values.size * litre >= least:
            found[name] = float(np.median(values))
    return found


def geometry_doubts(geometry: Geometry, trained: Sequence[Geometry]) -> list[str]:
    """What about the place of an X-ray's tube is unlike those that a model was trained on, in words."""
    views = sorted({known.view.value for known in trained})
    if geometry.view.value not in views:
        return [f"The view is {geometry.view.value}; the model was trained on {' and '.join(views)} views alone."]
    alike = [known for known in trained if (known.view, known.beam) == (geometry.view, geometry.beam)]
    if not alike:
        return [f"The rays are taken as {geometry.beam.value}; the model was not trained on such X-rays."]
    distances = [known.source_distance for known in alike]
    low, high, found = min(distances), max(distances), geometry.source_distance
    if geometry.beam is Beam.PARALLEL or (1 - DISTANCE_TOLERANCE) * low <= found <= (1 + DISTANCE_TOLERANCE) * high:
        return []
    range_ = f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"
    return [f"The tube was {found:.0f} mm from the detector; in training {range_} mm."]


def assess_quality(
    check: ProjectionCheck,
    organs: Mapping[str, float | None],
    seam_ratio: float,
    distance: float | None,
    thresholds: Thresholds | None,
    notes: Sequence[str],
    doubts: Sequence[str],
    demonstrator: bool,
) -> tuple[QualityLevel, list[Reason]]:
    """The traffic light and what speaks against green, the gravest first.

    Args:
        check: of the mean of the samples.
        organs: see `organ_medians`.
        seam_ratio: 1 where no seam shows.
        distance: of the X-ray from those that the model was trained on; None where the bundle cannot tell.
        thresholds: of the bundle; None where it has none.
        notes: what had to be assumed about the X-ray.
        doubts: see `geometry_doubts`.
        demonstrator: the model was trained on phantoms alone.
    """
    reasons: list[Reason] = []
    if thresholds is None:
        reasons.append(Reason(QualityLevel.AMBER, "The model bundle does not say how well it did on held-out cases."))
    else:
        if distance is not None and distance > thresholds.distance:
            reasons.append(
                Reason(
                    QualityLevel.RED,
                    f"This X-ray is unlike those that the model was trained on: it is {distance:.2f} away, 99 of "
                    f"100 like them are within {thresholds.distance:.2f}. Do not trust the result.",
                )
            )
        if check.nrmse > thresholds.nrmse:
            reasons.append(
                Reason(
                    QualityLevel.RED,
                    f"The synthetic CT does not cast the X-ray that it was made from: the error is {check.nrmse:.2f} "
                    f"of the X-ray's contrast; 99 of 100 are expected to stay below {thresholds.nrmse:.2f}.",
                )
            )
    for name, limits in ORGAN_LIMITS.items():
        value = organs[name]
        if value is None:
            light = QualityLevel.RED if name == "lung" else QualityLevel.AMBER
            reasons.append(Reason(light, f"No {ORGAN_WORDS[name]} can be found in the synthetic CT."))
        elif not limits[0] <= value <= limits[1]:
            range_ = f"{limits[0]:.0f} to {limits[1]:.0f}"
            text = f"{ORGAN_WORDS[name].capitalize()} measures {value:.0f} HU; expected are {range_}."
            reasons.append(Reason(QualityLevel.AMBER, text))
    if seam_ratio > SEAM_LIMITS[1]:
        text = f"Seams between windows show: steps there are {seam_ratio:.2f} times as large as elsewhere."
        reasons.append(Reason(QualityLevel.AMBER, text))
    reasons += [Reason(QualityLevel.AMBER, f"Assumed: {note}") for note in notes]
    reasons += [Reason(QualityLevel.AMBER, doubt) for doubt in doubts]
    if demonstrator:
        reasons.append(Reason(QualityLevel.AMBER, DEMONSTRATOR))
    reasons.sort(key=lambda reason: reason.light is not QualityLevel.RED)
    return (reasons[0].light if reasons else QualityLevel.GREEN), reasons


def _extent(mask: Mask, axis: int, coordinates: Array) -> tuple[float, float]:
    """Where a mask begins and ends along an axis, without the outermost hundredth of its voxels, mm."""
    counts = np.cumsum(mask.sum(axis=tuple(other for other in range(3) if other != axis)))
    first, last = np.searchsorted(counts, [0.01 * counts[-1], 0.99 * counts[-1]])
    return float(coordinates[first]), float(coordinates[min(last, len(coordinates) - 1)])


def _within(grid: Grid, box: list[tuple[float, float]], *shares: tuple[float, float]) -> tuple[slice, slice, slice]:
    """Voxels whose place in a box is within a range along each axis; 0 is where the box begins, 1 where it ends."""
    parts = []
    for coordinates, (low, high), (first, last) in zip(grid.axes(), box, shares, strict=True):
        place = (coordinates - low) / max(high - low, 1e-9)
        start, stop = np.searchsorted(place, [first, last])
        parts.append(slice(int(start), int(stop)))
    return parts[0], parts[1], parts[2]


def _shrunk(image: Image, rows: int) -> Image:
    """An image as means over squares of pixels, so that `rows` are left."""
    factor = len(image) // rows
    if factor == 1:
        return image
    squares = image.reshape(rows, factor, image.shape[1] // factor, factor)
    mean: Image = squares.mean(axis=(1, 3), dtype=np.float32)
    return mean


def _box(image: Array, size: int) -> Array:
    """Mean over squares of `size` that lie whole in the image."""
    total = np.pad(image, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    mean: Array = (total[size:, size:] - total[:-size, size:] - total[size:, :-size] + total[:-size, :-size]) / size**2
    return mean
