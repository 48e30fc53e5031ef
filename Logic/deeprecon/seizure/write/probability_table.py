"""The table probability.csv: what both methods computed for each window, to be scored again without the networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError, names_damage
from deeprecon.data.tables import read_table, write_table
from deeprecon.seizure.fit.detection import Detection

Floats = npt.NDArray[np.float64]

NETWORK_PREFIX = "model_"
"""Of the columns of the single networks, followed by a number."""

_COLUMNS = ("time_s", "osd_state", "osd_roi_power", "osd_ratio", "movement_g")


def write_probability_table(path: Path, detection: Detection, quantile: float, threshold: float) -> None:
    """Write one row for each window; `monitored` is 0 and the probabilities are empty where it is not monitored.

    Args:
        path: of the file.
        detection: to be written.
        quantile: of the column `probability`, over the networks.
        threshold: of the column `threshold`.
    """
    columns: dict[str, Floats] = {
        "time_s": detection.times,
        "monitored": np.isfinite(detection.models[0]).astype(np.float64),
        "probability": detection.probability(quantile),
        "threshold": np.full(len(detection.times), threshold),
        **{f"{NETWORK_PREFIX}{number:02d}": values for number, values in enumerate(detection.models)},
        "osd_state": detection.osd,
        "osd_roi_power": detection.roi_power,
        "osd_ratio": detection.ratio,
        "movement_g": detection.movement,
    }
    # floats keep their decimal point, so that no reader takes a column of ones for integers
    kinds: dict[str, Callable[[float], float]] = {"osd_state": int, "monitored": int}
    cells = {
        name: ["" if math.isnan(value) else kinds.get(name, _nine_digits)(value) for value in values.tolist()]
        for name, values in columns.items()
    }
    write_table(path, [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)])


@names_damage
def read_probability_table(path: Path) -> tuple[Detection, float]:
    """Read probability.csv.

    Returns:
        The detection, and the threshold that was used.

    Raises:
        InputError: the file cannot be read, columns are missing, or a value is invalid.
    """
    rows, hint = read_table(path), "Give the probability.csv that seizure detect wrote."
    if not rows:
        raise InputError(f"{path} has no rows.", hint)
    names = [name for name in rows[0] if name in (*_COLUMNS, "threshold") or name.startswith(NETWORK_PREFIX)]
    try:
        columns = {name: np.array([float(row[name] or "nan") for row in rows]) for name in names}
    except ValueError as error:
        raise InputError(f"{path} contains a value that is not a number: {error}.", hint) from error
    detection = detection_from_columns(columns, str(path), hint)
    if "threshold" not in columns:
        raise InputError(f"{path} lacks the columns threshold.", hint)
    times, threshold = detection.times, float(columns["threshold"][0])
    invalid = (detection.models < 0) | (detection.models > 1)
    if not 0 <= threshold <= 1 or np.isnan(times).any() or (np.diff(times) <= 0).any() or invalid.any():
        raise InputError(
            f"{path} is damaged: its times do not increase, or a probability is not between 0 and 1.", hint
        )
    return detection, threshold


def detection_from_columns(columns: Mapping[str, Floats], source: str, hint: str) -> Detection:
    """The detection in the columns of a table.

    Args:
        columns: (W,) by name; others are ignored.
        source: name of the table, for messages.
        hint: what to do where columns are missing.

    Raises:
        InputError: columns are missing.
    """
    models = sorted(name for name in columns if name.startswith(NETWORK_PREFIX))
    required = (*_COLUMNS, *(models or [f"{NETWORK_PREFIX}00"]))
    if missing := [name for name in required if name not in columns]:
        raise InputError(f"{source} lacks the columns {', '.join(missing)}.", hint)
    times, *baseline = (columns[name] for name in _COLUMNS)
    return Detection(times, np.array([columns[name] for name in models]), *baseline)


def _nine_digits(value: float) -> float:
    return float(f"{value:.9g}")
