"""The verbs of the method, each from its files to its files: read, observe, fit, measure, write."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.files import sha256, write_json
from deeprecon.data.tables import write_table
from deeprecon.jobs.parameters import NoParameters
from deeprecon.jobs.run import Outcome, PartReporter, Run, Stopped
from deeprecon.seizure import parameters as settings
from deeprecon.seizure.configuration import Config
from deeprecon.seizure.measure.alarms import alarm_rows
from deeprecon.seizure.measure.comparison import (
    Comparison,
    EvaluatedRecording,
    choose_threshold,
    compare_methods,
    evaluate_recordings,
    pool_comparisons,
)
from deeprecon.seizure.measure.scoring import Score
from deeprecon.seizure.observe.recordings import load_recordings, load_single_recording
from deeprecon.seizure.parameters import EvaluateParameters, ExportFormat, Part
from deeprecon.seizure.read.configuration import check_configuration, read_configuration
from deeprecon.seizure.read.dataset import read_dataset, write_dataset
from deeprecon.seizure.read.ensemble import Ensemble, read_ensemble
from deeprecon.seizure.read.recording import (
    Recording,
    add_seizures,
    describe_unmonitored,
    select_users,
    treat_as_seizures,
    unmonitored_doubts,
    unmonitored_share,
)
from deeprecon.seizure.read.seizure_table import read_seizure_table
from deeprecon.seizure.simulate.files import write_phantom
from deeprecon.seizure.training.split import UserSplit, assign_folds, split_training_users, split_users
from deeprecon.seizure.write.annotations import write_annotations
from deeprecon.seizure.write.comparison_files import write_comparison
from deeprecon.seizure.write.configuration_schema import configuration_schema
from deeprecon.seizure.write.detection_files import write_detection
from deeprecon.seizure.write.ensemble import write_ensemble
from deeprecon.seizure.write.probability_table import read_probability_table
from deeprecon.seizure.write.training_files import write_training


def simulate_users(inputs: settings.PhantomInputs, parameters: settings.PhantomParameters, run: Run) -> Outcome:
    """Simulated users: events in the layout of the Open Seizure Database, and a long recording."""
    run.reporter.status("Simulating")
    outputs = write_phantom(
        run.output, parameters.users, parameters.seizures, parameters.minutes, parameters.recording, run.seed
    )
    return Outcome(outputs, {"users": parameters.users, "seizures": parameters.users * parameters.seizures})


def prepare(inputs: settings.PrepareInputs, parameters: settings.PrepareParameters, run: Run) -> Outcome:
    """Read recordings of any kind, convert them to 25 Hz in g, and write them as one data set.

    Raises:
        InputError: a file cannot be read, no recording is left, or two recordings have the same name.
        DoubtError: a recording contradicts itself, or does not state its user.
    """
    config = _configuration(inputs.configuration)
    known = read_seizure_table(inputs.seizures) if inputs.seizures else {}
    recordings: list[Recording] = []
    for number, path in enumerate(inputs.recordings):
        run.reporter.status(f"Reading {path.name}")
        for recording in load_recordings(path, parameters.unit, config.eventFilters, parameters.columns):
            seizures = known.pop(recording.name, None)
            named = recording if recording.user else replace(recording, user=parameters.user)
            recordings.append(add_seizures(named, *seizures) if seizures else named)
        run.reporter.progress((number + 1) / len(inputs.recordings))
    if known:
        raise InputError(f"{inputs.seizures} names recordings that were not given: {', '.join(sorted(known))}.")
    _check_names(recordings)
    run.consider(doubt for one in recordings for doubt in (*one.doubts, *_user_doubts(one)))
    run.consider(unmonitored_doubts("the recordings", recordings))
    recordings = [one if one.user else replace(one, user=one.name) for one in recordings]
    outputs = {"data": run.output / "dataset.npz", "table": run.output / "recordings.csv"}
    write_dataset(outputs["data"], recordings)
    write_table(outputs["table"], [recording.summary() for recording in recordings])
    if uncertain := sum(recording.uncertain for recording in recordings):
        run.reporter.warning(
            f"{uncertain} recordings have a seizure at an unknown time: they are scored as events only, and used for "
            "training only with wholeEvents."
        )
    figures = {
        "not_monitored_share": unmonitored_share(recordings),
        "recordings": len(recordings),
        "users": len({recording.user for recording in recordings}),
        "seizures": sum(len(recording.seizures) for recording in recordings),
        "hours": sum(recording.seconds for recording in recordings) / 3600,
    }
    return Outcome(outputs, figures)


def _user_doubts(recording: Recording) -> tuple[Doubt, ...]:
    """A recording without a user could come into training and test under the names of two files."""
    if recording.user:
        return ()
    text = "the file does not state who wore the watch, so that two nights of one person could be in training and test."
    way_out = "Give --user, a column user, or the user in --seizures; if accepted, the name of the file is the user."
    return (Doubt("user-unknown", recording.name, text, way_out),)


def configure(inputs: settings.ConfigureInputs, parameters: NoParameters, run: Run) -> Outcome:
    """A configuration with every key under its current name, and its JSON Schema.

    Raises:
        InputError: the configuration is refused.
    """
    config = _configuration(inputs.configuration)
    outputs = {"config": run.output / "config.json", "schema": run.output / "config.schema.json"}
    write_json(outputs["config"], config.to_json())
    write_json(outputs["schema"], configuration_schema())
    return Outcome(outputs, {"framework": config.modelConfig.framework.value, "steps": config.modelConfig.steps})


def train(inputs: settings.TrainInputs, parameters: settings.TrainParameters, run: Run) -> Outcome:
    """Train an ensemble on a data set and write it as a model bundle; users of the test are not used.

    Raises:
        InputError: data or configuration cannot be used, or the framework is not installed.
    """
    from deeprecon.seizure.training.ensemble import train_ensemble

    config, recordings = _training_inputs(inputs, parameters, run)
    model, data = config.modelConfig, config.dataProcessing
    split = split_users(recordings, parameters.models, data.testProp, data.validationProp, run.seed)
    trained = train_ensemble(recordings, split, config, run)
    outputs = write_training(run.output, split, trained.history_rows())
    outputs |= {"bundle": run.output / "bundle", "config": run.output / "config.json"}
    write_json(outputs["config"], config.to_json())
    run.reporter.status("Choosing the threshold on the validation users")
    threshold, score = _threshold(trained.networks, split, recordings, config, parameters.alarms_per_day)
    states = [{name: value.cpu() for name, value in network.state_dict().items()} for network in trained.networks]
    description = _training_data(inputs.data, recordings, split, config, run.seed)
    write_ensemble(outputs["bundle"], states, config, threshold, split.trained, split.test, description)
    figures = {
        "networks": len(trained.networks),
        "trained_users": len(split.trained),
        "test_users": len(split.test),
        "steps": model.steps,
        "framework": model.framework.value,
        "network_parameters": sum(parameter.numel() for parameter in trained.networks[0].parameters()),
        "worst_validation": max(trained.best),
        "best_validation": min(trained.best),
        "threshold": threshold,
    }
    chosen = ("sensitivity", "false_alarms_per_day", "false_alarms_per_day_high", "hours", "f1")
    upper = score.figures().get("false_alarms_per_day_high", 0.0)
    if parameters.alarms_per_day is not None and upper > parameters.alarms_per_day:
        run.reporter.warning(
            f"The validation users gave {score.false_alarms} false alarms in {score.hours:.1f} h: up to {upper:.2g} a "
            f"day are compatible with that (95 %), more than the {parameters.alarms_per_day:g} that are allowed."
        )
    figures |= {f"validation_{name}": value for name, value in score.figures().items() if name in chosen}
    return Outcome(outputs, figures)


def cross_validate(inputs: settings.TrainInputs, parameters: settings.CrossValidateParameters, run: Run) -> Outcome:
    """Nested cross-validation: each outer part of users is evaluated with an ensemble trained on the others.

    A part of a run (`Run.part`) trains the ensembles of its share of the folds, and evaluates nothing.

    Raises:
        InputError: as `train`.
        Stopped: a part was asked to stop.
    """
    from deeprecon.seizure.training.ensemble import train_ensemble

    config, recordings = _training_inputs(inputs, parameters, run)
    validation_share = config.dataProcessing.validationProp
    fold_by_user = assign_folds(recordings, parameters.folds, run.seed)
    quantile = EvaluateParameters.quantile
    rows: list[dict[str, Any]] = []
    evaluated: list[EvaluatedRecording] = []
    comparisons: list[Comparison] = []
    share, begun = run.share(range(parameters.folds)), time.monotonic()
    for number, fold in enumerate(share):
        test = {user for user, own in fold_by_user.items() if own == fold}
        split = split_training_users(recordings, parameters.models, validation_share, run.seed, test)
        reporter = PartReporter(run.reporter, number / len(share), (number + 1) / len(share), begun)
        trained = train_ensemble(recordings, split, config, replace(run, reporter=reporter), f"fold-{fold}-")
        if run.part is not None:
            if not trained.finished:
                raise Stopped
            continue
        threshold, _ = _threshold(trained.networks, split, recordings, config, parameters.alarms_per_day)
        held_out = select_users(recordings, split.test)
        found = evaluate_recordings(trained.networks, config.modelConfig.window, held_out, EvaluateParameters.stride)
        evaluated += found
        comparisons.append(compare_methods(found, quantile, threshold))
        rows.append({"fold": fold, "threshold": threshold, **comparisons[-1].figures()})
        if not trained.finished:
            break
    if run.part is not None:
        return Outcome()
    comparison = pool_comparisons(comparisons, evaluated, quantile)
    outputs = write_comparison(run.output, comparison, quantile) | {"folds": run.output / "folds.csv"}
    write_table(outputs["folds"], rows)
    return Outcome(outputs, {"folds": len(rows), **comparison.figures()})


def detect(inputs: settings.DetectInputs, parameters: settings.DetectParameters, run: Run) -> Outcome:
    """Seizure probability over a recording, alarms, and OpenSeizureDetector on the same windows.

    Raises:
        InputError: the recording or the bundle cannot be used.
        DoubtError: the recording contradicts itself.
        Stopped: the run was asked to stop.
    """
    from deeprecon.seizure.fit.inference import check_windows, detect_in_recording

    run.reporter.status("Reading the recording and the model")
    recording = load_single_recording(inputs.recording, parameters.unit, parameters.columns)
    for note in recording.notes:
        run.reporter.status(f"{inputs.recording.name}: {note}")
    run.consider((*unmonitored_doubts(inputs.recording.name, [recording]), *recording.doubts))
    ensemble = read_ensemble(inputs.bundle)
    count = len(ensemble.networks)

    def before_network(number: int) -> None:
        if run.should_stop():
            raise Stopped
        run.reporter.status(f"Network {number + 1} of {count}")
        run.reporter.progress(number / count)

    networks = [network.to(run.device) for network in ensemble.networks]
    detection = detect_in_recording(
        networks, ensemble.window, recording, parameters.stride, parameters.osd_threshold, before_network
    )
    run.reporter.progress(1.0)
    check_windows(recording, detection, ensemble.window)
    run.reporter.status("Writing the results")
    threshold = ensemble.threshold if parameters.threshold is None else parameters.threshold
    title = f"{inputs.recording.name}{', not monitored: ' if recording.unmonitored else ''}"
    title += describe_unmonitored([recording])
    outputs, figures = write_detection(run.output, detection, parameters, threshold, title)
    alarms = alarm_rows(detection, parameters.quantile, threshold, parameters.merge)
    outputs |= write_annotations(run.output, alarms, recording)
    start = recording.start.isoformat() if recording.start else None
    figures = {"not_monitored_share": unmonitored_share([recording]), **figures}
    figures |= {"not_monitored_minutes": {cause: value / 60 for cause, value in recording.unmonitored.items()}}
    figures |= {"hours": recording.seconds / 3600, "notes": list(recording.notes), "start": start}
    return Outcome(outputs, figures, {"bundle_sha256": ensemble.bundle.sha256})


def rescore(inputs: settings.RescoreInputs, parameters: settings.ScoreParameters, run: Run) -> Outcome:
    """Score an earlier detection at another quantile or threshold, without the networks.

    Raises:
        InputError: the file is not a probability.csv.
    """
    detection, threshold = read_probability_table(inputs.probability)
    if parameters.threshold is not None:
        threshold = parameters.threshold
    return Outcome(*write_detection(run.output, detection, parameters, threshold, inputs.probability.name))


def evaluate(inputs: settings.EvaluateInputs, parameters: settings.EvaluateParameters, run: Run) -> Outcome:
    """Score an ensemble on known seizures, and OpenSeizureDetector on the same windows.

    Raises:
        InputError: data or bundle cannot be used, or the data have no user of the test.
    """
    run.reporter.status("Reading the data and the model")
    ensemble = read_ensemble(inputs.bundle)
    recordings = _recordings_to_evaluate(inputs.data, ensemble, parameters.part, run)
    run.consider(unmonitored_doubts(inputs.data.name, recordings))
    run.reporter.status("Evaluating every window")
    evaluated = evaluate_recordings(
        [network.to(run.device) for network in ensemble.networks],
        ensemble.window,
        recordings,
        parameters.stride,
        parameters.osd_threshold,
        run.reporter.progress,
    )
    threshold = ensemble.threshold if parameters.threshold is None else parameters.threshold
    comparison = compare_methods(evaluated, parameters.quantile, threshold, parameters.merge)
    figures = {"not_monitored_share": unmonitored_share(recordings), "quantile": parameters.quantile}
    figures |= {"threshold": threshold, **comparison.figures()}
    if figures.get("uncovered"):
        run.reporter.warning(f"{figures['uncovered']} seizures have no window in their time and are not counted.")
    if "sensitivity" not in figures:
        run.reporter.warning("There are no seizures at known times: only false alarms are counted.")
    outputs = write_comparison(run.output, comparison, parameters.quantile)
    return Outcome(outputs, figures, {"bundle_sha256": ensemble.bundle.sha256})


def export(inputs: settings.ExportInputs, parameters: settings.ExportParameters, run: Run) -> Outcome:
    """The networks of a bundle as ONNX or Keras files, each compared with the network.

    Raises:
        InputError: the bundle cannot be used, or a package needed for the export is not installed.
    """
    from deeprecon.seizure.write.network_files import export_keras, export_onnx

    ensemble = read_ensemble(inputs.bundle)
    write = export_onnx if parameters.format is ExportFormat.ONNX else export_keras
    outputs, differences = {}, []
    for number, network in enumerate(ensemble.networks):
        run.reporter.status(f"Network {number + 1} of {len(ensemble.networks)}")
        path = run.output / f"deepepi_{number:02d}.{parameters.format.value}"
        differences.append(write(network, ensemble.window, path))
        outputs[f"network_{number:02d}"] = path
    return Outcome(outputs, {"networks": len(outputs), "largest_difference": max(differences)})


def _check_names(recordings: Sequence[Recording]) -> None:
    if not recordings:
        raise InputError("No recording is left.", "Look at eventFilters in the configuration.")
    names = [recording.name for recording in recordings]
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(
            f"Recordings have the same name: {', '.join(repeated)[:200]}.", "Give each event and file once."
        )


def _configuration(path: Path | None) -> Config:
    return read_configuration(path) if path else Config()


def _training_inputs(
    inputs: settings.TrainInputs, parameters: settings.TrainParameters, run: Run
) -> tuple[Config, list[Recording]]:
    """The configuration with the number of steps of the parameters, and the recordings of the data set."""
    run.reporter.status("Reading the data")
    config = _configuration(inputs.configuration)
    if parameters.steps:
        config = replace(config, modelConfig=config.modelConfig.with_steps(parameters.steps))
    if reasons := check_configuration(config):
        raise InputError(f"These settings cannot be used: {'; '.join(reasons)}.")
    recordings = read_dataset(inputs.data)
    return config, treat_as_seizures(recordings) if config.dataProcessing.wholeEvents else recordings


def _threshold(
    networks: Sequence[Any],
    split: UserSplit,
    recordings: Sequence[Recording],
    config: Config,
    alarms_per_day: float | None,
) -> tuple[float, Score]:
    """The threshold of an ensemble and the score there, on the validation users of its networks."""
    # an interrupted run has fewer networks than planned
    validation = split.validation[: len(networks)]
    window, stride = config.modelConfig.window, EvaluateParameters.stride
    return choose_threshold(networks, window, recordings, validation, stride, alarms_per_day)


def _training_data(path: Path, recordings: Sequence[Recording], split: UserSplit, config: Config, seed: int) -> str:
    """Description of the training data for the model card."""
    model = config.modelConfig
    return (
        f"{path.name} (SHA-256 {sha256(path)}): {len(recordings)} recordings of "
        f"{len({one.user for one in recordings})} users, {len(split.trained)} of them for training and validation; "
        f"{model.steps} steps of {model.batchSize} windows a network, {model.framework.value}, seed {seed}."
    )


def _recordings_to_evaluate(path: Path, ensemble: Ensemble, part: Part, run: Run) -> list[Recording]:
    """The recordings of a data set; with `Part.TEST` those of users that were not trained on."""
    recordings = read_dataset(path)
    trained = set(ensemble.split.get("trained", ()))
    if part is Part.TEST:
        recordings = [recording for recording in recordings if recording.user not in trained]
        if not recordings:
            raise InputError(
                f"Every user of {path} was trained on.",
                "Train with testProp above 0, or give --part all where they are other people with the same names.",
            )
    elif seen := {recording.user for recording in recordings} & trained:
        run.reporter.warning(
            f"{len(seen)} users have the names of users that were trained on: the figures may be too good."
        )
    return recordings
