"""The front door of the method: what `python -m deeprecon scar VERB` and the panel run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from vtkmodules.util.numpy_support import vtk_to_numpy

from deeprecon.data.errors import InputError
from deeprecon.data.mesh import Inside, Mesh, open_edges
from deeprecon.data.mesh_io import find_placement, place, read_mesh, write_mesh
from deeprecon.data.opencarp import TAG
from deeprecon.data.segmentation import write_segmentation
from deeprecon.data.tables import write_table
from deeprecon.data.volume import Volume
from deeprecon.data.voxel_mesh import voxel_mesh
from deeprecon.jobs.parameters import to_json
from deeprecon.jobs.run import Outcome, Run
from deeprecon.jobs.verbs import Verb
from deeprecon.scar import parameters as settings
from deeprecon.scar.burden import element_tags, scar_burden
from deeprecon.scar.case import Case, read_case
from deeprecon.scar.interpolation import interpolate
from deeprecon.scar.metrics import evaluate as score
from deeprecon.scar.observations import Observations, Quadrature, observe, overlap_warnings, quadrature
from deeprecon.scar.outputs import Predict, group_means, on_slices, segment, slice_rows
from deeprecon.scar.parameters import Frame, MeshFormat, Method, ReconstructInputs, ReconstructParameters, Unit
from deeprecon.scar.report import Result, write_report

if TYPE_CHECKING:
    from deeprecon.scar.train import FieldFit

HEART_SIZES = (10.0, 1000.0)
"""Diagonal in mm of the box around a heart, from a mouse's to far above any human's."""


def reconstruct(inputs: ReconstructInputs, parameters: ReconstructParameters, run: Run) -> Outcome:
    """From the slices to scar probability at every mesh node.

    Raises:
        InputError: the files are incomplete or contradict each other.
    """
    reporter = run.reporter
    reporter.status("Reading the images")
    case, suffix, unit, frame, mesh = _read(inputs, parameters)
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

    predict, history, figures = _fit(case, observations, points, parameters, run)
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
    outputs |= _beside(outputs["mesh"])
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
        history=history,
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
    case, _, unit, frame, mesh = _read(inputs, parameters)
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


def phantom(inputs: settings.PhantomInputs, parameters: settings.PhantomParameters, run: Run) -> Outcome:
    """Make a case whose scar is known everywhere, in clinical file formats.

    Raises:
        InputError: the surface cannot be used, or a lesion was chosen for it.
    """
    from deeprecon.scar.phantom import from_surface, sample_case, write_case

    geometry = {name: getattr(parameters, name) for name in ("spacing", "thickness", "pixel", "node_spacing")}
    geometry |= {"shift": parameters.shift, "noise": parameters.noise}
    run.reporter.status("Imaging the phantom")
    if inputs.surface is None:
        made = sample_case(run.seed, parameters.lesion.value, **geometry)
    else:
        if parameters.lesion is not settings.PhantomParameters.lesion:
            raise InputError(
                f"The lesion {parameters.lesion.value} is drawn in the analytic ventricle alone; a surface gets a scar "
                "in its side wall.",
                "Leave out --lesion or --surface.",
            )
        file = read_mesh(inputs.surface)
        if file.frame is None:
            run.reporter.warning(f"{inputs.surface.name} does not say in which patient axes it is; RAS are taken.")
        heart = place(file, file.unit or Unit.MM.value, file.frame or Frame.RAS.value)
        _check_size(heart, "Scale it to mm.")
        made = from_surface(heart, seed=run.seed, **geometry)
    outputs = write_case(made, run.output, parameters.dicom)
    return Outcome(outputs, {"nodes": made.mesh.n_points, "scar_nodes": int(made.truth.sum())})


def evaluate(inputs: settings.EvaluateInputs, parameters: settings.EvaluateParameters, run: Run) -> Outcome:
    """Hold a result against the truth.

    Raises:
        InputError: the two meshes do not have the same nodes, or an array is missing.
    """
    mesh, truth = _result_mesh(inputs.mesh), _result_mesh(inputs.truth)
    if mesh.n_points != truth.n_points or not np.allclose(mesh.points, truth.points, atol=1e-3):
        raise InputError(
            f"{inputs.mesh.name} and {inputs.truth.name} do not have the same nodes.",
            "Evaluate on the mesh of the truth.",
        )
    probability = np.asarray(mesh.point_array("scar_probability"), np.float64)
    uncertainty = np.asarray(mesh.point_array("scar_uncertainty"), np.float64)
    figures = score(
        mesh, probability, uncertainty, np.asarray(truth.point_array("scar_truth"), np.float64) > 0.5, parameters.cutoff
    )
    outputs = {"table": run.output / "evaluation.csv"}
    write_table(outputs["table"], [{"figure": name, "value": value} for name, value in figures.items()])
    return Outcome(outputs, dict(figures))


def export(inputs: settings.ExportInputs, parameters: settings.ExportParameters, run: Run) -> Outcome:
    """Write a result for simulators and other programs, node order kept.

    Elements are tagged 1 (healthy), 100 (border zone) and 101 (core) by the mean probability of their nodes; tags that
    the elements already have are kept where there is no scar.
    """
    mesh = _result_mesh(inputs.mesh)
    old = mesh.dataset.GetCellData().GetArray(TAG)
    opencarp = parameters.format is MeshFormat.OPENCARP
    unit = parameters.unit if parameters.unit is not Unit.AUTO else Unit.UM if opencarp else Unit.MM
    frame = parameters.frame if parameters.frame is not Frame.AUTO else Frame.LPS
    tags = element_tags(
        mesh,
        np.asarray(mesh.point_array("scar_probability"), np.float64),
        (parameters.cutoff, parameters.core_cutoff),
        1 if old is None else vtk_to_numpy(old).astype(np.int64),
    )
    path = run.output / ("mesh.pts" if opencarp else f"mesh.{parameters.format.value}")
    write_mesh(path, mesh, unit.value, frame.value, element_tags=tags)
    outputs = {"mesh": path} | _beside(path)
    counts = {"border_elements": int((tags == 100).sum()), "core_elements": int((tags == 101).sum())}
    return Outcome(outputs, {"nodes": mesh.n_points, "elements": len(tags)} | counts)


def resolve(parameters: ReconstructParameters, device: str, threads: int, precision: str) -> ReconstructParameters:
    """Turn the field's time budget into steps, so that a repeated run does the same work."""
    if parameters.method is not Method.FIELD or parameters.steps:
        return parameters
    from deeprecon.scar.train import steps_for_budget

    return replace(parameters, steps=steps_for_budget(parameters.budget, device))


