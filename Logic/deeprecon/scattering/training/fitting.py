"""Training a network from far field to contrast, by the shared training loop.

Two stages, as the original trained: first both heads, the image before and after the refinement, then the refined one
alone. Objects are turned at random, which is exact: data and image shift together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deeprecon.data.errors import InputError
from deeprecon.jobs.run import Run
from deeprecon.scattering.networks.loss import relative_error
from deeprecon.scattering.read.measurements import Measurements, channels
from deeprecon.training.batches import Batches, Indices
from deeprecon.training.fabric import make_fabric
from deeprecon.training.fit import FitResult, FitSettings, fit
from deeprecon.training.schedules import ScheduleName

IMAGE_WEIGHT = 0.5
"""Of the loss of the image before the refinement, in the first stage."""
SECOND_RATE = 0.3
"""Peak learning rate of the second stage over that of the first."""
_FLOOR = 0.05
_BATCH = 64

Read = Callable[[Measurements], npt.NDArray[np.float32]]
"""Measurements to what a network reads, (S, channels, angles)."""


@dataclass(frozen=True)
class Scales:
    """Data and contrast that count as 1 in the network. Nothing is shifted: an empty region stays 0.

    Attributes:
        data: root mean square of the training data.
        contrast: largest size of the training contrast.
    """

    data: float
    contrast: float


@dataclass(frozen=True)
class Settings:
    """How a network is trained; see `TrainParameters`."""

    epochs: int
    second_stage: float = 0.2
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    noise: float = 0.0
    relative_noise: float = 0.0
    patience: int = 0

    @property
    def stages(self) -> tuple[int, int]:
        """Epochs of each stage, at least one of the first."""
        second = min(round(self.second_stage * self.epochs), self.epochs - 1)
        return self.epochs - second, second


@dataclass(frozen=True, eq=False)
class Trained:
    """How a training went; the network has the weights that did best on the validation data.

    Attributes:
        history: stage, epoch, training_loss, validation (mean relative error), learning_rate.
        validation: the best mean relative error.
        best_epoch: its epoch, counted from 0 over both stages.
        finished: False if the run was asked to stop.
    """

    history: tuple[dict[str, float], ...]
    validation: float
    best_epoch: int
    finished: bool


class Samples:
    """Objects on the device, as batches for a network.

    Args:
        measured: objects with known truth.
        rings: of the true images.
        read: what the network reads.
        scales: found in these objects if None.
        device: of torch.
    """

    def __init__(
        self, measured: Measurements, rings: int, read: Read, scales: Scales | None = None, device: str = "cpu"
    ) -> None:
        values, truth = read(measured), measured.truth(rings)
        if scales is None:
            scales = Scales(float(np.sqrt((values**2).mean())), float(np.abs(truth).max()))
            if not scales.data or not scales.contrast:
                raise InputError(f"{measured.name}: all objects are empty.", "Give data of objects that scatter.")
        self.measured, self.read, self.scales = measured, read, scales
        self.inputs = torch.from_numpy(values / np.float32(scales.data)).to(device)
        self.truth = torch.from_numpy(truth / np.float32(scales.contrast)).to(device)

    def __len__(self) -> int:
        return len(self.inputs)

    def batch(self, chosen: Indices, settings: Settings) -> tuple[Tensor, Tensor]:
        """Inputs (B, channels, angles) with fresh noise and truth (B, angles, rings), all turned by one angle."""
        index = torch.from_numpy(chosen).to(self.inputs.device)
        inputs, truth = self.inputs[index], self.truth[index]
        if settings.noise or settings.relative_noise:
            seed = int(torch.randint(2**31, ()))
            noisy = self.measured.part(chosen).with_noise(settings.noise, settings.relative_noise, seed)
            inputs = torch.from_numpy(self.read(noisy) / np.float32(self.scales.data)).to(inputs.device)
        turn = int(torch.randint(truth.shape[1], ()))
        return torch.roll(inputs, turn, 2), torch.roll(truth, turn, 1)


def read_channels(measured: Measurements) -> npt.NDArray[np.float32]:
    """What `BcrNet` reads: real and imaginary parts of the offsets, along the midpoint."""
    return channels(measured.midpoint())


def train(network: nn.Module, training: Samples, validation: Samples, settings: Settings, run: Run) -> Trained:
    """Train in two stages; an interrupted run goes on to the same numbers.

    Args:
        network: inputs to a tuple of images; the first is the result, all are trained in the first stage.
        training, validation: with the same scales. Noise is added to both where the settings say so, to the
            validation data once.
        settings: see there.
        run: device, precision, seed, reporter and checkpoint folder.

    Raises:
        InputError: as `fit`.
    """
    fabric = make_fabric(run.device, run.precision)
    floor = _FLOOR * float(training.truth.square().mean(dim=(1, 2)).mean().sqrt())
    batches = Batches(len(training), settings.batch, lambda chosen: training.batch(chosen, settings), run.seed)
    seen = _noisy(validation, settings, run.seed)

    def loss(model: nn.Module, batch: tuple[Tensor, Tensor], image_weight: float) -> Tensor:
        images = model(batch[0])
        total = relative_error(images[0], batch[1], floor).mean()
        if image_weight:
            for image in images[1:]:
                total = total + image_weight * relative_error(image, batch[1], floor).mean()
        return total

    def validate(model: nn.Module) -> float:
        parts = zip(torch.split(seen, _BATCH), torch.split(validation.truth, _BATCH), strict=True)
        return float(torch.cat([relative_error(model(inputs)[0], truth, floor) for inputs, truth in parts]).mean())

    first, second = settings.stages
    done: list[FitResult] = []
    for stage, (epochs, weight, rate) in enumerate(((first, IMAGE_WEIGHT, 1.0), (second, 0.0, SECOND_RATE))):
        if not epochs or (done and done[-1].interrupted):
            continue
        run.reporter.status(f"Training {('both images', 'the refined image')[stage]}")
        result = fit(
            network,
            lambda model, batch, weight=weight: loss(model, batch, weight),  # type: ignore[misc]
            batches,
            validate,
            FitSettings(
                epochs=epochs,
                learning_rate=rate * settings.learning_rate,
                weight_decay=settings.weight_decay,
                clip_norm=settings.clip_norm,
                schedule=ScheduleName.COSINE,
                warmup=0.05,
                patience=settings.patience,
            ),
            run,
            fabric,
            f"stage{stage + 1}",
        )
        done.append(result)
    history = tuple(
        {
            "stage": index + 1,
            "epoch": entry["epoch"] + (done[0].epochs if index else 0),
            "training_loss": entry["loss"],
            "validation": entry["validation"],
            "learning_rate": entry["learning_rate"],
        }
        for index, part in enumerate(done)
        for entry in part.history
    )
    return Trained(
        history,
        done[-1].best,
        done[-1].best_epoch + (done[0].epochs if len(done) > 1 else 0),
        not done[-1].interrupted,
    )


def split(count: int, train_share: float, seed: int) -> tuple[Indices, Indices, Indices]:
    """Numbers of the objects to train on, to choose the weights by, and to test once, each in order.

    What is not trained on is halved: the test objects serve for nothing but the last figure.

    Raises:
        InputError: too few objects for all three.
    """
    order = np.random.default_rng(seed).permutation(count)
    first = round(train_share * count)
    second = first + (count - first + 1) // 2
    parts = order[:first], order[first:second], order[second:]
    if not all(len(part) for part in parts):
        raise InputError(
            f"{count} objects are too few to train, validate and test with a training share of {train_share:g}.",
            "Give more objects (scattering phantom --count 2000).",
        )
    return np.sort(parts[0]), np.sort(parts[1]), np.sort(parts[2])


def _noisy(samples: Samples, settings: Settings, seed: int) -> Tensor:
    if not settings.noise and not settings.relative_noise:
        return samples.inputs
    noisy = samples.measured.with_noise(settings.noise, settings.relative_noise, seed)
    values = samples.read(noisy) / np.float32(samples.scales.data)
    return torch.from_numpy(values).to(samples.inputs.device)
