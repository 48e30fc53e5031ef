"""The mlp by itself: trained on a file of node groups, kept as a model bundle, applied to a mesh, or brought in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.files import sha256
from deeprecon.data.mesh.files import CLEAR_LEAD, CLEAR_SHARE, FRAMES, SCALES, MeshFile, place, read_mesh, write_mesh
from deeprecon.data.tables import write_table
from deeprecon.jobs.run import Outcome, Run
from deeprecon.scar.measure.burden import scar_burden
from deeprecon.scar.observe.node_groups import read_npz
from deeprecon.scar.parameters import (
    ApplyInputs,
    ApplyParameters,
    ImportInputs,
    ImportParameters,
    TrainInputs,
    TrainParameters,
)
from deeprecon.scar.pipeline import beside
from deeprecon.training.bundle import Bundle, Card, load_weights, read_bundle, write_bundle

if TYPE_CHECKING:
    from deeprecon.scar.fit.mlp import Mlp

NETWORK = "mlp"
"""Name of the network on a bundle's card."""

_SIZE_RATIO = 3.0
"""By how much a mesh may be larger or smaller than the box that the network knows."""


def train(inputs: TrainInputs, parameters: TrainParameters, run: Run) -> Outcome:
    """Train the mlp on a file of node groups.

    Raises:
        InputError: the file is none or contradicts itself.
    """
    from deeprecon.scar.fit.mlp_fit import fit_mlp

    run.reporter.status("Reading the training data")
    groups = read_npz(inputs.data)
    run.reporter.status("Training the network")
    done = fit_mlp(groups, parameters.network, parameters.steps, parameters.patience, run)
    figures = {"groups": len(groups), "nodes": len(groups.points), **done.figures}
    data = (
        f"{inputs.data.name} (SHA-256 {sha256(inputs.data)}), {len(groups.points)} nodes in {len(groups)} groups; "
        f"{done.steps} steps, seed {run.seed}, held-out error {done.held_out_error:.4f}"
    )
    outputs = {"bundle": run.output / "bundle", "history": run.output / "history.csv"}
    write_table(outputs["history"], done.history)
    _write(outputs["bundle"], done.network, data)
    return Outcome(outputs, figures)


def resolve(parameters: TrainParameters, device: str, threads: int, precision: str) -> TrainParameters:
    """Turn the time budget into steps, so that a repeated run does the same work."""
    if parameters.steps:
        return parameters
    from deeprecon.scar.fit.mlp_fit import mlp_steps_for_budget

    return replace(parameters, steps=mlp_steps_for_budget(parameters.budget, parameters.network, device, precision))


def apply(inputs: ApplyInputs, parameters: ApplyParameters, run: Run) -> Outcome:
    """Scar probability at every node of a mesh, from a network that was trained on the same heart.

    Raises:
        InputError: no bundle of this network, or a mesh that does not lie where it was trained.
    """
    from deeprecon.scar.fit.mlp import predict

    run.reporter.status("Reading the model and the mesh")
    network = _read(read_bundle(inputs.bundle, "scar"))
    file = read_mesh(inputs.mesh)
    unit, frame = find_in_box(file, network.box, parameters.mesh_unit.value, parameters.mesh_frame.value)
    mesh = place(file, unit, frame)
    run.reporter.status("Computing the probabilities")
    network.to(run.device)
    probability, uncertainty = predict(network, network.draw_masks(parameters.samples, run.seed), mesh.points)
    arrays = {
        "scar_probability": probability,
        "scar_uncertainty": uncertainty,
        "scar_binary": probability > parameters.cutoff,
    }
    suffix = inputs.mesh.suffix.lower()
    # STL cannot hold values at nodes
    path = run.output / f"mesh{'.vtp' if suffix == '.stl' else suffix}"
    write_mesh(path, mesh.with_point_arrays(arrays), unit, frame)
    outputs = {"mesh": path, **beside(path), "table": run.output / "table.csv"}
    burden = scar_burden(mesh, probability, uncertainty, parameters.cutoff, parameters.core_cutoff, parameters.density)
    write_table(outputs["table"], burden)
    figures = {key: value for key, value in burden[1].items() if key != "region"}
    return Outcome(outputs, {"nodes": mesh.n_points, **figures, "mesh_unit": unit, "mesh_frame": frame})


