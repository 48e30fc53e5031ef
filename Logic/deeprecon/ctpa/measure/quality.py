"""Quality of a synthetic CT without a true one: a traffic light with its reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from deeprecon.ctpa.diffusion.thresholds import Thresholds
from deeprecon.ctpa.measure.anatomy import ORGAN_LIMITS
from deeprecon.ctpa.measure.projection_check import ProjectionCheck
from deeprecon.ctpa.observe.projection import Beam, Geometry

RESEARCH_ONLY = "SYNTHETIC, for research only: not a scan of the patient, not for diagnosis."
NO_EMBOLI = (
    "Pulmonary emboli cannot be recovered from a radiograph: neither their presence nor their absence shows here."
)
NO_DEPTH = "One view does not determine depth: how far to the front or back something lies is the model's guess."
DEMONSTRATOR = "The model is a phantom-trained demonstrator: what it draws is not anatomy of a patient."
STATEMENTS = (RESEARCH_ONLY, NO_EMBOLI, NO_DEPTH)
"""Limitations of every result of a network."""
OF_AN_ATLAS = (
    "This is an atlas deformed until its projection fits the X-ray: its shape follows the film; its HU, its vessels "
    "and what no film shows are the atlas's, not the patient's."
)
NO_DEPTH_OF_ATLAS = "One view does not determine depth: how far to the front or back something lies is the atlas's."
ATLAS_STATEMENTS = (RESEARCH_ONLY, NO_EMBOLI, OF_AN_ATLAS)
"""Limitations of every fitted atlas."""
FIT_LIMITS = (0.80, 0.90)
"""Correlation of the ranks of projection and film below which a fit is red, and amber: set by hand after a dozen films,
not calibrated."""
NOT_CALIBRATED = (
    "How often a fit that looks as close as this one is wrong is not known: the limits of its correlation were set by "
    "hand, not calibrated."
)
MIN_SEEN = 0.6
"""Minimum share of the voxels that a film sees; set by hand."""

ORGAN_NAMES = {"lung": "lung", "blood": "blood in the heart", "bone": "bone in the spine"}
SEAM_LIMITS = (0.9, 1.1)
"""Seam ratios without visible seams. Two simulated chests have 0.99 to 1.05 at windows of 16 latent voxels or more."""
DISTANCE_TOLERANCE = 0.1
"""Tolerated relative difference of the tube's distance from training: at 1800 mm it moves nothing by more than 3 mm."""


class QualityLevel(Enum):
    """Colors of the traffic light."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True)
class Reason:
    """A sentence why the level is not green, and the level that it sets."""

    level: QualityLevel
    text: str


def geometry_doubts(geometry: Geometry, trained: Sequence[Geometry]) -> list[str]:
    """A sentence for each difference between an X-ray's geometry and those that a model was trained on."""
    views = sorted({known.view.value for known in trained})
    if geometry.view.value not in views:
        return [f"The view is {geometry.view.value}; the model was trained on {' and '.join(views)} views alone."]
    alike = [known for known in trained if (known.view, known.beam) == (geometry.view, geometry.beam)]
    if not alike:
        return [f"The rays are taken as {geometry.beam.value}; the model was not trained on such X-rays."]
    distances = [known.source_distance for known in alike]
    low, high, distance = min(distances), max(distances), geometry.source_distance
    if geometry.beam is Beam.PARALLEL or (1 - DISTANCE_TOLERANCE) * low <= distance <= (1 + DISTANCE_TOLERANCE) * high:
        return []
    range_ = f"{low:.0f}" if low == high else f"{low:.0f} to {high:.0f}"
    return [f"The tube was {distance:.0f} mm from the detector; in training {range_} mm."]


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
    """The level, and the reasons why it is not green, red ones first.

    Args:
        check: of the mean of the samples.
        organs: see `organ_medians`.
        seam_ratio: 1 without seams.
        distance: of the X-ray from those that the model was trained on; None where it is unknown.
        thresholds: of the bundle; None where it has none.
        notes: assumptions about the X-ray, as sentences.
        doubts: see `geometry_doubts`.
        demonstrator: the model was trained on phantoms alone.
    """
    reasons = [
        *_threshold_reasons(check, distance, thresholds),
        *_organ_reasons(organs),
    ]
    if seam_ratio > SEAM_LIMITS[1]:
        text = f"Seams between windows show: steps there are {seam_ratio:.2f} times as large as elsewhere."
        reasons.append(Reason(QualityLevel.AMBER, text))
    reasons += [Reason(QualityLevel.AMBER, f"Assumed: {note}") for note in notes]
    reasons += [Reason(QualityLevel.AMBER, doubt) for doubt in doubts]
    if demonstrator:
        reasons.append(Reason(QualityLevel.AMBER, DEMONSTRATOR))
    reasons.sort(key=lambda reason: reason.level is not QualityLevel.RED)
    return (reasons[0].level if reasons else QualityLevel.GREEN), reasons


