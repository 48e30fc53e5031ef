"""The verbs of inverse wave scattering: from input files to output files, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.files import sha256
from deeprecon.data.tables import write_table
from deeprecon.jobs.parameters import NoParameters, to_json
from deeprecon.jobs.run import Outcome, Run
from deeprecon.scattering import parameters as settings
from deeprecon.scattering.field_pipeline import prepare_fields, reconstruct_fields, train_fields
from deeprecon.scattering.fit.linear import invert_linearly
from deeprecon.scattering.measure.data_misfit import data_misfits, network_doubts
from deeprecon.scattering.measure.metrics import image_scores, mean_scores
from deeprecon.scattering.measure.orientation import orientation_doubts, truth_doubts
from deeprecon.scattering.parameters import Family, Method
from deeprecon.scattering.physics.contrast import contrast_from_speed
from deeprecon.scattering.physics.image_grids import required_pixels
from deeprecon.scattering.read.far_field_data import FarFieldData, RegionGeometry
from deeprecon.scattering.read.far_field_file import read_far_fields
from deeprecon.scattering.read.measurements import is_measurement
from deeprecon.scattering.read.reconstruction_file import Reconstruction, read_reconstruction
from deeprecon.scattering.read.sound_speed import RegionSlices, extract_region, read_speeds
from deeprecon.scattering.simulate.far_fields import simulate_phantoms, simulate_slices
from deeprecon.scattering.write.far_field_file import write_far_fields
from deeprecon.scattering.write.images import export_volume, write_image_volumes
from deeprecon.scattering.write.reconstruction_file import write_reconstruction
from deeprecon.scattering.write.report import MAX_EXAMPLES, comparison_png, write_report

if TYPE_CHECKING:
    from deeprecon.scattering.fit.network import Model

DEFAULT_RADIUS_MM = 50.0
"""Of the region, where neither the data nor the user states one."""
_ROTATED_HINT = "Transpose the far field that the images were made from, or rotate the true images."
_K_TOLERANCE = 1e-3
"""Largest relative difference of two equal wave numbers or radii."""


def phantom(inputs: settings.PhantomInputs, parameters: settings.PhantomParameters, run: Run) -> Outcome:
    """Simulate random objects with known contrast and their far fields."""
    run.reporter.status("Simulating the far fields")
    simulated = simulate_phantoms(parameters, run)
    outputs = {"data": run.output / "data.h5", "images": run.output / "images.png"}
    exact = parameters.family is Family.DISCS
    write_far_fields(outputs["data"], simulated, "T-matrix" if exact else "Lippmann-Schwinger")
    examples = simulated.truth(parameters.rings)[:MAX_EXAMPLES]
    titles = [f"object {number + 1}" for number in range(len(examples))]
    outputs["images"].write_bytes(comparison_png(examples, None, titles, "truth"))
    return Outcome(outputs, _dimensions(simulated))


def prepare(inputs: settings.PrepareInputs, parameters: settings.PrepareParameters, run: Run) -> Outcome:
    """Check a far-field file and resample it to uniform directions, or simulate the slices of a volume.

    Raises:
        InputError: none or both of the inputs, or one that cannot be used.
    """
    if (inputs.data is None) == (inputs.volume is None):
        raise InputError("scattering prepare works on --data or on --volume.", "Give one of them.")
    outputs = {"data": run.output / "data.h5"}
    if inputs.data is not None:
        _refuse_volume_settings(parameters)
        if is_measurement(inputs.data):
            return prepare_fields(inputs, run)
        measured = _read_data(inputs.data, parameters.angles, 0, run)
        write_far_fields(outputs["data"], measured, f"from {inputs.data.name}")
        return Outcome(outputs, _dimensions(measured))
    region = _read_region(inputs, parameters, run)
    run.reporter.status("Simulating the far fields")
    simulated = simulate_slices(region, parameters.k, parameters.angles, parameters.rings, parameters.noise, run)
    write_far_fields(outputs["data"], simulated, "Lippmann-Schwinger")
    radius = region.geometry.radius_mm
    figures = {
        **_dimensions(simulated),
        "radius_mm": radius,
        "frequency_khz": simulated.k * parameters.background / (2 * np.pi * radius),  # m/s over mm is kHz
        "contrast_min": float(region.contrast.min()),
        "contrast_max": float(region.contrast.max()),
    }
    return Outcome(outputs, figures)


def train(inputs: settings.TrainInputs, parameters: settings.TrainParameters, run: Run) -> Outcome:
    """Train a BCR-Net, or MNN-H2 for measured fields, test it, and write it as a model bundle.

    Raises:
        InputError: the data, the settings or the initial weights cannot be used.
    """
    if is_measurement(inputs.data):
        return train_fields(inputs, parameters, run)
    from deeprecon.scattering.fit.network import write_model
    from deeprecon.scattering.training.experiment import train_and_test

    _refuse_field_training(parameters)
    measured = _read_data(inputs.data, parameters.angles, parameters.most, run)
    tested = train_and_test(measured, inputs.initial, parameters, run)
    outputs = {name: run.output / f"{name}.csv" for name in ("history", "metrics", "split")}
    write_table(outputs["history"], tested.history.epochs)
    write_table(outputs["metrics"], tested.rows)
    write_table(outputs["split"], tested.split_rows())
    outputs["bundle"] = run.output / "bundle"
    data = f"{inputs.data.name} (SHA-256 {sha256(inputs.data)}), {len(measured)} objects, seed {run.seed}"
    write_model(outputs["bundle"], tested.model, data, tested.test)
    examples = measured.subset(tested.sets["test"][:MAX_EXAMPLES])
    images, truth = tested.model.predict(examples, run.device, "fp32"), examples.truth(parameters.rings)
    titles = [f"error {error:.3f}" for error in image_scores(images, truth)["relative_l2"]]
    outputs["report"] = run.output / "report.html"
    pictures = write_report(
        outputs["report"],
        "Training of BCR-Net",
        f"Relative error of the test objects: {tested.test['relative_l2']:.3f}; of the best linear inversion: "
        f"{tested.linear_error:.3f}; of empty images: 1.",
        comparison_png(images, truth, titles),
        "Test objects; relative error over the disc.",
        {"Scores": tested.rows},
        (*measured.notes, *tested.notes),
        to_json(parameters),
        run.doubts,
        tested.history.epochs,
    )
    return Outcome(outputs | {path.stem: path for path in pictures}, tested.figures())


def reconstruct(inputs: settings.ReconstructInputs, parameters: settings.ReconstructParameters, run: Run) -> Outcome:
    """Invert far fields of several objects, or measured fields of one; writes images, volumes, tables and a report.

    Raises:
        InputError: the data or the bundle cannot be used, or do not fit each other.
    """
    if is_measurement(inputs.data):
        return reconstruct_fields(inputs, parameters, run)
    _refuse_field_settings(parameters)
    model = _read_network(inputs, parameters)
    angles = model.network.architecture.angles if model else parameters.angles
    rings = model.network.architecture.rings if model else parameters.rings
    measured = _read_data(inputs.data, angles, parameters.most, run)
    geometry, assumptions = _geometry(measured, parameters)
    notes = [*assumptions, *(model.check(measured) if model else [])]
    for note in notes:
        run.reporter.warning(note)
    unrefined = images = _invert(measured, rings, model, parameters, run)
    if model is not None and parameters.refine and parameters.misfits:
        images, refined = _refine(images, measured, model, parameters, run)
        notes += refined
    truth = measured.truth(rings) if measured.has_truth else None
    rows, means = _measure(images, unrefined, truth, measured, parameters, run)
    figures = _dimensions(measured) | means

    outputs = write_image_volumes(images, truth, geometry, parameters.grid, run.output)
    outputs["result"] = run.output / "reconstruction.h5"
    write_reconstruction(outputs["result"], Reconstruction(images, measured.k, parameters.method.value, geometry))
    outputs["table"] = run.output / "table.csv"
    write_table(outputs["table"], rows)
    outputs["report"] = run.output / "report.html"
    pictures = write_report(
        outputs["report"],
        "Wave scattering",
        f"{len(images)} objects by {parameters.method.value}, k = {measured.k:g}.",
        comparison_png(
            images[:MAX_EXAMPLES], None if truth is None else truth[:MAX_EXAMPLES], _titles(rows[:MAX_EXAMPLES])
        ),
        "The first objects; relative error over the disc, 1 for an empty image.",
        {"Mean over the objects": [{"figure": name, "value": value} for name, value in figures.items()]},
        [*measured.notes, *notes],
        to_json(parameters),
        run.doubts,
    )
    return Outcome(outputs | {path.stem: path for path in pictures}, figures)


def evaluate(inputs: settings.EvaluateInputs, parameters: NoParameters, run: Run) -> Outcome:
    """Compare a reconstruction with the truth.

    Raises:
        InputError: other objects, another wave number, or no truth.
    """
    result = read_reconstruction(inputs.result)
    count, angles, rings = result.polar.shape
    data = read_far_fields(inputs.truth, angles)
    hint = "Give the data that the result was made from."
    if len(data) < count:
        raise InputError(f"{inputs.result.name} has {count} objects, {inputs.truth.name} only {len(data)}.", hint)
    if abs(data.k - result.k) > _K_TOLERANCE * result.k:
        raise InputError(f"{inputs.result.name} is of k = {result.k:g}, {inputs.truth.name} of {data.k:g}.", hint)
    truth = data.subset(slice(count)).truth(rings)
    run.consider(orientation_doubts(result.polar, truth, inputs.result.name, _ROTATED_HINT))
    scores = image_scores(result.polar, truth)
    outputs = {"table": run.output / "evaluation.csv"}
    write_table(outputs["table"], _score_rows(count, scores))
    return Outcome(outputs, {"objects": count, **mean_scores(scores)})


def export(inputs: settings.ExportInputs, parameters: settings.ExportParameters, run: Run) -> Outcome:
    """Write a reconstruction as a volume for other programs, a slice for each object.

    Raises:
        InputError: sound speed is requested, but that of the background is not known.
    """
    result = read_reconstruction(inputs.result)
    path, values = export_volume(result, inputs.result.name, parameters, run.output)
    figures = {"objects": len(values), "minimum": float(values.min()), "maximum": float(values.max())}
    return Outcome({"volume": path}, figures)


def _read_data(path: Any, angles: int, limit: int, run: Run) -> FarFieldData:
    run.reporter.status("Reading the data")
    measured = read_far_fields(path, angles, limit)
    for note in measured.notes:
        run.reporter.warning(note)
    run.consider([*measured.doubts, *truth_doubts(measured)])
    return measured


def _dimensions(data: FarFieldData) -> dict[str, Any]:
    return {"objects": len(data), "k": data.k, "directions": data.angles}


def _refuse_volume_settings(parameters: settings.PrepareParameters) -> None:
    default = settings.PrepareParameters(angles=parameters.angles)
    if extra := [name for name, value in vars(parameters).items() if value != getattr(default, name)]:
        raise InputError(f"{', '.join(extra)} cannot be set with --data.", "Leave them out; they are for --volume.")


def _refuse_field_training(parameters: settings.TrainParameters) -> None:
    default, names = settings.TrainParameters(), ("objects", "grid", "side", "contrast_min", "contrast_max")
    if extra := [name for name in names if getattr(parameters, name) != getattr(default, name)]:
        raise InputError(
            f"{', '.join(extra)} cannot be set with far fields.", "Leave them out; they are for other measured fields."
        )


def _refuse_field_settings(parameters: settings.ReconstructParameters) -> None:
    default = settings.ReconstructParameters()
    if extra := [name for name in ("side", "noise", "replicas") if getattr(parameters, name) != getattr(default, name)]:
        raise InputError(
            f"{', '.join(extra)} cannot be set with far fields.", "Leave them out; they are for other measured fields."
        )


def _read_region(inputs: settings.PrepareInputs, parameters: settings.PrepareParameters, run: Run) -> RegionSlices:
    assert inputs.volume is not None
    run.reporter.status("Reading the volume")
    background = parameters.background
    speed = read_speeds(inputs.volume, settings.parse_speeds(parameters.speeds), background)
    run.consider(speed.doubts)
    max_contrast = float(contrast_from_speed(np.asarray(speed.array, np.float64), background).max())
    pixels = required_pixels(parameters.k, max_contrast)
    return extract_region(speed, background, pixels, parameters.radius, parameters.slices)


def _read_network(inputs: settings.ReconstructInputs, parameters: settings.ReconstructParameters) -> Model | None:
    if parameters.method is Method.MNN:
        raise InputError(
            f"--method mnn is for fields of any arrangement; {inputs.data.name} has far fields.", "Use --method bcrnet."
        )
    if parameters.method is not Method.BCRNET:
        if inputs.bundle is not None:
            raise InputError(f"--bundle is for --method bcrnet, not {parameters.method.value}.", "Leave one out.")
        return None
    if inputs.bundle is None:
        raise InputError("--method bcrnet needs a trained network.", "Give --bundle DIR of scattering train.")
    from deeprecon.scattering.fit.network import read_model  # torch only where it is needed

    return read_model(inputs.bundle)


def _geometry(
    measured: FarFieldData, parameters: settings.ReconstructParameters
) -> tuple[RegionGeometry, Sequence[str]]:
    """Position and size of the region, and notes about what is assumed."""
    stated = measured.geometry
    if stated is not None:
        difference = abs((parameters.radius or stated.radius_mm) - stated.radius_mm)
        if difference > _K_TOLERANCE * stated.radius_mm:
            raise InputError(
                f"{measured.name} states a radius of {stated.radius_mm:g} mm, --radius is {parameters.radius:g} mm.",
                "Leave out --radius.",
            )
        return stated, ()
    radius = parameters.radius or DEFAULT_RADIUS_MM
    note = f"{measured.name} does not state the size of its region; a radius of {radius:g} mm is taken (--radius)."
    spacing = 2 * radius / parameters.grid
    geometry = RegionGeometry(radius, np.diag([1.0, 1.0, spacing, 1.0]))
    return geometry, (note,) if parameters.radius is None else ()


def _invert(
    measured: FarFieldData, rings: int, model: Model | None, parameters: settings.ReconstructParameters, run: Run
) -> npt.NDArray[np.float32]:
    run.reporter.status("Computing the images")
    if model is not None:
        return model.predict(measured, run.device, run.precision)
    regularization = None if parameters.method is Method.BACKPROJECTION else parameters.regularization
    images = invert_linearly(measured, rings, regularization, run.reporter.progress)
    return _full_wave(images, measured, parameters, run) if parameters.method is Method.FULLWAVE else images


def _full_wave(
    images: npt.NDArray[np.float32], measured: FarFieldData, parameters: settings.ReconstructParameters, run: Run
) -> npt.NDArray[np.float32]:
    """Full-wave inversion of all objects, from the images of Tikhonov regularization."""
    from deeprecon.scattering.fit.refinement import FarFieldRefinement

    refinement = FarFieldRefinement(
        measured, parameters.contrast, parameters.smoothing, parameters.steps, run.device, run.should_stop
    )
    for index, image in enumerate(images):
        images[index] = refinement.refine(index, image)[0]
        run.reporter.progress((index + 1) / len(images))
    return images


def _refine(
    images: npt.NDArray[np.float32],
    measured: FarFieldData,
    model: Model,
    parameters: settings.ReconstructParameters,
    run: Run,
) -> tuple[npt.NDArray[np.float32], list[str]]:
    """Images of a network with those refined that do not explain their data, and a note for the user."""
    from deeprecon.scattering.fit.refinement import FarFieldRefinement, refine_network

    run.reporter.status("Refining")
    compared = measured.subset(slice(parameters.misfits))
    linear = invert_linearly(compared, images.shape[-1], parameters.regularization, lambda share: None)
    refinement = FarFieldRefinement(
        compared, parameters.contrast, parameters.smoothing, parameters.steps, run.device, run.should_stop
    )
    refined = refine_network(refinement, images[: len(compared)], linear, model.misfit, run.reporter.progress)
    if not refined:
        return images, []
    result = images.copy()
    for index, image in refined.items():
        result[index] = image
    objects = ", ".join(str(index + 1) for index in refined)
    note = f"Refined by full-wave inversion, as the network's images do not explain their data: objects {objects}."
    run.reporter.warning(note)
    return result, [note]


def _measure(
    images: npt.NDArray[np.float32],
    unrefined: npt.NDArray[np.float32],
    truth: npt.NDArray[np.float32] | None,
    measured: FarFieldData,
    parameters: settings.ReconstructParameters,
    run: Run,
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Scores of each object, as rows of a table, and their means; a network is doubted by its unrefined images."""
    scores = {} if truth is None else image_scores(images, truth)
    rows, means = _score_rows(len(images), scores), mean_scores(scores)
    compared = measured.subset(slice(parameters.misfits))
    misfits = {"data_misfit": data_misfits(images[: parameters.misfits], compared, run)}
    if parameters.method is Method.BCRNET and misfits["data_misfit"]:
        linear = _tikhonov_misfits(compared, images.shape[-1], parameters.regularization, run)
        network = misfits["data_misfit"]
        if unrefined is not images:
            network = misfits["data_misfit_network"] = data_misfits(unrefined[: parameters.misfits], compared, run)
        run.consider(network_doubts(network, linear, measured.name))
        misfits["data_misfit_tikhonov"] = linear
    for name, values in misfits.items():
        for row, value in zip(rows, values, strict=False):
            row[name] = value
    return rows, means | {name: float(np.mean(values)) for name, values in misfits.items() if values}


def _tikhonov_misfits(measured: FarFieldData, rings: int, regularization: float, run: Run) -> list[float]:
    """Data misfits of Tikhonov's images; none where the wave equation cannot be solved for them."""
    images = invert_linearly(measured, rings, regularization, lambda share: None)
    try:
        return data_misfits(images, measured, run)
    except InputError:
        run.reporter.warning("The network is not compared with Tikhonov regularization, whose images diverge.")
        return []


def _score_rows(count: int, scores: dict[str, npt.NDArray[np.float64]]) -> list[dict[str, Any]]:
    return [
        {"object": number + 1, **{name: float(values[number]) for name, values in scores.items()}}
        for number in range(count)
    ]


def _titles(rows: Sequence[dict[str, Any]]) -> list[str]:
    errors = [f": {row['relative_l2']:.3f}" if "relative_l2" in row else "" for row in rows]
    return [f"object {row['object']}{error}" for row, error in zip(rows, errors, strict=True)]
