# Made by Testing/write_stubs.py from the parameters of the verbs; not to be edited.
from collections.abc import Sequence
from os import PathLike
from typing import Literal

from deeprecon.calls.call import Input
from deeprecon.calls.result import Result
from deeprecon.seizure.api import Detections as Detections

def configure(
    *,
    configuration: Input | None = None,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Check a training configuration, and write it with all keys and its JSON Schema."""

def cross_validate(
    data: Input,
    *,
    configuration: Input | None = None,
    models: int = 3,
    steps: int = 0,
    alarms_per_day: float | None = None,
    folds: int = 3,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Nested cross-validation over users: train and evaluate."""

def detect(
    recording: Input,
    bundle: Input,
    *,
    quantile: float = 0.6,
    threshold: float | None = None,
    merge: float = 150.0,
    unit: Literal["auto", "g", "mg", "m/s2"] = "auto",
    columns: str | Sequence[str] = (),
    stride: float = 5.0,
    osd_threshold: float = 100.0,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Detections:
    """Seizure probability over a recording of a wrist's acceleration, and alarms."""

def evaluate(
    data: Input,
    bundle: Input,
    *,
    quantile: float = 0.6,
    threshold: float | None = None,
    stride: float = 5.0,
    merge: float = 150.0,
    part: Literal["test", "all"] = "test",
    osd_threshold: float = 100.0,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Score an ensemble and OpenSeizureDetector on known seizures."""

def export(
    bundle: Input,
    *,
    format: Literal["onnx", "keras"] = "onnx",
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Networks as ONNX or Keras files."""

def phantom(
    *,
    users: int = 30,
    seizures: int = 2,
    minutes: float = 40.0,
    recording: float = 1.0,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Simulate users with seizures and everyday activities."""

def prepare(
    recordings: Input | Sequence[Input],
    *,
    seizures: Input | None = None,
    configuration: Input | None = None,
    user: str = "",
    unit: Literal["auto", "g", "mg", "m/s2"] = "auto",
    columns: str | Sequence[str] = (),
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Read recordings and events, and write them as one data set."""

def rescore(
    probability: Input,
    *,
    quantile: float = 0.6,
    threshold: float | None = None,
    merge: float = 150.0,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Detections:
    """An earlier detection at another quantile or threshold, without the networks."""

def train(
    data: Input,
    *,
    configuration: Input | None = None,
    models: int = 3,
    steps: int = 0,
    alarms_per_day: float | None = None,
    output: str | PathLike[str] | None = None,
    overwrite: bool = False,
    accept: str | Sequence[str] = (),
    device: str = "auto",
    threads: int = 0,
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto",
    seed: int = 0,
    progress: bool = False,
) -> Result:
    """Train an ensemble of networks, and keep it as a model bundle for `detect`."""
