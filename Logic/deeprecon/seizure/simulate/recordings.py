"""Simulated recordings and events: periods of activities on a slowly turning gravity, as the sensor measures them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from deeprecon.seizure.configuration import SAMPLE_RATE
from deeprecon.seizure.fit.baseline import analyze_rows
from deeprecon.seizure.read.osdb import ROW_SAMPLES, Event
from deeprecon.seizure.read.recording import Recording
from deeprecon.seizure.simulate.activities import ACTIVITIES, Wearer

Floats = npt.NDArray[np.float64]
Intervals = tuple[tuple[float, float], ...]

SENSOR_RANGE = 8.0
"""g."""

SENSOR_STEP = 0.004
"""g; resolution."""

EVERYDAY_SHARES = {"rest": 0.35, "typing": 0.15, "walking": 0.15, "brushing": 0.1, "bursts": 0.1, "chores": 0.15}
"""Probability of each activity for a period without a seizure."""

_START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Period:
    """An activity and its duration in s."""

    activity: str
    seconds: float


def simulate_periods(wearer: Wearer, periods: Sequence[Period], rng: np.random.Generator) -> tuple[Floats, Intervals]:
    """Measurements during periods one after the other.

    Returns:
        (N, 3) g, with the noise, range and resolution of the sensor; (start, end) in s of each seizure.
    """
    parts, seizures, at = [], [], 0.0
    for period in periods:
        count = round(period.seconds * SAMPLE_RATE)
        parts.append(ACTIVITIES[period.activity](wearer, count, rng))
        if period.activity == "seizure":
            seizures.append((at, at + count / SAMPLE_RATE))
        at += count / SAMPLE_RATE
    movement = np.concatenate(parts)
    measured = simulate_gravity(len(movement), rng) + movement + rng.normal(0, wearer.noise, movement.shape)
    return np.clip(np.round(measured / SENSOR_STEP) * SENSOR_STEP, -SENSOR_RANGE, SENSOR_RANGE), tuple(seizures)


def simulate_gravity(count: int, rng: np.random.Generator) -> Floats:
    """(N, 3) 1 g in a direction that turns to another one about once a minute."""
    times = [0.0]
    while times[-1] < count:
        times.append(times[-1] + SAMPLE_RATE * rng.exponential(60.0) + 2 * SAMPLE_RATE)
    direction = rng.normal(size=(len(times), 3))
    direction[1:] = direction[:-1] + 0.7 * direction[1:]
    # each turn takes 1.5 s
    sample = np.arange(count)
    index = np.clip(np.searchsorted(times, sample, side="right") - 1, 0, len(times) - 2)
    share = np.clip((sample - np.array(times)[index]) / (1.5 * SAMPLE_RATE), 0, 1)[:, None]
    share = share * share * (3 - 2 * share)
    previous = direction[np.maximum(index - 1, 0)]
    mixed = (1 - share) * previous + share * direction[index]
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True))


def seizure_periods(rng: np.random.Generator) -> list[Period]:
    """About 4 minutes: another activity, a seizure of 40 to 110 s, and rest."""
    before = str(rng.choice(["rest", "rest", "typing", "chores"]))
    length = rng.uniform(40, 110)
    return [Period(before, rng.uniform(50, 90)), Period("seizure", length), Period("rest", 60.0)]


def everyday_periods(seconds: float, rng: np.random.Generator) -> list[Period]:
    """Activities without a seizure, 40 to 200 s each, `seconds` in all."""
    periods: list[Period] = []
    while (left := seconds - sum(period.seconds for period in periods)) > 1:
        activity = str(rng.choice(list(EVERYDAY_SHARES), p=list(EVERYDAY_SHARES.values())))
        periods.append(Period(activity, min(left, rng.uniform(40, 200))))
    return periods


def simulate_recordings(users: int, seizures: int, minutes: float, seed: int) -> list[Recording]:
    """For each user one recording of each seizure and one of everyday activities."""
    recordings = []
    for _, index, user, axes, times in _simulate_users(users, seizures, minutes, seed):
        magnitude = np.linalg.norm(axes, axis=1).astype(np.float32)
        valid = np.ones(len(magnitude), np.bool_)
        recordings.append(Recording(f"{user}-{index}", user, magnitude, valid, _START, times))
    return recordings


def simulate_events(users: int, seizures: int, minutes: float, seed: int) -> list[Event]:
    """As `simulate_recordings`, as events of the Open Seizure Database; everyday activities in events of 5 minutes."""
    events: list[Event] = []
    for number, index, user, axes, times in _simulate_users(users, seizures, minutes, seed):
        length = len(axes) if times else 300 * SAMPLE_RATE
        for first in range(0, len(axes), length):
            if (part := axes[first : first + length]).shape[0] >= ROW_SAMPLES:
                at = _START + timedelta(days=number, hours=index, seconds=first / SAMPLE_RATE)
                events.append(_event(len(events) + 1, user, part, times, at))
    return events


def _simulate_users(
    users: int, seizures: int, minutes: float, seed: int
) -> Iterator[tuple[int, int, str, Floats, Intervals]]:
    """Number of the user, index of the recording, name of the user, (N, 3) g, and seizures, for each recording."""
    for number in range(users):
        wearer = Wearer.draw(number, seed)
        for index, periods in enumerate(_user_schedule(number, seizures, minutes, seed)):
            rng = np.random.default_rng([seed, 3, number, index])
            yield number, index, wearer.name, *simulate_periods(wearer, periods, rng)


def simulate_long_recording(hours: float, number: int, seed: int) -> tuple[Floats, Intervals]:
    """(N, 3) g and the seizures of a recording of user `number`: everyday activities, and a seizure about every 8 h."""
    rng = np.random.default_rng([seed, 4, number])
    count = max(1, round(hours / 8))
    lead = max(0.0, hours * 3600 / count - 240)
    periods: list[Period] = []
    for _ in range(count):
        periods += [*everyday_periods(lead, rng), *seizure_periods(rng)]
    return simulate_periods(Wearer.draw(number, seed), periods, rng)


def _user_schedule(number: int, seizures: int, minutes: float, seed: int) -> list[list[Period]]:
    rng = np.random.default_rng([seed, 2, number])
    return [*(seizure_periods(rng) for _ in range(seizures)), everyday_periods(60 * minutes, rng)]


def _event(number: int, user: str, axes: Floats, times: Intervals, at: datetime) -> Event:
    """An event of complete rows; its powers and states are those that the watch would have logged."""
    count = len(axes) // ROW_SAMPLES
    rows = axes[: count * ROW_SAMPLES].reshape(count, ROW_SAMPLES, 3)
    magnitude = np.asarray(np.round(1000 * np.linalg.norm(rows, axis=2), 2), np.float64)
    found = analyze_rows(magnitude)
    ends = np.arange(1, count + 1, dtype=np.float64) * 5
    none = np.full(count, np.nan)
    return Event(
        str(number),
        user,
        "Seizure" if times else "False Alarm",
        "Tonic-Clonic" if times else "",
        "Simulated",
        at,
        ends,
        magnitude,
        None,
        times[0] if times else None,
        found.state.astype(np.float64),
        np.floor(found.spectrum_power),
        np.floor(found.roi_power),
        none,
        none,
    )
