"""From the slices of one patient to scar at every node: the verbs `reconstruct` and `prepare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deeprecon.data.mesh import Inside, Mesh, open_edges
from deeprecon.data.mesh_io import find_placement, place, read_mesh, write_mesh
from deeprecon.data.segmentation import write_segmentation
from deeprecon.data.tables import write_table
from deeprecon.data.volume import Volume
from deeprecon.data.voxel_mesh import voxel_mesh
from deeprecon.jobs.parameters import to_json
from deeprecon.jobs.run import Outcome, Run
from deeprecon.scar.burden import scar_burden
from deeprecon.scar.case import Case, read_case
from deeprecon.scar.methods import fit
from deeprecon.scar.observations import observe, overlap_warnings, quadrature
from deeprecon.scar.outputs import group_means, on_slices, segment, slice_rows
from deeprecon.scar.parameters import Frame, ReconstructInputs, ReconstructParameters, Unit
from deeprecon.scar.report import Result, write_report


def reconstruct(inputs: ReconstructInputs, parameters: ReconstructParameters, run: Run) -> Outcome:
    """From the slices to scar probability at every mesh node.

    Raises:
        InputError: the files are incomplete or contradict each other.
    """
    reporter = run.reporter
    reporter.status("Reading the images")
    case, suffix, unit, frame, mesh = read_inputs(inputs, parameters)
    warnings = list(case.warnings)
    inside = Inside(mesh) if open_edges(mesh) == 0 else None
    if inside is None:
        warnings.append(
            f"The mesh {mesh.name} is an open surface and does not say where the wall is: "
            "whole pixels count as wall, and no segmentation is made."
        )
    observations = observe(case.stacks)
    points = quadrature(observations, inside)
    warnings += overlap_warnings(observations, points)
    if not observations.y.any():
        warnings.append("No scar was observed in any slice; the result is a wall without scar.")
    for warning in warnings:
        reporter.warning(warning)

    fitted = fit(case.stacks, observations, points, mesh, parameters, run)
    predict, figures = fitted.predict, dict(fitted.figures)
    reporter.status("Writing the results")
    probability, uncertainty = predict(mesh.points)
    mesh = mesh.with_point_arrays(
        {
            "scar_probability": probability,
            "scar_uncertainty": uncertainty,
            "scar_binary": probability > parameters.cutoff,
        }
    )
    burden = scar_burden(mesh, probability, uncertainty, parameters.cutoff, parameters.core_cutoff, parameters.density)
    means = group_means(predict, points)
    outputs = {"mesh": run.output / f"mesh{suffix}", "table": run.output / "table.csv"}
    write_mesh(outputs["mesh"], mesh, unit.value, frame.value)
    outputs |= beside(outputs["mesh"])
    write_table(outputs["table"], burden)
    if inside is not None:
        outputs["segmentation"] = run.output / "segmentation.seg.nrrd"
        cutoffs = parameters.cutoff, parameters.core_cutoff
        write_segmentation(outputs["segmentation"], segment(predict, inside, case.stacks[0], mesh.points, *cutoffs))
    result = Result(
        mesh=mesh,
        slice_probability=on_slices(case.stacks, means),
        burden=burden,
        slices=slice_rows(observations, points, means),
        history=fitted.history,
        settings={
            "inputs": _names(inputs),
            "parameters": to_json(parameters),
            "seed": run.seed,
            "device": run.device,
            "threads": run.threads,
        },
        warnings=warnings,
    )
    outputs["slices"] = run.output / "slices.csv"
    write_table(outputs["slices"], result.slices)
    outputs["report"] = run.output / "report.html"
    for picture in write_report(outputs["report"], case, result, _lead(burden)):
        outputs[f"picture_{picture.stem}"] = picture
    residual = float(np.sqrt(np.nanmean((means - observations.y) ** 2)))
    scar = burden[1]
    figures |= {key: value for key, value in scar.items() if key != "region"}
    figures |= {"mesh_unit": unit.value, "mesh_frame": frame.value}
    return Outcome(outputs, {"nodes": mesh.n_points, "groups": len(observations), "residual_rms": residual} | figures)


def prepare(inputs: ReconstructInputs, parameters: ReconstructParameters, run: Run) -> Outcome:
    """Read and check one patient's files without reconstructing: observations.npz and a table of the slices.

    observations.npz holds y, wall (G,), slice_id (G,) and centers (G, 3) in RAS mm.

    Raises:
        InputError: as `reconstruct`.
    """
    case, _, unit, frame, mesh = read_inputs(inputs, parameters)
    inside = Inside(mesh) if open_edges(mesh) == 0 else None
    observations = observe(case.stacks)
    points = quadrature(observations, inside)
    for warning in (*case.warnings, *overlap_warnings(observations, points)):
        run.reporter.warning(warning)
    outputs = {"observations": run.output / "observations.npz", "slices": run.output / "slices.csv"}
    np.savez(
        outputs["observations"],
        y=observations.y,
        wall=observations.wall,
        slice_id=observations.slice_id,
        centers=observations.centers,
    )
    write_table(outputs["slices"], slice_rows(observations, points, observations.y))
    observed = float(np.average(observations.y, weights=observations.wall))
    figures = {
        "nodes": mesh.n_points,
        "groups": len(observations),
        "observed_scar_percent": 100 * observed,
        "mesh_unit": unit.value,
        "mesh_frame": frame.value,
    }
    return Outcome(outputs, figures)


def read_inputs(inputs: ReconstructInputs, parameters: ReconstructParameters) -> tuple[Case, str, Unit, Frame, Mesh]:
    """The case, and its mesh in RAS mm with the ending, unit and axes that it is written back with."""
    case = read_case(inputs, parameters)
    if inputs.mesh is None:
        stack = case.stacks[0]
        wall = Volume(stack.wall, stack.ijk_to_ras, stack.name, stack.thickness)
        return case, ".vtu", Unit.MM, Frame.LPS, voxel_mesh(wall, parameters.node_spacing)
    file = read_mesh(inputs.mesh)
    unit, frame = find_placement(
        file, _wall_points(case), unit=parameters.mesh_unit.value, frame=parameters.mesh_frame.value
    )
    suffix = inputs.mesh.suffix.lower()
    # STL cannot hold values at nodes
    return case, ".vtp" if suffix == ".stl" else suffix, Unit(unit), Frame(frame), place(file, unit, frame)


def _wall_points(case: Case) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(M, 3) centers of the pixels that are mostly wall, RAS mm."""
    centers = [
        Volume(stack.wall, stack.ijk_to_ras).to_ras(np.argwhere(stack.wall > 0.5)[:, ::-1]) for stack in case.stacks
    ]
    return np.concatenate(centers)


def beside(path: Path) -> dict[str, Path]:
    """The other files of a mesh that is spread over several, as openCARP's are, by role."""
    files = sorted(file for file in path.parent.glob(f"{path.stem}.*") if file != path)
    return {file.name.replace(".", "_"): file for file in files}


def _names(inputs: ReconstructInputs) -> dict[str, list[str]]:
    """The names of the input files; where they lie may tell who the patient is."""
    given = {name: paths if isinstance(paths, tuple) else (paths,) for name, paths in vars(inputs).items() if paths}
    return {name: [path.name for path in paths] for name, paths in given.items()}


def _lead(burden: Sequence[Mapping[str, Any]]) -> str:
    """The result in one sentence."""
    scar = burden[1]
    if "volume_ml" in scar:
        return (
            f"{scar['volume_ml']:.1f} ml of scar ({scar['low_ml']:.1f} to {scar['high_ml']:.1f} ml), "
            f"{scar['percent_of_wall']:.1f} % of the wall."
        )
    return f"{scar['area_cm2']:.1f} cm² of scar, {scar['percent_of_wall']:.1f} % of the surface."
