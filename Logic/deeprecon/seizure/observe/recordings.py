"""Continuous recordings at 25 Hz in g, from the rows of events or the samples of a watch's file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError, names_damage
from deeprecon.seizure.configuration import SAMPLE_RATE, EventFilters
from deeprecon.seizure.observe.calibration import check_calibration, still_weights
from deeprecon.seizure.observe.event_rows import join_rows
from deeprecon.seizure.observe.monitoring import Cause, find_unmonitored
from deeprecon.seizure.observe.regular_grid import MAX_BRIDGED, to_regular_grid
from deeprecon.seizure.observe.units import TO_G, detect_unit
from deeprecon.seizure.parameters import Unit
from deeprecon.seizure.read.osdb import ROW_SAMPLES, Event, is_event_csv, parse_event_csv, read_event_json
from deeprecon.seizure.read.recording import Recording
from deeprecon.seizure.read.text import read_text
from deeprecon.seizure.read.watches.files import parse_watch_csv, read_watch
from deeprecon.seizure.read.watches.samples import Samples

Floats = npt.NDArray[np.float64]


MAX_GAP = 7 * 86400.0
"""Seconds; what lies farther apart is no single recording."""


@names_damage
def load_recordings(
    path: Path, unit: Unit = Unit.AUTO, filters: EventFilters | None = None, columns: Sequence[str] = ()
) -> list[Recording]:
    """All recordings of a file: the events of a JSON or flattened CSV file, or the samples of a watch.

    Args:
        path: file, or folder of an Empatica.
        unit: of a watch's file.
        filters: select events; None for all.
        columns: of the time and the acceleration in a watch's table; recognized by default.

    Raises:
        InputError: the file cannot be read, or its content cannot be used.
    """
    suffix = path.suffix.lower()
    if suffix not in (".json", ".csv") or path.is_dir():
        return [recording_from_samples(read_watch(path, columns), unit)]
    if suffix == ".json":
        events = read_event_json(path)
    elif is_event_csv(text := read_text(path)):
        events = parse_event_csv(path, text)
    else:
        return [recording_from_samples(parse_watch_csv(path, text, columns), unit)]
    return [
        recording_from_event(event, path.name)
        for event in events
        if filters is None
        or filters.allows(event.user, event.type, event.subtype, event.source, event.axes is not None)
    ]


@names_damage
def load_single_recording(path: Path, unit: Unit = Unit.AUTO, columns: Sequence[str] = ()) -> Recording:
    """The recording of a file that contains one; see `load_recordings`.

    Raises:
        InputError: see `load_recordings`; or the file contains several events.
    """
    recordings = load_recordings(path, unit, columns=columns)
    if len(recordings) != 1:
        hint = "Give a file with one event; seizure evaluate takes many."
        raise InputError(f"{path} contains {len(recordings)} events.", hint)
    return recordings[0]


def recording_from_event(event: Event, file: str = "") -> Recording:
    """Join the rows of an event: sort by time, drop repeated or overlapping rows, mask gaps.

    Args:
        event: as its file has it.
        file: its name, for doubts.

    Raises:
        InputError: the magnitudes cannot be those of a wrist in mg, or the seizure lies outside of the rows.
    """
    where = f"{file}, event {event.id}" if file else f"event {event.id}"
    rows = join_rows(event, where)
    values = rows.magnitude[:, None] if rows.axes is None else rows.axes
    found = _observe(where, rows.times, rows.magnitude, values, rows.rate)
    notes = [*rows.notes, *found.notes]
    unknown = event.is_seizure and event.seizure is None
    if unknown:
        notes.append("the file does not state the time of the seizure")
    return Recording(
        event.id,
        event.user,
        found.signal,
        found.valid,
        event.time + timedelta(seconds=rows.first),
        _event_seizures(event, rows.first, len(found.signal) / SAMPLE_RATE, where),
        unknown,
        tuple(notes),
        found.unmonitored,
        (*rows.doubts, *found.doubts),
    )


def _event_seizures(event: Event, first: float, seconds: float, where: str) -> tuple[tuple[float, float], ...]:
    """The seizure of an event in s from its first sample, which is `first` s after the event's time."""
    if not event.is_seizure or event.seizure is None:
        return ()
    start, end = event.seizure[0] - first, min(event.seizure[1] - first, seconds)
    if end <= 0 or start >= end:
        raise InputError(f"{where}: its seizureTimes lie outside of its datapoints.", "Leave it out.")
    return ((max(0.0, start), end),)


