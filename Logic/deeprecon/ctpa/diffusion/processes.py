"""Diffusion processes, and the samplers that all of them share.

x_t = a(t) x_0 + s(t) noise, with t from 0 (data) to 1 (noise). The network predicts a mixture of both, the target:

    rectified flow (Liu 2022)               a = 1 - t            s = t              noise - x_0
    v-prediction (Salimans and Ho 2022)     a = cos(pi t / 2)    s = sin(pi t / 2)  a noise - s x_0
    epsilon (Ho 2020)                       a = cos(pi t / 2)    s = sin(pi t / 2)  noise

The first two end at pure noise (a = 0, s = 1), so few steps do not shift the mean HU. At pure noise the target of
`epsilon` holds nothing about the data, so its sampling starts a little before. Latents must have unit variance, and are
not clamped.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Protocol

import torch
from torch import Tensor

Predict = Callable[[Tensor, float], Tensor]
Correct = Callable[[Tensor, float], Tensor]


class Process(Protocol):
    """A path from data to noise, and the target that a network predicts along it."""

    @property
    def start(self) -> float:
        """The time at which sampling begins."""

    def scales(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """a and s."""

    def target(self, data: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """What the network predicts."""

    def data_and_noise(self, x: Tensor, predicted: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """The data and the noise in x_t, from the prediction."""


@dataclass(frozen=True)
class RectifiedFlow:
    """Straight lines from data to noise; the target is their direction."""

    start: ClassVar[float] = 1.0

    def scales(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return 1 - t, t

    def target(self, data: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        return noise - data

    def data_and_noise(self, x: Tensor, predicted: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        return x - t * predicted, x + (1 - t) * predicted


@dataclass(frozen=True)
class VPrediction:
    """A quarter circle from data to noise; the target is the direction along it."""

    start: ClassVar[float] = 1.0

    def scales(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.cos(0.5 * math.pi * t), torch.sin(0.5 * math.pi * t)

    def target(self, data: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        a, s = self.scales(t)
        return a * noise - s * data

    def data_and_noise(self, x: Tensor, predicted: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        a, s = self.scales(t)
        return a * x - s * predicted, s * x + a * predicted


@dataclass(frozen=True)
class Epsilon:
    """A quarter circle from data to noise; the target is the noise. For comparison with published models."""

    start: ClassVar[float] = 0.995

    def scales(self, t: Tensor) -> tuple[Tensor, Tensor]:
        return torch.cos(0.5 * math.pi * t), torch.sin(0.5 * math.pi * t)

    def target(self, data: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        return noise

    def data_and_noise(self, x: Tensor, predicted: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        a, s = self.scales(t)
        return (x - s * predicted) / a, predicted


PROCESSES: dict[str, Process] = {
    "rectified-flow": RectifiedFlow(),
    "v-prediction": VPrediction(),
    "epsilon": Epsilon(),
}
"""By `ProcessName`."""


@torch.no_grad()
def sample(
    process: Process,
    predict: Predict,
    noise: Tensor,
    steps: int,
    sampler: str = "ddim",
    correct: Correct | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Sample data from noise.

    Args:
        process: that the network was trained with.
        predict: (x_t, t) -> the network's prediction.
        noise: the start, of unit variance.
        steps: calls of `predict`.
        sampler: a name of `SamplerName`: "ddim" (Song 2020; for rectified flow the same as Euler's method),
            "dpm-solver++" (second order, multistep: Lu 2022), "ddpm" (fresh noise at each step: Ho 2020).
        correct: (data predicted at t, t) -> data, such as towards the X-ray.
        generator: of the noise of "ddpm", on the device of the noise.

    Returns:
        x_0.

    Raises:
        ValueError: no such sampler.
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"{sampler!r} is none of {', '.join(SAMPLERS)}")
    step = SAMPLERS[sampler](generator)
    times = torch.linspace(process.start, 0, steps + 1, dtype=torch.float64)
    scales = [tuple(float(scale) for scale in process.scales(t)) for t in times]
    x = noise
    for now, (before, after) in zip(times.tolist(), pairwise(scales), strict=False):
        data, rest = process.data_and_noise(x, predict(x, now), torch.tensor(now, device=x.device, dtype=x.dtype))
        if correct is not None:
            data = correct(data, now)
        x = step(x, data, rest, (before[0], before[1]), (after[0], after[1]))
    return x


Scales = tuple[float, float]


class _Ddim:
    def __init__(self, generator: torch.Generator | None) -> None:
        pass

    def __call__(self, x: Tensor, data: Tensor, rest: Tensor, before: Scales, after: Scales) -> Tensor:
        return after[0] * data + after[1] * rest


class _Ddpm:
    """Part of the noise is replaced by fresh noise, as much as the process itself would add."""

    def __init__(self, generator: torch.Generator | None) -> None:
        self._generator = generator

    def __call__(self, x: Tensor, data: Tensor, rest: Tensor, before: Scales, after: Scales) -> Tensor:
        (a, s), (next_a, next_s) = before, after
        fresh = next_s * math.sqrt(max(0.0, 1 - (a * next_s / (next_a * s)) ** 2))
        new = torch.randn(x.shape, generator=self._generator, device=x.device, dtype=x.dtype)
        return next_a * data + math.sqrt(max(0.0, next_s**2 - fresh**2)) * rest + fresh * new


class _DpmSolver:
    """Linear extrapolation, in log(a / s), of the data predicted at this step and the last one."""

    def __init__(self, generator: torch.Generator | None) -> None:
        self._last: tuple[Tensor, float] | None = None

    def __call__(self, x: Tensor, data: Tensor, rest: Tensor, before: Scales, after: Scales) -> Tensor:
        (a, s), (next_a, next_s) = before, after
        shrink = a * next_s / (next_a * s)  # exp(-h), h the step in log(a / s)
        h = -math.log(shrink) if shrink > 0 else math.inf
        extrapolated = data
        if self._last is not None and math.isfinite(h) and math.isfinite(self._last[1]):
            extrapolated = data + 0.5 * h / self._last[1] * (data - self._last[0])
        self._last = data, h
        return next_s / s * x + next_a * (1 - shrink) * extrapolated


SAMPLERS: dict[str, Callable[[torch.Generator | None], Callable[..., Tensor]]] = {
    "ddim": _Ddim,
    "dpm-solver++": _DpmSolver,
    "ddpm": _Ddpm,
}
"""By `SamplerName`."""
