"""The verb `synthesize` for one X-ray: read, observe, sample, measure, write."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deeprecon.ctpa.demonstrator import demonstrator_folder
from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.measure.anatomy import organ_medians
from deeprecon.ctpa.measure.projection_check import ProjectionCheck, check_projection
from deeprecon.ctpa.measure.quality import (
    DEMONSTRATOR,
    STATEMENTS,
    QualityLevel,
    Reason,
    assess_quality,
    geometry_doubts,
)
from deeprecon.ctpa.measure.summary import VolumeSummary
from deeprecon.ctpa.memory import (
    MEMORY_SHARE,
    ResourceEstimate,
    coarser,
    describe_estimate,
    estimate_resources,
    volume_shape,
)
from deeprecon.ctpa.observe.film_checks import film_doubts
from deeprecon.ctpa.observe.projection import Geometry
from deeprecon.ctpa.parameters import SynthesizeInputs, SynthesizeParameters
from deeprecon.ctpa.patches import Blending
from deeprecon.data.errors import InputError
from deeprecon.data.radiograph import Radiograph, read_radiograph
from deeprecon.jobs.parameters import to_json
from deeprecon.jobs.run import Outcome, PartReporter, Run, Stopped
from deeprecon.training.bundle import Bundle, read_bundle
from deeprecon.training.estimate import peak_bytes
from deeprecon.training.hardware import memory

if TYPE_CHECKING:
    from deeprecon.ctpa.diffusion.ensemble import DecodedSample
    from deeprecon.ctpa.diffusion.model import Model
    from deeprecon.ctpa.observe.film import XrayImage

ITEMSIZE = {"fp32": 4, "bf16": 2, "fp16": 2}


def synthesize(inputs: SynthesizeInputs, parameters: SynthesizeParameters, run: Run) -> Outcome:
    """Make synthetic CTs of one X-ray, and write them with their measures and a report into `run.output`.

    A run that is asked to stop ends with the samples that are done by then.

    Raises:
        InputError: the input is no frontal X-ray, there is no bundle for it, or memory or disk do not suffice.
        Stopped: asked to stop before a sample was done.
    """
    begun = time.monotonic()
    run.reporter.status("Reading the X-ray")
    radiograph = read_radiograph(inputs.xray)
    run.consider(film_doubts(radiograph, parameters))
    bundle = read_bundle(inputs.bundle or demonstrator_folder(), "ctpa")
    check_bundle(bundle, parameters)
    estimate = estimate_resources(parameters, bundle.parameters, ITEMSIZE[run.precision])
    check_resources(estimate, run)

    study = _observe(radiograph, bundle, parameters, run)
    run.reporter.status(f"Drawing {_count(parameters.samples, 'sample')}; this takes {describe_estimate(estimate)}")
    with _scratch(run) as folder:
        samples = _draw(study, parameters, folder, run, begun)
        outputs, mean, spread = _write_volumes(study, samples, run)
    run.reporter.progress(0.97)
    run.reporter.status("Comparing the result with the X-ray")
    quality = _measure(study, samples, mean)
    for reason in quality.reasons:
        run.reporter.warning(reason.text)
    figures = _figures(study, samples, quality, run)
    provenance = _provenance(study, samples)
    settings = {"input": inputs.xray.name, "parameters": to_json(parameters), **surroundings(run), **provenance}
    outputs |= _write_report(study, quality, mean, spread, figures, settings, run)
    return Outcome(outputs, figures, provenance)


@dataclass(frozen=True, eq=False)
class _Study:
    """A model, and an X-ray as the model takes it.

    Attributes:
        model: see there.
        xray: on the detector of `detector`.
        geometry: of the X-ray.
        latent, detector, volume: grids of the latent, of the X-ray's features and of the synthetic CT.
        distance: see `Model.distance`.
    """

    model: Model
    xray: XrayImage
    geometry: Geometry
    latent: Grid
    detector: Grid
    volume: Grid
    distance: float


@dataclass(frozen=True, eq=False)
class _Quality:
    """What was measured on the mean of the samples; see `measure`."""

    check: ProjectionCheck
    organs: Mapping[str, float | None]
    seam_ratio: float
    level: QualityLevel
    reasons: Sequence[Reason]


def check_bundle(bundle: Bundle, parameters: SynthesizeParameters) -> None:
    """Refuse a preset that the autoencoder of a bundle was not trained for.

    Raises:
        InputError: with the presets of the bundle.
    """
    known = bundle.parameters.get("presets", [])
    if parameters.preset.value not in known:
        raise InputError(
            f"The model in {bundle.folder} was not trained for the preset {parameters.preset.value}.",
            f"It can: {', '.join(known) or 'none'}.",
        )


def check_resources(estimate: ResourceEstimate, run: Run) -> None:
    """Refuse a run that memory or disk do not suffice for.

    Raises:
        InputError: with what is needed and what is free.
    """
    total, free = memory()
    needed = max(estimate.least, min(estimate.memory, MEMORY_SHARE * (total or float("inf"))))
    if run.device == "cpu" and free is not None and free < needed:
        raise InputError(
            f"Too little memory: this run needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free.",
            "Close other programs, choose --preset preview or a small --window, or use a computer with more memory.",
        )
    space = shutil.disk_usage(run.output).free
    if space < estimate.disk:
        raise InputError(
            f"Too little disk space: this run needs {estimate.disk / 1e9:.2g} GB in {run.output}, "
            f"{space / 1e9:.2g} GB are free.",
            "Free some space, draw fewer samples, or choose a folder on another disk.",
        )


def _observe(radiograph: Radiograph, bundle: Bundle, parameters: SynthesizeParameters, run: Run) -> _Study:
    """Load the model, and standardize the X-ray on its detector."""
    import torch

    from deeprecon.ctpa.diffusion.model import latent_grid, load_model
    from deeprecon.ctpa.observe.film import standardized_xray

    model = load_model(bundle, run.device)
    latent = latent_grid(bundle.parameters)
    k, j, i = (count * model.denoiser.factor for count in latent.shape)
    detector = Grid((k, j, i), latent.field)
    xray, geometry = standardized_xray(radiograph, parameters, detector)
    distance = model.distance(torch.from_numpy(xray.image)[None, None].to(run.device))
    volume = Grid(volume_shape(parameters, bundle.parameters), latent.field)
    return _Study(model, xray, geometry, latent, detector, volume, distance)


def _draw(study: _Study, parameters: SynthesizeParameters, folder: Path, run: Run, begun: float) -> list[DecodedSample]:
    """All samples that are done before the run is asked to stop.

    Raises:
        Stopped: none is.
    """
    from deeprecon.ctpa.diffusion.ensemble import draw_sample
    from deeprecon.ctpa.diffusion.guidance import projection_correction
    from deeprecon.ctpa.diffusion.sampling import SamplingPlan

    model, image, level = study.model, study.xray.image, coarser(parameters.preset)
    plan = SamplingPlan(
        parameters.steps, parameters.sampler.value, parameters.guidance, parameters.window or None, parameters.stride,
        Blending(parameters.blending.value),
    )  # fmt: skip
    share = _sampling_share(parameters, level)
    samples: list[DecodedSample] = []
    for number in range(parameters.samples):
        start, end = (0.95 * (number + edge) / parameters.samples for edge in (0, 1))
        part = PartReporter(run.reporter, start, end, begun)
        seed = run.seed + number
        run.reporter.status(f"Sample {number + 1} of {parameters.samples}, seed {seed}")
        correct = None
        if parameters.projection_guidance:
            correct = projection_correction(model, image, study.xray.covered, study.detector, study.geometry)
        try:
            samples.append(
                draw_sample(
                    model, image, study.latent, study.geometry, plan, level, seed, folder, run, part, share, correct
                )
            )
        except Stopped:
            if not samples:
                raise
            break
    return samples


def _sampling_share(parameters: SynthesizeParameters, level: int) -> float:
    """Share of a sample's time for its latent, the rest being decoding; measured with the small networks on a CPU."""
    sampling = 0.03 * parameters.steps * (1 if parameters.guidance == 1 else 2)
    return sampling / (sampling + 8.0**-level)