def import_checkpoint(inputs: ImportInputs, parameters: ImportParameters, run: Run) -> Outcome:
    """Make a bundle of a checkpoint that cardioscar wrote; nothing that the file contains is run.

    Raises:
        InputError: not such a checkpoint, or one that asks for more than numbers.
    """
    network, data = read_checkpoint(inputs.checkpoint)
    outputs = {"bundle": run.output / "bundle"}
    _write(outputs["bundle"], network, data)
    return Outcome(
        outputs,
        {
            "network_parameters": sum(weights.numel() for weights in network.parameters()),
            "hidden_layers": network.hidden_layers,
            "width": network.width,
            "dropout": network.dropout,
        },
    )


def read_checkpoint(path: Path) -> tuple[Mlp, str]:
    """The network in a cardioscar .pth file, and what it was trained on, in words.

    Layers and width are read off the weights, since fine-tuned checkpoints do not state them. Their box is in the
    coordinates of the mesh file that they were made from, whatever its axes were.

    Raises:
        InputError: see `import_checkpoint`.
    """
    from deeprecon.training.checkpoint import load_external

    content = load_external(path, _numpy_values())
    hint = "Give a .pth file that cardioscar's train or fine-tune wrote."
    if not isinstance(content, dict):
        raise InputError(f"{path} is no checkpoint of cardioscar.", hint)
    state, settings, info = (
        _part(path, content, name) for name in ("model_state_dict", "hyperparameters", "dataset_info")
    )
    network = _rebuilt(path, state, settings, info)
    data = (
        f"{path.name} (SHA-256 {sha256(path)}), made by cardioscar from {info.get('n_nodes', 'unknown')} nodes in "
        f"{info.get('n_groups', 'unknown')} groups"
    )
    return network, data


def find_in_box(
    file: MeshFile, box: npt.NDArray[np.float64], unit: str = "auto", frame: str = "auto"
) -> tuple[str, str]:
    """The unit and axes in which a mesh lies in the box that a network knows, as stated, else the clear winner.

    Args:
        file: raw mesh.
        box: (2, 3) lowest and highest corner.
        unit: "mm", "cm", "m", "um", or "auto".
        frame: "ras", "lps", or "auto".

    Raises:
        InputError: nothing fits, or both axes fit alike.
    """
    units = [unit] if unit != "auto" else [file.unit] if file.unit else list(SCALES)
    frames = [frame] if frame != "auto" else [file.frame] if file.frame else list(FRAMES)
    margin = 0.05 * (box[1] - box[0])
    raw = file.points
    scores = {}
    for u in units:
        for f in frames:
            points = raw * (SCALES[u] * FRAMES[f])
            ratio = np.ptp(points, axis=0).max() / (box[1] - box[0]).max()
            within = ((points >= box[0] - margin) & (points <= box[1] + margin)).all(axis=1)
            scores[u, f] = float(within.mean()) if 1 / _SIZE_RATIO < ratio < _SIZE_RATIO else 0.0
    (winner, best), *others = sorted(scores.items(), key=lambda entry: -entry[1])
    if best >= CLEAR_SHARE and (not others or best - others[0][1] >= CLEAR_LEAD):
        return winner
    listing = ", ".join(f"{u}/{f} {share:.0%}" for (u, f), share in scores.items())
    raise InputError(
        f"{file.path}: {'no' if best < CLEAR_SHARE else 'more than one'} choice of unit and axes lays it where the "
        f"network was trained. Share of the nodes there: {listing}.",
        "State the right ones with --mesh-unit and --mesh-frame, or check that both are of the same heart.",
    )


def _write(folder: Path, network: Mlp, training_data: str) -> Bundle:
    card = Card(
        name="Scar of one heart",
        version="1.0.0",
        description="Scar probability as a function of place in one heart, with dropout for the uncertainty.",
        valid_for="The one heart that it was trained on, in the coordinates of its training data; no other patient.",
        training_data=training_data,
        license="NOASSERTION",
        authorship="The person who trained it",
        task="Scar reconstruction from sparse slices",
        inputs={"coordinates": {"type": "value", "format": "place in the box, 0 to 1", "num_channels": 3}},
        outputs={"probability": {"type": "probability", "format": "scar", "num_channels": 1, "value_range": [0, 1]}},
    )
    parameters = {
        "width": network.width,
        "hidden_layers": network.hidden_layers,
        "dropout": network.dropout,
        "box": network.box.tolist(),
    }
    readme = (
        f"# {card.name}\n\n{card.description}\n\nValid for: {card.valid_for}\n\nTrained on: {training_data}.\n\n"
        f"{network.hidden_layers} hidden layers of {network.width} units. Research only, not for diagnosis.\n\n"
        "    python -m deeprecon scar apply --bundle THIS_FOLDER --mesh heart.vtu --output DIR\n"
    )
    return write_bundle(folder, card, "scar", NETWORK, parameters, [network.state_dict()], readme)


