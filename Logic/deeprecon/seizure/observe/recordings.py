"""Continuous recordings at 25 Hz in g, from the rows of events or the samples of a watch's file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.seizure.configuration import SAMPLE_RATE, EventFilters
from deeprecon.seizure.observe.resampling import resample
from deeprecon.seizure.observe.units import TO_G, detect_unit
from deeprecon.seizure.parameters import Unit
from deeprecon.seizure.read.accelerometer_csv import Samples, parse_accelerometer_csv
from deeprecon.seizure.read.osdb import ROW_SAMPLES, Event, is_event_csv, parse_event_csv, read_event_json
from deeprecon.seizure.read.recording import Recording
from deeprecon.seizure.read.text import read_text

Floats = npt.NDArray[np.float64]

_ROW_SECONDS = ROW_SAMPLES / SAMPLE_RATE
_ROW_TOLERANCE = 2.0  # s; accepted error of a row's time stamp
_SUM_OF_AXES_REST = (1.15, 1.80)  # g at rest where |x|+|y|+|z| (up to sqrt(3) g) was stored instead of the magnitude
_MIN_REST = 0.6  # g


def load_recordings(path: Path, unit: Unit = Unit.AUTO, filters: EventFilters | None = None) -> list[Recording]:
    """All recordings of a file: the events of a JSON or flattened CSV file, or the samples of a watch's CSV file.

    Args:
        path: opened once.
        unit: of a watch's file.
        filters: select events; None for all.

    Raises:
        InputError: the file cannot be read, or its content cannot be used.
    """
    suffix = path.suffix.lower()
    if suffix not in (".json", ".csv"):
        raise InputError(f"{path} is neither .json nor .csv.", "Give an event file or a recording as CSV.")
    if suffix == ".json":
        events = read_event_json(path)
    elif is_event_csv(text := read_text(path)):
        events = parse_event_csv(path, text)
    else:
        return [recording_from_samples(parse_accelerometer_csv(path, text), unit)]
    return [
        recording_from_event(event)
        for event in events
        if filters is None
        or filters.allows(event.user, event.type, event.subtype, event.source, event.axes is not None)
    ]


def load_single_recording(path: Path, unit: Unit = Unit.AUTO) -> Recording:
    """The recording of a file that contains one.

    Raises:
        InputError: see `load_recordings`; or the file contains several events.
    """
    recordings = load_recordings(path, unit)
    if len(recordings) != 1:
        hint = "Give a file with one event; seizure evaluate takes many."
        raise InputError(f"{path} contains {len(recordings)} events.", hint)
    return recordings[0]


def recording_from_event(event: Event) -> Recording:
    """Join the rows of an event: sort by time, drop repeated or overlapping rows, mask gaps.

    Raises:
        InputError: the magnitudes cannot be those of a wrist in mg, or the seizure lies outside of the rows.
    """
    notes: list[str] = []
    order = np.argsort(event.row_times, kind="stable")
    if (np.diff(order) < 0).any():
        notes.append("rows were put in order of time")
    magnitude, changes = _event_magnitude(event)
    notes += changes
    positions, length, overlaps, gaps = _place_rows(event.row_times, order.tolist())
    signal, valid = np.zeros(length, np.float32), np.zeros(length, np.bool_)
    for index, position in positions.items():
        signal[position : position + ROW_SAMPLES] = magnitude[index]
        valid[position : position + ROW_SAMPLES] = True
    notes += [f"{overlaps} overlapping rows were dropped"] if overlaps else []
    notes += [f"{gaps} gaps were masked"] if gaps else []
    first = float(event.row_times[next(iter(positions))]) - _ROW_SECONDS
    unknown = event.is_seizure and event.seizure is None
    if unknown:
        notes.append("the file does not state the time of the seizure")
    return Recording(
        event.id,
        event.user,
        signal,
        valid,
        event.time + timedelta(seconds=first),
        _event_seizures(event, first, length / SAMPLE_RATE),
        unknown,
        tuple(notes),
    )


def _place_rows(row_times: Floats, order: list[int]) -> tuple[dict[int, int], int, int, int]:
    """First sample of each row that is kept, in order of time.

    Returns:
        {row: first sample}, samples in all, number of rows dropped as overlapping, number of gaps.
    """
    positions: dict[int, int] = {}
    position, end = 0, -np.inf
    overlaps = gaps = 0
    for index in order:
        late = float(row_times[index]) - end - _ROW_SECONDS
        if positions and late < -_ROW_TOLERANCE:
            overlaps += 1
            continue
        if positions and late > _ROW_TOLERANCE:
            position += round(late * SAMPLE_RATE)
            gaps += 1
        positions[index] = position
        position, end = position + ROW_SAMPLES, float(row_times[index])
    return positions, position, overlaps, gaps


def _event_seizures(event: Event, first: float, seconds: float) -> tuple[tuple[float, float], ...]:
    """The seizure of an event in s from its first sample, which is `first` s after the event's time."""
    if not event.is_seizure or event.seizure is None:
        return ()
    start, end = event.seizure[0] - first, min(event.seizure[1] - first, seconds)
    if end <= 0 or start >= end:
        raise InputError(f"The event {event.id}: its seizureTimes lie outside of its datapoints.", "Leave it out.")
    return ((max(0.0, start), end),)