def _never(parameters: Any) -> bool:
    return False


VERBS = {
    "reconstruct": Verb(
        "scar probability at every mesh node, from slices",
        ReconstructInputs,
        ReconstructParameters,
        reconstruct,
        resolve,
        needs_torch=lambda parameters: parameters.method is Method.FIELD,
        precisions=("fp32",),
    ),
    "prepare": Verb(
        "read and check a case, and write its observations",
        ReconstructInputs,
        ReconstructParameters,
        prepare,
        needs_torch=_never,
    ),
    "phantom": Verb(
        "make a case whose scar is known everywhere",
        settings.PhantomInputs,
        settings.PhantomParameters,
        phantom,
        needs_torch=_never,
    ),
    "evaluate": Verb(
        "hold a result against the truth",
        settings.EvaluateInputs,
        settings.EvaluateParameters,
        evaluate,
        needs_torch=_never,
    ),
    "export": Verb(
        "write a result for simulators and other programs",
        settings.ExportInputs,
        settings.ExportParameters,
        export,
        needs_torch=_never,
    ),
}


def _read(inputs: ReconstructInputs, parameters: ReconstructParameters) -> tuple[Case, str, Unit, Frame, Mesh]:
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


def _fit(
    case: Case, observations: Observations, points: Quadrature, parameters: ReconstructParameters, run: Run
) -> tuple[Predict, Mapping[str, Sequence[float]], dict[str, Any]]:
    """The chosen method's answer at any points, its training curves, and figures about it."""
    if parameters.method is Method.INTERPOLATION:
        run.reporter.status("Interpolating")
        return (lambda places: interpolate(case.stacks, places, parameters.interpolation)), {}, {}
    from deeprecon.scar.infer import predict
    from deeprecon.scar.train import fit_field

    run.reporter.status("Fitting the field")
    fit: FieldFit = fit_field(observations, points, parameters.steps, run)
    curves = {name: [entry[name] for entry in fit.history] for name in fit.history[0]} if fit.history else {}
    steps = parameters.steps if fit.finished or not fit.history else int(fit.history[-1]["step"])
    figures = {"steps": steps, "best_step": fit.best_step, "held_out_error": fit.held_out_error}
    return (lambda places: predict(fit.field, places)), curves, figures


def _result_mesh(path: Path) -> Mesh:
    """A mesh that this software wrote. Its unit and axes stand in the result.json beside it; else it is in mm.

    Raises:
        InputError: its axes are not known, or it is no heart in mm.
    """
    file = read_mesh(path)
    found = _written_result(path)
    unit, frame = found.get("mesh_unit") or file.unit or Unit.MM.value, found.get("mesh_frame") or file.frame
    hint = "Keep the mesh in the folder that scar reconstruct wrote, beside its result.json."
    if frame is None:
        raise InputError(f"{path.name} does not say in which patient axes it is.", hint)
    mesh = place(file, unit, frame)
    _check_size(mesh, hint, f", read in {unit},")
    values = {name: path.with_suffix(f".{name}.dat") for name in ("scar_probability", "scar_uncertainty")}
    if file.path.suffix.lower() in (".pts", ".elem"):  # values at nodes lie beside the mesh
        return mesh.with_point_arrays({name: _numbers(at, mesh.n_points) for name, at in values.items() if at.exists()})
    return mesh


def _check_size(mesh: Mesh, hint: str, how: str = "") -> None:
    """Refuse a mesh that is no heart in mm."""
    size = float(np.linalg.norm(np.ptp(mesh.points, axis=0)))
    if not HEART_SIZES[0] <= size <= HEART_SIZES[1]:
        raise InputError(f"{mesh.name}{how} is {size:.3g} mm large, which no heart is.", hint)


def _numbers(path: Path, count: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """(count,) numbers of a text file with one a line."""
    try:
        values = np.array(path.read_text(encoding="utf-8").split(), np.float64)
    except ValueError as error:  # UnicodeDecodeError is one too
        raise InputError(f"{path} holds what is no number.", "Make the result again.") from error
    if len(values) != count:
        raise InputError(f"{path} has {len(values)} values for {count} nodes.", "Make the result again.")
    return values


def _written_result(path: Path) -> Mapping[str, Any]:
    """The figures of the run that wrote a mesh, empty where there is no result.json of such a run beside it."""
    try:
        result = json.loads((path.parent / "result.json").read_text(encoding="utf-8"))
        figures = result["metrics"] if result["outputs"]["mesh"]["path"] == path.name else {}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return figures if isinstance(figures, dict) else {}


def _beside(path: Path) -> dict[str, Path]:
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
