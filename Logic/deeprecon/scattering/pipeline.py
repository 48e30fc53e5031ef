"""From far fields to images: the run verb of the method."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.tables import write_table
from deeprecon.data.volume import Volume
from deeprecon.data.volume_io import write_volume
from deeprecon.jobs.parameters import to_json
from deeprecon.jobs.run import Outcome, Run
from deeprecon.scattering.measure.metrics import scores, summary
from deeprecon.scattering.parameters import Method, ReconstructInputs, ReconstructParameters
from deeprecon.scattering.physics.born import PolarBorn
from deeprecon.scattering.physics.coordinates import cell_axis, to_square
from deeprecon.scattering.physics.discs import directions
from deeprecon.scattering.read.far_field import read_measurements
from deeprecon.scattering.read.measurements import Geometry, Measurements
from deeprecon.scattering.read.tissue import speed_of
from deeprecon.scattering.simulate.measurements import pixels_needed
from deeprecon.scattering.write.report import SHOWN, picture, write_report
from deeprecon.scattering.write.result_file import Result, write_result

if TYPE_CHECKING:
    from deeprecon.scattering.networks.model import Model

Floats = npt.NDArray[np.floating[Any]]

USUAL_RADIUS = 50.0
"""mm, where neither the data nor the user states one."""
_STRONGEST = -0.95
_SLAB = 128


def reconstruct(inputs: ReconstructInputs, parameters: ReconstructParameters, run: Run) -> Outcome:
    """Contrast images of all objects, as polar images, volumes, a table and a page.

    Raises:
        InputError: the data or the bundle cannot be used, or do not fit each other.
    """
    model = _model(inputs, parameters)
    run.reporter.status("Reading the data")
    angles = model.network.shape.angles if model else parameters.angles
    rings = model.network.shape.rings if model else parameters.rings
    measured = read_measurements(inputs.data, angles, parameters.most)
    geometry, assumed = _geometry(measured, parameters)
    notes = [*measured.notes, *assumed, *(model.doubts(measured) if model else [])]
    for note in notes:
        run.reporter.warning(note)
    run.reporter.status("Computing the images")
    found = _images(measured, rings, model, parameters, run)

    truth = measured.truth(rings) if measured.known else None
    rows: list[dict[str, Any]] = [{"object": number + 1} for number in range(len(found))]
    figures: dict[str, Any] = {"objects": len(found), "k": measured.k, "directions": measured.angles}
    if truth is not None:
        each = scores(found, truth)
        for name, values in each.items():
            for row, value in zip(rows, values, strict=True):
                row[name] = float(value)
        figures |= summary(each)
    misfits = data_misfits(found[: parameters.misfits], measured, run)
    for row, value in zip(rows, misfits, strict=False):
        row["data_misfit"] = value
    if len(misfits):
        figures["data_misfit"] = float(np.mean(misfits))

    outputs = _write_images(found, truth, geometry, parameters.grid, run.output)
    outputs["result"] = run.output / "reconstruction.h5"
    write_result(outputs["result"], Result(found, measured.k, parameters.method.value, geometry))
    outputs["table"] = run.output / "table.csv"
    write_table(outputs["table"], rows)
    outputs["report"] = run.output / "report.html"
    pictures = write_report(
        outputs["report"],
        "Wave scattering",
        f"{len(found)} objects by {parameters.method.value}, k = {measured.k:g}.",
        picture(
            found[:SHOWN],
            None if truth is None else truth[:SHOWN],
            [_title(row) for row in rows[:SHOWN]],
        ),
        "The first objects; relative error over the disc, 1 for an empty image.",
        {"Mean over the objects": [{"figure": name, "value": value} for name, value in figures.items()]},
        notes,
        to_json(parameters),
    )
    outputs |= {path.stem: path for path in pictures}
    return Outcome(outputs, figures)


def data_misfits(found: Floats, measured: Measurements, run: Run) -> list[float]:
    """|F(q) - d| / |d| of each of the first objects, with F the full Lippmann-Schwinger solution: needs no truth.

    Args:
        found: (S, angles, rings) contrast of the first S objects.
        measured: the data.
        run: device and reporter.
    """
    if not len(found):
        return []
    from deeprecon.scattering.physics.volume_integral import VolumeIntegral

    run.reporter.status("Holding images against the data")
    axis, theta = cell_axis(pixels_needed(measured.k, float(found.max()))), directions(measured.angles)
    solver = VolumeIntegral(measured.k, axis, run.device)
    misfits = []
    for image, data in zip(found, measured.far_field, strict=False):
        if run.should_stop():
            break
        simulated = solver.far_field(np.maximum(to_square(image, axis), _STRONGEST), theta, theta)
        misfits.append(float(np.linalg.norm(simulated - data) / np.linalg.norm(data)))
    return misfits


def _model(inputs: ReconstructInputs, parameters: ReconstructParameters) -> Model | None:
    if parameters.method is not Method.BCRNET:
        if inputs.bundle is not None:
            raise InputError(f"--bundle is for --method bcrnet, not {parameters.method.value}.", "Leave one out.")
        return None
    if inputs.bundle is None:
        raise InputError("--method bcrnet needs a trained network.", "Give --bundle DIR of scattering train.")
    from deeprecon.scattering.networks.model import read_model

    return read_model(inputs.bundle)


def _images(
    measured: Measurements, rings: int, model: Model | None, parameters: ReconstructParameters, run: Run
) -> npt.NDArray[np.float32]:
    if model is not None:
        return model.predict(measured, run.device, run.precision)
    born = PolarBorn(measured.k, measured.angles, rings)
    found = []
    for start in range(0, len(measured), _SLAB):
        data = measured.part(slice(start, start + _SLAB)).midpoint()
        if parameters.method is Method.TIKHONOV:
            image = born.tikhonov(data, parameters.regularization)
        else:
            image = born.backprojection(data)
        found.append(image.astype(np.float32))
        run.reporter.progress(min(1.0, (start + _SLAB) / len(measured)))
    return np.concatenate(found)


def _geometry(measured: Measurements, parameters: ReconstructParameters) -> tuple[Geometry, list[str]]:
    """Where the images lie, and what had to be assumed for it."""
    stated = measured.geometry
    if stated is not None:
        if parameters.radius is not None and abs(parameters.radius - stated.radius_mm) > 1e-3 * stated.radius_mm:
            raise InputError(
                f"{measured.name} states a radius of {stated.radius_mm:g} mm, --radius says {parameters.radius:g} mm.",
                "Leave out --radius.",
            )
        return stated, []
    radius = parameters.radius or USUAL_RADIUS
    spacing = 2 * radius / parameters.grid
    notes = []
    if parameters.radius is None:
        notes = [
            f"{measured.name} does not state the size of its region; a radius of {radius:g} mm is taken (--radius)."
        ]
    return Geometry(radius, np.diag([1.0, 1.0, spacing, 1.0])), notes


def _write_images(found: Floats, truth: Floats | None, geometry: Geometry, grid: int, folder: Path) -> dict[str, Path]:
    """Volumes with a slice for each object."""
    axis, affine = cell_axis(grid), geometry.image_to_ras(grid)
    images = {"contrast": to_square(found, axis)}
    if truth is not None:
        images["truth"] = to_square(truth, axis)
        images["difference"] = images["contrast"] - images["truth"]
    if geometry.sound_speed is not None:
        images["speed"] = speed_of(images["contrast"], geometry.sound_speed)
    paths = {}
    for name, values in images.items():
        paths[name] = folder / f"{name}.nrrd"
        write_volume(paths[name], Volume(values.astype(np.float32), affine, name))
    return paths


def _title(row: dict[str, Any]) -> str:
    error = row.get("relative_l2")
    return f"object {row['object']}" + ("" if error is None else f": {error:.3f}")
