"""The same network, batches, rates and validation in PyTorch and in Keras: time, memory and accuracy.

    python Testing/benchmarks/seizure_frameworks.py [--steps 60] [--tensorflow-python PYTHON] [--json FILE]

Each training runs in a separate process. Keras runs on its torch backend, and on TensorFlow where this Python, or
the one given, has it. Times are CPU times, which for one thread equal the wall times of an idle machine. Memory is the
largest resident set of the process. The last column is the largest difference between the probabilities that Keras and
PyTorch compute from the Keras weights. Exits with 1 if that exceeds 1e-6.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import numpy as np
from benchmarks.common import LIBRARY, argument_parser, write_result

from deeprecon.seizure.configuration import Config, Framework, ModelConfig
from deeprecon.seizure.simulate.recordings import simulate_recordings
from deeprecon.seizure.training.split import split_users
from deeprecon.seizure.training.training_set import TrainingSet

MAX_DIFFERENCE = 1e-6


def task(steps: int) -> tuple[TrainingSet, ModelConfig]:
    """Twelve simulated users; the same in every process."""
    people = simulate_recordings(12, 2, 10.0, 7)
    model = replace(ModelConfig(Framework.PYTORCH, batchSize=32).with_steps(steps), evalEverySteps=steps // 2)
    model = replace(model, warmupSteps=steps // 10, mainSteps=steps - 2 * (steps // 10), cooldownSteps=steps // 10)
    config = Config(model)
    split = split_users(people, 1, 0.25, 0.25, 0)
    return TrainingSet.make(people, split.training[0], split.validation[0], config, 0), model


def run_one(framework: str, steps: int, folder: Path) -> None:
    """Runs in a separate process: train, write the weights and the network's probabilities, print the figures."""
    data, model = task(steps)
    signal = data.validation[:64]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    if framework == "pytorch":
        import torch

        from deeprecon.jobs.run import Run
        from deeprecon.seizure.training.pytorch_ensemble import train_network

        class SilentReporter:
            def __getattr__(self, name: str) -> Any:
                return lambda *values, **named: None

        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        imported = time.process_time()
        network, result = train_network(data, model, Run(folder, folder, "cpu", 1, "fp32", 0, SilentReporter()), 0, "n")
        seconds, best = time.process_time() - imported, result.best
        with torch.no_grad():
            probabilities = torch.softmax(network(torch.from_numpy(signal)), dim=1)[:, 1].numpy()
        weights = {name: value.numpy() for name, value in network.state_dict().items()}
    else:
        from deeprecon.seizure.networks.deepepi_keras import import_keras, keras_model, set_weights
        from deeprecon.seizure.training.keras_network import train_keras_network

        import_keras()
        imported = time.process_time()
        weights, history = train_keras_network(data, model, 0, lambda values, share: None)
        seconds, best = time.process_time() - imported, min(entry["validation"] for entry in history)
        keras = keras_model(model.window)
        set_weights(keras, weights)
        probabilities = np.asarray(keras.predict_on_batch(signal[..., None]))[:, 1]
    np.savez(folder / "weights.npz", signal=signal, probabilities=probabilities, **weights)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = {"import_s": imported - start, "training_s": seconds, "peak_mb": peak / 1024, "data_mb": before / 1024}
    print("RESULT " + json.dumps({**figures, "validation": best}), flush=True)


def run(framework: str, python: str, steps: int, threads: int) -> dict[str, Any]:
    """Start `run_one`, and compute its probabilities again in PyTorch from its weights."""
    import torch

    from deeprecon.seizure.networks.deepepi import DeepEpi

    environment = {**os.environ, "PYTHONPATH": str(LIBRARY), "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment |= dict.fromkeys(("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS"), str(threads))
    environment["TF_NUM_INTEROP_THREADS"] = "1"
    environment["KERAS_BACKEND"] = "tensorflow" if framework == "keras on tensorflow" else "torch"
    with tempfile.TemporaryDirectory() as name:
        command = [python, __file__, "--one", framework, "--steps", str(steps), "--folder", name]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
        if not lines:
            raise SystemExit(f"{framework} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        figures: dict[str, Any] = json.loads(lines[0].removeprefix("RESULT "))
        with np.load(Path(name) / "weights.npz") as file:
            values = {key: file[key] for key in file.files}
    network = DeepEpi()
    signal, probabilities = values.pop("signal"), values.pop("probabilities")
    network.load_state_dict({key: torch.from_numpy(value) for key, value in values.items()})
    with torch.no_grad():
        expected = torch.softmax(network.eval()(torch.from_numpy(signal)), dim=1)[:, 1].numpy()
    return {"framework": framework, **figures, "difference": float(np.abs(probabilities - expected).max())}


def main() -> int:
    parser = argument_parser(__doc__, "seizure_frameworks")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tensorflow-python", help="interpreter that has TensorFlow, where this one has not")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        run_one(arguments.one, arguments.steps, arguments.folder)
        return 0
    pairs = [("pytorch", sys.executable), ("keras on torch", sys.executable)]
    tensorflow = arguments.tensorflow_python or sys.executable
    probe = subprocess.run([tensorflow, "-c", "import tensorflow"], capture_output=True, check=False)
    if probe.returncode == 0:
        pairs.append(("keras on tensorflow", tensorflow))
    rows = []
    print(f"{arguments.steps} steps of 32 windows of 30 s, {arguments.threads} thread(s)")
    print(f"{'framework':<20} training cpu s  import cpu s  peak MB  validation loss  difference")
    for framework, python in pairs:
        rows.append(run(framework, python, arguments.steps, arguments.threads))
        row = rows[-1]
        print(f"{framework:<20} {row['training_s']:14.1f} {row['import_s']:13.1f} {row['peak_mb']:8.0f} "
              f"{row['validation']:16.4f} {row['difference']:11.1e}", flush=True)  # fmt: skip
    if len(pairs) == 2:
        print("TensorFlow is not installed here: --tensorflow-python names a Python that has it.")
    write_result(arguments.json, {"threads": arguments.threads, "rows": rows})
    worst = max(row["difference"] for row in rows)
    holds = worst <= MAX_DIFFERENCE
    print("All gates hold." if holds else f"The frameworks differ by {worst:.1e} from the same weights.")
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
