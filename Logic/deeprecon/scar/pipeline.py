"""From the slices of one patient to scar at every node: the verbs `reconstruct` and `prepare`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.mesh.files import find_placement, place, read_mesh, write_mesh
from deeprecon.data.mesh.mesh import Inside, Mesh, open_edges
from deeprecon.data.mesh.voxels import voxel_mesh
from deeprecon.data.segmentation import write_segmentation
from deeprecon.data.tables import write_table
from deeprecon.data.volume import Volume
from deeprecon.jobs.parameters import to_json
from deeprecon.jobs.run import Outcome, Run
from deeprecon.scar.fit.agreement import Projected, agreement, node_residuals, project, unmet_rows
from deeprecon.scar.fit.methods import fit, is_anatomical
from deeprecon.scar.measure.border import entropy
from deeprecon.scar.measure.burden import scar_burden
from deeprecon.scar.measure.channels import Channel, channel_rows, channels_polydata, find_channels
from deeprecon.scar.measure.findings import anatomy_of, wall_coordinates
from deeprecon.scar.observe.alignment import align
from deeprecon.scar.observe.node_groups import NodeGroups, group_nodes, training_groups, write_npz
from deeprecon.scar.observe.observations import Observations, observe, overlap_warnings, quadrature
from deeprecon.scar.parameters import (
    Alignment,
    Frame,
    Method,
    Projection,
    ReconstructInputs,
    ReconstructParameters,
    Unit,
)
from deeprecon.scar.read.case import Case, read_case
from deeprecon.scar.write.outputs import group_means, on_grid, on_slices, segment, slice_rows
from deeprecon.scar.write.report import Result, write_report

WORTH_TELLING = 1.0
"""Shift of a slice in mm from which on the user is told."""


def reconstruct(inputs: ReconstructInputs, parameters: ReconstructParameters, run: Run) -> Outcome:
    """From the slices to scar probability at every mesh node.

    Raises:
        InputError: the files are incomplete or contradict each other.
    """
    reporter = run.reporter
    reporter.status("Reading the images")
    case, suffix, unit, frame, mesh = read_inputs(inputs, parameters)
    case, inside, warnings = _aligned(case, inputs, parameters, mesh)
    observations = observe(case.stacks)
    points = quadrature(observations, inside)
    warnings += overlap_warnings(observations, points)
    if not observations.y.any():
        warnings.append("No scar was observed in any slice; the result is a wall without scar.")
    for warning in warnings:
        reporter.warning(warning)

    coordinates = wall_coordinates(case, mesh, inside) if is_anatomical(parameters) else None
    fitted = fit(case.stacks, observations, points, mesh, parameters, run, coordinates=coordinates)
    core = None
    if observations.core is not None:
        stacks = tuple(replace(stack, scar=stack.core) for stack in case.stacks if stack.core is not None)
        dense = replace(observations, y=observations.core)
        core = fit(stacks, dense, points, mesh, parameters, run, "core", coordinates)
    figures = dict(fitted.figures)
    reporter.status("Writing the results")
    probability, uncertainty = fitted.predict(mesh.points)
    late: list[str] = []
    groups = group_nodes(mesh.points, case.stacks)
    agreed = _agreed(probability, groups, observations, parameters)
    probability = agreed.probability
    met = agreed.error[~agreed.unmet] if _projects(parameters) else agreed.error
    figures |= {
        "groups_with_nodes": len(groups),
        "largest_group_error_before": float(agreed.before.max(initial=0)),
        "largest_group_error": float(met.max(initial=0)),
    }
    unmet: list[dict[str, Any]] = []
    if _projects(parameters):
        unmet = unmet_rows(agreed, groups, observations)
        figures["groups_unmet"] = contradicting = int(agreed.unmet.sum())
        if contradicting:
            late.append(f"{contradicting} pixels contradict others that they overlap; unmet.csv names them.")
    core_probability = None if core is None else np.minimum(core.predict(mesh.points)[0], probability)
    burden = scar_burden(
        mesh,
        probability,
        uncertainty,
        parameters.cutoff,
        parameters.core_cutoff,
        parameters.density,
        core_probability,
        fitted.samples(mesh.points) if fitted.samples else None,
        core.samples(mesh.points) if core and core.samples else None,
    )
    anatomy = anatomy_of(case, mesh, inside, probability, uncertainty, parameters)
    if anatomy.missing:
        late.append(anatomy.missing)
    for warning in late:
        reporter.warning(warning)
    warnings += late
    mesh = mesh.with_point_arrays(
        {
            "scar_probability": probability,
            "scar_uncertainty": uncertainty,
            "scar_entropy": entropy(probability),
            "scar_binary": probability > parameters.cutoff,
            "group_residual": node_residuals(agreed, groups),
            **({} if core_probability is None else {"core_probability": core_probability}),
            **anatomy.arrays,
        }
    )
    means = group_means(fitted.predict, points)
    outputs = {"mesh": run.output / f"mesh{suffix}", "table": run.output / "table.csv"}
    write_mesh(outputs["mesh"], mesh, unit.value, frame.value)
    outputs |= beside(outputs["mesh"])
    write_table(outputs["table"], burden)
    channels: list[Channel] = []
    if inside is not None:
        grid = on_grid(fitted.predict, None if core is None else core.predict, inside, case.stacks[0], mesh.points)
        outputs["segmentation"] = run.output / "segmentation.seg.nrrd"
        write_segmentation(outputs["segmentation"], segment(grid, parameters.cutoff, parameters.core_cutoff))
        cutoff = parameters.core_cutoff if core is None else parameters.cutoff
        of = fitted if core is None else core
        channels = find_channels(
            grid.scar if grid.core is None else grid.core, grid.scar, grid.wall, grid.ijk_to_ras, cutoff, of.samples
        )
    rows = {"aha": anatomy.segments, "transmurality": anatomy.transmurality, "channels": channel_rows(channels)}
    for name, table in {**rows, "unmet": unmet}.items():
        if table:
            outputs[name] = run.output / f"{name}.csv"
            write_table(outputs[name], table)
    if channels:
        outputs["channel_paths"] = run.output / "channels.vtp"
        write_mesh(outputs["channel_paths"], Mesh(channels_polydata(channels), "channels"), "mm", "lps")
    result = Result(
        mesh=mesh,
        slice_probability=on_slices(case.stacks, means),
        burden=burden,
        slices=slice_rows(observations, points, means),
        history=fitted.history,
        tables=rows,
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
    """Read and check one patient's files without reconstructing: observations, training data, a table.

    observations.npz holds y, wall (G,), slice_id (G,) and centers (G, 3) in RAS mm. training_data.npz is the mesh's
    nodes in groups, as cardioscar's `train` and `scar train` read them.

    Raises:
        InputError: as `reconstruct`.
    """
    case, _, unit, frame, mesh = read_inputs(inputs, parameters)
    case, inside, warnings = _aligned(case, inputs, parameters, mesh)
    observations = observe(case.stacks)
    points = quadrature(observations, inside)
    for warning in (*warnings, *overlap_warnings(observations, points)):
        run.reporter.warning(warning)
    names = {"observations": "observations.npz", "training_data": "training_data.npz", "slices": "slices.csv"}
    outputs = {role: run.output / name for role, name in names.items()}
    write_npz(outputs["training_data"], training_groups(mesh.points, case.stacks))
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


def read_aligned(
    inputs: ReconstructInputs, parameters: ReconstructParameters
) -> tuple[Case, Mesh, Inside | None, list[str]]:
    """The case with its slices in place, the mesh in RAS mm, its wall, and what the user should know.

    Raises:
        InputError: as `reconstruct`.
    """
    case, _, _, _, mesh = read_inputs(inputs, parameters)
    case, inside, warnings = _aligned(case, inputs, parameters, mesh)
    return case, mesh, inside, warnings


def _aligned(
    case: Case, inputs: ReconstructInputs, parameters: ReconstructParameters, mesh: Mesh
) -> tuple[Case, Inside | None, list[str]]:
    """The case with its slices on the wall of the mesh, where the mesh is one of its own; that wall; and warnings."""
    warnings = list(case.warnings)
    if open_edges(mesh):
        warnings.append(
            f"The mesh {mesh.name} is an open surface and does not say where the wall is: "
            "whole pixels count as wall, and no segmentation is made."
        )
        return case, None, warnings
    inside = Inside(mesh)
    if parameters.alignment is Alignment.OFF or inputs.mesh is None:
        return case, inside, warnings
    stacks = align(case.stacks, inside)
    for number, stack in enumerate(stacks, 1):
        assert stack.shifts is not None
        far = np.flatnonzero(np.linalg.norm(stack.shifts, axis=1) > WORTH_TELLING)
        if len(far):
            warnings.append(
                f"Stack {number}: slices {', '.join(str(k + 1) for k in far)} lay up to "
                f"{np.linalg.norm(stack.shifts, axis=1).max():.1f} mm beside the wall of the mesh and were moved."
            )
    return replace(case, stacks=stacks), inside, warnings


def _projects(parameters: ReconstructParameters) -> bool:
    """Whether the nodes are made to agree with the pixels."""
    plain = parameters.method is Method.INTERPOLATION and parameters.projection is Projection.AUTO
    return parameters.projection is not Projection.OFF and not plain


def _agreed(
    probability: npt.NDArray[np.float32],
    groups: NodeGroups,
    observations: Observations,
    parameters: ReconstructParameters,
) -> Projected:
    """The probabilities as the chosen projection leaves them, and how well they agree with the slices."""
    rounded = bool(np.isin(observations.y, (0, 1)).all()) and parameters.projection is not Projection.EXACT
    if not _projects(parameters):
        return agreement(probability, groups, rounded)
    assert groups.numbers is not None
    return project(probability, groups, observations.slice_id[groups.numbers], rounded, parameters.cutoff)


def read_inputs(inputs: ReconstructInputs, parameters: ReconstructParameters) -> tuple[Case, str, Unit, Frame, Mesh]:
    """The case, and its mesh in RAS mm with the ending, unit and axes that it is written back with."""
    case = read_case(inputs, parameters)
    if inputs.mesh is None:
        stack = max(case.stacks, key=lambda one: np.count_nonzero(one.wall.any(axis=(1, 2))))  # of the short axis
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
