"""Recordings of wrists that never were: everyday activities and seizures, known to the second.

Each user has habits of their own (pace, strength, how the watch sits). Activities are made as movement in three axes
that adds to a slowly turning gravity; a seizure is a tonic stage and a clonic one whose jerks grow rarer.
They are for tests and for learning the software. They are no substitute for recordings of people.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt

from deeprecon.data.files import atomic_path
from deeprecon.data.tables import write_table
from deeprecon.seizure.config import SAMPLE_RATE
from deeprecon.seizure.fit import osd
from deeprecon.seizure.read.osdb import Event, write_json
from deeprecon.seizure.read.recordings import Recording

Floats = npt.NDArray[np.float64]

RANGE = 8.0
"""g; what the sensor can measure."""

STEP = 0.004
"""g; what it can tell apart."""

_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Wearer:
    """A user's habits: frequencies of steps, brushing and bursts in Hz, strength, and the sensor's noise in g."""

    name: str
    walk: float
    brush: float
    burst: float
    strength: float
    noise: float

    @classmethod
    def draw(cls, number: int, seed: int) -> Wearer:
        """The same number and seed give the same person."""
        rng = np.random.default_rng([seed, 1, number])
        return cls(
            str(number + 1),
            rng.uniform(1.6, 2.2),
            rng.uniform(3.0, 6.0),
            rng.uniform(3.0, 7.0),
            rng.lognormal(0, 0.3),
            rng.uniform(0.004, 0.015),
        )


@dataclass(frozen=True)
class Stretch:
    """An activity that lasts some s."""

    activity: str
    seconds: float


def simulate(
    wearer: Wearer, stretches: Sequence[Stretch], rng: np.random.Generator
) -> tuple[Floats, tuple[tuple[float, float], ...]]:
    """Activities one after the other.

    Returns:
        (N, 3) acceleration in g as the sensor gives it, and (start, end) in s of each seizure.
    """
    parts, seizures, at = [], [], 0.0
    for stretch in stretches:
        count = round(stretch.seconds * SAMPLE_RATE)
        parts.append(ACTIVITIES[stretch.activity](wearer, count, rng))
        if stretch.activity == "seizure":
            seizures.append((at, at + count / SAMPLE_RATE))
        at += count / SAMPLE_RATE
    movement = np.concatenate(parts)
    measured = gravity(len(movement), rng) + movement + rng.normal(0, wearer.noise, movement.shape)
    return np.clip(np.round(measured / STEP) * STEP, -RANGE, RANGE), tuple(seizures)


def gravity(count: int, rng: np.random.Generator) -> Floats:
    """(N, 3) 1 g in a direction that rests, and turns to another one now and then."""
    times = [0.0]
    while times[-1] < count:
        times.append(times[-1] + SAMPLE_RATE * rng.exponential(60.0) + 2 * SAMPLE_RATE)
    direction = rng.normal(size=(len(times), 3))
    direction[1:] = direction[:-1] + 0.7 * direction[1:]
    # each turn takes a second or two, at its time
    place = np.arange(count)
    index = np.clip(np.searchsorted(times, place, side="right") - 1, 0, len(times) - 2)
    share = np.clip((place - np.array(times)[index]) / (1.5 * SAMPLE_RATE), 0, 1)[:, None]
    share = share * share * (3 - 2 * share)
    previous = direction[np.maximum(index - 1, 0)]
    mixed = (1 - share) * previous + share * direction[index]
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True))


def _axis(rng: np.random.Generator) -> Floats:
    direction = rng.normal(size=3)
    return np.asarray(direction / np.linalg.norm(direction))


def _smooth(count: int, seconds: float, rng: np.random.Generator) -> Floats:
    """(N,) wandering with mean 0 and deviation 1 that changes within about so many s."""
    knots = max(4, math.ceil(count / SAMPLE_RATE / seconds) + 3)
    values = rng.normal(size=knots)
    place = np.linspace(1, knots - 2, count)
    index, share = place.astype(np.int64), place % 1
    share = 0.5 - 0.5 * np.cos(np.pi * share)
    return (1 - share) * values[index] + share * values[np.minimum(index + 1, knots - 1)]


def _phase(frequency: Floats) -> Floats:
    """(N,) radians of an oscillation with a frequency (N,) in Hz."""
    return 2 * np.pi * np.cumsum(frequency) / SAMPLE_RATE


def _on_off(count: int, on: tuple[float, float], off: tuple[float, float], rng: np.random.Generator) -> Floats:
    """(N,) between 0 and 1: on and off for times from these ranges in s, with soft edges."""
    made = np.zeros(count)
    at = round(rng.uniform(*off) * SAMPLE_RATE * rng.uniform())
    while at < count:
        length = round(rng.uniform(*on) * SAMPLE_RATE)
        made[at : at + length] = 1
        at += length + round(rng.uniform(*off) * SAMPLE_RATE)
    return np.convolve(made, np.ones(9) / 9, "same")


def rest(wearer: Wearer, count: int, rng: np.random.Generator) -> Floats:
    """Lying or sitting: breath, and a move every minute or so."""
    breath = 0.004 * np.sin(_phase(np.full(count, rng.uniform(0.2, 0.3))))
    moves = _on_off(count, (0.5, 3), (20, 120), rng) * 0.15 * _smooth(count, 0.4, rng)
    return breath[:, None] * _axis(rng) + moves[:, None] * _axis(rng)


def typing(wearer: Wearer, count: int, rng: np.random.Generator) -> Floats:
    """Small knocks, 2 to 6 a second, with pauses."""
    knocks = rng.random(count) < rng.uniform(2, 6) / SAMPLE_RATE
    hits = knocks * rng.lognormal(math.log(0.03), 0.5, count) * _on_off(count, (3, 30), (1, 10), rng)
    ring = np.convolve(hits, [1, -0.6, 0.25], "full")[:count]
    return ring[:, None] * _axis(rng) + 0.02 * _smooth(count, 0.8, rng)[:, None] * _axis(rng)


def walking(wearer: Wearer, count: int, rng: np.random.Generator) -> Floats:
    """Steps with their harmonics, which reach into 3 to 8 Hz, and an arm that swings at half their pace."""
    pace = wearer.walk * rng.uniform(0.9, 1.1) * (1 + 0.03 * _smooth(count, 5, rng))
    phase = _phase(pace)
    strength = 0.16 * wearer.strength * rng.uniform(0.7, 1.4) * (1 + 0.2 * _smooth(count, 3, rng))
    harmonics = rng.uniform(0.2, 0.9, 3)
    shifts = rng.uniform(0, 2 * np.pi, 3)
    vertical = np.sin(phase)
    for order, weight, shift in zip((2, 3, 4), harmonics, shifts, strict=True):
        vertical = vertical + weight * np.sin(order * phase + shift)
    swing = 0.25 * np.sin(phase / 2 + rng.uniform(0, 6))
    going = _on_off(count, (30, 180), (2, 15), rng)
    return np.asarray((going * strength * vertical)[:, None] * _axis(rng) + (going * swing)[:, None] * _axis(rng))


def brushing(wearer: Wearer, count: int, rng: np.random.Generator) -> Floats:
    """Brushing teeth: strokes at 3 to 6 Hz for seconds to half a minute, the hand turning in between."""
    frequency = np.clip(wearer.brush * (1 + 0.08 * _smooth(count, 4, rng)), 2.5, 7)
    phase = _phase(frequency)
    strength = wearer.strength * rng.uniform(0.25, 0.7) * (1 + 0.25 * _smooth(count, 2, rng))
    stroke = np.sin(phase) + rng.uniform(0.1, 0.5) * np.sin(2 * phase + rng.uniform(0, 6))
    on = _on_off(count, (5, 30), (0.5, 4), rng)
    side = 0.3 * np.sin(phase + rng.uniform(0, 6))
    return (on * strength * stroke)[:, None] * _axis(rng) + (on * strength * side)[:, None] * _axis(rng)


def bursts(wearer: Wearer, count: int, rng: np.random.Generator) -> Floats:
    """What looks like a seizure: scratching, shaking, clapping or beating eggs, 4 to 40 s at a steady frequency."""
    made = np.zeros((count, 3))
    at = round(rng.uniform(0, 10) * SAMPLE_RATE)
    while at < count:
        length = min(round(rng.uniform(4, 40) * SAMPLE_RATE), count - at)
        frequency = np.clip(wearer.burst * rng.uniform(0.7, 1.4), 2.5, 8) * (1 + 0.03 * _smooth(length, 2, rng))
        phase = _phase(frequency)
        sharpness = rng.uniform(1, 4)
        wave = np.sign(np.sin(phase)) * np.abs(np.sin(phase)) ** sharpness
        strength = wearer.strength * rng.uniform(0.3, 1.4) * (1 + 0.2 * _smooth(length, 1, rng))
        made[at : at + length] = (strength * wave)[:, None] * _axis(rng)
        at += length + round(rng.uniform(5, 40) * SAMPLE_RATE)
    return made


def chores(wearer: Wearer, count: int, rng: np.random.Generator) -> Floats:
    """Cooking, dressing, gestures: movement without a rhythm, up to about 3 Hz."""
    busy = _on_off(count, (2, 30), (1, 20), rng)
    strength = 0.25 * wearer.strength * np.exp(0.5 * _smooth(count, 5, rng))
    return np.stack([busy * strength * _smooth(count, rng.uniform(0.15, 0.4), rng) for _ in range(3)], axis=1)


def seizure(wearer: Wearer, count: int, rng: np.random.Generator) -> Floats:
    """Tonic-clonic, in the order of Theodore et al. 1994 (Neurology 44:1403).

    Single jerks in half of the seizures, stiffness with a fast tremor, a vibration that slows from 8-10 Hz to 4-6 Hz,
    and clonic jerks that come ever more rarely. Muscles jerk the arm, which swings back by itself: the movement is that
    of a damped limb, irregular in time, strength and direction.
    """
    shares = np.array([rng.choice([0, rng.uniform(0.05, 0.15)]), rng.uniform(0.1, 0.25), rng.uniform(0.1, 0.3)])
    first, second, third = np.round(np.cumsum(shares) * count).astype(int).tolist()
    fast, middle, slow = rng.uniform(8, 10), rng.uniform(4, 6), rng.uniform(1.5, 3)
    rate = np.zeros(count)
    rate[:first] = rng.uniform(0.5, 3)
    rate[second:third] = np.geomspace(fast, middle, third - second)
    rate[third:] = np.geomspace(middle, slow, count - third)
    level = np.ones(count)  # of the jerks: each stage has its own, and the last one fades
    level[:first], level[second:third] = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8)
    level[third:] = np.linspace(1, rng.uniform(0.2, 0.8), count - third)
    strength = wearer.strength * math.exp(rng.uniform(math.log(0.2), math.log(1.6)))
    made = strength * level[:, None] * np.exp(0.3 * _smooth(count, 3, rng))[:, None] * _jerks(rate, rng)
    tonic = second - first
    tremor = np.sin(_phase(rng.uniform(8, 11) * (1 + 0.05 * _smooth(tonic, 0.5, rng))))
    grow = np.linspace(0.2, 1, tonic) * wearer.strength * rng.uniform(0.02, 0.2)
    made[first:second] += (tremor * grow)[:, None] * _axis(rng)
    return made + 0.06 * strength * np.stack([_smooth(count, 1.5, rng) for _ in range(3)], axis=1)


def _jerks(rate: Floats, rng: np.random.Generator) -> Floats:
    """(N, 3) movement of a damped limb that is jerked at a rate (N,) in Hz; a jerk's peak is about 1."""
    phase = np.cumsum(rate) / SAMPLE_RATE
    jitter = rng.uniform(0.05, 0.25)
    regular = np.arange(math.ceil(phase[-1]))
    at = np.searchsorted(phase, np.sort(regular + jitter * rng.normal(size=len(regular))).clip(0, None))
    at = at[at < len(rate)]
    turning = np.stack([_smooth(len(rate), 10, rng) for _ in range(3)], axis=1)[at]
    direction = _axis(rng) + rng.uniform(0.2, 0.8) * turning + 0.3 * rng.normal(size=(len(at), 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    pushes = np.zeros((len(rate), 3))
    np.add.at(pushes, at, rng.lognormal(0, rng.uniform(0.2, 0.5), len(at))[:, None] * direction)
    time = np.arange(SAMPLE_RATE) / SAMPLE_RATE
    swing = np.exp(-time / rng.uniform(0.08, 0.25)) * np.sin(2 * np.pi * rng.uniform(3.5, 7) * time)
    swing /= np.abs(swing).max()
    return np.stack([np.convolve(pushes[:, axis], swing)[: len(rate)] for axis in range(3)], axis=1)


ACTIVITIES: dict[str, Callable[[Wearer, int, np.random.Generator], Floats]] = {
    "rest": rest,
    "typing": typing,
    "walking": walking,
    "brushing": brushing,
    "bursts": bursts,
    "chores": chores,
    "seizure": seizure,
}
NEGATIVES = tuple(name for name in ACTIVITIES if name != "seizure")
_SHARES = {"rest": 0.35, "typing": 0.15, "walking": 0.15, "brushing": 0.1, "bursts": 0.1, "chores": 0.15}


def seizure_event(rng: np.random.Generator) -> list[Stretch]:
    """About 4 minutes: something else, the seizure of 40 to 110 s, and the rest after it."""
    before = str(rng.choice(["rest", "rest", "typing", "chores"]))
    length = rng.uniform(40, 110)
    return [Stretch(before, rng.uniform(50, 90)), Stretch("seizure", length), Stretch("rest", 60.0)]


def everyday(seconds: float, rng: np.random.Generator) -> list[Stretch]:
    """Activities without a seizure, 40 to 200 s each, for so many s."""
    made: list[Stretch] = []
    while (left := seconds - sum(stretch.seconds for stretch in made)) > 1:
        activity = str(rng.choice(list(_SHARES), p=list(_SHARES.values())))
        made.append(Stretch(activity, min(left, rng.uniform(40, 200))))
    return made


def make_recordings(users: int, seizures: int, minutes: float, seed: int) -> list[Recording]:
    """One recording of each seizure and one of everyday life for each user, made in memory."""
    made = []
    for number in range(users):
        wearer = Wearer.draw(number, seed)
        for index, stretches in enumerate(_plans(number, seizures, minutes, seed)):
            rng = np.random.default_rng([seed, 3, number, index])
            axes, times = simulate(wearer, stretches, rng)
            magnitude = np.linalg.norm(axes, axis=1).astype(np.float32)
            whole = np.ones(len(magnitude), np.bool_)
            made.append(Recording(f"{wearer.name}-{index}", wearer.name, magnitude, whole, _BEGIN, times))
    return made


def make_events(users: int, seizures: int, minutes: float, seed: int) -> list[Event]:
    """The same as events in the layout of the Open Seizure Database, everyday life in events of 5 minutes."""
    made: list[Event] = []
    for number in range(users):
        wearer = Wearer.draw(number, seed)
        for index, stretches in enumerate(_plans(number, seizures, minutes, seed)):
            axes, times = simulate(wearer, stretches, np.random.default_rng([seed, 3, number, index]))
            piece = len(axes) if times else 300 * SAMPLE_RATE
            for first in range(0, len(axes), piece):
                if (part := axes[first : first + piece]).shape[0] >= osd.ROW:
                    at = _BEGIN + timedelta(days=number, hours=index, seconds=first / SAMPLE_RATE)
                    made.append(_event(len(made) + 1, wearer.name, part, times, at))
    return made


def write_phantom(folder: Path, users: int, seizures: int, minutes: float, hours: float, seed: int) -> dict[str, Path]:
    """Write events.json and, where `hours` is above 0, recording.csv (t,x,y,z) with seizures.csv; returns the paths.

    The plain recording is of a person who is not among the users.
    """
    paths = {"events": folder / "events.json"}
    write_json(paths["events"], make_events(users, seizures, minutes, seed))
    if hours:
        axes, times = long_recording(hours, users, seed)
        paths |= {"recording": folder / "recording.csv", "table": folder / "seizures.csv"}
        seconds = np.arange(len(axes)) / SAMPLE_RATE
        with atomic_path(paths["recording"]) as part:
            table = np.column_stack([seconds, axes])
            np.savetxt(part, table, "%.2f,%.3f,%.3f,%.3f", header="t,x,y,z", comments="", encoding="utf-8")
        columns = ("recording", "user", "start", "end")
        rows = [
            dict(zip(columns, ("recording", str(users + 1), round(start, 2), round(end, 2)), strict=True))
            for start, end in times
        ]
        write_table(paths["table"], rows or [dict.fromkeys(columns, "")])
    return paths


def long_recording(hours: float, number: int, seed: int) -> tuple[Floats, tuple[tuple[float, float], ...]]:
    """(N, 3) g and the seizures of a long recording of user `number`: everyday life, a seizure about every 8 h."""
    rng = np.random.default_rng([seed, 4, number])
    count = max(1, round(hours / 8))
    lead = max(0.0, hours * 3600 / count - 240)
    stretches: list[Stretch] = []
    for _ in range(count):
        stretches += [*everyday(lead, rng), *seizure_event(rng)]
    return simulate(Wearer.draw(number, seed), stretches, rng)


def _plans(number: int, seizures: int, minutes: float, seed: int) -> list[list[Stretch]]:
    rng = np.random.default_rng([seed, 2, number])
    return [*(seizure_event(rng) for _ in range(seizures)), everyday(60 * minutes, rng)]


def _event(number: int, user: str, axes: Floats, times: tuple[tuple[float, float], ...], at: datetime) -> Event:
    """An event of whole rows; its powers and states are those that the watch would have logged."""
    count = len(axes) // osd.ROW
    rows = axes[: count * osd.ROW].reshape(count, osd.ROW, 3)
    magnitude = np.asarray(np.round(1000 * np.linalg.norm(rows, axis=2), 2), np.float64)
    found = osd.analyze(magnitude)
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
