"""The front door of the method: what `python -m deeprecon seizure VERB` runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deeprecon.data.errors import InputError
from deeprecon.data.files import write_json
from deeprecon.data.tables import read_table, write_table
from deeprecon.jobs.run import Outcome, Run
from deeprecon.jobs.verbs import Verb
from deeprecon.seizure import parameters as settings
from deeprecon.seizure.config import Config, read_config, schema
from deeprecon.seizure.fit.detection import read_detection
from deeprecon.seizure.parameters import ExportFormat, Unit
from deeprecon.seizure.pipeline import detect as run_detection
from deeprecon.seizure.pipeline import write_detection
from deeprecon.seizure.read.dataset import write_dataset
from deeprecon.seizure.read.osdb import read_flat, read_json
from deeprecon.seizure.read.recordings import Recording, from_event, read_recordings, with_seizures
from deeprecon.seizure.training.tasks import cross_validate, evaluate, train


def phantom(inputs: settings.PhantomInputs, parameters: settings.PhantomParameters, run: Run) -> Outcome:
    """Simulated users: events in the layout of the Open Seizure Database, and a long plain recording."""
    from deeprecon.seizure.simulate.wrist import write_phantom

    run.reporter.status("Simulating")
    outputs = write_phantom(
        run.output, parameters.users, parameters.seizures, parameters.minutes, parameters.recording, run.seed
    )
    return Outcome(outputs, {"users": parameters.users, "seizures": parameters.users * parameters.seizures})


def prepare(inputs: settings.PrepareInputs, parameters: settings.PrepareParameters, run: Run) -> Outcome:
    """Read recordings of any kind, bring them to 25 Hz in g, and write them as one data set.

    Raises:
        InputError: a file cannot be read, nothing is left, or two recordings have the same name.
    """
    config = read_config(inputs.configuration) if inputs.configuration else Config()
    truth = _seizure_table(inputs.seizures) if inputs.seizures else {}
    recordings: list[Recording] = []
    for number, path in enumerate(inputs.recordings):
        run.reporter.status(f"Reading {path.name}")
        found = _filtered(path, parameters.unit, config)
        recordings += [with_seizures(one, *truth.pop(one.name)) if one.name in truth else one for one in found]
        run.reporter.progress((number + 1) / len(inputs.recordings))
    if truth:
        raise InputError(f"{inputs.seizures} names recordings that were not given: {', '.join(sorted(truth))}.")
    names = [recording.name for recording in recordings]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"Recordings have the same name: {', '.join(twice)[:200]}.", "Give each event and file once.")
    if not recordings:
        raise InputError("No recording is left.", "Look at eventFilters in the configuration.")
    outputs = {"data": run.output / "dataset.npz", "table": run.output / "recordings.csv"}
    write_dataset(outputs["data"], recordings)
    write_table(outputs["table"], [_row(recording) for recording in recordings])
    if uncertain := sum(recording.uncertain for recording in recordings):
        run.reporter.warning(
            f"{uncertain} recordings have a seizure at an unknown time: they are scored as events alone, and trained "
            "on only with wholeEvents."
        )
    hours = sum(recording.seconds for recording in recordings) / 3600
    figures = {
        "recordings": len(recordings),
        "users": len({recording.user for recording in recordings}),
        "seizures": sum(len(recording.seizures) for recording in recordings),
        "hours": hours,
    }
    return Outcome(outputs, figures)


def _filtered(path: Path, unit: Unit, config: Config) -> list[Recording]:
    """The recordings of a file that the configuration's filters leave."""
    flat = path.suffix.lower() == ".csv" and _is_flat(path)
    if path.suffix.lower() != ".json" and not flat:
        return read_recordings(path, unit)
    return [
        from_event(event)
        for event in (read_flat(path) if flat else read_json(path))
        if config.eventFilters.allows(event.user, event.type, event.subtype, event.source, event.axes is not None)
    ]


def _is_flat(path: Path) -> bool:
    try:
        with open(path, encoding="utf-8-sig", errors="replace") as file:
            return file.readline().startswith("eventId,")
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error


def _seizure_table(path: Path) -> dict[str, tuple[str, list[tuple[float, float]]]]:
    """User and seizures of each recording; a row without times is a recording without seizures.

    Raises:
        InputError: columns are missing, text stands in place of a number, or a recording has two users.
    """
    found: dict[str, tuple[str, list[tuple[float, float]]]] = {}
    for number, row in enumerate(read_table(path), start=2):
        if missing := [name for name in ("recording", "user", "start", "end") if name not in row]:
            raise InputError(f"{path} lacks the columns {', '.join(missing)}.")
        name = Path(row["recording"]).stem
        if not name:
            continue
        user, seizures = found.setdefault(name, (row["user"], []))
        if user != row["user"]:
            raise InputError(f"{path}, row {number}: the recording {name} has two users, {user} and {row['user']}.")
        if row["start"] or row["end"]:
            try:
                seizures.append((float(row["start"]), float(row["end"])))
            except ValueError:
                raise InputError(f"{path}, row {number}: start and end must be numbers of seconds.") from None
    return found