def _write_volumes(
    study: _Study, samples: Sequence[DecodedSample], run: Run
) -> tuple[dict[str, Path], VolumeSummary, VolumeSummary | None]:
    from deeprecon.ctpa.write.volumes import write_samples

    run.reporter.status("Writing the results")
    shrink = max(1, study.volume.shape[0] // study.detector.shape[0])
    return write_samples([sample.path for sample in samples], study.volume, shrink, run.output, run.threads)


def _measure(study: _Study, samples: Sequence[DecodedSample], mean: VolumeSummary) -> _Quality:
    """Measures of the mean of the samples on its coarse copy, and the quality level."""
    model, xray = study.model, study.xray
    check = check_projection(mean.coarse, xray.image, mean.coarse_grid, study.geometry, xray.covered)
    organs = organ_medians(mean.coarse, mean.coarse_grid)
    seams = mean.seam_ratio(samples[-1].windows)
    doubts = geometry_doubts(study.geometry, model.geometries)
    level, reasons = assess_quality(
        check, organs, seams, study.distance, model.thresholds, xray.notes, doubts, model.phantoms
    )
    return _Quality(check, organs, seams, level, reasons)


def _figures(study: _Study, samples: Sequence[DecodedSample], quality: _Quality, run: Run) -> dict[str, Any]:
    """The metrics of result.json."""
    peak = peak_bytes(run.device)
    return {
        "trust": quality.level.value,
        "trust_reasons": [reason.text for reason in quality.reasons],
        "denoised": ", then ".join(dict.fromkeys(sample.setup for sample in samples if sample.setup)),
        "nrmse": quality.check.nrmse,
        "ncc": quality.check.ncc,
        "projection_ssim": quality.check.ssim,
        "seam_ratio": quality.seam_ratio,
        **{f"{name}_hu": value for name, value in quality.organs.items()},
        "xray_distance": study.distance,
        "samples": len(samples),
        "seeds": [sample.seed for sample in samples],
        "voxels": " x ".join(map(str, study.volume.shape[::-1])),
        "spacing_mm": [round(size, 4) for size in study.volume.spacing],
        "seconds_denoise": sum(sample.seconds_denoise for sample in samples),
        "seconds_decode": sum(sample.seconds_decode for sample in samples),
        "peak_memory_gb": None if peak is None else peak / 1e9,
        "demonstrator": study.model.phantoms,
    }


def _provenance(study: _Study, samples: Sequence[DecodedSample]) -> dict[str, Any]:
    bundle, phantoms = study.model.bundle, study.model.phantoms
    card = {"name": bundle.metadata["name"], "version": bundle.metadata["version"], "sha256": bundle.sha256}
    return {
        "model": {**card, "phantoms": phantoms},
        "synthetic": True,
        "geometry": study.geometry.to_json(),
        "drawn": sorted({sample.setup for sample in samples if sample.setup}),
    }


def surroundings(run: Run) -> dict[str, Any]:
    """Seed, device, threads and precision, for the report."""
    return {"seed": run.seed, "device": run.device, "threads": run.threads, "precision": run.precision}


def _write_report(
    study: _Study,
    quality: _Quality,
    mean: VolumeSummary,
    spread: VolumeSummary | None,
    figures: Mapping[str, Any],
    settings: Mapping[str, Any],
    run: Run,
) -> dict[str, Path]:
    """The images of the projection check, and report.html with its pictures."""
    from deeprecon.ctpa.write.report import Findings, write_report
    from deeprecon.ctpa.write.volumes import write_check

    outputs = write_check(quality.check, mean.coarse_grid, run.output)
    rows = [{"figure": name, "value": value} for name, value in figures.items() if name != "trust_reasons"]
    statements = [*map(str, run.doubts), *STATEMENTS, *([DEMONSTRATOR] if study.model.phantoms else [])]
    findings = Findings(mean, spread, quality.check, quality.level, quality.reasons, statements, rows, settings)
    lead = f"{_count(figures['samples'], 'sample')} of {figures['voxels']} voxels; trust: {quality.level.value}."
    path = run.output / "report.html"
    return {**outputs, "report": path, **write_report(path, findings, lead)}


@contextmanager
def _scratch(run: Run) -> Iterator[Path]:
    """A folder for the decoded samples, removed afterwards."""
    folder = run.folder / "scratch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
