"""Two-stage training of a network from far field to contrast, by the shared training loop.

The first stage trains the images before and after the refinement, the second the refined image alone, as the original
program did. Each batch is rotated at random, which shifts data and image by the same angle without interpolation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from deeprecon.jobs.run import Run
from deeprecon.scattering.networks.loss import relative_error
from deeprecon.scattering.parameters import TrainParameters
from deeprecon.scattering.training.dataset import ObjectDataset
from deeprecon.training.batches import Batches
from deeprecon.training.fabric import make_fabric
from deeprecon.training.fit import FitResult, FitSettings, fit
from deeprecon.training.schedules import ScheduleName

UNREFINED_WEIGHT = 0.5
"""Weight of the loss of the image before the refinement, in the first stage."""
SECOND_STAGE_RATE = 0.3
"""Largest learning rate of the second stage over that of the first."""
_ERROR_FLOOR = 0.05
_BATCH = 64

Images = tuple[Tensor, ...]


@dataclass(frozen=True, eq=False)
class TrainingHistory:
    """Course of a training; the network has the weights of the best epoch on the validation data.

    Attributes:
        epochs: stage, epoch, training_loss, validation (mean relative error), learning_rate of each.
        validation: the lowest mean relative error.
        best_epoch: its epoch, counted from 0 over both stages.
    """

    epochs: tuple[dict[str, float], ...]
    validation: float
    best_epoch: int


def train_two_stages(
    network: nn.Module, training: ObjectDataset, validation: ObjectDataset, parameters: TrainParameters, run: Run
) -> TrainingHistory:
    """Train in two stages; an interrupted run continues to the same weights.

    Args:
        network: inputs to a tuple of images; the first is the result, all are trained in the first stage.
        training, validation: with the same normalization. Noise is added to both where the parameters say so: new in
            each training batch, once to the validation data.
        parameters: of the training; those of the network are not used.
        run: device, precision, seed, reporter and checkpoint folder.

    Raises:
        InputError: as `fit`.
    """
    fabric = make_fabric(run.device, run.precision)
    floor = _ERROR_FLOOR * float(training.truth.square().mean(dim=(1, 2)).mean().sqrt())
    batches = Batches(len(training), parameters.batch, lambda chosen: training.batch(chosen, parameters), run.seed)
    validate = _validation(validation, validation.noisy_inputs(parameters, run.seed), floor)
    stages: list[FitResult] = []
    for stage, epochs in enumerate(_stage_epochs(parameters)):
        if not epochs or (stages and stages[-1].interrupted):
            continue
        run.reporter.status(f"Training {('both images', 'the refined image')[stage]}")
        stages.append(
            fit(
                network,
                _loss(floor, (UNREFINED_WEIGHT, 0.0)[stage]),
                batches,
                validate,
                FitSettings(
                    epochs=epochs,
                    learning_rate=(1.0, SECOND_STAGE_RATE)[stage] * parameters.learning_rate,
                    weight_decay=parameters.weight_decay,
                    clip_norm=parameters.clip_norm,
                    schedule=ScheduleName.COSINE,
                    warmup=0.05,
                    patience=parameters.patience,
                ),
                run,
                fabric,
                f"stage{stage + 1}",
            )
        )
    return _history(stages)


def _stage_epochs(parameters: TrainParameters) -> tuple[int, int]:
    """Epochs of each stage, at least one of the first."""
    second = min(round(parameters.second_stage * parameters.epochs), parameters.epochs - 1)
    return parameters.epochs - second, second


def _loss(floor: float, unrefined_weight: float) -> Callable[[nn.Module, tuple[Tensor, Tensor]], Tensor]:
    def loss(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        images: Images = model(batch[0])
        total = relative_error(images[0], batch[1], floor).mean()
        if unrefined_weight:
            for image in images[1:]:
                total = total + unrefined_weight * relative_error(image, batch[1], floor).mean()
        return total

    return loss


def _validation(validation: ObjectDataset, inputs: Tensor, floor: float) -> Callable[[nn.Module], float]:
    def validate(model: nn.Module) -> float:
        parts = zip(torch.split(inputs, _BATCH), torch.split(validation.truth, _BATCH), strict=True)
        return float(torch.cat([relative_error(model(part)[0], truth, floor) for part, truth in parts]).mean())

    return validate


def _history(stages: list[FitResult]) -> TrainingHistory:
    epochs = tuple(
        {
            "stage": index + 1,
            "epoch": entry["epoch"] + (stages[0].epochs if index else 0),
            "training_loss": entry["loss"],
            "validation": entry["validation"],
            "learning_rate": entry["learning_rate"],
        }
        for index, stage in enumerate(stages)
        for entry in stage.history
    )
    last = stages[-1]
    return TrainingHistory(epochs, last.best, last.best_epoch + (stages[0].epochs if len(stages) > 1 else 0))
