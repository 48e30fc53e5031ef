"""Training with Keras in a process of its own: `python -m deeprecon.seizure.training.keras_ensemble FOLDER`.

The parent writes task.json (configuration, users of each network, seed) beside the data; the child draws the same
batches at the same rates as the PyTorch loop, keeps the weights that do best, and writes network-NN.npz. A network
whose file is there is not trained again; one that was cut off goes on from network-NN.last.npz, its last validation.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path, write_json
from deeprecon.jobs.parameters import from_json
from deeprecon.jobs.process import child_environment, die_with_parent, python_command
from deeprecon.jobs.run import Run, Stopped
from deeprecon.jobs.runner import ProcessRunner
from deeprecon.seizure.config import SECTIONS, Config, ModelConfig
from deeprecon.seizure.networks.deepepi_keras import Weights, import_keras, keras_model, weights_of
from deeprecon.seizure.read.dataset import Split, read_dataset, write_dataset
from deeprecon.seizure.read.recordings import Recording
from deeprecon.seizure.training.examples import TrainingData, selection

BAD_INPUT = 2


@dataclass(frozen=True, eq=False)
class KerasTrained:
    """Weights of each network in the names of the PyTorch network, and the history of each training."""

    weights: tuple[Weights, ...]
    histories: tuple[list[dict[str, float]], ...]


def train_in_child(
    recordings: Sequence[Recording],
    split: Split,
    config: Config,
    run: Run,
    backend: str = "tensorflow",
    name: str = "",
) -> KerasTrained:
    """Train an ensemble in a child process; see `train.train_ensemble` for the arguments.

    Args:
        backend: of Keras.
        name: of the folder below the checkpoint, where a run trains several ensembles.

    Raises:
        InputError: Keras or its backend is not installed, or what the data lack.
        Stopped: the run was asked to stop; a resume goes on from the last validation.
    """
    folder = run.checkpoint / f"{name}keras"
    folder.mkdir(parents=True, exist_ok=True)
    write_dataset(folder / "dataset.npz", recordings)
    users = {"training": split.training, "validation": split.validation, "test": split.test}
    write_json(folder / "task.json", {"config": config.to_json(), "users": users, "seed": run.seed})
    environment = {**child_environment(), "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment |= {key: str(run.threads) for key in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")}
    runner = ProcessRunner([*python_command(module=__name__), str(folder)], environment)
    error: dict[str, Any] = {}
    stopped = False

    def heard(event: dict[str, Any]) -> None:
        if event["type"] == "status":
            run.reporter.status(event["text"])
        elif event["type"] == "metric":
            run.reporter.metric(event["step"], loss=event["loss"], validation=event["validation"])
            run.reporter.progress(event["fraction"])
        elif event["type"] == "error":
            error.update(event)

    runner.start()
    while runner.running:
        runner.wait(0.2, heard)
        if runner.running and run.should_stop() and not stopped:
            stopped = True
            runner.kill()
    if stopped:
        raise Stopped
    if error:
        raise InputError(error["message"], error["hint"])
    if runner.exit_code:
        raise RuntimeError(f"Keras ended with code {runner.exit_code}:\n{runner.log}")
    results = [_read(folder / f"network-{number:02d}.npz") for number in range(len(split.training))]
    return KerasTrained(tuple(weights for weights, _ in results), tuple(about["history"] for _, about in results))


def train_folder(folder: Path, tell: Callable[..., None]) -> None:
    """The child's work: train every network of task.json that has no file yet."""
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    config = Config(**{name: from_json(cls, task["config"][name]) for name, cls in SECTIONS.items()})
    recordings = read_dataset(folder / "dataset.npz")
    pairs = list(zip(task["users"]["training"], task["users"]["validation"], strict=True))
    for number, (training, validation) in enumerate(pairs):
        path = folder / f"network-{number:02d}.npz"
        if path.exists():
            continue
        tell(type="status", text=f"Training network {number + 1} of {len(pairs)} with Keras")
        seed = task["seed"] + number
        data = TrainingData.make(recordings, training, validation, config, seed)

        def metric(values: dict[str, float], share: float, number: int = number) -> None:
            tell(type="metric", **values, fraction=(number + share) / len(pairs))

        last = path.with_suffix(".last.npz")
        weights, history = fit_keras(data, config.modelConfig, seed, metric, last)
        _write(path, weights, history=history)
        last.unlink()


