"""Training of a BCR-Net and its test on objects that training and validation do not use."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.jobs.run import Run
from deeprecon.scattering.fit.linear import LinearInversion
from deeprecon.scattering.fit.network import Model, bcrnet_input, read_model
from deeprecon.scattering.measure.data_misfit import data_misfits
from deeprecon.scattering.measure.metrics import image_scores, mean_scores
from deeprecon.scattering.networks.bcrnet import Architecture, BcrNet, parameter_count
from deeprecon.scattering.parameters import TrainParameters
from deeprecon.scattering.read.far_field_data import FarFieldData
from deeprecon.scattering.training.dataset import ObjectDataset, split_objects
from deeprecon.scattering.training.two_stage import TrainingHistory, train_two_stages
from deeprecon.training.batches import Indices
from deeprecon.training.devices import seed_generators

TEST_NOISE = 0.1
"""Relative additive noise of a second test."""
_REGULARIZATIONS = (0.3, 1.0, 3.0, 10.0)
_COMPARED = 16
"""Validation objects whose data misfit is measured."""


@dataclass(frozen=True, eq=False)
class TestedModel:
    """A trained model and its scores.

    Attributes:
        model: with the weights of the best epoch on the validation objects.
        history: of the training.
        sets: indices of the objects of "train", "validation" and "test".
        rows: of metrics.csv: method, set of objects, their number, mean scores.
        test: mean scores of the test objects.
        linear_error: the lowest mean relative error of the linear inversions on the test objects.
        notes: warnings for the user.
    """

    model: Model
    history: TrainingHistory
    sets: dict[str, Indices]
    rows: list[dict[str, Any]]
    test: dict[str, float]
    linear_error: float
    notes: tuple[str, ...]

    def figures(self) -> dict[str, Any]:
        """Figures of result.json."""
        return {
            "network_parameters": parameter_count(self.model.network),
            "objects": sum(len(chosen) for chosen in self.sets.values()),
            "trained_on": len(self.sets["train"]),
            "epochs": len(self.history.epochs),
            "best_epoch": self.history.best_epoch,
            "validation": self.history.validation,
            **self.test,
            "relative_l2_linear": self.linear_error,
        }

    def split_rows(self) -> list[dict[str, Any]]:
        """Rows of split.csv: object, from 1, and its set."""
        set_of = {int(index): name for name, chosen in self.sets.items() for index in chosen}
        return [{"object": index + 1, "set": set_of[index]} for index in sorted(set_of)]


def train_and_test(measured: FarFieldData, initial: Path | None, parameters: TrainParameters, run: Run) -> TestedModel:
    """Train a network and score it on the test objects, with linear inversions and the empty image for comparison.

    Args:
        measured: with true images.
        initial: bundle whose weights and normalization training starts from.
        parameters: of network and training.
        run: device, precision, seed, reporter and checkpoint folder.

    Raises:
        InputError: no truth, too few objects, an impossible network, or initial weights of another network.
    """
    truth = measured.truth(parameters.rings)
    sets = split_objects(len(measured), parameters.train_share, run.seed)
    start = None if initial is None else read_model(initial)
    training = ObjectDataset(
        measured.subset(sets["train"]),
        parameters.rings,
        bcrnet_input,
        None if start is None else start.normalization,
        run.device,
    )
    validation = ObjectDataset(
        measured.subset(sets["validation"]), parameters.rings, bcrnet_input, training.normalization, run.device
    )
    network = _build_network(training.inputs.shape[1], measured, start, initial, parameters, run)
    history = train_two_stages(network, training, validation, parameters, run)
    network.cpu()
    known = truth[sets["train"]]
    model = Model(network, training.normalization, measured.k, (float(known.min()), float(known.max())))
    model = replace(model, misfit=_usual_misfit(model, measured.subset(sets["validation"][:_COMPARED]), run))

    rows, test = _score(model, measured, truth, sets, run)
    linear_error = min(row["relative_l2"] for row in rows if row["method"].startswith(("backprojection", "tikhonov")))
    notes = []
    if test["relative_l2"] >= linear_error:
        notes.append(
            f"The error of the network is {test['relative_l2']:.3f}, that of linear inversion {linear_error:.3f}: "
            "train on more objects or for more epochs."
        )
        run.reporter.warning(notes[0])
    return TestedModel(model, history, sets, rows, test, linear_error, tuple(notes))


def _usual_misfit(model: Model, measured: FarFieldData, run: Run) -> float | None:
    """Median data misfit of the images of a few validation objects; None where a stop leaves none."""
    misfits = data_misfits(model.predict(measured, run.device, "fp32"), measured, run)
    return float(np.median(misfits)) if misfits else None


def _build_network(
    inputs: int,
    measured: FarFieldData,
    start: Model | None,
    initial: Path | None,
    parameters: TrainParameters,
    run: Run,
) -> BcrNet:
    architecture = Architecture(
        measured.angles,
        inputs,
        parameters.rings,
        parameters.levels,
        parameters.rank,
        parameters.kernels,
        parameters.refinements,
    )
    if reasons := architecture.reasons():
        raise InputError(
            f"There is no network like that: {'; '.join(reasons)}.", "Give fewer --levels or other --angles."
        )
    seed_generators(run.seed)
    network = BcrNet(architecture, parameters.gradient_checkpointing)
    if start is not None:
        if start.network.architecture != architecture:
            theirs, ours = asdict(start.network.architecture), asdict(architecture)
            other = [f"{name} {theirs[name]}, not {ours[name]}" for name in ours if ours[name] != theirs[name]]
            raise InputError(f"The network in {initial} has {', '.join(other)}.", "Give the settings of that network.")
        start.check(measured)
        network.load_state_dict(start.network.state_dict())
    elif parameters.wavelets:
        network.initialize_wavelets()
    return network


def _score(
    model: Model, measured: FarFieldData, truth: npt.NDArray[np.float32], sets: dict[str, Indices], run: Run
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Rows of metrics.csv, and the mean scores of the test objects."""
    run.reporter.status("Testing")
    rows: list[dict[str, Any]] = []

    def add(method: str, objects: str, images: npt.NDArray[Any], known: npt.NDArray[Any]) -> dict[str, float]:
        means = mean_scores(image_scores(images, known))
        rows.append({"method": method, "objects": objects, "count": len(images)} | means)
        return means

    for name, chosen in sets.items():
        images = model.predict(measured.subset(chosen), run.device, "fp32")
        means = add("bcrnet", name, images, truth[chosen])
    test, known = measured.subset(sets["test"]), truth[sets["test"]]
    noisy = test.with_noise(TEST_NOISE, 0.0, run.seed)
    with_noise = add("bcrnet", f"test, {TEST_NOISE:.0%} noise", model.predict(noisy, run.device, "fp32"), known)
    inversion, data = LinearInversion(model.k, test.angles, model.network.architecture.rings), test.midpoint()
    add("backprojection", "test", inversion.backprojection(data), known)
    for regularization in _REGULARIZATIONS:
        add(f"tikhonov {regularization:g}", "test", inversion.tikhonov(data, regularization), known)
    add("empty image", "test", np.zeros_like(known), known)
    return rows, means | {"relative_l2_with_noise": with_noise["relative_l2"]}