def recording_from_samples(samples: Samples, unit: Unit = Unit.AUTO) -> Recording:
    """Resample a watch's samples to 25 Hz; gaps of more than a second are masked.

    Args:
        samples: at least 10 s.
        unit: of the values.

    Raises:
        InputError: too few samples, times that do not increase, another rate than 10 to 1000 Hz, or no known unit.
    """
    path = samples.path
    rate = _sample_rate(samples)
    three = samples.values.shape[1] == 3
    magnitude = np.linalg.norm(samples.values, axis=1) if three else np.abs(samples.values[:, 0])
    if not magnitude.any():
        raise InputError(f"{path} contains only zeros.", "Look at how it was recorded or converted.")
    unit = detect_unit(path, magnitude[magnitude > 0], samples.unit if unit is Unit.AUTO else unit)
    found = _observe(path.name, samples.times, magnitude * TO_G[unit], samples.values * TO_G[unit], rate)
    notes = (f"read as {unit.value}", *found.notes)
    return Recording(
        samples.name or path.stem,
        samples.user,
        found.signal,
        found.valid,
        samples.start,
        notes=notes,
        unmonitored=found.unmonitored,
        doubts=(*samples.doubts, *found.doubts),
    )


@dataclass(frozen=True, eq=False)
class _Observed:
    """A signal at 25 Hz; see `Recording`."""

    signal: npt.NDArray[np.float32]
    valid: npt.NDArray[np.bool_]
    unmonitored: dict[str, float]
    notes: list[str]
    doubts: tuple[Doubt, ...]


def _observe(where: str, times: Floats, magnitude: Floats, values: Floats, rate: float) -> _Observed:
    """Check samples and put them on the grid of 25 Hz.

    Args:
        where: file or event, for doubts.
        times: (N,) s from the first sample, increasing.
        magnitude: (N,) g.
        values: (N, 3) g on the axes, or (N, 1) magnitude.
        rate: samples a second.
    """
    _check_clock(where, times)
    causes = find_unmonitored(times, values, rate)
    usable = (causes == Cause.MONITORED) | (causes == Cause.NOT_WORN)
    factor, doubts = check_calibration(where, still_weights(times, values, usable))
    count = int(np.floor(times[-1] * SAMPLE_RATE + 1e-6)) + 1
    measured = (values != 0).any(axis=1)  # a lost sample may be stored as zero
    signal, valid, bridged = to_regular_grid(times[measured], factor * magnitude[measured], rate, count)
    grid = np.arange(count) / SAMPLE_RATE
    nearest = causes[np.clip(np.searchsorted(times, grid - 0.5 / rate), 0, len(times) - 1)]
    nearest[(nearest == Cause.MONITORED) & ~valid] = Cause.GAP
    valid &= nearest == Cause.MONITORED
    signal[~valid] = 0
    notes = [f"scaled by {factor:.3f}"] if factor != 1 else []
    if abs(rate / SAMPLE_RATE - 1) > 0.01:
        notes.append(f"resampled from {rate:.4g} to {SAMPLE_RATE} samples a second")
    if bridged:
        notes.append(f"{bridged:.2f} s in gaps of at most {MAX_BRIDGED:g} s were bridged")
    if gaps := int((np.diff(np.concatenate([[False], nearest == Cause.GAP]).astype(np.int8)) == 1).sum()):
        notes.append(f"{gaps} gaps were masked")
    lost = {cause.words: float((nearest == cause).sum()) / SAMPLE_RATE for cause in Cause if cause != Cause.MONITORED}
    return _Observed(signal, valid, {words: seconds for words, seconds in lost.items() if seconds}, notes, doubts)


def _check_clock(where: str, times: Floats) -> None:
    """Refuse a clock that jumps: the time between would be memory for samples that are not there."""
    steps = np.diff(times)
    if len(steps) and steps.max() > MAX_GAP:
        raise InputError(
            f"{where}: the clock jumps by {steps.max() / 86400:.0f} days after {times[int(steps.argmax())]:.0f} s.",
            "Give what lies before and after it as files of their own.",
        )


def _sample_rate(samples: Samples) -> float:
    """Hz, from the median of the steps."""
    path, times = samples.path, samples.times
    if len(times) < 2 * ROW_SAMPLES:
        raise InputError(f"{path} has {len(times)} samples, which is too short.", "Give 10 s at least.")
    steps = np.diff(times)
    if (steps <= 0).any():
        place = samples.place(int(np.argmax(steps <= 0)) + 1)
        raise InputError(f"{path}, {place}: the time does not increase.", "Sort the samples by time, each time once.")
    rate = 1 / float(np.median(steps))
    if not 10 <= rate <= 1000:
        hint = "Times are in seconds; 10 to 1000 samples a second can be read."
        raise InputError(f"{path} has {rate:.4g} samples a second.", hint)
    return rate
