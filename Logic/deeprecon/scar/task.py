"""Entry point of the method: what `python -m deeprecon scar VERB` and the panel run."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.files import place, read_mesh
from deeprecon.data.tables import write_table
from deeprecon.jobs.job import PRECISIONS
from deeprecon.jobs.parameters import NoParameters
from deeprecon.jobs.run import Outcome, Run
from deeprecon.jobs.verbs import Verb
from deeprecon.scar import parameters as settings
from deeprecon.scar.crossvalidation import cross_validate
from deeprecon.scar.electrophysiology.eikonal_activation import activation
from deeprecon.scar.electrophysiology.fibers_by_rule import fibers
from deeprecon.scar.electrophysiology.meshing import simulation_mesh
from deeprecon.scar.electrophysiology.parameters import (
    ActivationInputs,
    ActivationParameters,
    FibersParameters,
    MeshingInputs,
    MeshingParameters,
    VentriclesInputs,
)
from deeprecon.scar.exporting import export
from deeprecon.scar.measure.metrics import evaluate as compare_with_truth
from deeprecon.scar.parameters import (
    DEFAULT_STEPS,
    FIELD_STEPS,
    VALUE_ARRAYS,
    Frame,
    Method,
    ReconstructInputs,
    ReconstructParameters,
    Unit,
)
from deeprecon.scar.pipeline import prepare, reconstruct, report_group
from deeprecon.scar.read.mesh import check_heart_size
from deeprecon.scar.read.result import read_result
from deeprecon.scar.training import mlp_verbs


def phantom(inputs: settings.PhantomInputs, parameters: settings.PhantomParameters, run: Run) -> Outcome:
    """Make a case whose scar is known everywhere, in clinical file formats.

    Raises:
        InputError: the surface cannot be used, or a lesion was chosen for it.
    """
    from deeprecon.scar.simulate.hearts import from_surface, sample_case, write_case

    names = "spacing", "thickness", "pixel", "node_spacing", "shift", "noise", "long_axis"
    geometry = {name: getattr(parameters, name) for name in names}
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
        check_heart_size(heart, "Scale it to mm.")
        made = from_surface(heart, seed=run.seed, **geometry)
    outputs = write_case(made, run.output, parameters.dicom)
    return Outcome(outputs, {"nodes": made.mesh.n_points, "scar_nodes": int(made.truth.sum())})


def evaluate(inputs: settings.EvaluateInputs, parameters: settings.EvaluateParameters, run: Run) -> Outcome:
    """Compare a result with the truth.

    Raises:
        InputError: the two meshes do not have the same nodes, or an array is missing.
    """
    heart, other = read_result(inputs.mesh), read_result(inputs.truth)
    mesh, truth = heart.whole, other.whole
    if mesh.n_points != truth.n_points or not np.allclose(mesh.points, truth.points, atol=1e-3):
        raise InputError(
            f"{inputs.mesh.name} and {inputs.truth.name} do not have the same nodes.",
            "Evaluate on the mesh of the truth.",
        )
    run.consider(heart.doubts)
    probability, uncertainty, scar = (
        np.asarray(source.point_array(name)[heart.part.first], np.float64)
        for source, name in (
            (mesh, VALUE_ARRAYS[parameters.report_values]),
            (mesh, "scar_uncertainty"),
            (truth, "scar_truth"),
        )
    )
    figures = compare_with_truth(heart.mesh, probability, uncertainty, scar > 0.5, parameters.cutoff)
    outputs = {"table": run.output / "evaluation.csv"}
    write_table(outputs["table"], [{"figure": name, "value": value} for name, value in figures.items()])
    return Outcome(outputs, dict(figures))


def resolve(parameters: ReconstructParameters, device: str, threads: int, precision: str) -> ReconstructParameters:
    """The number of steps: as given, else as many as fit into the time budget, else a fixed number.

    Only a budget needs a timing; without one a run does the same work beside any neighbor and on any machine.
    """
    if parameters.method is Method.INTERPOLATION or parameters.steps:
        return parameters
    if not parameters.budget:
        is_field = parameters.method is Method.FIELD
        return replace(parameters, steps=FIELD_STEPS if is_field else DEFAULT_STEPS[parameters.network])
    if parameters.method is Method.MLP:
        from deeprecon.scar.fit.mlp_fit import mlp_steps_for_budget

        steps = mlp_steps_for_budget(parameters.budget, parameters.network, device, precision)
        return replace(parameters, steps=steps)
    from deeprecon.scar.fit.field_fit import steps_for_budget

    return replace(parameters, steps=steps_for_budget(parameters.budget, device))


def _without_torch(parameters: Any) -> bool:
    return False


def _trains(parameters: ReconstructParameters) -> bool:
    return parameters.method is not Method.INTERPOLATION


def _precisions(parameters: ReconstructParameters) -> tuple[str, ...]:
    """The field's layers are so small that they gain nothing from less than fp32."""
    return PRECISIONS if parameters.method is Method.MLP else ("fp32",)


