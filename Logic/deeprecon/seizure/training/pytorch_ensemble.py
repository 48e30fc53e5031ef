"""Training of an ensemble with PyTorch, each network by the shared training loop."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from deeprecon.jobs.run import PartReporter, Run
from deeprecon.seizure.configuration import Config, ModelConfig
from deeprecon.seizure.networks.deepepi import DeepEpi, new_network
from deeprecon.seizure.read.recording import Recording
from deeprecon.seizure.training.batches import BatchSampler
from deeprecon.seizure.training.split import UserSplit
from deeprecon.seizure.training.training_set import TrainingSet, selection_figure
from deeprecon.training.batches import Epoch
from deeprecon.training.devices import seed_generators, to_float64
from deeprecon.training.fit import FitResult, FitSettings, fit
from deeprecon.training.schedules import ScheduleName


def train_pytorch_ensemble(
    recordings: Sequence[Recording], split: UserSplit, config: Config, run: Run, name: str = ""
) -> tuple[list[DeepEpi], list[FitResult]]:
    """Train one network after the other.

    A resumed run gives the same weights as an uninterrupted one; the same seed and threads give the same bits on a CPU.

    Args:
        recordings, split, config, run, name: see `ensemble.train_ensemble`.

    Returns:
        The networks with the selected weights, in evaluation mode, and the result of each fit.
        Where the run was asked to stop, the last fit is interrupted and later networks are missing.

    Raises:
        InputError: there are no windows of one class, or a checkpoint belongs to another training.
    """
    networks, results = [], []
    count, begun = len(split.training), time.monotonic()
    for number, (training, validation) in enumerate(zip(split.training, split.validation, strict=True)):
        run.reporter.status(f"Training network {number + 1} of {count}")
        data = TrainingSet.make(recordings, training, validation, config, run.seed + number)
        own = replace(run, reporter=PartReporter(run.reporter, number / count, (number + 1) / count, begun))
        network, result = train_network(data, config.modelConfig, own, run.seed + number, f"{name}network-{number:02d}")
        networks.append(network)
        results.append(result)
        if result.interrupted:
            break
    return networks, results


def train_network(data: TrainingSet, model: ModelConfig, run: Run, seed: int, name: str) -> tuple[DeepEpi, FitResult]:
    """Train one network.

    Args:
        data: of the network.
        model: network, steps, rates and selection.
        run: see `ensemble.train_ensemble`.
        seed: of weights, dropout and batches.
        name: of the checkpoint.
    """
    seed_generators(seed)
    network = new_network(seed, model.strides, model.convDropout, model.denseDropout)
    every = model.evalEverySteps
    held_out = torch.from_numpy(data.validation)

    def batches(epoch: int, rank: int, processes: int) -> Epoch:
        steps = np.arange(epoch * every, (epoch + 1) * every) * processes + rank
        return Epoch([np.array([step]) for step in steps], lambda numbers: _tensors(data.sampler, int(numbers[0])))

    def loss(wrapped: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return nn.functional.cross_entropy(wrapped(batch[0]), batch[1])

    def validate(wrapped: nn.Module) -> float:
        device = next(wrapped.parameters()).device
        logits = torch.cat([wrapped(part.to(device)).cpu() for part in torch.split(held_out, 256)])
        return selection_figure(torch.softmax(to_float64(logits), dim=1)[:, 1].numpy(), data.validation_label, model)

    settings = FitSettings(
        epochs=model.steps // every,
        learning_rate=model.lrPeak,
        weight_decay=model.weightDecay,
        schedule=ScheduleName.CONSTANT,
        patience=model.earlyStoppingPatience,
    )
    result = fit(
        network,
        loss,
        batches,
        validate,
        settings,
        run,
        name=name,
        curve=lambda step: model.learning_rate(step) / model.lrPeak,
    )
    return network, result


def _tensors(sampler: BatchSampler, step: int) -> tuple[Tensor, Tensor]:
    batch = sampler.batch(step)
    return torch.from_numpy(batch.magnitude), torch.from_numpy(batch.label)
