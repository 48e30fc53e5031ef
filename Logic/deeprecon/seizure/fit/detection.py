"""What was found in a recording, window by window, to be scored at any quantile and threshold. Knows no torch."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.data.tables import read_table
from deeprecon.seizure.fit import osd
from deeprecon.seizure.fit.quantiles import harrell_davis
from deeprecon.seizure.measure.scoring import alarms

Floats = npt.NDArray[np.float64]

MODEL = "model_"
"""What the columns of the single networks are called, with a number."""

EVENT_COLUMNS = ("onset_s", "end_s", "duration_s", "peak_probability", "osd_alarm")


@dataclass(frozen=True, eq=False)
class Detection:
    """What was found in a recording, window by window.

    Attributes:
        times: (W,) s from the first sample to each window's end.
        models: (M, W) probability of each network, NaN in gaps.
        osd: (W,) state of OpenSeizureDetector at that time, NaN in gaps.
        roi_power, ratio: (W,) its figures, NaN in gaps.
        movement: (W,) standard deviation of the magnitude in the last 5 s, g.
    """

    times: Floats
    models: Floats
    osd: Floats
    roi_power: Floats
    ratio: Floats
    movement: Floats

    def probability(self, quantile: float) -> Floats:
        """(W,) quantile over the networks."""
        return harrell_davis(self.models, quantile)

    def events(self, quantile: float, threshold: float, merge: float) -> list[dict[str, Any]]:
        """A row for each alarm."""
        return [
            {
                "onset_s": alarm.begin,
                "end_s": alarm.end,
                "duration_s": alarm.end - alarm.begin,
                "peak_probability": alarm.peak,
                "osd_alarm": int(self._osd_between(alarm.begin, alarm.end)),
            }
            for alarm in alarms(self.times, self.probability(quantile), threshold, merge)
        ]

    def _osd_between(self, begin: float, end: float) -> bool:
        return bool((self.osd[(self.times >= begin) & (self.times <= end)] == osd.ALARM).any())

    def rows(self, quantile: float, threshold: float) -> list[dict[str, Any]]:
        """The rows of probability.csv; empty cells in gaps."""
        columns: dict[str, Floats] = {
            "time_s": self.times,
            "probability": self.probability(quantile),
            "threshold": np.full(len(self.times), threshold),
            **{f"{MODEL}{number:02d}": values for number, values in enumerate(self.models)},
            "osd_state": self.osd,
            "osd_roi_power": self.roi_power,
            "osd_ratio": self.ratio,
            "movement_g": self.movement,
        }
        # numbers that may have a fraction keep their point, so that no reader takes a column of ones for integers
        kinds: dict[str, Callable[[float], float]] = {"osd_state": int}
        cells = {
            name: ["" if math.isnan(value) else kinds.get(name, _short)(value) for value in values.tolist()]
            for name, values in columns.items()
        }
        return [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]


def read_detection(path: Path) -> tuple[Detection, float]:
    """Read probability.csv, to score it at another quantile or threshold without the networks.

    Returns:
        What was found, and the threshold that was used.

    Raises:
        InputError: no such table, columns are missing, or a cell is no number.
    """
    rows, hint = read_table(path), "Give the probability.csv that seizure detect wrote."
    if not rows:
        raise InputError(f"{path} has no rows.", hint)
    models = sorted(column for column in rows[0] if column.startswith(MODEL))
    wanted = ["time_s", "threshold", *models, "osd_state", "osd_roi_power", "osd_ratio", "movement_g"]
    missing = [column for column in wanted if column not in rows[0]] + ([] if models else [f"{MODEL}00"])
    if missing:
        raise InputError(f"{path} lacks the columns {', '.join(missing)}.", hint)
    try:
        table = np.array([[float(row[key] or "nan") for key in wanted] for row in rows])
    except ValueError as error:
        raise InputError(f"{path} holds what is no number: {error}.", hint) from error
    times, threshold, values = table[:, 0], float(table[0, 1]), table[:, 2 : 2 + len(models)]
    outside = (values < 0) | (values > 1)
    if not 0 <= threshold <= 1 or np.isnan(times).any() or (np.diff(times) <= 0).any() or outside.any():
        raise InputError(f"{path} is damaged: its times or probabilities make no sense.", hint)
    return Detection(times, values.T, *table[:, 2 + len(models) :].T), threshold


def _short(value: float) -> float:
    return float(f"{value:.9g}")
