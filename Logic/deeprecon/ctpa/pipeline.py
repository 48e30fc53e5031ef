"""From a chest X-ray to synthetic CTs and what tells how far to trust them: the verb `synthesize`."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deeprecon.ctpa.demonstrator import demonstrator
from deeprecon.ctpa.grid import Grid, Hu
from deeprecon.ctpa.measure.quality import (
    DEMONSTRATOR,
    STATEMENTS,
    QualityLevel,
    ProjectionCheck,
    Reason,
    check_projection,
    geometry_doubts,
    assess_quality,
    organ_medians,
)
from deeprecon.ctpa.measure.survey import VolumeSummary
from deeprecon.ctpa.memory import ResourceEstimate, coarser, describe_estimate, estimate_resources, volume_shape
from deeprecon.ctpa.observe.projection import Geometry, Image
from deeprecon.ctpa.parameters import SynthesizeInputs, SynthesizeParameters
from deeprecon.ctpa.patches import Blending
from deeprecon.ctpa.training.store import geometry_to_json
from deeprecon.data.errors import InputError
from deeprecon.data.formats.nifti_slabs import write_nifti_slabs
from deeprecon.data.radiograph import read_radiograph
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.jobs.parameters import to_json
from deeprecon.jobs.progress import Part
from deeprecon.jobs.run import Outcome, Run, Stopped
from deeprecon.training.bundle import Bundle, read_bundle
from deeprecon.training.hardware import memory

if TYPE_CHECKING:
    from deeprecon.ctpa.diffusion.ensemble import DecodedSample
    from deeprecon.ctpa.diffusion.model import Model
    from deeprecon.ctpa.observe.film import XrayImage

DESCRIPTION = "SYNTHETIC, made from one X-ray by a model. Not for diagnosis."
"""In the header of every volume."""
ITEMSIZE = {"fp32": 4, "bf16": 2, "fp16": 2}


def synthesize(inputs: SynthesizeInputs, parameters: SynthesizeParameters, run: Run) -> Outcome:
    """Make synthetic CTs of one X-ray, or of each in a folder.

    Raises:
        InputError: what is given is no frontal X-ray or no bundle for it, or memory or disk do not suffice.
    """
    if inputs.xray.is_dir():
        from deeprecon.ctpa.folder import synthesize_folder

        return synthesize_folder(inputs, parameters, run)
    return synthesize_one(inputs, parameters, run)


def synthesize_one(inputs: SynthesizeInputs, parameters: SynthesizeParameters, run: Run) -> Outcome:
    """Make synthetic CTs of one X-ray and write everything about them into `run.output`.

    A run that is asked to stop ends with the samples that are done by then.

    Raises:
        InputError: see `synthesize`.
        Stopped: asked to stop before a sample was done.
    """
    begun = time.monotonic()
    run.reporter.status("Reading the X-ray")
    radiograph = read_radiograph(inputs.xray)
    bundle = read_bundle(inputs.bundle or demonstrator(), "ctpa")
    check_bundle(bundle, parameters)
    estimate = estimate_resources(parameters, bundle.parameters, ITEMSIZE[run.precision])
    check_resources(estimate, run)

    from deeprecon.ctpa.diffusion.ensemble import latent_grid, mean_slabs, spread_slabs
    from deeprecon.ctpa.diffusion.model import load_model
    from deeprecon.ctpa.observe.film import standardized_xray

    model = load_model(bundle, run.device)
    lattice = latent_grid(bundle.parameters)
    grid = Grid(volume_shape(parameters, bundle.parameters), lattice.field)
    factor = model.denoiser.factor
    detector = Grid((lattice.shape[0] * factor, lattice.shape[1] * factor, lattice.shape[2] * factor), lattice.field)
    xray, geometry = standardized_xray(radiograph, parameters, detector)
    distance = model.distance(_batch(xray.image, run.device))
    run.reporter.status(f"Drawing {_count(parameters.samples, 'sample')}; this takes {describe_estimate(estimate)}")

    with _scratch(run) as folder:
        decoded = _draw(model, xray, lattice, detector, geometry, parameters, folder, run, begun)
        run.reporter.status("Writing the results")
        paths = [sample.path for sample in decoded]
        shrink = max(1, grid.shape[0] // detector.shape[0])
        outputs, mean = _write_mean(decoded, mean_slabs(paths, grid.shape[0]), grid, shrink, run)
        spread = None
        if len(decoded) > 1:
            outputs["spread"] = run.output / "spread.nii.gz"
            spread = _write(outputs["spread"], spread_slabs(paths, grid.shape[0]), grid, shrink, run.threads)
    run.reporter.progress(0.97)
    run.reporter.status("Holding the result against the X-ray")
    check = check_projection(mean.coarse, xray.image, mean.coarse_grid, geometry, xray.covered)
    organs = organ_medians(mean.coarse, mean.coarse_grid)
    seams = mean.seam_ratio(decoded[-1].windows)
    doubts = geometry_doubts(geometry, model.geometries)
    light, reasons = assess_quality(check, organs, seams, distance, model.thresholds, xray.notes, doubts, model.phantoms)
    for reason in reasons:
        run.reporter.warning(reason.text)
    outputs |= _write_check(check, mean.coarse_grid, run.output)
    figures = {
        "trust": light.value,
        "trust_reasons": [reason.text for reason in reasons],
        "nrmse": check.nrmse,
        "ncc": check.ncc,
        "projection_ssim": check.ssim,
        "seam_ratio": seams,
        **{f"{name}_hu": value for name, value in organs.items()},
        "xray_distance": distance,
        "samples": len(decoded),
        "seeds": [sample.seed for sample in decoded],
        "voxels": " x ".join(map(str, grid.shape[::-1])),
        "spacing_mm": [round(size, 4) for size in grid.spacing],
        "seconds_denoise": sum(sample.seconds_denoise for sample in decoded),
        "seconds_decode": sum(sample.seconds_decode for sample in decoded),
        "peak_memory_gb": _peak_memory(run.device),
        "demonstrator": model.phantoms,
    }
    card = {"name": bundle.metadata["name"], "version": bundle.metadata["version"], "sha256": bundle.sha256}
    provenance = {
        "model": {**card, "phantoms": model.phantoms},
        "synthetic": True,
        "geometry": geometry_to_json(geometry),
        "drawn": sorted({sample.how for sample in decoded if sample.how}),
    }
    outputs |= _report(figures, check, mean, spread, light, reasons, model.phantoms, {
        "input": inputs.xray.name, "parameters": to_json(parameters), "seed": run.seed,
        "device": run.device, "threads": run.threads, "precision": run.precision, **provenance,
    }, run.output / "report.html")  # fmt: skip
    return Outcome(outputs, figures, provenance)


def check_bundle(bundle: Bundle, parameters: SynthesizeParameters) -> None:
    """Refuse a resolution that the autoencoder of a bundle has not learned.

    Raises:
        InputError: says which it has.
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
        InputError: says what is needed and what is free.
    """
    free = memory()[1]
    if run.device == "cpu" and free is not None and free < estimate.least:
        raise InputError(
            f"Too little memory: this run needs at least {estimate.least / 1e9:.1f} GB, {free / 1e9:.1f} GB are free.",
            "Close other programs, choose --preset preview, or use a computer with more memory.",
        )
    space = shutil.disk_usage(run.output).free
    if space < estimate.disk:
        raise InputError(
            f"Too little disk space: this run needs {estimate.disk / 1e9:.1f} GB in {run.output}, "
            f"{space / 1e9:.1f} GB are free.",
            "Free some space, draw fewer samples, or choose a folder on another disk.",
        )


def _draw(
    model: Model,
    xray: XrayImage,
    lattice: Grid,
    detector: Grid,
    geometry: Geometry,
    parameters: SynthesizeParameters,
    folder: Path,
    run: Run,
    begun: float,
) -> list[DecodedSample]:
    """All samples that were done before the run was asked to stop.

    Raises:
        Stopped: none was.
    """
    from deeprecon.ctpa.diffusion.ensemble import draw_sample
    from deeprecon.ctpa.diffusion.guidance import projection_correction
    from deeprecon.ctpa.diffusion.sampling import SamplingPlan

    level = coarser(parameters.preset)
    plan = SamplingPlan(
        parameters.steps, parameters.sampler.value, parameters.guidance, parameters.window or None, parameters.stride,
        Blending(parameters.blending.value),
    )  # fmt: skip
    share = _denoising_share(parameters, level)
    decoded: list[DecodedSample] = []
    for number in range(parameters.samples):
        start, end = (0.95 * (number + edge) / parameters.samples for edge in (0, 1))
        part = Part(run.reporter, start, end, begun)
        run.reporter.status(f"Sample {number + 1} of {parameters.samples}, seed {run.seed + number}")
        correct = None
        if parameters.projection_guidance:
            correct = projection_correction(model, xray.image, xray.covered, detector, geometry)
        seed = run.seed + number
        try:
            decoded.append(
                draw_sample(model, xray.image, lattice, geometry, plan, level, seed, folder, run, part, share, correct)
            )
        except Stopped:
            if not decoded:
                raise
            break
    return decoded


def _denoising_share(parameters: SynthesizeParameters, level: int) -> float:
    """Share of a sample's time that drawing the latent takes, as measured with the small networks on a CPU."""
    drawing = 0.03 * parameters.steps * (1 if parameters.guidance == 1 else 2)
    return drawing / (drawing + 8.0**-level)


