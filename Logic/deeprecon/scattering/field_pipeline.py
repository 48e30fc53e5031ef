"""Measured fields of any arrangement of sources and receivers: from a file to an image, and a network for them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.files import sha256
from deeprecon.data.tables import write_table
from deeprecon.jobs.parameters import to_json
from deeprecon.jobs.run import Outcome, Run, Stopped
from deeprecon.scattering.parameters import (
    Method,
    ReconstructInputs,
    ReconstructParameters,
    TrainInputs,
    TrainParameters,
)
from deeprecon.scattering.read.field_checks import check_region
from deeprecon.scattering.read.measurements import read_measurement
from deeprecon.scattering.read.scattered_fields import ScatteredFields
from deeprecon.scattering.write.field_file import write_field_file

if TYPE_CHECKING:
    from deeprecon.scattering.fit.field_network import FieldModel
    from deeprecon.scattering.fit.full_wave import Inversion, Measured
    from deeprecon.scattering.physics.region import Region

_NOISE_MARGIN = 1.2
"""A misfit below so many times the noise is that of the noise."""
_HIGH_MISFIT = 0.4
"""Of a frequency, relative to the field, above which an image does not explain the data; or 1.5 times the noise."""

Floats = npt.NDArray[np.floating[Any]]


def reconstruct_fields(inputs: ReconstructInputs, parameters: ReconstructParameters, run: Run) -> Outcome:
    """Invert the fields of one object; writes volumes, tables, pictures and a report.

    Raises:
        InputError: a method for far fields, or data or a network that cannot be used.
    """
    from deeprecon.scattering.fit.measured_bands import measured_bands
    from deeprecon.scattering.write import field_report

    model = _read_network(inputs, parameters)
    fields = _read(inputs, run)
    if model is None:
        region = _region(fields, parameters)
    else:
        fields, region = model.select(fields), model.region
        check_region(fields, region)
    noise = None if parameters.noise is None else parameters.noise / 100
    bands, notes = measured_bands(fields, region, noise, run.device)
    for note in (*fields.notes, *notes):
        run.reporter.warning(note)
    run.reporter.status("Inverting")
    if model is None:
        found, method = _invert(bands, np.zeros(region.shape), parameters, run), "Full-wave inversion"
    else:
        found, method = _by_network(model, bands, parameters, run)
    images = {"contrast": found.contrast}
    if parameters.replicas:
        images["uncertainty"] = _uncertainty(bands, region, parameters, run)
    rows = _rows(bands, found, fields)
    run.consider(_misfit_doubts(rows, fields.name))
    figures = _figures(fields, region, rows, found)
    outputs = field_report.write_field_volumes(images, region, fields.plane_to_ras, fields.speed, run.output)
    for name, table in (("misfits", rows), ("history", found.history)):
        if not table:  # a network's image that was not refined
            continue
        outputs[name] = run.output / f"{name}.csv"
        write_table(outputs[name], table)
    outputs |= field_report.write_field_report(
        run.output / "report.html",
        f"{method} of {len(bands)} frequencies; contrast is the relative permittivity minus 1, or n^2 - 1.",
        {
            "images": (field_report.contrast_png(images, region), "Contrast."),
            "misfit": (field_report.misfit_png(rows, found.history), "Misfit |F(q) - d| / |d| and noise."),
        },
        {"Figures": [{"figure": name, "value": value} for name, value in figures.items()], "Frequencies": rows},
        [*fields.notes, *notes],
        to_json(parameters),
        run.doubts,
    )
    return Outcome(outputs, figures)


def train_fields(inputs: TrainInputs, parameters: TrainParameters, run: Run) -> Outcome:
    """Train a network on objects that are simulated for the arrangement and the frequencies of measured fields.

    Raises:
        InputError: the fields or the settings cannot be used.
    """
    if inputs.initial is not None:
        raise InputError("--initial is for far fields.", "Leave it out.")
    from deeprecon.scattering.fit.field_network import FieldModel, arrangement_checksum, born_image, write_field_model
    from deeprecon.scattering.fit.measured_bands import measured_bands
    from deeprecon.scattering.networks.bcrnet import parameter_count
    from deeprecon.scattering.simulate.field_objects import simulate_objects
    from deeprecon.scattering.training.field_training import train_field_network

    fields = _read(inputs, run)
    region = _region(fields, parameters)
    bands, notes = measured_bands(fields, region, None, run.device)
    for note in (*fields.notes, *notes):
        run.reporter.warning(note)
    run.reporter.status("Simulating objects")
    contrast = (parameters.contrast_min, parameters.contrast_max)
    truth, objects = simulate_objects(bands, region, parameters.objects, contrast, parameters.noise / 100, run)
    linear = np.stack([born_image(measured) for measured in objects]).astype(np.float32)
    run.reporter.status("Training")
    trained = train_field_network(linear, truth, parameters, run)
    used = tuple(band.frequency for band in fields.bands[: len(bands)])
    checksum = arrangement_checksum(fields.arrangement)
    model = FieldModel(trained.network, trained.scale, region, used, checksum, contrast)
    figures = {"relative_l2": trained.error, "relative_l2_linear": trained.linear_error}
    outputs = {"history": run.output / "history.csv", "bundle": run.output / "bundle"}
    write_table(outputs["history"], trained.history)
    data = (
        f"{len(truth)} discs or balls simulated for {inputs.data.name} (SHA-256 {sha256(inputs.data)}), seed {run.seed}"
    )
    write_field_model(outputs["bundle"], model, data, figures)
    if trained.error >= trained.linear_error:
        run.reporter.warning(
            "The network is no better than the Born approximation: train on more --objects or --epochs."
        )
    return Outcome(outputs, {"objects": len(truth), "network_parameters": parameter_count(trained.network), **figures})


def prepare_fields(inputs: Any, run: Run) -> Outcome:
    """Check a file of measured fields and write it in the layout of `read.field_file`.

    Raises:
        InputError: the file cannot be used.
    """
    fields = _read(inputs, run)
    for note in fields.notes:
        run.reporter.warning(note)
    outputs = {"data": run.output / "data.h5"}
    write_field_file(outputs["data"], fields)
    return Outcome(outputs, _dimensions(fields))


def _read(inputs: Any, run: Run) -> ScatteredFields:
    run.reporter.status("Reading the data")
    fields = read_measurement(inputs.data)
    run.consider(fields.doubts)
    return fields


def _region(fields: ScatteredFields, parameters: ReconstructParameters | TrainParameters) -> Region:
    from deeprecon.scattering.physics.region import Region

    side = fields.side if parameters.side is None else parameters.side / 1e3
    if side is None:
        raise InputError(f"{fields.name} does not state the region in which the object lies.", "Give its --side in mm.")
    center = np.zeros(fields.arrangement.dimension) if fields.center is None else fields.center
    region = Region(center, side, parameters.grid)
    check_region(fields, region)
    return region


def _read_network(inputs: ReconstructInputs, parameters: ReconstructParameters) -> FieldModel | None:
    """The network of --method mnn; None for full-wave inversion."""
    if parameters.method not in (Method.FULLWAVE, Method.MNN):
        raise InputError(
            f"{inputs.data.name} holds fields of any arrangement of sources and receivers, for --method fullwave or "
            "mnn only.",
            "Give one of them.",
        )
    if (parameters.method is Method.MNN) != (inputs.bundle is not None):
        raise InputError("--method mnn needs a trained network, and fullwave has none.", "Give both or none of them.")
    if inputs.bundle is None:
        return None
    if parameters.replicas or parameters.side is not None:
        raise InputError("replicas and side cannot be set with a network.", "Leave them out, or use --method fullwave.")
    from deeprecon.scattering.fit.field_network import read_field_model  # torch only where it is needed

    return read_field_model(inputs.bundle)


def _by_network(
    model: FieldModel, bands: tuple[Measured, ...], parameters: ReconstructParameters, run: Run
) -> tuple[Inversion, str]:
    """A network's image, or that of full-wave inversion from there where it explains the data better."""
    from deeprecon.scattering.fit.full_wave import Inversion

    image = model.predict(bands, run.device)
    found = Inversion(image, (), tuple(band.misfit(image) for band in bands), math.inf, False)
    noises = [band.noise or 0.0 for band in bands]
    if not parameters.refine or _mean_square(found.misfits) <= _NOISE_MARGIN * _mean_square(noises):
        return found, "Image by a network (MNN-H2)"
    refined = _invert(bands, image, parameters, run)
    if _mean_square(refined.misfits) >= _mean_square(found.misfits):
        return found, "Image by a network (MNN-H2)"
    run.reporter.warning("Refined by full-wave inversion, as the network's image does not explain the data.")
    return refined, "Full-wave inversion from the image by a network (MNN-H2)"


