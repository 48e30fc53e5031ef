"""One continuous recording of a wrist at 25 Hz, whatever it was read from: events in rows, or a watch's CSV file."""

from __future__ import annotations

import csv
import io
import itertools
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.seizure.config import SAMPLE_RATE
from deeprecon.seizure.fit.osd import ROW
from deeprecon.seizure.parameters import Unit
from deeprecon.seizure.read.osdb import Event, read_flat, read_json
from deeprecon.seizure.read.resample import resample

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

UNITS = {Unit.G: 1.0, Unit.MG: 1e-3, Unit.M_S2: 1 / 9.80665}
"""What a value is to be multiplied with to be in g."""

_REST = {Unit.G: (0.6, 2.0), Unit.MG: (600.0, 2000.0), Unit.M_S2: (6.0, 19.0)}
"""Median magnitude of a wrist over time in each unit: near 1 g, since it mostly rests."""

_TOLERANCE = 2.0  # s by which a row may come late or early, as watches stamp them
_NORM_ONE = (1.15, 1.80)  # g of a resting arm where |x|+|y|+|z| was stored in place of the length, up to sqrt(3)


@dataclass(frozen=True, eq=False)
class Recording:
    """A wrist's acceleration over time.

    Attributes:
        name: of the event or file.
        user: who wore the watch.
        magnitude: (N,) float32 length of the acceleration in g, 25 samples a second; 0 in gaps.
        valid: (N,) False in gaps.
        start: time of the first sample, None where the file does not tell.
        seizures: (start, end) of each seizure in s from the first sample.
        uncertain: True where a seizure is known to be in the recording, but not when.
        notes: what was done to the data, in words.
    """

    name: str
    user: str
    magnitude: npt.NDArray[np.float32]
    valid: Bools
    start: datetime | None = None
    seizures: tuple[tuple[float, float], ...] = ()
    uncertain: bool = False
    notes: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Length with gaps."""
        return len(self.magnitude) / SAMPLE_RATE

    def rows(self) -> tuple[Floats, Bools]:
        """(R, 125) mg in 5 s each, NaN where a row touches a gap, and (R,) whether a row follows on a whole one."""
        count = len(self.magnitude) // ROW
        rows = 1000.0 * self.magnitude[: count * ROW].reshape(count, ROW).astype(np.float64)
        whole = np.asarray(self.valid[: count * ROW].reshape(count, ROW).all(axis=1))
        rows[~whole] = np.nan
        follows = whole.copy()
        follows[1:] &= whole[:-1]
        return rows, follows


def from_event(event: Event) -> Recording:
    """Join the rows of an event: sorted by time, a repeated or overlapping row dropped, gaps masked.

    Raises:
        InputError: magnitudes that cannot be those of a wrist in mg.
    """
    notes: list[str] = []
    order = np.argsort(event.row_times, kind="stable")
    if (np.diff(order) < 0).any():
        notes.append("rows were put in order of time")
    magnitude, changed = _lengths(event)
    notes += changed
    kept: list[int] = []
    begins: list[int] = []
    position, end = 0, -np.inf
    dropped = gaps = 0
    for index in order.tolist():
        seconds = float(event.row_times[index])
        if kept and seconds - end < ROW / SAMPLE_RATE - _TOLERANCE:
            dropped += 1
            continue
        late = seconds - end - ROW / SAMPLE_RATE
        if kept and late > _TOLERANCE:
            position += round(late * SAMPLE_RATE)
            gaps += 1
        kept.append(index)
        begins.append(position)
        position, end = position + ROW, seconds
    signal, valid = np.zeros(position, np.float32), np.zeros(position, np.bool_)
    for index, begin in zip(kept, begins, strict=True):
        signal[begin : begin + ROW] = magnitude[index]
        valid[begin : begin + ROW] = True
    notes += [f"{dropped} overlapping rows were dropped"] if dropped else []
    notes += [f"{gaps} gaps were masked"] if gaps else []
    first = float(event.row_times[kept[0]]) - ROW / SAMPLE_RATE
    seizures: tuple[tuple[float, float], ...] = ()
    if event.is_seizure and event.seizure is not None:
        begin_at, end_at = event.seizure[0] - first, min(event.seizure[1] - first, position / SAMPLE_RATE)
        if end_at <= 0 or begin_at >= end_at:
            raise InputError(f"The event {event.id}: its seizureTimes lie outside of its datapoints.", "Leave it out.")
        seizures = ((max(0.0, begin_at), end_at),)
    start = event.time + timedelta(seconds=first)
    unknown = event.is_seizure and event.seizure is None
    if unknown:
        notes.append("the file does not tell when the seizure was")
    return Recording(event.id, event.user, signal, valid, start, seizures, unknown, tuple(notes))


def _lengths(event: Event) -> tuple[Floats, list[str]]:
    """(R, 125) magnitude in g, and notes.

    Old apps stored |x|+|y|+|z|, by which a resting arm seems to weigh up to 1.7 g: where the axes are there the length
    is taken from them, else the signal is scaled so that rest is 1 g.
    """
    magnitude = event.magnitude / 1000
    notes = []
    if event.axes is not None:
        length = np.linalg.norm(event.axes, axis=2) / 1000
        known = np.isfinite(length).all(axis=1)
        wrong = known & (np.abs(length - magnitude).mean(axis=1) > 0.02)
        if wrong.any():
            magnitude = np.where(wrong[:, None], length, magnitude)
            notes.append(f"the length of {wrong.sum()} rows was taken from the three axes")
        if known.all():
            return magnitude, notes
    quiet = magnitude[np.argsort(magnitude.std(axis=1))[: max(1, len(magnitude) // 4)]]
    rest = float(np.median(quiet))
    if not 0.6 < rest < _NORM_ONE[1]:
        raise InputError(
            f"The event {event.id}: a resting arm would weigh {rest:.3g} g, so its magnitudes are not in mg.",
            "Bring them to mg, or leave the event out.",
        )
    if rest > _NORM_ONE[0]:
        magnitude = magnitude / rest
        notes.append(f"the magnitude is a sum of three axes, since rest is {rest:.2f} g; it was scaled to 1 g")
    return magnitude, notes


def read_recordings(path: Path, unit: Unit = Unit.AUTO) -> list[Recording]:
    """All recordings of a file: the events of a JSON or flattened CSV file, or the one of a plain CSV file.

    Raises:
        InputError: see `read_json`, `read_flat` and `read_plain`.
    """
    if path.suffix.lower() == ".json":
        return [from_event(event) for event in read_json(path)]
    if path.suffix.lower() != ".csv":
        raise InputError(f"{path} is neither .json nor .csv.", "Give an event file or a recording as CSV.")
    try:
        with open(path, encoding="utf-8-sig") as file:
            header = file.readline()
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no CSV file in UTF-8.", "Save it as CSV UTF-8.") from error
    if header.startswith("eventId,"):
        return [from_event(event) for event in read_flat(path)]
    return [read_plain(path, unit)]


def read_plain(path: Path, unit: Unit = Unit.AUTO) -> Recording:
    """A recording with a line a sample: `t,x,y,z`, or `t,magnitude`, t in seconds or as ISO date and time.

    Another rate than 25 Hz is resampled; where samples are missing there is a gap.

    Raises:
        InputError: other columns, text in place of numbers, times that go back, too few samples, or no known unit.
    """
    times, values, start = _read_columns(path)
    steps = np.diff(times)
    if len(times) < 2 * ROW:
        raise InputError(f"{path} has {len(times)} samples, which is too short.", "Give 10 s at least.")
    if (steps <= 0).any():
        line = int(np.argmax(steps <= 0)) + 3
        raise InputError(f"{path}, line {line}: the time does not go on.", "Sort the lines by time, each time once.")
    magnitude = np.linalg.norm(values, axis=1) if values.shape[1] == 3 else np.abs(values[:, 0])
    unit = find_unit(path, magnitude, unit)
    magnitude = magnitude * UNITS[unit]
    rate = 1 / float(np.median(steps))
    if not 10 <= rate <= 1000:
        hint = "Times are in seconds; 10 to 1000 samples a second can be read."
        raise InputError(f"{path} has {rate:.4g} samples a second.", hint)
    notes = [f"read as {unit.value}"]
    breaks = np.flatnonzero(steps > 1.75 / rate) + 1
    count = int(np.floor((times[-1] - times[0]) * SAMPLE_RATE + 1e-6)) + 1
    signal, valid = np.zeros(count, np.float32), np.zeros(count, np.bool_)
    for part in np.split(np.arange(len(times)), breaks):
        begin = times[part[0]] - times[0]
        first = int(np.ceil(begin * SAMPLE_RATE - 1e-6))
        last = min(count - 1, int(np.floor((times[part[-1]] - times[0]) * SAMPLE_RATE + 1e-6)))
        if last >= first and len(part) > 1:
            wanted = np.arange(first, last + 1) / SAMPLE_RATE - begin
            # the clock's jitter is no movement: within a part samples are taken as evenly spaced
            own = (len(part) - 1) / (times[part[-1]] - times[part[0]])
            signal[first : last + 1] = resample(magnitude[part], own, SAMPLE_RATE, wanted)
            valid[first : last + 1] = True
    if abs(rate / SAMPLE_RATE - 1) > 0.01:
        notes.append(f"resampled from {rate:.4g} to {SAMPLE_RATE} samples a second")
    if len(breaks):
        notes.append(f"{len(breaks)} gaps were masked")
    return Recording(path.stem, path.stem, signal, valid, start, notes=tuple(notes))


def find_unit(path: Path, magnitude: Floats, unit: Unit = Unit.AUTO) -> Unit:
    """The unit in which a resting arm weighs 1 g; a stated one is checked.

    Raises:
        InputError: no unit fits, or the stated one does not.
    """
    median = float(np.median(magnitude))
    fitting = [known for known, (low, high) in _REST.items() if low <= median <= high]
    if unit is Unit.AUTO:
        if not fitting:
            hint = "Expected is 1 in g, 1000 in mg, 9.8 in m/s2. Raw counts must be scaled first."
            raise InputError(f"{path}: the median acceleration is {median:.4g}, which fits no unit.", hint)
        return fitting[0]
    if unit not in fitting:
        hint = f"It fits {fitting[0].value}." if fitting else "Raw counts must be scaled first."
        raise InputError(f"{path}: the median acceleration is {median:.4g}, which is not 1 g in {unit.value}.", hint)
    return unit


def with_seizures(recording: Recording, user: str, seizures: list[tuple[float, float]]) -> Recording:
    """The recording with its user and its seizures (s from the first sample).

    Raises:
        InputError: a seizure lies outside, is empty, or two overlap.
    """
    ordered = sorted(seizures)
    for start, end in ordered:
        if not 0 <= start < end <= recording.seconds:
            raise InputError(
                f"The recording {recording.name} lasts {recording.seconds:.1f} s; it has no seizure from "
                f"{start:g} to {end:g} s."
            )
    for (_, end), (start, _) in itertools.pairwise(ordered):
        if start < end:
            raise InputError(f"The recording {recording.name}: the seizures at {start:g} s and before overlap.")
    return replace(recording, user=user, seizures=tuple(ordered), uncertain=False)


def _read_columns(path: Path) -> tuple[Floats, Floats, datetime | None]:
    """(N,) s from the first sample, (N, 3) or (N, 1) values, and the time of the first sample."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no CSV file in UTF-8.", "Save it as CSV UTF-8.") from error
    header, _, body = text.partition("\n")
    names = [name.strip().lower() for name in header.split(",")]
    for time, wanted in ((t, v) for t in ("t", "time") for v in (("x", "y", "z"), ("magnitude",))):
        if time in names and all(name in names for name in wanted):
            columns = [names.index(name) for name in (time, *wanted)]
            break
    else:
        raise InputError(
            f"{path} has the columns {', '.join(names)[:200]}.",
            "Expected are t,x,y,z or t,magnitude in the first line.",
        )
    if not body.strip():
        raise InputError(f"{path} has no samples.")
    try:
        numbers = np.loadtxt(io.StringIO(body), delimiter=",", usecols=columns, ndmin=2, dtype=np.float64)
        start = None
    except ValueError:
        numbers, start = _read_slowly(path, body, columns)
    if not np.isfinite(numbers).all():
        line = int(np.argmax(~np.isfinite(numbers).all(axis=1))) + 2
        raise InputError(f"{path}, line {line}: a value is not finite.", "Leave the line out: that makes a gap.")
    return numbers[:, 0] - numbers[0, 0], numbers[:, 1:], start


def _read_slowly(path: Path, body: str, columns: list[int]) -> tuple[Floats, datetime | None]:
    """The same line by line: times may be dates, and a fault is told with its line."""
    rows: list[list[float]] = []
    start: datetime | None = None
    for line, cells in enumerate(csv.reader(io.StringIO(body)), start=2):
        if not cells:
            continue
        try:
            chosen = [cells[column].strip() for column in columns]
            if not rows and start is None and not _is_number(chosen[0]):
                start = datetime.fromisoformat(chosen[0])
            at = float(chosen[0]) if start is None else (datetime.fromisoformat(chosen[0]) - start).total_seconds()
            rows.append([at, *map(float, chosen[1:])])
        except IndexError:
            raise InputError(f"{path}, line {line}, has too few values.") from None
        except (ValueError, TypeError):
            raise InputError(
                f"{path}, line {line}: {','.join(cells)[:80]!r} holds what is no number or no time."
            ) from None
    return np.array(rows, np.float64).reshape(-1, len(columns)), start


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
