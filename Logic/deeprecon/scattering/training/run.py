"""One training from measurements to a tested model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.jobs.run import Run
from deeprecon.scattering.measure.metrics import scores, summary
from deeprecon.scattering.networks.bcrnet import BcrNet, Shape, parameter_count
from deeprecon.scattering.networks.model import Model, read_model
from deeprecon.scattering.parameters import TrainParameters
from deeprecon.scattering.physics.born import PolarBorn
from deeprecon.scattering.read.measurements import Measurements
from deeprecon.scattering.training.fitting import Samples, Settings, read_channels, split, train
from deeprecon.scattering.write.report import SHOWN
from deeprecon.training.devices import seed_generators

NOISE = 0.1
"""Share of noise with which the test is repeated."""
LINEAR = ("backprojection", "tikhonov")
"""What the names of the linear inversions begin with."""
_STRENGTHS = (0.3, 1.0, 3.0, 10.0)


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A trained model and how good it is.

    Attributes:
        model: with the weights that did best on the validation objects.
        history: see `Trained`.
        rows: of metrics.csv: what was scored, on which objects, and its scores.
        split: object and the set it is in.
        test: scores of the test objects.
        figures: for the result.
        examples: images, truth and titles of some test objects.
        notes: what the user should know, in words.
    """

    model: Model
    history: Sequence[dict[str, float]]
    rows: list[dict[str, Any]]
    split: list[dict[str, Any]]
    test: dict[str, float]
    figures: dict[str, Any]
    examples: tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], list[str]]
    notes: tuple[str, ...]


def train_model(measured: Measurements, initial: Path | None, parameters: TrainParameters, run: Run) -> TrainedModel:
    """Train, and score on objects that served for nothing else, beside linear inversions and the empty image.

    Args:
        measured: with true images.
        initial: bundle whose weights and scales training starts from.
        parameters: see there.
        run: see there.

    Raises:
        InputError: no truth, too few objects, an impossible network, or initial weights of another one.
    """
    truth = measured.truth(parameters.rings)
    sets = dict(
        zip(("train", "validation", "test"), split(len(measured), parameters.train_share, run.seed), strict=True)
    )
    parts = {name: measured.part(chosen) for name, chosen in sets.items()}
    start = None if initial is None else read_model(initial)
    training = Samples(
        parts["train"], parameters.rings, read_channels, None if start is None else start.scales, run.device
    )
    validation = Samples(parts["validation"], parameters.rings, read_channels, training.scales, run.device)
    low, high = float(truth[sets["train"]].min()), float(truth[sets["train"]].max())
    network = _network(training.inputs.shape[1], measured, start, initial, parameters, run)
    settings = Settings(
        parameters.epochs,
        parameters.second_stage,
        parameters.batch,
        parameters.learning_rate,
        parameters.weight_decay,
        parameters.clip_norm,
        parameters.noise / 100,
        parameters.relative_noise / 100,
        parameters.patience,
    )
    done = train(network, training, validation, settings, run)
    network.cpu()
    model = Model(network, training.scales, measured.k, (low, high))

    rows, test = _score(model, parts, truth, sets, run)
    linear = min(row["relative_l2"] for row in rows if row["method"].startswith(LINEAR))
    notes = []
    if test["relative_l2"] >= linear:
        notes.append(
            f"The network errs by {test['relative_l2']:.3f}, linear inversion by {linear:.3f}: train on more objects "
            "or for more epochs."
        )
        run.reporter.warning(notes[0])
    some = slice(SHOWN)
    images = model.predict(parts["test"].part(some), run.device, "fp32")
    known = truth[sets["test"]][some]
    titles = [f"error {value:.3f}" for value in scores(images, known)["relative_l2"]]
    figures = {
        "network_parameters": parameter_count(network),
        "objects": len(measured),
        "trained_on": len(sets["train"]),
        "epochs": len(done.history),
        "best_epoch": done.best_epoch,
        "validation": done.validation,
        **test,
        "relative_l2_linear": linear,
    }
    set_of = {int(one): name for name, chosen in sets.items() for one in chosen}
    numbers = [{"object": one + 1, "set": set_of[one]} for one in sorted(set_of)]
    examples = (images, known, titles)
    return TrainedModel(model, done.history, rows, numbers, test, figures, examples, tuple(notes))


def _network(
    inputs: int,
    measured: Measurements,
    start: Model | None,
    initial: Path | None,
    parameters: TrainParameters,
    run: Run,
) -> BcrNet:
    shape = Shape(
        measured.angles,
        inputs,
        parameters.rings,
        parameters.levels,
        parameters.rank,
        parameters.kernels,
        parameters.refinements,
    )
    if reasons := shape.reasons():
        raise InputError(
            f"There is no network like that: {'; '.join(reasons)}.", "Give fewer --levels or other --angles."
        )
    seed_generators(run.seed)
    network = BcrNet(shape, parameters.gradient_checkpointing)
    if start is not None:
        if start.network.shape != shape:
            theirs, ours = asdict(start.network.shape), asdict(shape)
            other = [f"{name} {theirs[name]}, not {ours[name]}" for name in ours if ours[name] != theirs[name]]
            raise InputError(f"The network in {initial} has {', '.join(other)}.", "Give the settings of that network.")
        start.doubts(measured)
        network.load_state_dict(start.network.state_dict())
    elif parameters.wavelets:
        network.start_as_wavelets()
    return network


def _score(
    model: Model,
    parts: dict[str, Measurements],
    truth: npt.NDArray[np.float32],
    sets: dict[str, npt.NDArray[np.int64]],
    run: Run,
) -> tuple[list[dict[str, Any]], dict[str, float]]:
    """Rows of metrics.csv, and the scores of the test objects."""
    run.reporter.status("Testing")
    rows: list[dict[str, Any]] = []

    def add(method: str, name: str, found: npt.NDArray[Any], known: npt.NDArray[Any]) -> dict[str, float]:
        means = summary(scores(found, known))
        rows.append({"method": method, "objects": name, "count": len(found)} | means)
        return means

    for name, part in parts.items():
        means = add("bcrnet", name, model.predict(part, run.device, "fp32"), truth[sets[name]])
    test, known = parts["test"], truth[sets["test"]]
    noisy = test.with_noise(NOISE, 0.0, run.seed)
    with_noise = add("bcrnet", f"test, {NOISE:.0%} noise", model.predict(noisy, run.device, "fp32"), known)
    born, data = PolarBorn(model.k, test.angles, model.network.shape.rings), test.midpoint()
    add("backprojection", "test", born.backprojection(data), known)
    for strength in _STRENGTHS:
        add(f"tikhonov {strength:g}", "test", born.tikhonov(data, strength), known)
    add("empty image", "test", np.zeros_like(known), known)
    return rows, means | {"relative_l2_with_noise": with_noise["relative_l2"]}
