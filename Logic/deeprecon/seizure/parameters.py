"""Inputs and settings of the seizure verbs, as the command line and the documentation see them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

from deeprecon.jobs.parameters import Parameters, Range

DEFAULT_MERGE = 150.0
"""s between alarms below which they are one."""


class Unit(Enum):
    """Unit of the accelerations in a file."""

    AUTO = "auto"
    G = "g"
    MG = "mg"
    M_S2 = "m/s2"


class Part(Enum):
    """Which users are evaluated."""

    TEST = "test"
    ALL = "all"


class ExportFormat(Enum):
    """Files that trained networks can be exported to."""

    ONNX = "onnx"
    KERAS = "keras"


@dataclass(frozen=True)
class PhantomInputs:
    """A phantom needs no files."""


@dataclass(frozen=True)
class PhantomParameters(Parameters):
    """Settings of `seizure phantom`."""

    users: Annotated[int, Range(1, 10_000), "simulated users"] = 30
    seizures: Annotated[int, Range(0, 100), "tonic-clonic seizures of each user"] = 2
    minutes: Annotated[float, Range(1, 1440, "min"), "everyday activities of each user without seizures"] = 40.0
    recording: Annotated[float, Range(0, 168, "h"), "length of a recording for seizure detect; 0 for none"] = 1.0


@dataclass(frozen=True)
class PrepareInputs:
    """Recordings for training or evaluation."""

    recordings: Annotated[
        tuple[Path, ...],
        "OSDB event files (.json, flattened .csv) and files of watches (.csv, .bin, .gt3x, .cwa, .avro, _motion.tsv, "
        "folders of an Empatica)",
    ]
    seizures: Annotated[
        Path | None,
        "table of seizures: recording, user, start, end (s from the first sample)",
    ] = None
    configuration: Annotated[Path | None, "configuration (JSON), whose eventFilters are applied"] = None


@dataclass(frozen=True)
class PrepareParameters(Parameters):
    """Settings of `seizure prepare`."""

    user: Annotated[str, "who wore the watch, for files of a watch without a column user"] = ""
    unit: Annotated[Unit, "of the files of a watch; auto: the unit in which a resting arm weighs 1 g"] = Unit.AUTO
    columns: Annotated[
        tuple[str, ...], "of the time and x, y, z or the magnitude, for tables whose header does not show them"
    ] = ()


@dataclass(frozen=True)
class TrainInputs:
    """Training data of the ensemble."""

    data: Annotated[Path, "dataset.npz of seizure prepare"]
    configuration: Annotated[Path | None, "configuration (JSON); by default PyTorch with default settings"] = None


@dataclass(frozen=True)
class TrainParameters(Parameters):
    """Settings of `seizure train` and `seizure cross-validate`."""

    models: Annotated[int, Range(1, 100), "networks of the ensemble, each validated on a different part of users"] = 3
    steps: Annotated[
        int,
        Range(0, 10_000_000),
        "optimizer steps of each network, phases in proportion; 0 as the configuration says",
    ] = 0
    alarms_per_day: Annotated[
        float | None,
        Range(0, 100, "per day"),
        "false alarms that the threshold may give on the validation users; by default the threshold with the best F1",
    ] = None


@dataclass(frozen=True)
class CrossValidateParameters(TrainParameters):
    """Settings of `seizure cross-validate`."""

    folds: Annotated[int, Range(2, 50), "outer parts of users, each evaluated with an ensemble of the others"] = 3


@dataclass(frozen=True)
class DetectInputs:
    """A recording and a trained ensemble."""

    recording: Annotated[
        Path,
        "file of a watch (.csv, .bin, .gt3x, .cwa, .avro, _motion.tsv), folder of an Empatica, or OSDB event file "
        "(.json, .csv) with one event",
    ]
    bundle: Annotated[Path, "model bundle of seizure train"]


@dataclass(frozen=True)
class ScoreParameters(Parameters):
    """How the networks' probabilities become alarms."""

    quantile: Annotated[
        float, Range(0, 1), "over the networks' probabilities: at 0.6 about 40 % of them must exceed the threshold"
    ] = 0.6
    threshold: Annotated[
        float | None,
        Range(0, 1),
        "probability above which there is an alarm; by default the bundle's, for rescore the table's",
    ] = None
    merge: Annotated[float, Range(0, 3600, "s"), "alarms closer than this are one event"] = DEFAULT_MERGE


@dataclass(frozen=True)
class DetectParameters(ScoreParameters):
    """Settings of `seizure detect`."""

    unit: Annotated[Unit, "of the recording; auto: the unit in which a resting arm weighs 1 g"] = Unit.AUTO
    columns: Annotated[
        tuple[str, ...], "of the time and x, y, z or the magnitude, for a table whose header does not show them"
    ] = ()
    stride: Annotated[float, Range(0.2, 60, "s"), "time between the windows"] = 5.0
    osd_threshold: Annotated[float, Range(1, 1e6), "power above which OpenSeizureDetector counts movement"] = 100.0


@dataclass(frozen=True)
class RescoreInputs:
    """An earlier detection."""

    probability: Annotated[Path, "probability.csv of seizure detect"]


@dataclass(frozen=True)
class EvaluateInputs:
    """Recordings with known seizures, and a trained ensemble."""

    data: Annotated[Path, "dataset.npz of seizure prepare"]
    bundle: Annotated[Path, "model bundle of seizure train"]


@dataclass(frozen=True)
class EvaluateParameters(Parameters):
    """Settings of `seizure evaluate`."""

    quantile: Annotated[float, Range(0, 1), "over the networks' probabilities"] = 0.6
    threshold: Annotated[
        float | None, Range(0, 1), "probability above which there is an alarm; by default the bundle's"
    ] = None
    stride: Annotated[float, Range(0.2, 60, "s"), "time between the windows"] = 5.0
    merge: Annotated[float, Range(0, 3600, "s"), "alarms closer than this are one"] = DEFAULT_MERGE
    part: Annotated[Part, "users without training, or all"] = Part.TEST
    osd_threshold: Annotated[float, Range(1, 1e6), "power above which OpenSeizureDetector counts movement"] = 100.0


@dataclass(frozen=True)
class ExportInputs:
    """A trained ensemble."""

    bundle: Annotated[Path, "model bundle of seizure train"]


@dataclass(frozen=True)
class ExportParameters(Parameters):
    """Settings of `seizure export`."""

    format: Annotated[ExportFormat, "ONNX files, checked with onnxruntime, or Keras 3 files"] = ExportFormat.ONNX


@dataclass(frozen=True)
class ConfigureInputs:
    """A configuration, of this software or of OpenSeizureDetector's nnTraining2."""

    configuration: Annotated[Path | None, "configuration (JSON); by default all default settings"] = None
