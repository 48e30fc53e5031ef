"""The rows of an event as one series of samples: rate, order, overlaps, gaps and magnitude."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.seizure.configuration import SAMPLE_RATE
from deeprecon.seizure.read.osdb import ROW_SAMPLES, Event

Floats = npt.NDArray[np.float64]

_ROW_SECONDS = ROW_SAMPLES / SAMPLE_RATE
_ROW_TOLERANCE = 0.4  # of a row; accepted error of a row's time stamp
_MIN_ROWS = 5  # from whose times a rate is measured
_RATE_TOLERANCE = 0.025
_PLAUSIBLE_ROW = (3.2, 6.25)  # s; 39 to 20 samples a second
_SUM_OF_AXES_REST = (1.15, 1.80)  # g at rest where |x|+|y|+|z| (up to sqrt(3) g) was stored instead of the magnitude
_MIN_REST = 0.6  # g


@dataclass(frozen=True, eq=False)
class EventSamples:
    """Samples of an event in order of time.

    Attributes:
        times: (N,) s from the first sample.
        magnitude: (N,) g.
        axes: (N, 3) g, None where a row has none.
        rate: samples a second.
        first: s from the time of the event to the first sample.
        notes, doubts: what was done to the rows, and what is contradictory or assumed.
    """

    times: Floats
    magnitude: Floats
    axes: Floats | None
    rate: float
    first: float
    notes: tuple[str, ...]
    doubts: tuple[Doubt, ...]


def join_rows(event: Event, where: str) -> EventSamples:
    """Join the rows of an event: sorted by time, repeated or overlapping ones dropped.

    Args:
        event: as its file has it.
        where: file and event, for doubts.

    Raises:
        InputError: the magnitudes cannot be those of a wrist in mg.
    """
    notes: list[str] = []
    order = np.argsort(event.row_times, kind="stable")
    if (np.diff(order) < 0).any():
        notes.append("rows were put in order of time")
    seconds, doubts = _row_seconds(event.row_times[order], where)
    magnitude, changes, more = event_magnitude(event, where)
    rate = ROW_SAMPLES / seconds
    positions, overlaps = _place_rows(event.row_times, order.tolist(), seconds)
    kept = list(positions)
    samples = np.concatenate([position + np.arange(ROW_SAMPLES) for position in positions.values()])
    axes = None if event.axes is None else event.axes[kept].reshape(-1, 3) / 1000
    notes += [*changes, *([f"{overlaps} overlapping rows were dropped"] if overlaps else [])]
    return EventSamples(
        samples / rate,
        magnitude[kept].reshape(-1),
        axes if axes is not None and np.isfinite(axes).all() else None,
        rate,
        float(event.row_times[kept[0]]) - seconds,
        tuple(notes),
        (*doubts, *more),
    )


def _row_seconds(times: Floats, where: str) -> tuple[float, list[Doubt]]:
    """The length of a row in s, and a doubt where it is not 5 s.

    It is the mean of the steps between consecutive rows, since time stamps of whole seconds say little about one row.

    Args:
        times: (R,) s, ends of the rows in order.
        where: file and event, for the doubt.
    """
    steps = np.diff(times)
    if len(steps) < _MIN_ROWS:
        return _ROW_SECONDS, []
    typical = float(np.median(steps))
    consecutive = steps[(steps > 0.6 * typical) & (steps < 1.4 * typical)]
    seconds = float(consecutive.mean()) if len(consecutive) else _ROW_SECONDS
    deviation = abs(seconds - _ROW_SECONDS)
    if len(consecutive) < _MIN_ROWS or deviation <= _RATE_TOLERANCE * _ROW_SECONDS or deviation * len(consecutive) <= 2:
        return _ROW_SECONDS, []
    plausible = _PLAUSIBLE_ROW[0] - 0.05 <= seconds <= _PLAUSIBLE_ROW[1]
    text = (
        f"rows of {ROW_SAMPLES} samples follow each other every {seconds:.2f} s, not every 5 s: "
        f"{ROW_SAMPLES / seconds:.1f} samples a second instead of {SAMPLE_RATE}."
    )
    way_out = "Check the times of the rows; if this is accepted, the signal is resampled to 25 samples a second."
    return seconds, [Doubt("row-rate", where, text, way_out, assumed=plausible)]


def _place_rows(row_times: Floats, order: list[int], seconds: float) -> tuple[dict[int, int], int]:
    """First sample of each row that is kept, in order of time.

    Returns:
        {row: first sample}, number of rows dropped as overlapping.
    """
    tolerance, rate = _ROW_TOLERANCE * seconds, ROW_SAMPLES / seconds
    positions: dict[int, int] = {}
    position, end = 0, -np.inf
    overlaps = 0
    for index in order:
        late = float(row_times[index]) - end - seconds
        if positions and late < -tolerance:
            overlaps += 1
            continue
        if positions and late > tolerance:
            position += round(late * rate)
        positions[index] = position
        position, end = position + ROW_SAMPLES, float(row_times[index])
    return positions, overlaps


def event_magnitude(event: Event, where: str) -> tuple[Floats, list[str], list[Doubt]]:
    """(R, 125) magnitude in g, notes and doubts.

    Old apps stored |x|+|y|+|z|, up to 1.7 g at rest: where the axes are known the magnitude is computed from them, else
    the signal is scaled so that rest is 1 g.

    Raises:
        InputError: the magnitudes cannot be those of a wrist in mg.
    """
    magnitude = event.magnitude / 1000
    notes = []
    if event.axes is not None:
        computed = np.linalg.norm(event.axes, axis=2) / 1000
        known = np.isfinite(computed).all(axis=1)
        wrong = known & (np.abs(computed - magnitude).mean(axis=1) > 0.02)
        if wrong.any():
            magnitude = np.where(wrong[:, None], computed, magnitude)
            notes.append(f"the magnitude of {wrong.sum()} rows was computed from the three axes")
        if known.all():
            return magnitude, notes, []
    used = magnitude[(magnitude > 0).any(axis=1)]
    calmest = used[np.argsort(used.std(axis=1))[: max(1, len(used) // 4)]]
    rest = float(np.median(calmest)) if len(used) else 0.0
    if not _MIN_REST < rest < _SUM_OF_AXES_REST[1]:
        raise InputError(
            f"{where}: a resting arm would weigh {rest:.3g} g, so its magnitudes are not in mg.",
            "Convert them to mg, or leave the event out.",
        )
    if rest > _SUM_OF_AXES_REST[0]:
        text = f"the magnitude is taken for a sum of three axes, since rest is {rest:.2f} g, and scaled to 1 g."
        doubt = Doubt("sum-of-axes", where, text, "Give the event with its three axes.", assumed=True)
        return magnitude / rest, notes, [doubt]
    return magnitude, notes, []
