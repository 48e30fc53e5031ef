"""A result as DICOM objects: segmentation, map of the probability, and report of the measurements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import isfinite
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.dicom.objects.elements import Elements, digest_of
from deeprecon.data.dicom.objects.parametric_map import PARAMETRIC_MAP, write_parametric_map
from deeprecon.data.dicom.objects.report import Measurement, MeasurementGroup, write_report
from deeprecon.data.dicom.objects.segmentation import SEGMENTATION, CodedSegment, write_segmentation_object
from deeprecon.data.dicom.objects.study import NewSeries, Study, study_of
from deeprecon.data.dicom.series import Series
from deeprecon.data.segmentation import Segmentation, read_segmentation
from deeprecon.data.tables import is_number, read_table
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import read_volume
from deeprecon.jobs.job import VERSION
from deeprecon.scar.measure.burden import NOT_OBSERVED
from deeprecon.scar.read.run_files import RunFiles
from deeprecon.scar.write import dicom_terms as terms
from deeprecon.scar.write.segmentation import (
    BORDER_ZONE,
    CORE,
    CORE_BY_PROBABILITY,
    HEALTHY,
    UNCERTAIN_EDGE,
    UNOBSERVED,
)

NOTICE = "Research only, not for diagnosis"
NO_VALUE = -1.0
"""Stands in the map where there is no wall, or none that an image shows."""
_PARTS: dict[str, tuple[str, Elements, str]] = {
    CORE: ("core", terms.CORE, "Dense scar, told from the border zone by intensity or drawn"),
    CORE_BY_PROBABILITY: ("core", terms.CORE, "Scar whose probability is high; not told apart by intensity"),
    BORDER_ZONE: ("border zone", terms.BORDER_ZONE, "Scar beside its core"),
    UNCERTAIN_EDGE: ("uncertain edge", terms.UNCERTAIN_EDGE, "Scar that is less sure; no tissue of its own"),
}
"""Names of segments of scar: row of the table of burden, modifier and description."""
_WALL, _SCAR = "Myocardium", "Scar"


def write_dicom_objects(folder: Path, run: RunFiles, source: Series | None) -> tuple[dict[str, Path], Study]:
    """Write segmentation.dcm, probability.dcm and report.dcm, which refer to each other.

    The segments are the wall, the scar, its core, the rest of it, and wall that no image shows; each lies within the
    one before it that it is a part of.

    Args:
        folder: to write to.
        run: with the files "segmentation", "probability" and "table", and where there are segments "aha".
        source: images that the run was made from; None makes up patient and study.

    Returns:
        The files by role, and the study that they belong to.

    Raises:
        InputError: the segmentation shows no wall.
    """
    regions = read_segmentation(run.paths["segmentation"])
    probability = read_volume(run.paths["probability"])
    segments = _segments(regions)
    masks = [segment.mask for segment in segments.values()]
    digest = digest_of([*masks, regions.ijk_to_ras, np.asarray(probability.array)], {"SoftwareVersions": VERSION})
    study = study_of(source, digest, run.created)
    paths = {
        "dicom_segmentation": folder / "segmentation.dcm",
        "dicom_probability": folder / "probability.dcm",
        "dicom_report": folder / "report.dcm",
    }
    series = [
        NewSeries(study, digest, number, f"{name} ({NOTICE})", content, "HEART", VERSION)
        for number, name, content in (
            (9001, "Scar segments", "Wall and scar"),
            (9002, "Scar probability", "Probability of scar in the wall"),
            (9003, "Scar report", ""),
        )
    ]
    drawn = write_segmentation_object(
        paths["dicom_segmentation"],
        list(segments.values()),
        regions.ijk_to_ras,
        series[0],
        f"DeepRecon {run.version} scar reconstruct",
    )
    mapped = write_parametric_map(
        paths["dicom_probability"],
        replace(probability, array=_without_nan(probability)),
        terms.PROBABILITY,
        terms.NO_UNITS,
        (0.0, 1.0),
        NO_VALUE,
        series[1],
    )
    write_report(
        paths["dicom_report"],
        series[2],
        terms.CARDIAC_MRI,
        [*_region_groups(run, list(segments)), *_aha_groups(run)],
        _comments(run, study),
        (SEGMENTATION, *drawn),
        [(PARAMETRIC_MAP, *mapped)],
    )
    return paths, study


def _segments(regions: Segmentation) -> dict[str, CodedSegment]:
    """Segments by row of the table of burden."""
    masks = {segment.name: segment.mask for segment in regions.segments}
    colors = {segment.name: segment.color for segment in regions.segments}
    parts = {name: masks[name] for name in _PARTS if name in masks}
    wall = np.logical_or.reduce([mask for name, mask in masks.items() if name != UNOBSERVED])
    scar = np.logical_or.reduce(list(parts.values()))
    found = {
        "wall": _segment(_WALL, wall, None, colors[HEALTHY], "Wall of the heart that the images show"),
        "scar": _segment(_SCAR, scar, None, (0.9, 0.3, 0.1), "Scar of any kind"),
    }
    for name, mask in parts.items():
        row, modifier, description = _PARTS[name]
        found[row] = _segment(name, mask, modifier, colors[name], description)
    if UNOBSERVED in masks:
        told = "Wall that no image shows: whether it is scar is not known"
        found[NOT_OBSERVED] = _segment(UNOBSERVED, masks[UNOBSERVED], terms.NOT_OBSERVED, colors[UNOBSERVED], told)
    return found


def _segment(
    name: str,
    mask: npt.NDArray[np.bool_],
    modifier: Elements | None,
    color: tuple[float, float, float],
    description: str,
) -> CodedSegment:
    is_scar = name == _SCAR or name in _PARTS
    category, kind = (terms.ALTERED, terms.SCAR) if is_scar else (terms.TISSUE, terms.MYOCARDIUM)
    return CodedSegment(name, mask, category, kind, terms.HEART, color, description, modifier)


def _without_nan(probability: Volume) -> npt.NDArray[np.float32]:
    values = np.asarray(probability.array, np.float32)
    return np.where(np.isfinite(values), values, np.float32(NO_VALUE))


def _region_groups(run: RunFiles, regions: list[str]) -> list[MeasurementGroup]:
    """Measurements of the segments, as the table of burden has them; sizes that are not given are left out."""
    rows = {row["region"]: row for row in read_table(run.paths["table"])}
    return [
        MeasurementGroup(
            f"Wall of the heart, {region}" if region != "wall" else "Wall of the heart",
            terms.MYOCARDIUM if region in ("wall", NOT_OBSERVED) else terms.SCAR,
            terms.HEART,
            _measurements(rows[region], terms.REGION_MEASURES),
            number,
        )
        for number, region in enumerate(regions, 1)
        if region in rows
    ]


def _aha_groups(run: RunFiles) -> list[MeasurementGroup]:
    """Measurements of the scar in the 17 segments, where they are known."""
    rows = read_table(run.paths["aha"]) if "aha" in run.paths else []
    return [
        MeasurementGroup(
            f"Segment {row['segment']}, {row['name']}",
            terms.SCAR,
            terms.AHA_SEGMENTS[int(row["segment"]) - 1],
            _measurements(row, terms.AHA_MEASURES),
        )
        for row in rows
    ]


def _measurements(row: Mapping[str, str], measures: Mapping[str, tuple[Elements, Elements]]) -> list[Measurement]:
    return [
        Measurement(concept, float(row[column]), unit)
        for column, (concept, unit) in measures.items()
        if is_number(row.get(column, "")) and isfinite(float(row[column]))
    ]


def _comments(run: RunFiles, study: Study) -> list[str]:
    told = [
        f"{NOTICE}.",
        "Scar between the images is reconstructed, not imaged. The spread is that of the method and is not calibrated.",
    ]
    if study.not_stated:
        told.append(f"No image states the {' and the '.join(study.not_stated)}: made up.")
    return told + [str(doubt) for doubt in run.doubts]
