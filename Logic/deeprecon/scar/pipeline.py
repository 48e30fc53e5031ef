"""From the images of one patient to scar at every node: read, observe, fit, measure, write; a page of many results."""

from __future__ import annotations

from typing import Any

import numpy as np

from deeprecon.data.errors import InputError
from deeprecon.data.tables import write_table
from deeprecon.jobs.parameters import NoParameters, to_json
from deeprecon.jobs.run import Outcome, Run
from deeprecon.scar.fit.fitted import FitData, Fitted
from deeprecon.scar.fit.methods import fit, is_anatomical
from deeprecon.scar.measure.reconstruction import measure
from deeprecon.scar.measure.slices import slice_rows
from deeprecon.scar.observe.heart_axes import find_wall_coordinates
from deeprecon.scar.observe.node_groups import training_groups
from deeprecon.scar.observe.slices import ObservedSlices, observe_slices
from deeprecon.scar.parameters import GroupInputs, ReconstructInputs, ReconstructParameters, Shell
from deeprecon.scar.read.case import Case, read_case
from deeprecon.scar.read.group import read_group
from deeprecon.scar.read.mesh import HeartMesh, read_heart_mesh
from deeprecon.scar.write.finished import Finished
from deeprecon.scar.write.group_page import write_group_page
from deeprecon.scar.write.mesh import placement
from deeprecon.scar.write.outputs import write_outputs
from deeprecon.scar.write.training_data import write_training_data


def reconstruct(inputs: ReconstructInputs, parameters: ReconstructParameters, run: Run) -> Outcome:
    """From the slices to scar probability at every mesh node.

    Raises:
        InputError: the files are incomplete or contradict each other.
    """
    run.reporter.status("Reading the images")
    case, heart, slices = read_and_observe(inputs, parameters, run)
    warnings = [*slices.warnings]
    if not slices.observations.y.any():
        warnings.append("No scar was observed in any slice; the result is a wall without scar.")
        run.reporter.warning(warnings[-1])
    data = fit_data(case, heart, slices, parameters)
    scar = fit(data, parameters, run)
    core = _fit_core(data, parameters, run)
    run.reporter.status("Writing the results")
    found = measure(case, heart.mesh, slices, scar, core, parameters)
    for warning in found.warnings:
        run.reporter.warning(warning)
    warnings = [*map(str, run.doubts), *warnings, *found.warnings]
    done = Finished(case, heart, slices, found, parameters, _settings(inputs, parameters, run), tuple(warnings))
    outputs = write_outputs(done, run.output)
    return Outcome(outputs, {**found.figures, **placement(heart)}, {"regions": case.regions})


def prepare(inputs: ReconstructInputs, parameters: ReconstructParameters, run: Run) -> Outcome:
    """Read and check one patient's files without reconstructing: observations, training data, a table.

    observations.npz holds y, wall (G,), slice_id (G,) and centers (G, 3) in RAS mm. training_data.npz is the mesh's
    nodes in groups, as cardioscar's `train` and `scar train` read them.

    Raises:
        InputError: as `reconstruct`.
    """
    case, heart, slices = read_and_observe(inputs, parameters, run)
    observed = slices.observations
    names = {"observations": "observations.npz", "training_data": "training_data.npz", "slices": "slices.csv"}
    outputs = {role: run.output / name for role, name in names.items()}
    write_training_data(outputs["training_data"], training_groups(heart.mesh.points, slices.stacks))
    arrays = {name: getattr(observed, name) for name in ("y", "wall", "slice_id", "centers")}
    np.savez(outputs["observations"], **arrays)
    write_table(outputs["slices"], slice_rows(observed, slices.quadrature, observed.y))
    figures = {
        "nodes": heart.mesh.n_points,
        "groups": len(observed),
        "observed_scar_percent": 100 * float(np.average(observed.y, weights=observed.wall)),
    }
    return Outcome(outputs, {**figures, **placement(heart)}, {"regions": case.regions})


