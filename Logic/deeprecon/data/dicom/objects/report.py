"""Structured reports of measurements (PS3.16, TID 1500) in three-dimensional objects (PS3.3, A.35.13)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deeprecon.data.dicom.objects.elements import Elements, code, decimal, unique_identifier, write_object
from deeprecon.data.dicom.objects.multiframe import common_elements
from deeprecon.data.dicom.objects.study import NewSeries, references

Instance = tuple[str, str, str]
"""UIDs of a storage class, a series and an instance."""

REPORT = "1.2.840.10008.5.1.4.1.1.88.34"
_REPORT_TITLE = code("126000", "DCM", "Imaging Measurement Report")
_LANGUAGE = code("121049", "DCM", "Language of Content Item and Descendants")
_ENGLISH = code("en-US", "RFC5646", "English (United States)")
_PROCEDURE = code("121058", "DCM", "Procedure reported")
_LIBRARY, _LIBRARY_GROUP = code("111028", "DCM", "Image Library"), code("126200", "DCM", "Image Library Group")
_MEASUREMENTS, _GROUP = code("126010", "DCM", "Imaging Measurements"), code("125007", "DCM", "Measurement Group")
_EVALUATIONS, _COMMENT = code("C0034375", "UMLS", "Qualitative Evaluations"), code("121106", "DCM", "Comment")
_OBSERVER_TYPE, _DEVICE = code("121005", "DCM", "Observer Type"), code("121007", "DCM", "Device")
_OBSERVER_UID, _OBSERVER_NAME = (
    code("121012", "DCM", "Device Observer UID"),
    code("121013", "DCM", "Device Observer Name"),
)
_TRACKING, _TRACKING_UID = (
    code("112039", "DCM", "Tracking Identifier"),
    code("112040", "DCM", "Tracking Unique Identifier"),
)
_FINDING, _SITE = code("121071", "DCM", "Finding"), code("363698007", "SCT", "Finding Site")
_SEGMENT, _SOURCE = code("121191", "DCM", "Referenced Segment"), code("121232", "DCM", "Source series for segmentation")


@dataclass(frozen=True)
class Measurement:
    """A number with its concept and its unit, both as codes."""

    concept: Elements
    value: float
    unit: Elements


@dataclass(frozen=True)
class MeasurementGroup:
    """What was measured of one thing (TID 1411 with a segment, else TID 1501).

    Attributes:
        name: of the thing.
        finding, site: codes of what it is and where.
        measurements: of it.
        segment: its number in the segmentation; None for one that is no segment.
    """

    name: str
    finding: Elements
    site: Elements
    measurements: Sequence[Measurement]
    segment: int | None = None


def write_report(
    path: Path,
    series: NewSeries,
    procedure: Elements,
    groups: Sequence[MeasurementGroup],
    comments: Sequence[str],
    segmentation: Instance,
    others: Sequence[Instance],
) -> tuple[str, str]:
    """Write a report of measurements.

    Args:
        path: of the file.
        series: that the file makes.
        procedure: code of the examination.
        groups: of measurements.
        comments: sentences about all of them.
        segmentation: whose segments the groups refer to.
        others: objects of our own that the report rests on; the first is the source of the segments where the study has
            no images.

    Returns:
        UIDs of the series and the instance.
    """
    common = common_elements(series, "SR")
    images = series.study.images
    source = next(iter(images), others[0][1])
    made = [_group(series, number, group, segmentation, source) for number, group in enumerate(groups)]
    content = [
        _code("HAS CONCEPT MOD", _LANGUAGE, _ENGLISH),
        _code("HAS OBS CONTEXT", _OBSERVER_TYPE, _DEVICE),
        _item("HAS OBS CONTEXT", "UIDREF", _OBSERVER_UID, UID=unique_identifier(series.version.encode(), "observer")),
        _text("HAS OBS CONTEXT", _OBSERVER_NAME, f"DeepRecon {series.version}"),
        _code("HAS CONCEPT MOD", _PROCEDURE, procedure),
        *([_library(images)] if images else []),
        _container(_MEASUREMENTS, made),
        _container(_EVALUATIONS, [_text("CONTAINS", _COMMENT, comment) for comment in comments]),
    ]
    evidence = [(uid, instances) for uid, instances in images.items()]
    evidence += [(uid, [(kind, instance)]) for kind, uid, instance in (segmentation, *others)]
    write_object(
        path,
        {
            **common,
            "SOPClassUID": REPORT,
            "CompletionFlag": "COMPLETE",
            "VerificationFlag": "UNVERIFIED",
            "ReferencedPerformedProcedureStepSequence": [],
            "PerformedProcedureCodeSequence": [],
            "CurrentRequestedProcedureEvidenceSequence": [
                {
                    "StudyInstanceUID": series.study.uid,
                    "ReferencedSeriesSequence": [
                        {"SeriesInstanceUID": uid, "ReferencedSOPSequence": references(instances)}
                        for uid, instances in evidence
                    ],
                }
            ],
            **{key: value for key, value in _container(_REPORT_TITLE, content, "1500").items() if key != _RELATION},
        },
    )
    return common["SeriesInstanceUID"], common["SOPInstanceUID"]


_RELATION = "RelationshipType"


def _group(series: NewSeries, number: int, group: MeasurementGroup, segmentation: Instance, source: str) -> Elements:
    kind, _, instance = segmentation
    items = [
        _text("HAS OBS CONTEXT", _TRACKING, group.name),
        _item("HAS OBS CONTEXT", "UIDREF", _TRACKING_UID, UID=unique_identifier(series.digest, f"group {number}")),
        _code("CONTAINS", _FINDING, group.finding),
        _code("HAS CONCEPT MOD", _SITE, group.site),
    ]
    if group.segment is not None:
        reference = {**references([(kind, instance)])[0], "ReferencedSegmentNumber": group.segment}
        items.append(_item("CONTAINS", "IMAGE", _SEGMENT, ReferencedSOPSequence=[reference]))
        items.append(_item("CONTAINS", "UIDREF", _SOURCE, UID=source))
    items += [
        _item(
            "CONTAINS",
            "NUM",
            measured.concept,
            MeasuredValueSequence=[
                {"NumericValue": decimal(measured.value), "MeasurementUnitsCodeSequence": [measured.unit]}
            ],
        )
        for measured in group.measurements
    ]
    return _container(_GROUP, items, "1501" if group.segment is None else "1411")


def _library(images: dict[str, list[tuple[str, str]]]) -> Elements:
    """The images that were reconstructed (TID 1600)."""
    entries = [
        {_RELATION: "CONTAINS", "ValueType": "IMAGE", "ReferencedSOPSequence": references([instance])}
        for instances in images.values()
        for instance in instances
    ]
    return _container(_LIBRARY, [_container(_LIBRARY_GROUP, entries)], "1600")


def _container(concept: Elements, content: Sequence[Elements], template: str = "") -> Elements:
    stated = {"ContentTemplateSequence": [{"MappingResource": "DCMR", "TemplateIdentifier": template}]}
    return {
        **_item("CONTAINS", "CONTAINER", concept, ContinuityOfContent="SEPARATE"),
        **(stated if template else {}),
        "ContentSequence": list(content),
    }


def _code(relation: str, concept: Elements, value: Elements) -> Elements:
    return _item(relation, "CODE", concept, ConceptCodeSequence=[value])


def _text(relation: str, concept: Elements, text: str) -> Elements:
    return _item(relation, "TEXT", concept, TextValue=text)


def _item(relation: str, kind: str, concept: Elements, **value: Any) -> Elements:
    return {_RELATION: relation, "ValueType": kind, "ConceptNameCodeSequence": [concept], **value}