def _write_mean(
    decoded: list[DecodedSample], mean: Iterator[Hu], grid: Grid, shrink: int, run: Run
) -> tuple[dict[str, Path], VolumeSummary]:
    """ct.nii.gz, and every sample; a single sample is the mean."""
    from deeprecon.ctpa.diffusion.ensemble import slabs

    outputs = {"ct": run.output / "ct.nii.gz"}
    survey = _write(outputs["ct"], mean, grid, shrink, run.threads)
    for number, sample in enumerate(decoded, start=1):
        path = run.output / f"sample_{number:02d}.nii.gz"
        outputs[path.name.partition(".")[0]] = path
        if len(decoded) == 1:
            shutil.copyfile(outputs["ct"], path)
        else:
            write_nifti_slabs(
                path, slabs(sample.path, grid.shape[0]), grid.shape, np.int16, grid.affine(), run.threads, DESCRIPTION
            )
    return outputs, survey


def _write(path: Path, planes: Iterator[Hu], grid: Grid, shrink: int, threads: int) -> VolumeSummary:
    """Write a volume slab by slab, and look at it meanwhile."""
    survey = VolumeSummary(grid, shrink)

    def passing() -> Iterator[Hu]:
        for slab in planes:
            survey.add(slab)
            yield slab

    write_nifti_slabs(path, passing(), grid.shape, np.int16, grid.affine(), threads, DESCRIPTION)
    return survey


