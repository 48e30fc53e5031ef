"""The verb `synthesize` with an atlas, for one X-ray: read, observe, fit, measure, write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deeprecon.ctpa.grid import PRESETS, Grid, block_mean
from deeprecon.ctpa.measure.anatomy import organ_medians
from deeprecon.ctpa.measure.projection_check import ProjectionCheck, check_projection
from deeprecon.ctpa.measure.quality import (
    ATLAS_STATEMENTS,
    NO_DEPTH_OF_ATLAS,
    QualityLevel,
    Reason,
    assess_atlas,
)
from deeprecon.ctpa.measure.summary import VolumeSummary
from deeprecon.ctpa.memory import atlas_resources
from deeprecon.ctpa.observe.ct_checks import ct_doubts
from deeprecon.ctpa.observe.film import standardized_xray
from deeprecon.ctpa.observe.film_checks import film_doubts
from deeprecon.ctpa.observe.film_mask import patient_pixels
from deeprecon.ctpa.observe.projection import Geometry
from deeprecon.ctpa.parameters import Preset, SynthesizeInputs, SynthesizeParameters, XrayView
from deeprecon.ctpa.pipeline import check_resources, surroundings
from deeprecon.ctpa.write.volumes import DESCRIPTION, write_check, write_summarized
from deeprecon.data.errors import InputError
from deeprecon.data.files import sha256
from deeprecon.data.formats.nifti import write_nifti_slabs
from deeprecon.data.radiograph import Radiograph, read_radiograph
from deeprecon.data.volume_io import VOLUME_ENDINGS, read_volume
from deeprecon.jobs.parameters import to_json
from deeprecon.jobs.run import Outcome, PartReporter, Run, Stopped

if TYPE_CHECKING:
    from deeprecon.ctpa.atlas.fitting import Film, Fit
    from deeprecon.ctpa.atlas.volume import Atlas
    from deeprecon.ctpa.observe.film import XrayImage

DETECTOR = Grid((152, 128, 128))
"""Of the X-ray as it is compared with the result; twice as fine as that of the fit."""
VOXELS = {Preset.PREVIEW: 2.0, Preset.FULL: 1.2}
"""Size in mm of an atlas's voxels, by preset."""
COARSE = 4.5
"""The same for the fit."""
LATERAL_DISTANCE = 1800.0
"""Of the tube from the detector in mm, where a lateral film is taken."""
OF_FRONTAL_FILMS = ("film-not-frontal", "film-view", "film-size")
"""Doubts that are none about a lateral film."""
ORIGINS = {"outside of what the film shows": 0, "fitted to the film": 1}
"""Values of origin.nii.gz."""


@dataclass(frozen=True)
class _Source:
    """An atlas that can be had at any voxel size.

    Attributes:
        load: from the size in mm to the atlas.
        path: its file; None for a built-in one.
    """

    load: Callable[[float], Atlas]
    path: Path | None = None


@dataclass(frozen=True, eq=False)
class _Study:
    """An X-ray on `DETECTOR`.

    Attributes:
        xray, geometry: see `standardized_xray`.
        weight: (rows, columns) float32, 1 where it shows the patient.
    """

    xray: XrayImage
    geometry: Geometry
    weight: np.ndarray[Any, np.dtype[np.float32]]