def fit_keras(
    data: TrainingData,
    model: ModelConfig,
    seed: int,
    metric: Callable[[dict[str, float], float], None],
    last: Path | None = None,
) -> tuple[Weights, list[dict[str, float]]]:
    """Train one network; returns its best weights and the history.

    Args:
        data: of the network.
        model: steps, rates and selection.
        seed: of weights and dropout.
        metric: told the figures of each validation and the share of the steps that is done.
        last: where the state is kept after each validation; where there is one, the training goes on from it.

    Raises:
        InputError: the figure on the validation users was never a number.
    """
    keras = import_keras()
    keras.utils.set_random_seed(seed % 2**32)
    network = keras_model(model.window, model.strides, model.convDropout, model.denseDropout)
    optimizer = keras.optimizers.AdamW(model.lrPeak, weight_decay=model.weightDecay, epsilon=1e-8)
    network.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy")
    optimizer.build(network.trainable_variables)
    variables = [*network.variables, *optimizer.variables]  # with the states of the dropout's generators
    history: list[dict[str, float]] = []
    best, waited, total = math.inf, 0, 0.0
    weights: Weights = {}
    if last is not None and last.exists():
        kept, about = _read(last)
        history, best, waited = about["history"], about["best"], about["waited"]
        for number, variable in enumerate(variables):
            variable.assign(kept.pop(f"variable-{number}"))
        weights = kept
    stopped = 0 < model.earlyStoppingPatience <= waited
    for step in range(model.steps if stopped else len(history) * model.evalEverySteps, model.steps):
        if step % model.evalEverySteps == 0:  # not all backends draw the dropout from a state that can be kept
            keras.utils.set_random_seed((seed + step) % 2**32)
        batch = data.sampler.batch(step)
        optimizer.learning_rate.assign(model.rate(step))
        total += float(network.train_on_batch(batch.magnitude[..., None], batch.label))
        if (step + 1) % model.evalEverySteps:
            continue
        parts = np.array_split(data.validation[..., None], max(1, len(data.validation) // 256))
        probability = np.concatenate([np.asarray(network.predict_on_batch(part))[:, 1] for part in parts])
        figure = selection(probability, data.validation_label, model)
        entry = {"step": step + 1, "loss": total / model.evalEverySteps, "validation": figure}
        history.append(entry)
        metric(entry, (step + 1) / model.steps)
        total = 0.0
        if figure < best:
            best, waited, weights = figure, 0, weights_of(network)
        else:
            waited += 1
        if last is not None:
            state = {
                f"variable-{number}": keras.ops.convert_to_numpy(variable) for number, variable in enumerate(variables)
            }
            _write(last, {**weights, **state}, history=history, best=best, waited=waited)
        if 0 < model.earlyStoppingPatience <= waited:
            break
    if not weights:
        raise InputError("The held-out figure was never a finite number.", "Look at the data, or lower lrPeak.")
    return weights, history


def _write(path: Path, arrays: Weights, **about: Any) -> None:
    text = np.frombuffer(json.dumps(about).encode(), np.uint8)
    with atomic_path(path) as part, open(part, "wb") as file:
        np.savez(file, **arrays, about=text)  # type: ignore[arg-type]


def _read(path: Path) -> tuple[Weights, dict[str, Any]]:
    with np.load(path, allow_pickle=False) as file:
        about: dict[str, Any] = json.loads(bytes(file["about"]))
        return {name: file[name] for name in file.files if name != "about"}, about


def main(arguments: Sequence[str]) -> int:
    """The child: 0 done, 2 bad input."""
    die_with_parent()

    def tell(**event: Any) -> None:
        print(json.dumps(event), flush=True)

    try:
        train_folder(Path(arguments[0]), tell)
    except InputError as error:
        tell(type="error", message=error.message, hint=error.hint)
        return BAD_INPUT
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
