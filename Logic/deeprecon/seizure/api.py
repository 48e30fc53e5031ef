"""The verbs of `seizure` as functions of Python: `deeprecon.seizure.detect` and the others."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.calls.call import Savers, call
from deeprecon.calls.result import Result
from deeprecon.calls.signature import documented
from deeprecon.data.errors import InputError
from deeprecon.data.files import atomic_path
from deeprecon.data.tables import read_table

_COLUMNS = {2: "t,magnitude", 4: "t,x,y,z"}


class Detections(Result):
    """Seizure probability over a recording, and alarms; see `deeprecon.Result` for what all results have."""

    @cached_property
    def _windows(self) -> list[dict[str, str]]:
        return read_table(self.outputs["probability"])

    @property
    def times(self) -> npt.NDArray[np.float64]:
        """(W,) seconds from the first sample to the end of each window."""
        return np.array([float(row["time_s"]) for row in self._windows])

    @property
    def probability(self) -> npt.NDArray[np.float64]:
        """(W,) probability of a seizure in each window; NaN where the watch was not worn, or in gaps."""
        return np.array([float(row["probability"] or "nan") for row in self._windows])

    @cached_property
    def alarms(self) -> tuple[dict[str, str], ...]:
        """A row for each alarm: its onset, end and duration in s, and the highest probability."""
        return tuple(read_table(self.outputs["events"]))


def _save_samples(path: Path, samples: npt.NDArray[Any]) -> Path:
    """Write samples as the file of a watch."""
    columns = _COLUMNS.get(samples.shape[1] if samples.ndim == 2 else 0)
    if columns is None or samples.dtype.kind not in "uif":
        raise InputError(
            f"The {path.name} input is an array of shape {samples.shape} and type {samples.dtype}.",
            "Give (N, 4) numbers: t in s, x, y, z; or (N, 2): t, magnitude.",
        )
    path = path.with_name(f"{path.name}.csv")
    with atomic_path(path) as part:
        np.savetxt(part, samples, "%.17g", delimiter=",", header=columns, comments="", encoding="utf-8")
    return path


_SAVERS: Savers = {np.ndarray: _save_samples}


@documented("seizure")
def detect(**values: Any) -> Detections:
    """Seizure probability over a recording of a wrist's acceleration, and alarms.

    A recording is a file or an array (N, 4): time in s, and the acceleration along x, y and z; or (N, 2): time and
    magnitude. Its unit is g, mg or m/s2.

    Returns
    -------
    Detections
        `times` and `probability` (W,) of the windows, `alarms`, and `figures` such as ``events``.

    Examples
    --------
    >>> import deeprecon
    >>> users = deeprecon.seizure.phantom(users=6, seizures=1, minutes=1, recording=0.05)
    >>> data = deeprecon.seizure.prepare(users.outputs["events"])
    >>> trained = deeprecon.seizure.train(data.outputs["data"], models=1, steps=1)
    >>> found = deeprecon.seizure.detect(users.outputs["recording"], trained.outputs["bundle"])
    >>> found.probability.shape == found.times.shape
    True
    """
    return call(Detections, "seizure", "detect", values, _SAVERS)


@documented("seizure")
def phantom(**values: Any) -> Result:
    """Simulate users with seizures and everyday activities.

    Returns
    -------
    Result
        The outputs ``events`` (a file of the Open Seizure Database), ``recording`` and the table of its seizures.
    """
    return call(Result, "seizure", "phantom", values)


@documented("seizure")
def prepare(**values: Any) -> Result:
    """Read recordings and events, and write them as one data set.

    Returns
    -------
    Result
        The output ``data`` for `train` and `evaluate`.
    """
    return call(Result, "seizure", "prepare", values, _SAVERS)


@documented("seizure")
def configure(**values: Any) -> Result:
    """Check a training configuration, and write it with all keys and its JSON Schema.

    Returns
    -------
    Result
        The outputs ``config`` and ``schema``.

    Examples
    --------
    >>> import deeprecon
    >>> sorted(deeprecon.seizure.configure().outputs)
    ['config', 'schema']
    """
    return call(Result, "seizure", "configure", values)


@documented("seizure")
def train(**values: Any) -> Result:
    """Train an ensemble of networks, and keep it as a model bundle for `detect`.

    Returns
    -------
    Result
        The output ``bundle``, a folder, and `figures` such as ``threshold``.
    """
    return call(Result, "seizure", "train", values)


@documented("seizure")
def cross_validate(**values: Any) -> Result:
    """Nested cross-validation over users: train and evaluate.

    Returns
    -------
    Result
        `figures`: sensitivity, false alarms per day and others, pooled over the folds.
    """
    return call(Result, "seizure", "cross-validate", values)


@documented("seizure")
def rescore(**values: Any) -> Detections:
    """An earlier detection at another quantile or threshold, without the networks.

    Returns
    -------
    Detections
        As `detect`.
    """
    return call(Detections, "seizure", "rescore", values)


@documented("seizure")
def evaluate(**values: Any) -> Result:
    """Score an ensemble and OpenSeizureDetector on known seizures.

    Returns
    -------
    Result
        `figures`: sensitivity, false alarms per day and others, of both.
    """
    return call(Result, "seizure", "evaluate", values)


@documented("seizure")
def export(**values: Any) -> Result:
    """Networks as ONNX or Keras files.

    Returns
    -------
    Result
        The output ``network_00`` and the others.
    """
    return call(Result, "seizure", "export", values)