def _mean_square(values: Sequence[float]) -> float:
    """The root of the mean of the squares."""
    return float(np.sqrt(np.mean(np.square(values))))


def _invert(bands: tuple[Measured, ...], start: Floats, parameters: ReconstructParameters, run: Run) -> Inversion:
    from deeprecon.scattering.fit.full_wave import FIELD_SMOOTHING, invert_full_wave

    return invert_full_wave(
        bands,
        start,
        parameters.contrast,
        FIELD_SMOOTHING if parameters.smoothing is None else parameters.smoothing,
        parameters.steps,
        run.reporter.progress,
        run.should_stop,
    )


def _uncertainty(
    bands: tuple[Measured, ...], region: Region, parameters: ReconstructParameters, run: Run
) -> npt.NDArray[np.float64]:
    """Standard deviation of the contrast over inversions of the data with more noise of the same size."""
    if any(band.noise is None for band in bands):
        raise InputError("The noise is not known, so that there are no --replicas.", "Give --noise in %.")
    rng = np.random.default_rng(run.seed)
    images = []
    for number in range(parameters.replicas):
        if run.should_stop():
            raise Stopped()
        run.reporter.status(f"Inverting replica {number + 1} of {parameters.replicas}")
        noisy = tuple(_with_noise(band, rng) for band in bands)
        images.append(_invert(noisy, np.zeros(region.shape), parameters, run).contrast)
    return np.asarray(np.std(images, axis=0, ddof=1))