def _row(recording: Recording) -> dict[str, Any]:
    return {
        "recording": recording.name,
        "user": recording.user,
        "minutes": recording.seconds / 60,
        "gap_minutes": float((~recording.valid).sum()) / 1500,
        "seizures": len(recording.seizures),
        "notes": "; ".join(recording.notes),
    }


def detect(inputs: settings.DetectInputs, parameters: settings.DetectParameters, run: Run) -> Outcome:
    """Seizure probability over a recording, alarms, and OpenSeizureDetector beside them.

    Raises:
        InputError: the recording or the bundle cannot be used.
    """
    from deeprecon.seizure.networks.bundle import read_ensemble

    run.reporter.status("Reading the recording and the model")
    recordings = read_recordings(inputs.recording, parameters.unit)
    if len(recordings) != 1:
        hint = "Give a file with one event; seizure evaluate takes many."
        raise InputError(f"{inputs.recording} holds {len(recordings)} events.", hint)
    (recording,) = recordings
    for note in recording.notes:
        run.reporter.status(f"{inputs.recording.name}: {note}")
    ensemble = read_ensemble(inputs.bundle)
    found = run_detection(
        ensemble.networks, ensemble.window, recording, parameters.stride, parameters.osd_threshold, run
    )
    run.reporter.status("Writing the results")
    threshold = ensemble.threshold if parameters.threshold is None else parameters.threshold
    outputs, figures = write_detection(
        run.output, found, parameters.quantile, threshold, parameters.merge, inputs.recording.name
    )
    start = recording.start.isoformat() if recording.start else None
    figures |= {"hours": recording.seconds / 3600, "notes": list(recording.notes), "start": start}
    return Outcome(outputs, figures, {"bundle_sha256": ensemble.bundle.sha256})


def rescore(inputs: settings.RescoreInputs, parameters: settings.ScoreParameters, run: Run) -> Outcome:
    """An earlier detection at another quantile or threshold, from what the networks said then.

    Raises:
        InputError: the file is no probability.csv.
    """
    found, threshold = read_detection(inputs.probability)
    if parameters.threshold is not None:
        threshold = parameters.threshold
    outputs, figures = write_detection(
        run.output, found, parameters.quantile, threshold, parameters.merge, inputs.probability.name
    )
    return Outcome(outputs, figures)


def export(inputs: settings.ExportInputs, parameters: settings.ExportParameters, run: Run) -> Outcome:
    """The networks of a bundle as ONNX or Keras files, each checked against the network.

    Raises:
        InputError: the bundle cannot be used, or what the export needs is not installed.
    """
    from deeprecon.seizure.networks.bundle import read_ensemble
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


def configure(inputs: settings.ConfigureInputs, parameters: settings.ConfigureParameters, run: Run) -> Outcome:
    """A configuration with every key written out under today's name, and its JSON Schema.

    Raises:
        InputError: the configuration is refused.
    """
    config = read_config(inputs.configuration) if inputs.configuration else Config()
    outputs = {"config": run.output / "config.json", "schema": run.output / "config.schema.json"}
    write_json(outputs["config"], config.to_json())
    write_json(outputs["schema"], schema())
    return Outcome(outputs, {"framework": config.modelConfig.framework.value, "steps": config.modelConfig.steps})


def _never(parameters: Any) -> bool:
    return False


def _single(parameters: Any) -> tuple[str, ...]:
    return ("fp32",)


VERBS = {
    "phantom": Verb(
        "simulate users with seizures and everyday activities",
        settings.PhantomInputs,
        settings.PhantomParameters,
        phantom,
        needs_torch=_never,
    ),
    "prepare": Verb(
        "read recordings and events, and write them as one data set",
        settings.PrepareInputs,
        settings.PrepareParameters,
        prepare,
        needs_torch=_never,
    ),
    "configure": Verb(
        "check a training configuration, write it out in full, with its JSON Schema",
        settings.ConfigureInputs,
        settings.ConfigureParameters,
        configure,
        needs_torch=_never,
    ),
    "train": Verb(
        "train an ensemble, and keep it as a model bundle", settings.TrainInputs, settings.TrainParameters, train
    ),
    "cross-validate": Verb(
        "train and evaluate over nested parts of users",
        settings.TrainInputs,
        settings.CrossValidateParameters,
        cross_validate,
    ),
    "detect": Verb(
        "seizure probability over a recording, alarms and a picture",
        settings.DetectInputs,
        settings.DetectParameters,
        detect,
        precisions=_single,
    ),
    "rescore": Verb(
        "an earlier detection at another quantile or threshold, without the networks",
        settings.RescoreInputs,
        settings.ScoreParameters,
        rescore,
        needs_torch=_never,
    ),
    "evaluate": Verb(
        "hold an ensemble and OpenSeizureDetector against known seizures",
        settings.EvaluateInputs,
        settings.EvaluateParameters,
        evaluate,
        precisions=_single,
    ),
    "export": Verb(
        "networks as ONNX or Keras files",
        settings.ExportInputs,
        settings.ExportParameters,
        export,
        precisions=_single,
    ),
}
