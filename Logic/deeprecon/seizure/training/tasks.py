"""Training and evaluation as verbs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from deeprecon.data.errors import InputError
from deeprecon.data.files import sha256, write_json
from deeprecon.data.tables import write_table
from deeprecon.jobs.run import Outcome, Run
from deeprecon.seizure.config import Config, Framework, check, read_config
from deeprecon.seizure.measure.scoring import Score
from deeprecon.seizure.parameters import (
    CrossValidateParameters,
    EvaluateInputs,
    EvaluateParameters,
    Part,
    TrainInputs,
    TrainParameters,
)
from deeprecon.seizure.read.dataset import (
    Split,
    ensemble_split,
    fold_of_users,
    of_users,
    read_dataset,
    split_users,
    with_whole_events,
)
from deeprecon.seizure.read.recordings import Recording

if TYPE_CHECKING:
    from torch import Tensor

    from deeprecon.seizure.networks.deepepi import DeepEpi


_AT_THRESHOLD = ("sensitivity", "false_alarms_per_day", "f1")


@dataclass(frozen=True, eq=False)
class _Ensemble:
    """Weights in the names of the PyTorch network, the best figure of each, and a row for each validation."""

    states: tuple[dict[str, Tensor], ...]
    best: tuple[float, ...]
    history: tuple[dict[str, Any], ...]
    finished: bool

    def networks(self, config: Config) -> list[DeepEpi]:
        from deeprecon.seizure.networks.deepepi import DeepEpi

        made = []
        for state in self.states:
            network = DeepEpi(config.modelConfig.strides)
            network.load_state_dict(state)
            made.append(network.eval())
        return made


def train(inputs: TrainInputs, parameters: TrainParameters, run: Run) -> Outcome:
    """Train an ensemble on a data set and keep it as a model bundle; users of the test are never looked at.

    Raises:
        InputError: data or configuration cannot be used, or the framework is not installed.
    """
    run.reporter.status("Reading the data")
    config = _config(inputs, parameters)
    recordings = _recordings(inputs, config)
    model, data = config.modelConfig, config.dataProcessing
    split = split_users(recordings, parameters.models, data.testProp, data.validationProp, run.seed)
    done = _train(recordings, split, config, run)
    trained = sorted({user for part in (*split.training, *split.validation) for user in part})
    outputs = {
        "bundle": run.output / "bundle",
        "history": run.output / "history.csv",
        "config": run.output / "config.json",
        "users": run.output / "users.csv",
        "curves": run.output / "curves.png",
    }
    write_table(outputs["history"], done.history)
    write_json(outputs["config"], config.to_json())
    write_table(outputs["users"], _roles(split))
    outputs["curves"].write_bytes(_curves(done.history))
    words = (
        f"{inputs.data.name} (SHA-256 {sha256(inputs.data)}): {len(recordings)} recordings of "
        f"{len({one.user for one in recordings})} users, {len(trained)} of them for training and validation; "
        f"{model.steps} steps of {model.batchSize} windows a network, {model.framework.value}, seed {run.seed}."
    )
    from deeprecon.seizure.networks.bundle import write_ensemble

    run.reporter.status("Choosing the threshold on the validation users")
    threshold, there = _threshold(done, split, recordings, config, run)
    write_ensemble(outputs["bundle"], done.states, config, threshold, trained, split.test, words)
    figures = {
        "networks": len(done.states),
        "trained_users": len(trained),
        "test_users": len(split.test),
        "steps": model.steps,
        "framework": model.framework.value,
        "network_parameters": sum(parameter.numel() for parameter in done.networks(config)[0].parameters()),
        "worst_validation": max(done.best),
        "best_validation": min(done.best),
        "threshold": threshold,
        **{f"validation_{key}": value for key, value in there.figures().items() if key in _AT_THRESHOLD},
    }
    return Outcome(outputs, figures)


def cross_validate(inputs: TrainInputs, parameters: CrossValidateParameters, run: Run) -> Outcome:
    """Nested parts of users: each outer part is evaluated with an ensemble whose networks are validated on inner parts.

    Raises:
        InputError: as `train`.
    """
    from deeprecon.seizure.evaluation import Comparison, Judged, compare, judge, pool, write_comparison

    run.reporter.status("Reading the data")
    config = _config(inputs, parameters)
    recordings = _recordings(inputs, config)
    of = fold_of_users(recordings, parameters.folds, run.seed)
    quantile = EvaluateParameters.quantile
    rows: list[dict[str, Any]] = []
    judged: list[Judged] = []
    compared: list[Comparison] = []
    for fold in range(parameters.folds):
        test = {user for user, number in of.items() if number == fold}
        inner = [one for one in recordings if one.user not in test]
        split = ensemble_split(inner, parameters.models, config.dataProcessing.validationProp, run.seed, test)
        done = _train(recordings, split, config, run, f"fold-{fold}-")
        found = judge(
            [network.to(run.device) for network in done.networks(config)],
            config.modelConfig.window,
            of_users(recordings, split.test),
            EvaluateParameters.stride,
            EvaluateParameters.osd_threshold,
        )
        judged += found
        threshold, _ = _threshold(done, split, recordings, config, run)
        compared.append(compare(found, quantile, threshold))
        rows.append({"fold": fold, "threshold": threshold, **compared[-1].figures()})
        if not done.finished:
            break
    comparison = pool(compared, judged, quantile)
    outputs = write_comparison(run.output, comparison, quantile) | {"folds": run.output / "folds.csv"}
    write_table(outputs["folds"], rows)
    return Outcome(outputs, {"folds": len(rows), **comparison.figures()})


def evaluate(inputs: EvaluateInputs, parameters: EvaluateParameters, run: Run) -> Outcome:
    """Score an ensemble on known seizures, with OpenSeizureDetector on the same windows.

    Raises:
        InputError: data or bundle cannot be used, or none of the data's users are of the test.
    """
    from deeprecon.seizure.evaluation import compare, judge, write_comparison
    from deeprecon.seizure.networks.bundle import read_ensemble

    run.reporter.status("Reading the data and the model")
    recordings = read_dataset(inputs.data)
    ensemble = read_ensemble(inputs.bundle)
    trained = set(ensemble.split.get("trained", ()))
    seen = {recording.user for recording in recordings} & trained
    if parameters.part is Part.TEST:
        recordings = [recording for recording in recordings if recording.user not in trained]
        if not recordings:
            raise InputError(
                f"Every user of {inputs.data} was trained on.",
                "Train with testProp above 0, or give --part all where they are other people with the same names.",
            )
    elif seen:
        run.reporter.warning(f"{len(seen)} users have the names of users that were trained on: the figures flatter.")
    run.reporter.status("Looking at every window")
    judged = judge(
        [network.to(run.device) for network in ensemble.networks],
        ensemble.window,
        recordings,
        parameters.stride,
        parameters.osd_threshold,
        run.reporter.progress,
    )
    threshold = ensemble.threshold if parameters.threshold is None else parameters.threshold
    comparison = compare(judged, parameters.quantile, threshold)
    figures = {"quantile": parameters.quantile, "threshold": threshold, **comparison.figures()}
    if figures.get("uncovered"):
        run.reporter.warning(f"{figures['uncovered']} seizures have no window in their time and are not counted.")
    if "sensitivity" not in figures:
        run.reporter.warning("There are no seizures at known times: only false alarms are counted.")
    outputs = write_comparison(run.output, comparison, parameters.quantile)
    return Outcome(outputs, figures, {"bundle_sha256": ensemble.bundle.sha256})


def _config(inputs: TrainInputs, parameters: TrainParameters) -> Config:
    config = read_config(inputs.configuration) if inputs.configuration else Config()
    if parameters.steps:
        config = replace(config, modelConfig=config.modelConfig.with_steps(parameters.steps))
    if reasons := check(config):
        raise InputError(f"These settings cannot be used: {'; '.join(reasons)}.")
    return config


def _recordings(inputs: TrainInputs, config: Config) -> list[Recording]:
    found = read_dataset(inputs.data)
    return with_whole_events(found) if config.dataProcessing.wholeEvents else found


def _train(recordings: Sequence[Recording], split: Split, config: Config, run: Run, name: str = "") -> _Ensemble:
    """Train with the framework of the configuration."""
    used = of_users(recordings, [user for part in (*split.training, *split.validation) for user in part])
    if config.modelConfig.framework is Framework.TENSORFLOW:
        import torch

        from deeprecon.seizure.training.keras_ensemble import train_in_child

        made = train_in_child(used, split, config, run, name=name)
        states = [{key: torch.from_numpy(value) for key, value in weights.items()} for weights in made.weights]
        best = [min(entry["validation"] for entry in history) for history in made.histories]
        rows = [{"network": n, **entry} for n, history in enumerate(made.histories) for entry in history]
        return _Ensemble(tuple(states), tuple(best), tuple(rows), True)
    from deeprecon.seizure.training.ensemble import train_ensemble

    done = train_ensemble(used, split, config, run, name)
    every = config.modelConfig.evalEverySteps
    rows = [
        {
            "network": number,
            "step": round((entry["epoch"] + 1) * every),
            "loss": entry["loss"],
            "validation": entry["validation"],
        }
        for number, result in enumerate(done.results)
        for entry in result.history
    ]
    return _Ensemble(
        tuple({key: value.cpu() for key, value in network.state_dict().items()} for network in done.networks),
        tuple(result.best for result in done.results),
        tuple(rows),
        done.finished,
    )


def _threshold(
    done: _Ensemble, split: Split, recordings: Sequence[Recording], config: Config, run: Run
) -> tuple[float, Score]:
    """The threshold of an ensemble and the score there, on the validation users of its networks."""
    from deeprecon.seizure.evaluation import choose_threshold

    networks = [network.to(run.device) for network in done.networks(config)]
    # a run that was stopped has fewer networks than were planned
    validation = split.validation[: len(networks)]
    return choose_threshold(networks, config.modelConfig.window, recordings, validation, EvaluateParameters.stride)


def _roles(split: Split) -> list[dict[str, Any]]:
    """What each user is for each network."""
    rows = []
    for user in sorted({*split.training[0], *split.validation[0], *split.test}):
        row: dict[str, Any] = {"user": user}
        for number, validation in enumerate(split.validation):
            role = "test" if user in split.test else "validation" if user in validation else "training"
            row[f"network_{number:02d}"] = role
        rows.append(row)
    return rows


def _curves(history: Sequence[Mapping[str, Any]]) -> bytes:
    """PNG of loss and validation figure over the steps, a line for each network."""
    from deeprecon.reporting.figures import png, pyplot

    plt = pyplot()
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
    for axis, key in zip(axes, ("loss", "validation"), strict=True):
        for number in sorted({row["network"] for row in history}):
            rows = [row for row in history if row["network"] == number]
            axis.plot([row["step"] for row in rows], [row[key] for row in rows], label=f"network {number}")
        axis.set(xlabel="step", title=key)
        axis.grid(alpha=0.3)
    axes[0].legend(frameon=False, fontsize=8)
    return png(figure)