def _write_check(check: ProjectionCheck, grid: Grid, folder: Path) -> dict[str, Path]:
    """X-ray, projection and difference as single coronal slices through the middle, as large there as the patient."""
    outputs = {}
    affine = grid.affine()
    affine[1] = 0, -1, 0, 0
    for name, image in (("xray", check.xray), ("projected", check.projected), ("difference", check.difference)):
        outputs[name] = folder / f"{name}.nii.gz"
        write_volume(outputs[name], Volume(np.ascontiguousarray(image[:, None, :]), affine))
    return outputs


def _report(
    figures: Mapping[str, Any],
    check: ProjectionCheck,
    mean: VolumeSummary,
    spread: VolumeSummary | None,
    light: QualityLevel,
    reasons: list[Reason],
    phantoms: bool,
    settings: Mapping[str, Any],
    path: Path,
) -> dict[str, Path]:
    from deeprecon.ctpa.write.report import Findings, write_report

    rows = [{"figure": name, "value": value} for name, value in figures.items() if name != "trust_reasons"]
    statements = [*STATEMENTS, *([DEMONSTRATOR] if phantoms else [])]
    found = Findings(mean, spread, check, light, reasons, statements, rows, settings)
    lead = f"{_count(figures['samples'], 'sample')} of {figures['voxels']} voxels; trust: {light.value}."
    return {"report": path, **write_report(path, found, lead)}


@contextmanager
def _scratch(run: Run) -> Iterator[Path]:
    """A folder for the decoded samples, gone afterwards."""
    folder = run.folder / "scratch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _batch(image: Image, device: str) -> Any:
    import torch

    return torch.from_numpy(image)[None, None].to(device)


def _peak_memory(device: str) -> float | None:
    """Most memory in GB of this process so far, or of the GPU; None where the system does not tell."""
    if device.startswith("cuda"):
        import torch

        return float(torch.cuda.max_memory_allocated(device)) / 1e9
    if sys.platform == "win32":
        return None
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