def synthesize_from_atlas(inputs: SynthesizeInputs, parameters: SynthesizeParameters, run: Run) -> Outcome:
    """Deform an atlas until its projection fits an X-ray, and write it with measures and a report into `run.output`.

    Raises:
        InputError: the input is no frontal X-ray, an atlas is no CT of a chest, or memory or disk do not suffice.
        Stopped: asked to stop before the fit was done.
    """
    begun = time.monotonic()
    run.reporter.status("Reading the X-ray")
    radiograph = read_radiograph(inputs.xray)
    run.consider(film_doubts(radiograph, parameters))
    check_resources(atlas_resources(parameters), run)
    study = _observe(radiograph, parameters)
    lateral = None if inputs.lateral is None else _lateral(inputs.lateral, parameters, run)
    sources = _sources(inputs.atlas, run)
    fit, source = _fit(study, lateral, sources, run, begun)
    atlas = source.load(VOXELS[parameters.preset])
    grid = PRESETS[parameters.preset.value]
    run.reporter.status(f"Writing the results, from {atlas.name}")
    outputs, summary, seen = _write(study, atlas, fit, grid, run)
    run.reporter.progress(0.95)
    check = check_projection(summary.coarse, study.xray.image, summary.coarse_grid, study.geometry, study.weight > 0)
    organs = organ_medians(summary.coarse, summary.coarse_grid)
    level, reasons = assess_atlas(fit.correlation, organs, seen, study.xray.notes)
    for reason in reasons:
        run.reporter.warning(reason.text)
    figures = {
        "method": "atlas",
        "atlas": atlas.name,
        "trust": level.value,
        "trust_reasons": [reason.text for reason in reasons],
        "fit_correlation": fit.correlation,
        **({} if fit.lateral is None else {"lateral_correlation": fit.lateral, "lateral_mirrored": fit.mirrored}),
        "nrmse": check.nrmse,
        "ncc": check.ncc,
        "projection_ssim": check.ssim,
        **{f"{name}_hu": value for name, value in organs.items()},
        "seen": seen,
        "smallest_jacobian": fit.jacobian,
        "voxels": " x ".join(map(str, grid.shape[::-1])),
        "spacing_mm": [round(size, 4) for size in grid.spacing],
        "seconds_fit": fit.seconds,
    }
    provenance = _provenance(study, atlas, source)
    settings = {"input": inputs.xray.name, "parameters": to_json(parameters), **surroundings(run), **provenance}
    outputs |= _write_report(check, summary, (level, reasons), figures, settings, run)
    return Outcome(outputs, figures, provenance)


def _observe(radiograph: Radiograph, parameters: SynthesizeParameters) -> _Study:
    """The standardized X-ray, without what is no patient on it."""
    known = patient_pixels(radiograph.image)
    known = known if radiograph.known is None else known & radiograph.known
    xray, geometry = standardized_xray(replace(radiograph, known=known), parameters, DETECTOR)
    return _Study(xray, geometry, xray.covered.astype(np.float32))


def _lateral(path: Path, parameters: SynthesizeParameters, run: Run) -> _Study:
    """A lateral film, its left side next to the detector; what its file says about the view does not count."""
    radiograph = replace(read_radiograph(path), view="")
    settings = SynthesizeParameters(view=XrayView.AP, beam=parameters.beam, source_distance=LATERAL_DISTANCE)
    run.consider(doubt for doubt in film_doubts(radiograph, settings) if doubt.code not in OF_FRONTAL_FILMS)
    return _observe(radiograph, settings)


def _sources(paths: Sequence[Path], run: Run) -> list[_Source]:
    """The atlases to choose from: the CTs of the user, or else the built-in ones.

    Raises:
        InputError: a folder without a CT.
    """
    from deeprecon.ctpa.atlas.builtin import BUILDS, builtin_atlas

    if not paths:
        return [_Source(partial(builtin_atlas, build)) for build in BUILDS]
    return [_Source(partial(_read_atlas, path, run), path) for given in paths for path in _files(given)]


def _files(path: Path) -> list[Path]:
    """A file or a DICOM folder as it is, or the volume files of a folder."""
    if not path.exists():
        raise InputError(f"There is no atlas {path}.", "Check the path.")
    volumes = (
        sorted(file for file in path.glob("*") if file.name.lower().endswith(VOLUME_ENDINGS)) if path.is_dir() else []
    )
    return volumes or [path]


def _read_atlas(path: Path, run: Run, voxel: float) -> Atlas:
    from deeprecon.ctpa.atlas.preparation import prepare_atlas

    volume = read_volume(path)
    run.consider(ct_doubts(volume))
    return prepare_atlas(volume, voxel)


