"""Movement of a wrist in everyday activities and in a seizure, in three axes and without gravity.

Each wearer has own habits (pace, strength, sensor noise). The activities are for tests and for learning the software;
they do not replace recordings of people.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.seizure.configuration import SAMPLE_RATE

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Wearer:
    """Habits of a user: frequencies of steps, brushing and bursts in Hz, strength, and noise of the sensor in g."""

    name: str
    walk: float
    brush: float
    burst: float
    strength: float
    noise: float

    @classmethod
    def draw(cls, number: int, seed: int) -> Wearer:
        """A random wearer, determined by number and seed."""
        rng = np.random.default_rng([seed, 1, number])
        return cls(
            str(number + 1),
            rng.uniform(1.6, 2.2),
            rng.uniform(3.0, 6.0),
            rng.uniform(3.0, 7.0),
            rng.lognormal(0, 0.3),
            rng.uniform(0.004, 0.015),
        )


def _random_direction(rng: np.random.Generator) -> Floats:
    direction = rng.normal(size=3)
    return np.asarray(direction / np.linalg.norm(direction))


def _smooth_noise(count: int, seconds: float, rng: np.random.Generator) -> Floats:
    """(N,) random, mean 0 and standard deviation about 1, varying on a time scale of `seconds`."""
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
    """(N,) between 0 and 1: on and off for durations from these ranges in s, with smooth edges."""
    made = np.zeros(count)
    at = round(rng.uniform(*off) * SAMPLE_RATE * rng.uniform())
    while at < count:
        length = round(rng.uniform(*on) * SAMPLE_RATE)
        made[at : at + length] = 1
        at += length + round(rng.uniform(*off) * SAMPLE_RATE)
    return np.convolve(made, np.ones(9) / 9, "same")


def rest(wearer: Wearer, count: int, rng: np.random.Generator) -> Floats:
    """Lying or sitting: breathing, and a movement about every minute."""
    breath = 0.004 * np.sin(_phase(np.full(count, rng.uniform(0.2, 0.3))))
    moves = _on_off(count, (0.5, 3), (20, 120), rng) * 0.15 * _smooth_noise(count, 0.4, rng)
    return breath[:, None] * _random_direction(rng) + moves[:, None] * _random_direction(rng)


def typing(wearer: Wearer, count: int, rng: np.random.Generator) -> Floats:
    """Small impacts, 2 to 6 a second, with pauses."""
    impacts = rng.random(count) < rng.uniform(2, 6) / SAMPLE_RATE
    hits = impacts * rng.lognormal(math.log(0.03), 0.5, count) * _on_off(count, (3, 30), (1, 10), rng)
    ring = np.convolve(hits, [1, -0.6, 0.25], "full")[:count]
    return ring[:, None] * _random_direction(rng) + 0.02 * _smooth_noise(count, 0.8, rng)[:, None] * _random_direction(
        rng
    )


def walking(wearer: Wearer, count: int, rng: np.random.Generator) -> Floats:
    """Steps with harmonics, which extend into 3 to 8 Hz, and a swing of the arm at half their frequency."""
    pace = wearer.walk * rng.uniform(0.9, 1.1) * (1 + 0.03 * _smooth_noise(count, 5, rng))
    phase = _phase(pace)
    strength = 0.16 * wearer.strength * rng.uniform(0.7, 1.4) * (1 + 0.2 * _smooth_noise(count, 3, rng))
    harmonics = rng.uniform(0.2, 0.9, 3)
    shifts = rng.uniform(0, 2 * np.pi, 3)
    vertical = np.sin(phase)
    for order, weight, shift in zip((2, 3, 4), harmonics, shifts, strict=True):
        vertical = vertical + weight * np.sin(order * phase + shift)
    swing = 0.25 * np.sin(phase / 2 + rng.uniform(0, 6))
    going = _on_off(count, (30, 180), (2, 15), rng)
    return np.asarray(
        (going * strength * vertical)[:, None] * _random_direction(rng)
        + (going * swing)[:, None] * _random_direction(rng)
    )


def brushing(wearer: Wearer, count: int, rng: np.random.Generator) -> Floats:
    """Brushing teeth: strokes at 3 to 6 Hz for seconds to half a minute, the hand turning in between."""
    frequency = np.clip(wearer.brush * (1 + 0.08 * _smooth_noise(count, 4, rng)), 2.5, 7)
    phase = _phase(frequency)
    strength = wearer.strength * rng.uniform(0.25, 0.7) * (1 + 0.25 * _smooth_noise(count, 2, rng))
    stroke = np.sin(phase) + rng.uniform(0.1, 0.5) * np.sin(2 * phase + rng.uniform(0, 6))
    on = _on_off(count, (5, 30), (0.5, 4), rng)
    side = 0.3 * np.sin(phase + rng.uniform(0, 6))
    return (on * strength * stroke)[:, None] * _random_direction(rng) + (on * strength * side)[
        :, None
    ] * _random_direction(rng)


def bursts(wearer: Wearer, count: int, rng: np.random.Generator) -> Floats:
    """Seizure-like movement (scratching, shaking, clapping): 4 to 40 s at a steady frequency."""
    made = np.zeros((count, 3))
    at = round(rng.uniform(0, 10) * SAMPLE_RATE)
    while at < count:
        length = min(round(rng.uniform(4, 40) * SAMPLE_RATE), count - at)
        frequency = np.clip(wearer.burst * rng.uniform(0.7, 1.4), 2.5, 8) * (1 + 0.03 * _smooth_noise(length, 2, rng))
        phase = _phase(frequency)
        sharpness = rng.uniform(1, 4)
        wave = np.sign(np.sin(phase)) * np.abs(np.sin(phase)) ** sharpness
        strength = wearer.strength * rng.uniform(0.3, 1.4) * (1 + 0.2 * _smooth_noise(length, 1, rng))
        made[at : at + length] = (strength * wave)[:, None] * _random_direction(rng)
        at += length + round(rng.uniform(5, 40) * SAMPLE_RATE)
    return made


def chores(wearer: Wearer, count: int, rng: np.random.Generator) -> Floats:
    """Cooking, dressing, gestures: movement without a rhythm, up to about 3 Hz."""
    busy = _on_off(count, (2, 30), (1, 20), rng)
    strength = 0.25 * wearer.strength * np.exp(0.5 * _smooth_noise(count, 5, rng))
    return np.stack([busy * strength * _smooth_noise(count, rng.uniform(0.15, 0.4), rng) for _ in range(3)], axis=1)


def seizure(wearer: Wearer, count: int, rng: np.random.Generator) -> Floats:
    """Tonic-clonic, in the order of Theodore et al. 1994 (Neurology 44:1403).

    Single jerks in half of the seizures, a tonic stage with a fast tremor, a vibration that slows from 8-10 Hz to
    4-6 Hz, and clonic jerks of decreasing rate. Each jerk excites a damped oscillation of the limb; jerks are irregular
    in time, strength and direction.
    """
    shares = np.array([rng.choice([0, rng.uniform(0.05, 0.15)]), rng.uniform(0.1, 0.25), rng.uniform(0.1, 0.3)])
    first, second, third = np.round(np.cumsum(shares) * count).astype(int).tolist()
    fast, middle, slow = rng.uniform(8, 10), rng.uniform(4, 6), rng.uniform(1.5, 3)
    rate = np.zeros(count)
    rate[:first] = rng.uniform(0.5, 3)
    rate[second:third] = np.geomspace(fast, middle, third - second)
    rate[third:] = np.geomspace(middle, slow, count - third)
    level = np.ones(count)  # of the jerks in each stage; decreasing in the last
    level[:first], level[second:third] = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8)
    level[third:] = np.linspace(1, rng.uniform(0.2, 0.8), count - third)
    strength = wearer.strength * math.exp(rng.uniform(math.log(0.2), math.log(1.6)))
    made = strength * level[:, None] * np.exp(0.3 * _smooth_noise(count, 3, rng))[:, None] * _jerks(rate, rng)
    tonic = second - first
    tremor = np.sin(_phase(rng.uniform(8, 11) * (1 + 0.05 * _smooth_noise(tonic, 0.5, rng))))
    grow = np.linspace(0.2, 1, tonic) * wearer.strength * rng.uniform(0.02, 0.2)
    made[first:second] += (tremor * grow)[:, None] * _random_direction(rng)
    return made + 0.06 * strength * np.stack([_smooth_noise(count, 1.5, rng) for _ in range(3)], axis=1)


def _jerks(rate: Floats, rng: np.random.Generator) -> Floats:
    """(N, 3) damped oscillations excited by jerks at a rate (N,) in Hz; the peak of a jerk is about 1."""
    phase = np.cumsum(rate) / SAMPLE_RATE
    jitter = rng.uniform(0.05, 0.25)
    regular = np.arange(math.ceil(phase[-1]))
    at = np.searchsorted(phase, np.sort(regular + jitter * rng.normal(size=len(regular))).clip(0, None))
    at = at[at < len(rate)]
    turning = np.stack([_smooth_noise(len(rate), 10, rng) for _ in range(3)], axis=1)[at]
    direction = _random_direction(rng) + rng.uniform(0.2, 0.8) * turning + 0.3 * rng.normal(size=(len(at), 3))
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