def _with_noise(band: Measured, rng: np.random.Generator) -> Measured:
    size = float(np.sqrt((np.abs(band.data[band.used]) ** 2).mean() / 2)) * (band.noise or 0.0)
    real, imaginary = rng.standard_normal((2, *band.data.shape))
    return replace(band, data=band.data + size * (real + 1j * imaginary))


def _rows(bands: tuple[Measured, ...], found: Inversion, fields: ScatteredFields) -> list[dict[str, Any]]:
    """Of misfits.csv; the frequencies that are used are the lowest of the data."""
    return [
        {"frequency": band.label, "hertz": given.frequency, "misfit": misfit, "noise": band.noise}
        for band, misfit, given in zip(bands, found.misfits, fields.bands, strict=False)
    ]


def _misfit_doubts(rows: list[dict[str, Any]], name: str) -> tuple[Doubt, ...]:
    """Whether the image leaves much of the field of some frequencies unexplained."""
    high = [row for row in rows if row["misfit"] > max(_HIGH_MISFIT, 1.5 * (row["noise"] or 0.0))]
    if not high:
        return ()
    worst = max(high, key=lambda row: float(row["misfit"]))
    text = (
        f"The image does not explain {len(high)} of {len(rows)} frequencies: the misfit at {worst['frequency']} is "
        f"{worst['misfit']:.2f} of the field."
    )
    way_out = "Try --contrast any, a larger --side, or check positions, calibration and time convention."
    return (Doubt("misfit-high", name, text, way_out, assumed=True),)


def _figures(fields: ScatteredFields, region: Region, rows: list[dict[str, Any]], found: Inversion) -> dict[str, Any]:
    noises = [row["noise"] for row in rows if row["noise"] is not None]
    figures = {
        **_dimensions(fields),
        "frequencies_used": len(rows),
        "pixel_mm": 1e3 * region.spacing,
        "steps": len(found.history),
        "data_misfit": _mean_square([row["misfit"] for row in rows]),
        "contrast_min": float(found.contrast.min()),
        "contrast_max": float(found.contrast.max()),
    }
    return figures | ({"noise": _mean_square(noises)} if noises else {})


def _dimensions(fields: ScatteredFields) -> dict[str, Any]:
    views, receivers = fields.arrangement.receiver.shape[:2]
    return {"objects": 1, "frequencies": len(fields.bands), "views": views, "receivers": receivers}