def _event_magnitude(event: Event) -> tuple[Floats, list[str]]:
    """(R, 125) magnitude in g, and notes.

    Old apps stored |x|+|y|+|z|, up to 1.7 g at rest: where the axes are known the magnitude is computed from them, else
    the signal is scaled so that rest is 1 g.
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
            return magnitude, notes
    calmest = magnitude[np.argsort(magnitude.std(axis=1))[: max(1, len(magnitude) // 4)]]
    rest = float(np.median(calmest))
    if not _MIN_REST < rest < _SUM_OF_AXES_REST[1]:
        raise InputError(
            f"The event {event.id}: a resting arm would weigh {rest:.3g} g, so its magnitudes are not in mg.",
            "Convert them to mg, or leave the event out.",
        )
    if rest > _SUM_OF_AXES_REST[0]:
        magnitude = magnitude / rest
        notes.append(f"the magnitude is a sum of three axes, since rest is {rest:.2f} g; it was scaled to 1 g")
    return magnitude, notes


def recording_from_samples(samples: Samples, unit: Unit = Unit.AUTO) -> Recording:
    """Resample a watch's samples to 25 Hz; missing samples become a masked gap.

    Args:
        samples: at least 10 s.
        unit: of the values.

    Raises:
        InputError: too few samples, times that do not increase, another rate than 10 to 1000 Hz, or no known unit.
    """
    path, times, values = samples.path, samples.times, samples.values
    rate = _sample_rate(path, times)
    magnitude = np.linalg.norm(values, axis=1) if values.shape[1] == 3 else np.abs(values[:, 0])
    unit = detect_unit(path, magnitude, unit)
    breaks = np.flatnonzero(np.diff(times) > 1.75 / rate) + 1
    signal, valid = _to_regular_grid(times, magnitude * TO_G[unit], breaks)
    notes = [f"read as {unit.value}"]
    if abs(rate / SAMPLE_RATE - 1) > 0.01:
        notes.append(f"resampled from {rate:.4g} to {SAMPLE_RATE} samples a second")
    if len(breaks):
        notes.append(f"{len(breaks)} gaps were masked")
    return Recording(path.stem, path.stem, signal, valid, samples.start, notes=tuple(notes))


def _sample_rate(path: Path, times: Floats) -> float:
    """Hz, from the median of the steps."""
    if len(times) < 2 * ROW_SAMPLES:
        raise InputError(f"{path} has {len(times)} samples, which is too short.", "Give 10 s at least.")
    steps = np.diff(times)
    if (steps <= 0).any():
        line = int(np.argmax(steps <= 0)) + 3
        raise InputError(f"{path}, line {line}: the time does not increase.", "Sort the lines by time, each time once.")
    rate = 1 / float(np.median(steps))
    if not 10 <= rate <= 1000:
        hint = "Times are in seconds; 10 to 1000 samples a second can be read."
        raise InputError(f"{path} has {rate:.4g} samples a second.", hint)
    return rate


def _to_regular_grid(
    times: Floats, magnitude: Floats, breaks: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """(N,) signal at 25 Hz from the first time on, and (N,) False in the gaps before the samples `breaks`."""
    count = int(np.floor((times[-1] - times[0]) * SAMPLE_RATE + 1e-6)) + 1
    signal, valid = np.zeros(count, np.float32), np.zeros(count, np.bool_)
    for part in np.split(np.arange(len(times)), breaks):
        begin = times[part[0]] - times[0]
        first = int(np.ceil(begin * SAMPLE_RATE - 1e-6))
        last = min(count - 1, int(np.floor((times[part[-1]] - times[0]) * SAMPLE_RATE + 1e-6)))
        if last >= first and len(part) > 1:
            wanted = np.arange(first, last + 1) / SAMPLE_RATE - begin
            # jitter of the clock is not movement: within a part the samples are taken as evenly spaced
            part_rate = (len(part) - 1) / (times[part[-1]] - times[part[0]])
            signal[first : last + 1] = resample(magnitude[part], part_rate, SAMPLE_RATE, wanted)
            valid[first : last + 1] = True
    return signal, valid
