"""Windows of a recording: where they begin, what they are, and which make up a training batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.seizure.config import SAMPLE_RATE, DataConfig, ModelConfig
from deeprecon.seizure.read.recordings import Recording

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]

NEITHER = -1
"""Label of a window that is neither wholly in a seizure nor far from one."""

DETECTION_STRIDE = 125
"""Samples between windows without phase augmentation: 5 s."""


def window_starts(valid: npt.NDArray[np.bool_], length: int, stride: int) -> Indices:
    """First samples, multiples of the stride, of windows without a gap in them."""
    if len(valid) < length:
        return np.zeros(0, np.int64)
    bad = np.concatenate([[0], np.cumsum(~valid)])
    starts = np.arange(0, len(valid) - length + 1, stride)
    good: Indices = starts[bad[starts + length] == bad[starts]]
    return good


def labels(recording: Recording, starts: Indices, length: int, border: float) -> npt.NDArray[np.int64]:
    """1 for windows inside a seizure, 0 for those at least `border` s away from all, else NEITHER.

    A recording whose seizure has no known times gives no windows of either class.
    """
    begin, end = starts / SAMPLE_RATE, (starts + length) / SAMPLE_RATE
    label = np.full(len(starts), NEITHER if recording.uncertain else 0, np.int64)
    for start, stop in recording.seizures:
        label[(end > start - border) & (begin < stop + border)] = NEITHER
    for start, stop in recording.seizures:
        label[(begin >= start) & (end <= stop)] = 1
    return label


@dataclass(frozen=True, eq=False)
class Windows:
    """Labeled windows of many recordings.

    Attributes:
        signals: magnitude of each recording in g.
        recording, start, label, user: (W,) of each window.
        length: samples in a window.
    """

    signals: Sequence[Floats]
    recording: Indices
    start: Indices
    label: Indices
    user: Indices
    length: int

    def __len__(self) -> int:
        return len(self.start)

    def load(self, numbers: Indices) -> Floats:
        """(B, length) float32 in g."""
        made = np.empty((len(numbers), self.length), np.float32)
        for row, number in enumerate(numbers.tolist()):
            first = self.start[number]
            made[row] = self.signals[self.recording[number]][first : first + self.length]
        return made


def make_windows(recordings: Sequence[Recording], model: ModelConfig, data: DataConfig, stride: int) -> Windows:
    """All windows of both classes, those that are neither left out."""
    users = {user: number for number, user in enumerate(sorted({recording.user for recording in recordings}))}
    parts = []
    for number, recording in enumerate(recordings):
        starts = window_starts(recording.valid, model.window, stride)
        label = labels(recording, starts, model.window, data.borderSeconds)
        starts, label = starts[label != NEITHER], label[label != NEITHER]
        parts.append((np.full(len(starts), number), starts, label, np.full(len(starts), users[recording.user])))
    index, start, label, user = (
        np.concatenate(column).astype(np.int64) if column else np.zeros(0, np.int64)
        for column in zip(*parts, strict=True)
    )
    return Windows([recording.magnitude for recording in recordings], index, start, label, user, model.window)


def training_stride(data: DataConfig) -> int:
    """Samples between the windows that training may draw."""
    return data.phaseAugmentationStep if data.phaseAugmentation else DETECTION_STRIDE


@dataclass(frozen=True)
class Batch:
    """(B, length) float32 windows in g, with noise, and (B,) int64 labels."""

    magnitude: Floats
    label: Indices


@dataclass(frozen=True, eq=False)
class Sampler:
    """Draws batches, each a pure function of the seed and the step: there is nothing to save for resuming.

    Attributes:
        windows: to draw from.
        size: windows in a batch.
        balanced: half of each batch are seizures; else windows are drawn as often as they are there.
        by_user: within a class each user is equally likely, else each window.
        noise: standard deviation on each axis in g.
        seed: of all draws.
    """

    windows: Windows
    size: int
    balanced: bool
    by_user: bool
    noise: float
    seed: int

    def __post_init__(self) -> None:
        for label, name in ((1, "in a seizure"), (0, "away from seizures")):
            if not (self.windows.label == label).any():
                raise InputError(
                    f"There is no window of {self.windows.length / SAMPLE_RATE:g} s {name} to train on.",
                    "Give more recordings, or lower bufferSeconds or borderSeconds.",
                )

    @cached_property
    def _pools(self) -> dict[tuple[int, int], Indices]:
        """Windows of each label and user that there are."""
        label, user = self.windows.label, self.windows.user
        pairs = sorted(set(zip(label.tolist(), user.tolist(), strict=True)))
        return {(one, who): np.flatnonzero((label == one) & (user == who)) for one, who in pairs}

    def batch(self, step: int) -> Batch:
        """The batch of a step."""
        rng = np.random.default_rng([self.seed, step])
        if self.balanced:
            half = self.size // 2
            numbers = np.concatenate([self._draw(rng, 1, half), self._draw(rng, 0, self.size - half)])
        elif self.by_user:
            share = float((self.windows.label == 1).mean())
            seizures = int(rng.binomial(self.size, share))
            numbers = np.concatenate([self._draw(rng, 1, seizures), self._draw(rng, 0, self.size - seizures)])
        else:
            numbers = rng.integers(0, len(self.windows), self.size)
        magnitude = self.windows.load(numbers)
        return Batch(with_noise(magnitude, self.noise, rng) if self.noise else magnitude, self.windows.label[numbers])

    def _draw(self, rng: np.random.Generator, label: int, count: int) -> Indices:
        if not self.by_user:
            chosen: Indices = rng.choice(np.flatnonzero(self.windows.label == label), count)
            return chosen
        users = [user for known, user in self._pools if known == label]
        drawn = rng.integers(0, len(users), count)
        return np.array([rng.choice(self._pools[label, users[one]]) for one in drawn], np.int64)


def with_noise(magnitude: Floats, deviation: float, rng: np.random.Generator) -> Floats:
    """The length of the acceleration after noise of one standard deviation (g) was added to each of its three axes.

    The noise is the same in all directions, so that it does not matter where the axes point: the length is enough.
    """
    noise = rng.normal(0, deviation, (3, *magnitude.shape)).astype(np.float32)
    noisy: Floats = np.sqrt((magnitude + noise[0]) ** 2 + noise[1] ** 2 + noise[2] ** 2)
    return noisy
