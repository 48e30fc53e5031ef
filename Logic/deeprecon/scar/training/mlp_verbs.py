"""The coordinate network by itself: trained on a file of node groups, kept as a model bundle, applied to a mesh."""

from __future__ import annotations

from dataclasses import replace

from deeprecon.data.files import sha256
from deeprecon.data.tables import write_table
from deeprecon.jobs.parameters import NoParameters
from deeprecon.jobs.run import Outcome, Run
from deeprecon.scar.measure.burden import scar_burden
from deeprecon.scar.measure.reconstruction import scar_figures
from deeprecon.scar.parameters import (
    DEFAULT_STEPS,
    ApplyInputs,
    ApplyParameters,
    ImportInputs,
    TrainInputs,
    TrainParameters,
)
from deeprecon.scar.read.mesh import read_mesh_in_box
from deeprecon.scar.read.training_data import read_training_data
from deeprecon.scar.training.cardioscar import read_checkpoint
from deeprecon.scar.training.mlp_bundles import load_mlp, write_mlp_bundle
from deeprecon.scar.write.mesh import write_heart_mesh
from deeprecon.training.bundle import read_bundle


def train(inputs: TrainInputs, parameters: TrainParameters, run: Run) -> Outcome:
    """Train the mlp on a file of node groups.

    Raises:
        InputError: the file holds no training data or contradicts itself.
    """
    from deeprecon.scar.fit.mlp_fit import fit_mlp

    run.reporter.status("Reading the training data")
    groups = read_training_data(inputs.data)
    run.reporter.status("Training the network")
    done = fit_mlp(groups, parameters.network, parameters.steps, parameters.patience, run)
    figures = {"groups": len(groups), "nodes": len(groups.points), **done.figures}
    data = (
        f"{inputs.data.name} (SHA-256 {sha256(inputs.data)}), {len(groups.points)} nodes in {len(groups)} groups; "
        f"{done.steps} steps, seed {run.seed}, held-out error {done.held_out_error:.4f}"
    )
    outputs = {"bundle": run.output / "bundle", "history": run.output / "history.csv"}
    write_table(outputs["history"], done.history)
    write_mlp_bundle(outputs["bundle"], done.network, data)
    return Outcome(outputs, figures)


def resolve(parameters: TrainParameters, device: str, threads: int, precision: str) -> TrainParameters:
    """The number of steps, as for `scar reconstruct`."""
    if parameters.steps:
        return parameters
    if not parameters.budget:
        return replace(parameters, steps=DEFAULT_STEPS[parameters.network])
    from deeprecon.scar.fit.mlp_fit import mlp_steps_for_budget

    return replace(parameters, steps=mlp_steps_for_budget(parameters.budget, parameters.network, device, precision))


def apply(inputs: ApplyInputs, parameters: ApplyParameters, run: Run) -> Outcome:
    """Scar probability at every node of a mesh, from a network that was trained on the same heart.

    Raises:
        InputError: no bundle of this network, or a mesh that does not lie where it was trained.
    """
    from deeprecon.scar.fit.mlp import predict

    run.reporter.status("Reading the model and the mesh")
    network = load_mlp(read_bundle(inputs.bundle, "scar"))
    heart = read_mesh_in_box(inputs.mesh, network.box, parameters.mesh_unit, parameters.mesh_frame)
    run.consider(heart.doubts)
    mesh = heart.mesh
    run.reporter.status("Computing the probabilities")
    network.to(run.device)
    probability, uncertainty = predict(network, network.draw_masks(parameters.samples, run.seed), mesh.points)
    arrays = {
        "scar_probability": probability,
        "scar_uncertainty": uncertainty,
        "scar_binary": probability > parameters.cutoff,
    }
    outputs = write_heart_mesh(run.output, heart, mesh.with_point_arrays(arrays))
    outputs["table"] = run.output / "table.csv"
    burden = scar_burden(mesh, probability, uncertainty, parameters.cutoff, parameters.core_cutoff, parameters.density)
    write_table(outputs["table"], burden)
    placement = {"mesh_unit": heart.unit.value, "mesh_frame": heart.frame.value}
    return Outcome(outputs, {"nodes": mesh.n_points, **scar_figures(burden), **placement})


def import_checkpoint(inputs: ImportInputs, parameters: NoParameters, run: Run) -> Outcome:
    """Make a bundle of a checkpoint that cardioscar wrote; nothing that the file contains is run.

    Raises:
        InputError: not such a checkpoint, or one that contains more than numbers.
    """
    network, data = read_checkpoint(inputs.checkpoint)
    outputs = {"bundle": run.output / "bundle"}
    write_mlp_bundle(outputs["bundle"], network, data)
    return Outcome(
        outputs,
        {
            "network_parameters": sum(weights.numel() for weights in network.parameters()),
            "hidden_layers": network.hidden_layers,
            "width": network.width,
            "dropout": network.dropout,
        },
    )
