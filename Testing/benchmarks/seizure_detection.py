"""DeepEpi compared with OpenSeizureDetector's algorithm on simulated wrists, its speed and its reproducibility.

    python Testing/benchmarks/seizure_detection.py [--users 48] [--steps 300] [--models 3] [--json FILE]

Half of the users are for training, the other half for the test; each has two seizures and 40 minutes of rest,
walking, brushing teeth, typing, chores and seizure-like bursts. Both methods use the same windows. The ensemble is
compared at the baseline's false-alarm rate and at its sensitivity, for three power thresholds of the baseline, and
scored at the threshold chosen on validation users.
Simulated users are not patients: the figures show that the pipeline works, not its accuracy on people.
Exits with 1 if a gate does not hold.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import numpy as np
import torch
from benchmarks.common import argument_parser, write_result

from deeprecon.jobs.run import Run
from deeprecon.seizure.configuration import Config, Framework, ModelConfig
from deeprecon.seizure.fit.baseline import ALARM
from deeprecon.seizure.fit.inference import window_probabilities
from deeprecon.seizure.measure.comparison import choose_threshold, compare_methods, evaluate_recordings
from deeprecon.seizure.measure.operating_points import operating_points, rate_at, sensitivity_at
from deeprecon.seizure.measure.scoring import score_users, total_score
from deeprecon.seizure.networks.deepepi import DeepEpi, new_network
from deeprecon.seizure.observe.recordings import load_single_recording
from deeprecon.seizure.observe.windows import window_ends
from deeprecon.seizure.read.recording import select_users
from deeprecon.seizure.simulate.recordings import simulate_long_recording, simulate_recordings
from deeprecon.seizure.training.ensemble import train_ensemble
from deeprecon.seizure.training.split import split_users

POWERS = (100.0, 500.0, 900.0)
WINDOW, STRIDE = 750, 125
QUANTILE = 0.6
MAX_SECONDS_FOR_24_H = {1: 30.0, 10: 120.0}
MAX_DIFFERENCE = 1e-6


class SilentReporter:
    """A reporter without output that requests a stop at a metric."""

    def __init__(self, folder: Path, stop_at: int = -1) -> None:
        self.folder, self.stop_at, self.metrics = folder, stop_at, 0

    def status(self, text: str) -> None: ...
    def warning(self, message: str) -> None: ...
    def progress(self, fraction: float, seconds_left: float | None = None) -> None: ...

    def metric(self, step: int, **values: float) -> None:
        self.metrics += 1
        if self.metrics == self.stop_at:
            (self.folder / "stop").touch()


def make_run(folder: Path, threads: int, stop_at: int = -1) -> Run:
    folder.mkdir(exist_ok=True)
    (folder / "stop").unlink(missing_ok=True)
    return Run(folder, folder, "cpu", threads, "fp32", 0, SilentReporter(folder, stop_at))


def accuracy(users: int, steps: int, models: int, threads: int) -> tuple[dict[str, Any], list[DeepEpi], list[str]]:
    """Train on half of the users, choose the threshold on their validation users, evaluate the other half."""
    people = simulate_recordings(users, 2, 40.0, 11)
    base = ModelConfig(Framework.PYTORCH, batchSize=32).with_steps(steps)
    config = Config(base)
    split = split_users(people, models, 0.5, config.dataProcessing.validationProp, 0)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        trained = train_ensemble(people, split, config, make_run(Path(folder), threads))
    seconds = time.perf_counter() - start
    networks = list(trained.networks)
    test = select_users(people, split.test)
    rows, broken = [], []
    threshold, _ = choose_threshold(networks, WINDOW, people, split.validation, STRIDE / 25)
    evaluated = evaluate_recordings(networks, WINDOW, test, STRIDE / 25, POWERS[0])
    tracks = [one.ensemble_track(QUANTILE) for one in evaluated]
    points = operating_points(tracks)
    ensemble = total_score(score_users(tracks, threshold).values())
    print(f"{len(split.test)} users of the test, {ensemble.seizures} seizures, {ensemble.hours:.1f} h of recording; "
          f"{models} networks of {config.modelConfig.steps} steps in {seconds:.0f} s")  # fmt: skip
    print(f"DeepEpi, quantile {QUANTILE}, threshold {threshold:.3f} of the validation users: "
          f"sensitivity {ensemble.sensitivity:.3f}, {ensemble.false_alarms_per_day:.1f} false alarms per day, "
          f"latency {np.median(ensemble.latencies):.0f} s")  # fmt: skip
    print("\nOSD power  sensitivity  DeepEpi at its rate   false alarms/day  DeepEpi at its sensitivity")
    for power in POWERS:
        at_power = evaluate_recordings(networks[:1], WINDOW, test, STRIDE / 25, power)
        baseline = total_score(compare_methods(at_power, QUANTILE, threshold).baseline.values())
        better, fewer = sensitivity_at(points, baseline.false_alarms_per_day), rate_at(points, baseline.sensitivity)
        print(f"{power:9.0f} {baseline.sensitivity:12.3f} {better:20.3f} "
              f"{baseline.false_alarms_per_day:18.1f} {fewer:27.1f}")  # fmt: skip
        rows.append(
            {"power": power, **baseline.figures(), "deepepi_sensitivity": better, "deepepi_false_alarms": fewer}
        )
        if not better > baseline.sensitivity or not fewer < baseline.false_alarms_per_day:
            broken.append(f"at power {power:g} the baseline is not exceeded in both figures")
    found = {"threshold": threshold, "deepepi": ensemble.figures(), "osd": rows, "training_seconds": seconds}
    return found, networks, broken


def window_by_window(network: DeepEpi, magnitude: np.ndarray, batch: int = 256) -> np.ndarray:
    """Probability of each window from a pass of its own: the reference of `window_probabilities`."""
    ends = window_ends(len(magnitude), WINDOW, STRIDE)
    found = []
    with torch.inference_mode():
        for first in range(0, len(ends), batch):
            rows = np.stack([magnitude[end - WINDOW : end] for end in ends[first : first + batch]])
            found.append(torch.softmax(network(torch.from_numpy(rows)), dim=1)[:, 1].double().numpy())
    return np.concatenate(found)


def speed(networks: list[DeepEpi]) -> tuple[dict[str, Any], list[str]]:
    """24 hours at a stride of 5 s; CPU time, which for one thread equals the wall time of an idle machine."""
    axes, _ = simulate_long_recording(24, 1000, 5)
    magnitude = np.linalg.norm(axes, axis=1).astype(np.float32)
    valid = np.ones(len(magnitude), bool)
    broken = []
    hour = magnitude[: 25 * 3600]
    differences = []
    for one in networks:
        found = window_probabilities(one, hour, valid[: len(hour)], WINDOW, STRIDE)
        differences.append(float(np.abs(found - window_by_window(one, hour)).max()))
    if max(differences) > MAX_DIFFERENCE:
        broken.append(f"one pass differs from separate windows by {max(differences):.2g}")
    figures: dict[str, Any] = {"largest_difference": max(differences)}
    count = len(window_ends(len(magnitude), WINDOW, STRIDE))
    print(f"\n24 h, {count} windows, {torch.get_num_threads()} threads; one pass differs from separate windows by "
          f"{max(differences):.1e} at most")  # fmt: skip
    for count, most in MAX_SECONDS_FOR_24_H.items():
        ensemble = [networks[index % len(networks)] for index in range(count)]
        start, begun = time.perf_counter(), time.process_time()
        for one in ensemble:
            window_probabilities(one, magnitude, valid, WINDOW, STRIDE)
        seconds = time.process_time() - begun
        figures[f"seconds_{count}"] = seconds
        figures[f"wall_seconds_{count}"] = time.perf_counter() - start
        print(f"{count:3d} networks {seconds:7.1f} s of CPU (at most {most:g}), "
              f"{figures[f'wall_seconds_{count}']:.1f} s wall time", flush=True)  # fmt: skip
        if seconds > most:
            broken.append(f"24 h take {seconds:.0f} s with {count} networks")
    begun = time.process_time()
    window_by_window(networks[0], magnitude)
    figures["seconds_by_window"] = time.process_time() - begun
    print(f"  1 network, separate windows {figures['seconds_by_window']:.1f} s of CPU", flush=True)
    return figures, broken


def reproducibility(threads: int) -> tuple[dict[str, Any], list[str]]:
    """Two trainings, and one interrupted twice, must give the same bits."""
    people = simulate_recordings(8, 1, 5.0, 3)
    model = ModelConfig(Framework.PYTORCH, batchSize=16).with_steps(12)
    config = Config(replace(model, warmupSteps=1, mainSteps=10, cooldownSteps=1, evalEverySteps=3))
    split = split_users(people, 2, 0.25, 0.5, 0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        first, second = (train_ensemble(people, split, config, make_run(folder / key, threads)) for key in "ab")
        train_ensemble(people, split, config, make_run(folder / "c", threads, stop_at=2))
        train_ensemble(people, split, config, make_run(folder / "c", threads, stop_at=4))
        resumed = train_ensemble(people, split, config, make_run(folder / "c", threads))

    def same(one: Any, other: Any) -> bool:
        pairs = zip(one.networks, other.networks, strict=True)
        return all(torch.equal(a, b) for x, y in pairs for a, b in
                   zip(x.state_dict().values(), y.state_dict().values(), strict=True))  # fmt: skip

    repeats, resumes = same(first, second), same(first, resumed)
    print(f"\nTraining repeats to the bit: {repeats}; interrupted twice and resumed, it gives the same bits: {resumes}")
    broken = [text for good, text in ((repeats, "training does not repeat"), (resumes, "resuming differs")) if not good]
    return {"repeats": repeats, "resumes": resumes}, broken


def real_event(networks: list[DeepEpi], threshold: float, path: Path) -> dict[str, Any]:
    """Result for the published event, for information: one event is not a measurement."""
    recording = load_single_recording(path)
    (one,) = evaluate_recordings(networks, WINDOW, [recording], STRIDE / 25, 900.0)
    found = one.detection
    probability = found.probability(QUANTILE)
    over = found.times[probability > threshold]
    alarm = found.times[found.osd == ALARM]
    start, end = recording.seizures[0]
    print(f"\nThe published real seizure ({start:.0f} to {end:.0f} s): largest probability {probability.max():.2f}, "
          f"above the threshold at {over.tolist()}; OpenSeizureDetector's alarm at {alarm.tolist()}")  # fmt: skip
    return {"largest_probability": float(probability.max()), "above": over.tolist(), "osd": alarm.tolist()}


def main() -> int:
    parser = argument_parser(__doc__, "seizure_detection")
    parser.add_argument("--users", type=int, default=48)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--models", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=["accuracy", "speed", "repeat"], help="one part; speed without training")
    parser.add_argument("--event", type=Path, help="the published event's JSON file, evaluated for information")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    found: dict[str, Any] = {}
    broken: list[str] = []
    networks = [new_network(0).eval()]
    if arguments.only in (None, "accuracy"):
        found["accuracy"], networks, more = accuracy(
            arguments.users, arguments.steps, arguments.models, arguments.threads
        )
        broken += more
        if arguments.event is not None:
            found["event"] = real_event(networks, found["accuracy"]["threshold"], arguments.event)
    if arguments.only in (None, "speed"):
        found["speed"], more = speed(networks)
        broken += more
    if arguments.only in (None, "repeat"):
        found["repeat"], more = reproducibility(arguments.threads)
        broken += more
    write_result(arguments.json, {"threads": arguments.threads, **found})
    print(f"\nWritten to {arguments.json}")
    print(f"Gates that fail: {'; '.join(broken)}." if broken else "All gates hold.")
    return 1 if broken else 0


if __name__ == "__main__":
    raise SystemExit(main())
