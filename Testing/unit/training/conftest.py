"""A tiny regression problem and a run that writes down what it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deeprecon.jobs.run import Run
from deeprecon.training.batches import Batches


class Recorder:
    """A reporter that keeps everything."""

    def __init__(self) -> None:
        self.statuses: list[str] = []
        self.fractions: list[float] = []
        self.seconds_left: list[float | None] = []
        self.metrics: list[dict[str, float]] = []
        self.warnings: list[str] = []

    def status(self, text: str) -> None:
        self.statuses.append(text)

    def progress(self, fraction: float, seconds_left: float | None = None) -> None:
        self.fractions.append(fraction)
        self.seconds_left.append(seconds_left)

    def metric(self, step: int, **values: float) -> None:
        self.metrics.append({"step": step, **values})

    def warning(self, message: str) -> None:
        self.warnings.append(message)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Run]:
    """Makes a run in a folder of its name."""

    def make(name: str = "job", precision: str = "fp32") -> Run:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        return Run(folder, folder, "cpu", 1, precision, 0, Recorder())

    return make


@pytest.fixture
def problem() -> SimpleNamespace:
    """y = sin(3 x) from 64 points; a network with dropout, so that random numbers matter."""
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(64, 2, generator=generator) * 2 - 1
    y = torch.sin(3 * x.sum(1, keepdim=True))
    held_x = torch.rand(32, 2, generator=generator) * 2 - 1
    held_y = torch.sin(3 * held_x.sum(1, keepdim=True))

    def model(dropout: float = 0.1) -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Dropout(dropout), nn.Linear(16, 1))

    def loss(network: Any, batch: tuple[Tensor, Tensor]) -> Tensor:
        return nn.functional.mse_loss(network(batch[0]), batch[1])

    def validate(network: Any) -> float:
        return nn.functional.mse_loss(network(held_x), held_y).item()

    def batches(size: int = 16) -> Batches:
        return Batches(64, size, lambda indices: (x[indices], y[indices]), seed=3)

    return SimpleNamespace(model=model, loss=loss, validate=validate, batches=batches)
