"""Training of an ensemble with Keras in a child process: `python -m deeprecon.seizure.training.keras_ensemble FOLDER`.

The parent writes task.json (configuration, users of each network, seed) and dataset.npz; the child (`keras_network`)
trains each network and writes network-NN.npz. A network with a file is not trained again; an interrupted one resumes
from network-NN.last.npz, its last validation.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.data.files import write_json
from deeprecon.jobs.parameters import from_json
from deeprecon.jobs.process import child_environment, die_with_parent, python_command
from deeprecon.jobs.run import Run, Stopped
from deeprecon.jobs.runner import ProcessRunner
from deeprecon.seizure.configuration import SECTIONS, Config
from deeprecon.seizure.networks.deepepi_keras import Weights
from deeprecon.seizure.read.dataset import read_dataset, write_dataset
from deeprecon.seizure.read.recording import Recording
from deeprecon.seizure.training.keras_network import read_state, train_keras_network, write_state
from deeprecon.seizure.training.split import UserSplit
from deeprecon.seizure.training.training_set import TrainingSet

BAD_INPUT = 2


def train_keras_ensemble(
    recordings: Sequence[Recording],
    split: UserSplit,
    config: Config,
    run: Run,
    backend: str = "tensorflow",
    name: str = "",
) -> tuple[list[Weights], list[list[dict[str, float]]]]:
    """Train an ensemble in a child process.

    Args:
        recordings, split, config, run, name: see `ensemble.train_ensemble`.
        backend: of Keras.

    Returns:
        Weights of each network, named as in the PyTorch network, and rows (step, loss, validation) of each.

    Raises:
        InputError: Keras or its backend is not installed, or the data are not sufficient.
        Stopped: the run was asked to stop; a resumed run continues from the last validation.
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

    def report(event: dict[str, Any]) -> None:
        if event["type"] == "status":
            run.reporter.status(event["text"])
        elif event["type"] == "metric":
            run.reporter.metric(event["step"], loss=event["loss"], validation=event["validation"])
            run.reporter.progress(event["fraction"])
        elif event["type"] == "error":
            error.update(event)

    runner.start()
    while runner.running:
        runner.wait(0.2, report)
        if runner.running and run.should_stop() and not stopped:
            stopped = True
            runner.kill()
    if stopped:
        raise Stopped
    if error:
        raise InputError(error["message"], error["hint"])
    if runner.exit_code:
        raise RuntimeError(f"Keras ended with code {runner.exit_code}:\n{runner.log}")
    results = [read_state(folder / f"network-{number:02d}.npz") for number in range(len(split.training))]
    return [weights for weights, _ in results], [about["history"] for _, about in results]


def train_folder(folder: Path, send: Callable[..., None]) -> None:
    """Train every network of task.json without a file; runs in the child.

    Args:
        folder: with task.json and dataset.npz.
        send: called with the entries of each event for the parent.
    """
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    config = Config(**{name: from_json(cls, task["config"][name]) for name, cls in SECTIONS.items()})
    recordings = read_dataset(folder / "dataset.npz")
    pairs = list(zip(task["users"]["training"], task["users"]["validation"], strict=True))
    for number, (training, validation) in enumerate(pairs):
        path = folder / f"network-{number:02d}.npz"
        if path.exists():
            continue
        send(type="status", text=f"Training network {number + 1} of {len(pairs)} with Keras")
        seed = task["seed"] + number
        data = TrainingSet.make(recordings, training, validation, config, seed)

        def metric(values: dict[str, float], share: float, number: int = number) -> None:
            send(type="metric", **values, fraction=(number + share) / len(pairs))

        last = path.with_suffix(".last.npz")
        weights, history = train_keras_network(data, config.modelConfig, seed, metric, last)
        write_state(path, weights, history=history)
        last.unlink()


def main(arguments: Sequence[str]) -> int:
    """Main function of the child. Exit code 0: done, 2: bad input."""
    die_with_parent()

    def send(**event: Any) -> None:
        print(json.dumps(event), flush=True)

    try:
        train_folder(Path(arguments[0]), send)
    except InputError as error:
        send(type="error", message=error.message, hint=error.hint)
        return BAD_INPUT
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