def _read(bundle: Bundle) -> Mlp:
    """The network of a bundle, on the CPU."""
    if bundle.network != NETWORK:
        raise InputError(
            f"{bundle.folder} holds a network {bundle.network!r}, not {NETWORK!r}.", "Choose another bundle."
        )
    from deeprecon.scar.fit.mlp import Mlp

    try:
        network = Mlp(**bundle.parameters)
        (weights,) = load_weights(bundle)
        network.load_state_dict(weights)
    except InputError:
        raise
    except (TypeError, ValueError, RuntimeError) as error:  # other sizes, or several members
        raise InputError(f"{bundle.folder}: card and weights do not fit: {error}.", "Choose another bundle.") from error
    return network


def _part(path: Path, content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = content.get(name)
    if not isinstance(part, dict):
        raise InputError(f"{path} is no checkpoint of cardioscar: it lacks {name}.", "Give the file that it wrote.")
    return part


def _rebuilt(path: Path, state: Mapping[str, Any], settings: Mapping[str, Any], info: Mapping[str, Any]) -> Mlp:
    import torch

    from deeprecon.scar.fit.mlp import Mlp

    hint = "Give a .pth file that cardioscar's train or fine-tune wrote."
    if not all(isinstance(value, torch.Tensor) and torch.isfinite(value).all() for value in state.values()):
        raise InputError(f"{path}: model_state_dict holds what is no tensor of finite numbers.", hint)
    layers = [value for name, value in state.items() if name.endswith(".weight")]
    width, count = (len(layers[0]) if layers and layers[0].ndim == 2 else 0), len(layers) - 1
    for name, found in (("hidden_size", width), ("n_hidden_layers", count)):
        if settings.get(name, found) != found:
            raise InputError(f"{path} states {name} {settings[name]}, its weights have {found}.", hint)
    dropout, box = settings.get("dropout_rate"), _box(path, info)
    if not isinstance(dropout, int | float) or not 0 < dropout < 1:
        raise InputError(f"{path}: dropout_rate is {dropout!r}, expected a number between 0 and 1.", hint)
    if width < 1:
        raise InputError(f"{path}: model_state_dict has no layers.", hint)
    try:
        network = Mlp(width, count, float(dropout), box)
        network.load_state_dict(dict(state))
    except InputError as error:
        raise InputError(f"{path}: {error.message}", error.hint) from error
    except RuntimeError as error:  # names or shapes differ
        reason = " ".join(str(error).split()).rstrip(". ")
        raise InputError(f"{path} has other layers than cardioscar's network: {reason}.", hint) from error
    return network


def _box(path: Path, info: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    """(2, 3) what the network sees as 0 to 1."""
    try:
        box = np.array([np.asarray(info[name], np.float64) for name in ("scaler_min", "scaler_max")])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} lacks scaler_min or scaler_max.", "Give the file that cardioscar wrote.") from error
    if box.shape != (2, 3) or not np.isfinite(box).all() or not (box[1] > box[0]).all():
        raise InputError(f"{path}: scaler_min and scaler_max are no box.", "Give the file that cardioscar wrote.")
    return box


def _numpy_values() -> list[Any]:
    """What arrays and numbers of numpy ask for in a pickle, under the names of numpy 1 and 2; none runs anything."""
    from numpy._core.multiarray import _reconstruct, scalar  # type: ignore[attr-defined]

    functions = [
        (function, f"numpy.{core}.multiarray.{name}")
        for core in ("core", "_core")
        for name, function in (("_reconstruct", _reconstruct), ("scalar", scalar))
    ]
    kinds = [type(np.dtype(kind)) for kind in ("f4", "f8", "i4", "i8")]
    return [*functions, np.ndarray, np.dtype, *kinds]
