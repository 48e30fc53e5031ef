"""Training batches of labeled windows, with augmentation. numpy only: the same for every framework."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.seizure.configuration import SAMPLE_RATE
from deeprecon.seizure.observe.windows import LabeledWindows

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Batch:
    """(B, length) float32 windows in g, with noise, and (B,) int64 labels."""

    magnitude: Floats
    label: Indices


@dataclass(frozen=True, eq=False)
class BatchSampler:
    """Draws batches. Each is a function of seed and step only, so resuming needs no saved state.

    Attributes:
        windows: to draw from.
        size: windows in a batch.
        balanced: half of each batch are seizure windows; else classes are drawn in proportion to their windows.
        by_user: within a class each user is equally likely, else each window.
        noise: standard deviation on each axis in g.
        seed: of all draws.
    """

    windows: LabeledWindows
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
        """Windows of each pair of label and user."""
        label, user = self.windows.label, self.windows.user
        pairs = sorted(set(zip(label.tolist(), user.tolist(), strict=True)))
        return {(kind, who): np.flatnonzero((label == kind) & (user == who)) for kind, who in pairs}

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
        return Batch(add_noise(magnitude, self.noise, rng) if self.noise else magnitude, self.windows.label[numbers])

    def _draw(self, rng: np.random.Generator, label: int, count: int) -> Indices:
        if not self.by_user:
            chosen: Indices = rng.choice(np.flatnonzero(self.windows.label == label), count)
            return chosen
        users = [user for known, user in self._pools if known == label]
        drawn = rng.integers(0, len(users), count)
        return np.array([rng.choice(self._pools[label, users[one]]) for one in drawn], np.int64)


def add_noise(magnitude: Floats, deviation: float, rng: np.random.Generator) -> Floats:
    """Magnitude of the acceleration after Gaussian noise was added to each of its three axes.

    The noise is isotropic, so the direction of the axes does not matter and the magnitude is sufficient.

    Args:
        magnitude: (B, N) g.
        deviation: standard deviation on each axis, g.
        rng: of the noise.
    """
    noise = rng.normal(0, deviation, (3, *magnitude.shape)).astype(np.float32)
    noisy: Floats = np.sqrt((magnitude + noise[0]) ** 2 + noise[1] ** 2 + noise[2] ** 2)
    return noisy
