"""The front door of the method: what `python -m deeprecon scattering VERB` runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from deeprecon.data.errors import InputError
from deeprecon.data.files import sha256
from deeprecon.data.tables import write_table
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.jobs.parameters import to_json
from deeprecon.jobs.run import Outcome, Run
from deeprecon.jobs.verbs import Verb
from deeprecon.scattering import parameters as settings
from deeprecon.scattering.measure.metrics import scores, summary
from deeprecon.scattering.parameters import Family, Method, Quantity
from deeprecon.scattering.physics.coordinates import cell_axis, to_square
from deeprecon.scattering.pipeline import reconstruct
from deeprecon.scattering.read.far_field import read_measurements, write_measurements
from deeprecon.scattering.read.tissue import contrast_of, cut_out, parse_speeds, read_speeds, speed_of
from deeprecon.scattering.simulate.measurements import pixels_needed, simulate_phantoms, simulate_region
from deeprecon.scattering.write.report import SHOWN, picture, write_report
from deeprecon.scattering.write.result_file import read_result


def phantom(inputs: settings.PhantomInputs, parameters: settings.PhantomParameters, run: Run) -> Outcome:
    """Random objects whose contrast is known everywhere, with their far fields."""
    run.reporter.status("Simulating the far fields")
    made = simulate_phantoms(parameters, run)
    outputs = {"data": run.output / "data.h5", "images": run.output / "images.png"}
    exact = parameters.family is Family.DISCS
    write_measurements(outputs["data"], made, "T-matrix" if exact else "Lippmann-Schwinger")
    shown = made.truth(parameters.rings)[:SHOWN]
    outputs["images"].write_bytes(
        picture(shown, None, [f"object {number + 1}" for number in range(len(shown))], "truth")
    )
    return Outcome(outputs, {"objects": len(made), "k": made.k, "directions": made.angles})


def prepare(inputs: settings.PrepareInputs, parameters: settings.PrepareParameters, run: Run) -> Outcome:
    """Check a far-field file and bring it onto uniform directions, or simulate the slices of a volume.

    Raises:
        InputError: none or both of the inputs, or one that cannot be used.
    """
    if (inputs.data is None) == (inputs.volume is None):
        raise InputError("scattering prepare works on --data or on --volume.", "Give one of them.")
    outputs = {"data": run.output / "data.h5"}
    if inputs.data is not None:
        usual = settings.PrepareParameters(angles=parameters.angles)
        if extra := [name for name, value in vars(parameters).items() if value != getattr(usual, name)]:
            raise InputError(f"{', '.join(extra)} cannot be set with --data.", "Leave them out; they are for --volume.")
        run.reporter.status("Reading the data")
        measured = read_measurements(inputs.data, parameters.angles)
        for note in measured.notes:
            run.reporter.warning(note)
        write_measurements(outputs["data"], measured, f"from {inputs.data.name}")
        return Outcome(outputs, {"objects": len(measured), "k": measured.k, "directions": measured.angles})

    assert inputs.volume is not None
    run.reporter.status("Reading the volume")
    background = parameters.background
    speed = read_speeds(inputs.volume, parse_speeds(parameters.speeds), background)
    strongest = float(contrast_of(np.asarray(speed.array, np.float64), background).max())
    pixels = pixels_needed(parameters.k, strongest)
    region = cut_out(speed, background, pixels, parameters.radius, parameters.slices)
    run.reporter.status("Simulating the far fields")
    measured = simulate_region(region, parameters.k, parameters.angles, parameters.rings, parameters.noise, run)
    write_measurements(outputs["data"], measured, "Lippmann-Schwinger")
    radius = region.geometry.radius_mm
    figures = {
        "objects": len(measured),
        "k": measured.k,
        "directions": measured.angles,
        "radius_mm": radius,
        "frequency_khz": measured.k * background / (2 * np.pi * radius),  # m/s over mm is kHz
        "contrast_min": float(region.contrast.min()),
        "contrast_max": float(region.contrast.max()),
    }
    return Outcome(outputs, figures)


def train(inputs: settings.TrainInputs, parameters: settings.TrainParameters, run: Run) -> Outcome:
    """Train BCR-Net and keep it as a model bundle.

    Raises:
        InputError: the data, the settings or the initial weights cannot be used.
    """
    from deeprecon.scattering.networks.model import write_model
    from deeprecon.scattering.training.run import train_model

    run.reporter.status("Reading the data")
    measured = read_measurements(inputs.data, parameters.angles, parameters.most)
    for note in measured.notes:
        run.reporter.warning(note)
    done = train_model(measured, inputs.initial, parameters, run)
    outputs = {name: run.output / f"{name}.csv" for name in ("history", "metrics", "split")}
    write_table(outputs["history"], done.history)
    write_table(outputs["metrics"], done.rows)
    write_table(outputs["split"], done.split)
    outputs["bundle"] = run.output / "bundle"
    data = f"{inputs.data.name} (SHA-256 {sha256(inputs.data)}), {len(measured)} objects, seed {run.seed}"
    write_model(outputs["bundle"], done.model, data, done.test)
    outputs["report"] = run.output / "report.html"
    pictures = write_report(
        outputs["report"],
        "Training of BCR-Net",
        f"Relative error of the test objects: {done.test['relative_l2']:.3f}; of the best linear inversion: "
        f"{done.figures['relative_l2_linear']:.3f}; of empty images: 1.",
        picture(*done.examples),
        "Test objects; relative error over the disc.",
        {"Scores": done.rows},
        (*measured.notes, *done.notes),
        to_json(parameters),
        done.history,
    )
    outputs |= {path.stem: path for path in pictures}
    return Outcome(outputs, done.figures)


def evaluate(inputs: settings.EvaluateInputs, parameters: settings.EvaluateParameters, run: Run) -> Outcome:
    """Hold a result against the truth.

    Raises:
        InputError: other objects, another wave number, or no truth.
    """
    result = read_result(inputs.result)
    truth_file = read_measurements(inputs.truth, result.polar.shape[1])
    if len(truth_file) < len(result.polar):
        raise InputError(
            f"{inputs.result.name} has {len(result.polar)} objects, {inputs.truth.name} only {len(truth_file)}.",
            "Give the data that the result was made from.",
        )
    if abs(truth_file.k - result.k) > 1e-3 * result.k:
        raise InputError(
            f"{inputs.result.name} is of k = {result.k:g}, {inputs.truth.name} of {truth_file.k:g}.",
            "Give the data that the result was made from.",
        )
    truth = truth_file.part(slice(len(result.polar))).truth(result.polar.shape[2])
    each = scores(result.polar, truth)
    rows = [
        {"object": number + 1, **{name: float(values[number]) for name, values in each.items()}}
        for number in range(len(truth))
    ]
    outputs = {"table": run.output / "evaluation.csv"}
    write_table(outputs["table"], rows)
    return Outcome(outputs, {"objects": len(truth), **summary(each)})


def export(inputs: settings.ExportInputs, parameters: settings.ExportParameters, run: Run) -> Outcome:
    """Write a result as a volume for other programs, a slice for each object.

    Raises:
        InputError: sound speeds are wanted, but that of the background is not known.
    """
    result = read_result(inputs.result)
    image = to_square(result.polar, cell_axis(parameters.grid))
    if parameters.quantity is Quantity.SPEED:
        background = parameters.background or result.geometry.sound_speed
        if background is None:
            raise InputError(
                f"{inputs.result.name} does not state the sound speed of the background.",
                "Give --background, such as 1480, or --quantity contrast.",
            )
        image = speed_of(image, background)
    path = run.output / f"{parameters.quantity.value}.{parameters.format.value}"
    affine = result.geometry.image_to_ras(parameters.grid)
    write_volume(path, Volume(image.astype(np.float32), affine, parameters.quantity.value))
    return Outcome(
        {"volume": path}, {"objects": len(image), "minimum": float(image.min()), "maximum": float(image.max())}
    )


def _never(parameters: Any) -> bool:
    return False


def _fp32(parameters: Any) -> tuple[str, ...]:
    """Waves lose their phase in less."""
    return ("fp32",)


VERBS = {
    "reconstruct": Verb(
        "contrast images from far fields",
        settings.ReconstructInputs,
        settings.ReconstructParameters,
        reconstruct,
        needs_torch=lambda parameters: parameters.method is Method.BCRNET or parameters.misfits > 0,
        precisions=_fp32,
    ),
    "train": Verb(
        "train BCR-Net on far fields with true images, and keep it as a model bundle",
        settings.TrainInputs,
        settings.TrainParameters,
        train,
    ),
    "phantom": Verb(
        "simulate far fields of random objects",
        settings.PhantomInputs,
        settings.PhantomParameters,
        phantom,
        needs_torch=lambda parameters: parameters.family is not Family.DISCS,
        precisions=_fp32,
    ),
    "prepare": Verb(
        "check a far-field file, or simulate the slices of a volume",
        settings.PrepareInputs,
        settings.PrepareParameters,
        prepare,
        precisions=_fp32,
    ),
    "evaluate": Verb(
        "hold a result against the truth",
        settings.EvaluateInputs,
        settings.EvaluateParameters,
        evaluate,
        needs_torch=_never,
    ),
    "export": Verb(
        "write a result as a volume of sound speed or contrast",
        settings.ExportInputs,
        settings.ExportParameters,
        export,
        needs_torch=_never,
    ),
}