def _fit(
    study: _Study, lateral: _Study | None, sources: Sequence[_Source], run: Run, begun: float
) -> tuple[Fit, _Source]:
    """The best fit of the atlases, and where that one comes from.

    Raises:
        Stopped: the run was asked to stop.
    """
    from deeprecon.ctpa.atlas.fitting import fit_best

    part = PartReporter(run.reporter, 0.05, 0.7, begun)
    run.reporter.status(f"Fitting {'an atlas' if len(sources) == 1 else f'{len(sources)} atlases'} to the X-ray")

    def progress(done: float) -> None:
        if run.should_stop():
            raise Stopped
        part.progress(done)

    films = [None if each is None else _film(each) for each in (study, lateral)]
    assert films[0] is not None
    index, fit = fit_best([source.load(COARSE) for source in sources], films[0], progress, films[1])
    return fit, sources[index]


def _film(study: _Study) -> Film:
    from deeprecon.ctpa.atlas.fitting import Film

    image, weight = (block_mean(values, 2) for values in (study.xray.image, study.weight))
    film = Film(image, (weight > 0.5).astype(np.float32), study.geometry)
    if not film.weight.any():
        raise InputError("The X-ray shows no patient: it is all border or padding.", "Give the original X-ray.")
    return film


def _write(study: _Study, atlas: Atlas, fit: Fit, grid: Grid, run: Run) -> tuple[dict[str, Path], VolumeSummary, float]:
    """CT, labels, origin and deformation: their files, the summary of the CT, and the share of voxels that are seen."""
    from deeprecon.ctpa.atlas.application import DeformedAtlas, seen_voxels, write_deformation

    names = {"ct": "ct.nii.gz", "labels": "labels.nii.gz", "origin": "origin.nii.gz", "deformation": "deformation.h5"}
    outputs = {role: run.output / name for role, name in names.items()}
    deformed = DeformedAtlas(atlas, fit.deformation, grid)
    shrink = grid.shape[0] // DETECTOR.shape[0]
    summary = write_summarized(outputs["ct"], _stoppable(deformed.hu(), run), grid, shrink, run.threads)
    run.reporter.progress(0.85)
    slabs = _stoppable(deformed.labels(), run)
    write_nifti_slabs(outputs["labels"], slabs, grid.shape, np.uint8, grid.affine(), run.threads, DESCRIPTION)
    seen = seen_voxels(study.weight, DETECTOR, DETECTOR, study.geometry)
    write_nifti_slabs(
        outputs["origin"], [seen.astype(np.uint8)], seen.shape, np.uint8, DETECTOR.affine(), run.threads, DESCRIPTION
    )
    write_deformation(outputs["deformation"], atlas, fit.deformation)
    return outputs, summary, float(seen.mean())


def _stoppable(slabs: Iterator[Any], run: Run) -> Iterator[Any]:
    for slab in slabs:
        if run.should_stop():
            raise Stopped
        yield slab


def _provenance(study: _Study, atlas: Atlas, source: _Source) -> dict[str, Any]:
    described: dict[str, Any] = {"name": atlas.name, "builtin": source.path is None}
    if source.path is not None and source.path.is_file():
        described["sha256"] = sha256(source.path)
    return {"atlas": described, "synthetic": True, "geometry": study.geometry.to_json(), "origins": ORIGINS}


def _write_report(
    check: ProjectionCheck,
    summary: VolumeSummary,
    quality: tuple[QualityLevel, list[Reason]],
    figures: dict[str, Any],
    settings: dict[str, Any],
    run: Run,
) -> dict[str, Path]:
    """The images of the projection check, and report.html with its pictures."""
    from deeprecon.ctpa.write.report import Findings, write_report

    outputs = write_check(check, summary.coarse_grid, run.output)
    rows = [{"figure": name, "value": value} for name, value in figures.items() if name != "trust_reasons"]
    beyond = (
        f"The X-ray shows {figures['seen']:.0%} of the field of view; beyond, and where it has a border or a marker, "
        "the atlas goes on unfitted: origin.nii.gz says so of every voxel."
    )
    depth = [] if "lateral_correlation" in figures else [NO_DEPTH_OF_ATLAS]
    statements = [*map(str, run.doubts), *ATLAS_STATEMENTS, *depth, beyond]
    findings = Findings(summary, None, check, *quality, statements, rows, settings)
    lead = f"{figures['atlas']}, {figures['voxels']} voxels; trust: {figures['trust']}."
    path = run.output / "report.html"
    return {**outputs, "report": path, **write_report(path, findings, lead)}