def report_group(inputs: GroupInputs, parameters: NoParameters, run: Run) -> Outcome:
    """A page and a table with the scar of each patient, the largest share of the wall first.

    Results of `scar reconstruct` are taken from the folder and from all folders below it. What other verbs wrote is
    passed over; results that cannot be read, and folders of runs that have none, are named in a warning.

    Raises:
        InputError: it is no folder, or there is no result in it.
    """
    if not inputs.folder.is_dir():
        raise InputError(f"{inputs.folder} is no folder.", "Give the folder that holds the results.")
    run.reporter.status("Reading the results")
    patients, problems = read_group(inputs.folder)
    if not patients:
        raise InputError(
            f"{inputs.folder} holds no result of scar reconstruct.",
            "Give the output folder of scar reconstruct --cases, or one that holds several results.",
        )
    for problem in problems:
        run.reporter.warning(problem)
    patients.sort(key=lambda patient: (-patient.percent, patient.row["patient"]))
    names = list(dict.fromkeys(name for patient in patients for name in patient.row))
    rows = [{name: patient.row.get(name, "") for name in names} for patient in patients]
    outputs = {"table": run.output / "group.tsv", "report": run.output / "group.html"}
    write_table(outputs["table"], rows, "\t")
    known = [patient.percent for patient in patients if patient.percent >= 0]
    write_group_page(outputs["report"], patients, rows, known, problems)
    figures: dict[str, Any] = {"patients": len(rows), "with_doubts": sum(bool(row["doubts"]) for row in rows)}
    if known:
        figures["median_scar_percent"] = round(float(np.median(known)), 2)
    return Outcome(outputs, figures)


def read_and_observe(
    inputs: ReconstructInputs, parameters: ReconstructParameters, run: Run
) -> tuple[Case, HeartMesh, ObservedSlices]:
    """The images, the mesh and the observations of one patient; warnings are reported.

    Raises:
        InputError: as `reconstruct`.
    """
    case = read_case(inputs, parameters)
    run.consider(case.doubts)
    heart = read_heart_mesh(
        inputs.mesh,
        case,
        parameters.mesh_unit,
        parameters.mesh_frame,
        parameters.node_spacing,
        parameters.tag_array,
        parameters.mesh_region,
        parameters.shell is not Shell.AUTO,
    )
    run.consider(heart.doubts)
    slices = observe_slices(case, heart, parameters)
    run.consider(slices.doubts)
    for warning in slices.warnings:
        run.reporter.warning(warning)
    return case, slices.heart, slices


def fit_data(case: Case, heart: HeartMesh, slices: ObservedSlices, parameters: ReconstructParameters) -> FitData:
    """What the chosen method is fitted to.

    Raises:
        InputError: the method needs the coordinates of the wall, and they are not known.
    """
    wall = heart.mesh if slices.shell is None else slices.shell.wall
    coordinates = find_wall_coordinates(case, slices, wall) if is_anatomical(parameters) else None
    return FitData(slices.stacks, slices.observations, slices.quadrature, wall, coordinates)


def _fit_core(data: FitData, parameters: ReconstructParameters, run: Run) -> Fitted | None:
    """The core fitted by itself, where the images separate it from border zone."""
    core = data.of_core()
    return None if core is None else fit(core, parameters, run, "core")


def _settings(inputs: ReconstructInputs, parameters: ReconstructParameters, run: Run) -> dict[str, Any]:
    """Everything needed to run it again; of the inputs only the names, since folders may identify the patient."""
    given = {name: paths if isinstance(paths, tuple) else (paths,) for name, paths in vars(inputs).items() if paths}
    return {
        "inputs": {name: [path.name for path in paths] for name, paths in given.items()},
        "parameters": to_json(parameters),
        "seed": run.seed,
        "device": run.device,
        "threads": run.threads,
    }
