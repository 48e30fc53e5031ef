"""Training of one network with Keras: batches and learning rates of the PyTorch loop. Does not import torch."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from deeprecon.data.errors import InputError, names_damage
from deeprecon.data.files import atomic_path
from deeprecon.seizure.configuration import ModelConfig
from deeprecon.seizure.networks.deepepi_keras import Weights, get_weights, import_keras, keras_model
from deeprecon.seizure.training.training_set import TrainingSet, selection_figure

History = list[dict[str, float]]


class _Training:
    """A Keras network with its optimizer, and the state needed to resume."""

    def __init__(self, data: TrainingSet, model: ModelConfig, seed: int) -> None:
        self.keras = import_keras()
        self.keras.utils.set_random_seed(seed % 2**32)
        self.data, self.model = data, model
        self.network = keras_model(model.window, model.strides, model.convDropout, model.denseDropout)
        self.optimizer = self.keras.optimizers.AdamW(model.lrPeak, weight_decay=model.weightDecay, epsilon=1e-8)
        self.network.compile(optimizer=self.optimizer, loss="sparse_categorical_crossentropy")
        self.optimizer.build(self.network.trainable_variables)
        # with the states of the dropout's generators
        self.variables = [*self.network.variables, *self.optimizer.variables]
        self.history: History = []
        self.best, self.waited = math.inf, 0
        self.weights: Weights = {}

    @property
    def stopped_early(self) -> bool:
        return 0 < self.model.earlyStoppingPatience <= self.waited

    def train_step(self, step: int) -> float:
        """One optimizer step; returns the loss."""
        batch = self.data.sampler.batch(step)
        self.optimizer.learning_rate.assign(self.model.learning_rate(step))
        return float(self.network.train_on_batch(batch.magnitude[..., None], batch.label))

    def validate(self, step: int, loss: float) -> dict[str, float]:
        """Compute the figure on the validation windows and keep the weights if they are the best."""
        parts = np.array_split(self.data.validation[..., None], max(1, len(self.data.validation) // 256))
        probability = np.concatenate([np.asarray(self.network.predict_on_batch(part))[:, 1] for part in parts])
        figure = selection_figure(probability, self.data.validation_label, self.model)
        self.history.append({"step": step, "loss": loss, "validation": figure})
        if figure < self.best:
            self.best, self.waited, self.weights = figure, 0, get_weights(self.network)
        else:
            self.waited += 1
        return self.history[-1]

    def save(self, path: Path) -> None:
        variables = {
            f"variable-{number}": self.keras.ops.convert_to_numpy(variable)
            for number, variable in enumerate(self.variables)
        }
        arrays = {**self.weights, **variables}
        write_state(path, arrays, history=self.history, best=self.best, waited=self.waited)

    def restore(self, path: Path) -> None:
        arrays, about = read_state(path)
        self.history, self.best, self.waited = about["history"], about["best"], about["waited"]
        for number, variable in enumerate(self.variables):
            variable.assign(arrays.pop(f"variable-{number}"))
        self.weights = arrays


def train_keras_network(
    data: TrainingSet,
    model: ModelConfig,
    seed: int,
    on_validation: Callable[[dict[str, float], float], None],
    state: Path | None = None,
) -> tuple[Weights, History]:
    """Train one network; returns its best weights and a row (step, loss, validation) for each validation.

    Args:
        data: of the network.
        model: steps, rates and selection.
        seed: of weights and dropout.
        on_validation: called with each row and the share of the steps that is done.
        state: file written after each validation; where it exists, the training resumes from it.

    Raises:
        InputError: the figure on the validation users was never a finite number.
    """
    training = _Training(data, model, seed)
    if state is not None and state.exists():
        training.restore(state)
    total = 0.0
    for step in range(len(training.history) * model.evalEverySteps, model.steps):
        if training.stopped_early:
            break
        if step % model.evalEverySteps == 0:  # not all backends draw the dropout from a state that can be saved
            training.keras.utils.set_random_seed((seed + step) % 2**32)
        total += training.train_step(step)
        if (step + 1) % model.evalEverySteps == 0:
            row = training.validate(step + 1, total / model.evalEverySteps)
            on_validation(row, (step + 1) / model.steps)
            total = 0.0
            if state is not None:
                training.save(state)
    if not training.weights:
        raise InputError("The held-out figure was never a finite number.", "Look at the data, or lower lrPeak.")
    return training.weights, training.history


def write_state(path: Path, arrays: Weights, **about: Any) -> None:
    """Write arrays with a JSON object as .npz, atomically."""
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    with atomic_path(path) as part, open(part, "wb") as file:
        np.savez(file, **arrays, about=text)  # type: ignore[arg-type]


@names_damage
def read_state(path: Path) -> tuple[Weights, dict[str, Any]]:
    """Read what `write_state` wrote."""
    with np.load(path, allow_pickle=False) as file:
        about: dict[str, Any] = json.loads(bytes(file["about"]))
        return {name: file[name] for name in file.files if name != "about"}, about
