"""Training of an ensemble: each network through the shared loop, with other users to select its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from deeprecon.jobs.run import Run
from deeprecon.seizure.config import Config, ModelConfig
from deeprecon.seizure.networks.deepepi import DeepEpi, new_network
from deeprecon.seizure.observe.windows import Sampler
from deeprecon.seizure.read.dataset import Split
from deeprecon.seizure.read.recordings import Recording
from deeprecon.seizure.training.examples import TrainingData, selection
from deeprecon.training.batches import Epoch
from deeprecon.training.devices import seed_generators
from deeprecon.training.fit import FitResult, FitSettings, fit
from deeprecon.training.schedules import ScheduleName


@dataclass(frozen=True, eq=False)
class Trained:
    """An ensemble.

    Attributes:
        networks: with the weights that did best on their validation users, in evaluation mode.
        results: how each training went.
        finished: False if the run was asked to stop early; there may then be fewer networks.
    """

    networks: tuple[DeepEpi, ...]
    results: tuple[FitResult, ...]
    finished: bool


def train_ensemble(recordings: Sequence[Recording], split: Split, config: Config, run: Run, name: str = "") -> Trained:
    """Train one network after the other.

    An interrupted run goes on to the same numbers; the same seed and threads give the same bits on a CPU.

    Args:
        recordings: of all users.
        split: users of each network.
        config: checked.
        run: device, precision, seed, reporter and checkpoint folder.
        name: of the checkpoints, where a run trains several ensembles.

    Raises:
        InputError: there are no windows of one class, or a checkpoint is of another training.
    """
    networks, results = [], []
    for number, (training, validation) in enumerate(zip(split.training, split.validation, strict=True)):
        run.reporter.status(f"Training network {number + 1} of {len(split.training)}")
        data = TrainingData.make(recordings, training, validation, config, run.seed + number)
        network, result = fit_network(data, config.modelConfig, run, run.seed + number, f"{name}network-{number:02d}")
        networks.append(network)
        results.append(result)
        if result.interrupted:
            break
    return Trained(tuple(networks), tuple(results), not results[-1].interrupted)


def fit_network(data: TrainingData, model: ModelConfig, run: Run, seed: int, name: str) -> tuple[DeepEpi, FitResult]:
    """Train one network on its data."""
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
        return selection(torch.softmax(logits.double(), dim=1)[:, 1].numpy(), data.validation_label, model)

    settings = FitSettings(
        epochs=model.steps // every,
        learning_rate=model.lrPeak,
        weight_decay=model.weightDecay,
        schedule=ScheduleName.CONSTANT,
        patience=model.earlyStoppingPatience,
    )
    result = fit(
        network, loss, batches, validate, settings, run, name=name, curve=lambda step: model.rate(step) / model.lrPeak
    )
    return network, result


def _tensors(sampler: Sampler, step: int) -> tuple[Tensor, Tensor]:
    batch = sampler.batch(step)
    return torch.from_numpy(batch.magnitude), torch.from_numpy(batch.label)