VERBS = {
    "reconstruct": Verb(
        "scar probability at every mesh node, from slices",
        ReconstructInputs,
        ReconstructParameters,
        reconstruct,
        resolve,
        needs_torch=_trains,
        precisions=_precisions,
    ),
    "cross-validate": Verb(
        "hide each slice in turn and predict it from the others, with every interpolation for comparison",
        ReconstructInputs,
        ReconstructParameters,
        cross_validate,
        resolve,
        needs_torch=_trains,
        in_parts=_trains,
        precisions=_precisions,
    ),
    "prepare": Verb(
        "read and check a case, and write its observations",
        ReconstructInputs,
        ReconstructParameters,
        prepare,
        needs_torch=_without_torch,
    ),
    "phantom": Verb(
        "make a case whose scar is known everywhere",
        settings.PhantomInputs,
        settings.PhantomParameters,
        phantom,
        needs_torch=_without_torch,
    ),
    "evaluate": Verb(
        "compare a result with the truth",
        settings.EvaluateInputs,
        settings.EvaluateParameters,
        evaluate,
        needs_torch=_without_torch,
    ),
    "train": Verb(
        "train the mlp on prepared data, and keep it as a model bundle",
        settings.TrainInputs,
        settings.TrainParameters,
        mlp_verbs.train,
        mlp_verbs.resolve,
    ),
    "apply": Verb(
        "scar probability at every mesh node, from a trained mlp",
        settings.ApplyInputs,
        settings.ApplyParameters,
        mlp_verbs.apply,
        precisions=lambda parameters: ("fp32",),
    ),
    "import-checkpoint": Verb(
        "make a model bundle of a network that cardioscar trained",
        settings.ImportInputs,
        NoParameters,
        mlp_verbs.import_checkpoint,
        needs_torch=_without_torch,
    ),
    "simulation-mesh": Verb(
        "tetrahedra of the wall, from a closed surface or from slices",
        MeshingInputs,
        MeshingParameters,
        simulation_mesh,
        needs_torch=_without_torch,
    ),
    "fibers": Verb(
        "coordinates of the ventricles' wall, and fibers by rule",
        VentriclesInputs,
        FibersParameters,
        fibers,
        needs_torch=_without_torch,
    ),
    "activation": Verb(
        "when each place of the wall is activated, from a site or from each of the 17 segments",
        ActivationInputs,
        ActivationParameters,
        activation,
        needs_torch=_without_torch,
    ),
    "export": Verb(
        "write a result for simulators and other programs",
        settings.ExportInputs,
        settings.ExportParameters,
        export,
        needs_torch=_without_torch,
    ),
    "report-group": Verb(
        "one page and table about the results of many patients",
        settings.GroupInputs,
        NoParameters,
        report_group,
        needs_torch=_without_torch,
    ),
}
