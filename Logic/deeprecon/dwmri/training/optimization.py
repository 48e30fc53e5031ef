"""Training of a supervised network on crops of pairs of scans."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from deeprecon.dwmri.networks.architectures import Progressive, build, low_band
from deeprecon.dwmri.parameters import TrainParameters
from deeprecon.dwmri.training.loss import EdgeAwareLoss
from deeprecon.dwmri.training.pairs import Pair, Split
from deeprecon.jobs.run import Run
from deeprecon.training.batches import Epoch, Indices
from deeprecon.training.devices import seed_generators
from deeprecon.training.fit import FitResult, FitSettings, fit
from deeprecon.training.schedules import ScheduleName

Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Inputs, codes, truths and mask of some crops."""

VALIDATION_CROPS = 8
"""Crops of the held-out pairs whose loss decides which weights are kept."""
EPOCHS = 10


def train_network(split: Split, settings: TrainParameters, run: Run) -> tuple[nn.Module, list[FitResult]]:
    """Train a network on crops of single volumes; returns it with the result of each stage.

    The weights kept are those with the lowest loss on the held-out pairs. In stages, the coarse part of a
    progressive network is trained alone first, on the blurred truth.
    """
    seed_generators(run.seed)
    network = build(settings.network.value, settings.width).to(run.device)
    if settings.compile:
        network.compile()
    stages = ("coarse", "all") if settings.in_stages else ("all",)
    return network, [_train_stage(network, split, settings, stage, run) for stage in stages]


def _train_stage(network: nn.Module, split: Split, settings: TrainParameters, stage: str, run: Run) -> FitResult:
    edge_aware, plain = (EdgeAwareLoss(weight).to(run.device) for weight in (settings.edge_weight, 0.0))
    progressive = isinstance(network, Progressive)

    def load(pairs: list[Pair], indices: Indices) -> Batch:
        crops = []
        for index in indices:
            rng = np.random.default_rng([run.seed, int(index)])
            crops.append(pairs[int(rng.integers(len(pairs)))].crop(rng))
        inputs, codes, truth, within = (torch.stack(part) for part in zip(*crops, strict=True))
        return inputs, codes, truth, within

    def loss(model: Any, batch: Batch) -> Tensor:
        inputs, codes, truth, within = batch
        found = model(inputs, codes)
        total: Tensor = edge_aware(found[:, :1], truth, within)
        if progressive:
            blurred: Tensor = plain(found[:, 1:], low_band(truth), within)
            total = blurred if stage == "coarse" else 0.5 * blurred + total
        return total

    steps = settings.steps // 2 if settings.in_stages else settings.steps
    epochs = min(EPOCHS, steps)
    batches = max(1, steps // epochs) * settings.accumulate

    def epoch_batches(epoch: int, rank: int = 0, processes: int = 1) -> Epoch:
        numbers = np.arange(batches * processes * settings.batch) + epoch * batches * processes * settings.batch
        return Epoch(list(numbers.reshape(batches * processes, -1))[rank::processes], partial(load, split.training))

    held_out = [load(split.held_out, np.array([number])) for number in range(VALIDATION_CROPS)]
    return fit(
        network,
        loss,
        epoch_batches,
        lambda model: float(np.mean([float(loss(model, batch)) for batch in held_out])),
        FitSettings(
            epochs=epochs,
            learning_rate=settings.learning_rate,
            schedule=ScheduleName.ONE_CYCLE,
            accumulate=settings.accumulate,
            clip_norm=1.0,
            patience=0,
        ),
        run,
        name=f"supervised-{stage}",
    )