def _threshold_reasons(check: ProjectionCheck, distance: float | None, thresholds: Thresholds | None) -> list[Reason]:
    if thresholds is None:
        return [Reason(QualityLevel.AMBER, "The model bundle does not say how well it did on held-out cases.")]
    reasons = []
    if distance is not None and distance > thresholds.distance:
        text = (
            f"This X-ray is unlike those that the model was trained on: it is {distance:.2f} away, 99 of "
            f"100 like them are within {thresholds.distance:.2f}. Do not trust the result."
        )
        reasons.append(Reason(QualityLevel.RED, text))
    if check.nrmse > thresholds.nrmse:
        text = (
            f"The projection of the synthetic CT differs from the X-ray: the error is {check.nrmse:.2f} "
            f"of the X-ray's contrast; 99 of 100 are expected to stay below {thresholds.nrmse:.2f}."
        )
        reasons.append(Reason(QualityLevel.RED, text))
    return reasons


def _organ_reasons(organs: Mapping[str, float | None]) -> list[Reason]:
    reasons = []
    for name, (low, high) in ORGAN_LIMITS.items():
        value = organs[name]
        if value is None:
            level = QualityLevel.RED if name == "lung" else QualityLevel.AMBER
            reasons.append(Reason(level, f"No {ORGAN_NAMES[name]} can be found in the synthetic CT."))
        elif not low <= value <= high:
            text = f"{ORGAN_NAMES[name].capitalize()} measures {value:.0f} HU; expected are {low:.0f} to {high:.0f}."
            reasons.append(Reason(QualityLevel.AMBER, text))
    return reasons


def assess_atlas(
    correlation: float, organs: Mapping[str, float | None], seen: float, notes: Sequence[str]
) -> tuple[QualityLevel, list[Reason]]:
    """The level of a fitted atlas, and the reasons why it is not green, red ones first; `NOT_CALIBRATED` is always one.

    Args:
        correlation: of the ranks of projection and film; see `atlas.fitting.Fit`.
        organs: see `organ_medians`.
        seen: share of the voxels that the film sees.
        notes: assumptions about the X-ray, as sentences.
    """
    reasons = [Reason(QualityLevel.AMBER, NOT_CALIBRATED)]
    red, amber = FIT_LIMITS
    if correlation < amber:
        level = QualityLevel.RED if correlation < red else QualityLevel.AMBER
        text = (
            f"The projection of the fitted atlas is unlike the X-ray: their correlation is {correlation:.2f}; "
            f"a close fit has {amber:.2f} or more."
        )
        reasons.append(Reason(level, text))
    reasons += _organ_reasons(organs)
    if seen < MIN_SEEN:
        text = f"The X-ray shows only {seen:.0%} of the field; the rest is the atlas's alone."
        reasons.append(Reason(QualityLevel.AMBER, text))
    reasons += [Reason(QualityLevel.AMBER, f"Assumed: {note}") for note in notes]
    reasons.sort(key=lambda reason: reason.level is not QualityLevel.RED)
    return reasons[0].level, reasons
