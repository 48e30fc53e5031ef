"""The one training loop: `fit`.

    result = fit(model, loss, Batches(count, size, load), validate, FitSettings(epochs=100), run)

It continues from its checkpoint, then trains, validates, reports and saves epoch by epoch; at the end the model has its
best weights. `fit` documents what `train_batches`, `loss` and `validate` must be.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn

from deeprecon.data.errors import InputError
from deeprecon.jobs.parameters import Parameters, Range, to_json
from deeprecon.jobs.run import Run
from deeprecon.training.batches import Epoch
from deeprecon.training.best_files import BestFiles
from deeprecon.training.checkpoint import load_checkpoint, random_state, save_checkpoint, set_random_state
from deeprecon.training.devices import seed_generators
from deeprecon.training.ema import Ema
from deeprecon.training.fabric import Fabric, grad_scaler, make_fabric
from deeprecon.training.schedules import Schedule, ScheduleName
from deeprecon.training.stopping import EarlyStopping


class OptimizerName(Enum):
    """How gradients become steps."""

    ADAMW = "adamw"
    SGD = "sgd"


@dataclass(frozen=True)
class FitSettings(Parameters):
    """Settings of `fit`."""

    epochs: Annotated[int, Range(1, 1_000_000), "times that the training data is gone through"] = 100
    optimizer: Annotated[OptimizerName, "how gradients become steps"] = OptimizerName.ADAMW
    learning_rate: Annotated[float, Range(1e-8, 10), "step size at its peak"] = 1e-3
    weight_decay: Annotated[float, Range(0, 1), "pull of the weights towards zero"] = 0.0
    schedule: Annotated[ScheduleName, "how the learning rate changes"] = ScheduleName.COSINE
    warmup: Annotated[float, Range(0, 0.5), "share of the training over which the learning rate climbs"] = 0.0
    plateau_patience: Annotated[int, Range(0, 10_000, "epochs"), "how long the plateau schedule waits"] = 10
    plateau_factor: Annotated[float, Range(0.01, 0.99), "by which the plateau schedule lowers the rate"] = 0.5
    accumulate: Annotated[int, Range(1, 10_000), "batches whose gradients make one step"] = 1
    clip_norm: Annotated[float, Range(0, 1e6), "largest norm of the gradient; 0 for any"] = 0.0
    ema: Annotated[float, Range(0, 0.99999), "decay of the averaged weights; 0 for none"] = 0.0
    patience: Annotated[int, Range(0, 1_000_000, "epochs"), "without progress before an early stop; 0 for none"] = 20
    checkpoint_every: Annotated[int, Range(1, 1_000_000, "epochs"), "how often what resuming needs is saved"] = 1
    keep: Annotated[int, Range(0, 1000), "best epochs whose weights are kept as files beside the checkpoint"] = 0

    def validate(self) -> list[str]:
        reasons = super().validate()
        if self.warmup and self.schedule is ScheduleName.ONE_CYCLE:
            reasons.append("warmup must be 0 with the one-cycle schedule, which has its own")
        return reasons


@dataclass(frozen=True)
class FitResult:
    """How a training went.

    Attributes:
        best: the lowest held-out figure; the model has the weights that gave it.
        best_epoch: its epoch, counted from 0.
        epochs: whole epochs done, those before a resume included.
        stopped_early: patience was at its end.
        interrupted: the run was asked to stop.
        history: one dict an epoch: epoch, loss, validation, learning_rate, and what `figures` gave.
    """

    best: float
    best_epoch: int
    epochs: int
    stopped_early: bool
    interrupted: bool
    history: list[dict[str, float]]


def fit(
    model: nn.Module,
    loss: Callable[[Any, Any], Tensor],
    train_batches: Callable[[int, int, int], Epoch],
    validate: Callable[[Any], float],
    settings: FitSettings,
    run: Run,
    fabric: Fabric | None = None,
    name: str = "fit",
    curve: Callable[[int], float] | None = None,
    adversary: nn.Module | None = None,
    figures: Callable[[], Mapping[str, float]] | None = None,
) -> FitResult:
    """Train a model and leave it with its best weights, in evaluation mode, on the device.

    A training continues from its checkpoint in `run.checkpoint`, to the same numbers as without the interruption. Under
    torchrun every process calls this alike; then only rank 0's random numbers continue after an interruption within an
    epoch.

    Args:
        model: the network; its parameters are changed in place.
        loss: (model, batch) -> mean loss of the batch, a scalar tensor. It must call the model that it is given.
        train_batches: (epoch, rank, processes) -> the batches of this process, with a length; the same for the same
            arguments, and equally many in each process. See `deeprecon.training.batches.Batches`.
        validate: model -> a figure on the held-out part, lower is better; called without gradients, in evaluation mode,
            in every process; the mean over the processes counts.
        settings: see `FitSettings`.
        run: device, precision, seed, checkpoint folder and reporter.
        fabric: made from `run` if left out.
        name: of the checkpoint, where a run makes several fits.
        curve: optimizer step -> share of `settings.learning_rate`, for a schedule that is none of `ScheduleName`.
        adversary: a part of the model that is trained against the rest, such as discriminators: the norm of its
            gradient is clipped separately.
        figures: further figures of an epoch by name, for its report and history; called in evaluation mode.

    Raises:
        InputError: unusable settings, a checkpoint of another training, or a loss that is not finite from the start.
    """
    reasons = settings.validate()
    if reasons:
        raise InputError(f"These training settings cannot be used: {'; '.join(reasons)}.")
    fabric = make_fabric(run.device, run.precision) if fabric is None else fabric
    training = _Training(model, loss, train_batches, validate, settings, run, fabric, name, curve, adversary, figures)
    training.resume()
    while not training.ended:
        training.epoch()
    return training.result()


class _Training:
    """The state of a `fit`: model, optimizer, schedule, and the place within the epochs."""

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[[Any, Any], Tensor],
        train_batches: Callable[[int, int, int], Epoch],
        validate: Callable[[Any], float],
        settings: FitSettings,
        run: Run,
        fabric: Fabric,
        name: str,
        curve: Callable[[int], float] | None,
        adversary: nn.Module | None,
        figures: Callable[[], Mapping[str, float]] | None,
    ) -> None:
        self.model, self.loss, self.train_batches, self.validate = model, loss, train_batches, validate
        self.settings, self.run, self.fabric, self.figures = settings, run, fabric, figures
        self.rank, self.processes, self.reports = fabric.global_rank, fabric.world_size, fabric.is_global_zero
        model.to(fabric.device)
        self.optimizer = _optimizer(model, adversary, settings)
        self.count = len(train_batches(0, self.rank, self.processes))
        if self.count == 0:
            raise InputError("There are no training batches.", "Give more training data, or a smaller batch size.")
        self.steps_per_epoch = math.ceil(self.count / settings.accumulate)
        patience, factor = settings.plateau_patience, settings.plateau_factor
        steps = settings.epochs * self.steps_per_epoch
        self.schedule = Schedule(self.optimizer, settings.schedule, steps, settings.warmup, patience, factor, curve)
        self.stopping = EarlyStopping(settings.patience)
        self.ema = Ema(model, settings.ema) if settings.ema else None
        self.scaler = grad_scaler(fabric)
        self.files = BestFiles(run.checkpoint, name, settings.keep) if settings.keep and self.reports else None

        # A checkpoint holds what has a state, and the place: epoch, number of its batches that are done, their loss.
        self.path = run.checkpoint / f"{name}.safetensors"
        self.parts: dict[str, Any] = {
            "model": model, "optimizer": self.optimizer, "schedule": self.schedule, "stopping": self.stopping,
        }  # fmt: skip
        optional = {"ema": self.ema, "scaler": self.scaler}
        self.parts |= {part: value for part, value in optional.items() if value is not None}
        self.done_epochs, self.done_batches, self.summed_loss = 0, 0, 0.0
        self.history: list[dict[str, float]] = []
        self.random: dict[str, Any] | None = None
        self.interrupted, self.diverged = False, False

    def resume(self) -> None:
        """Continue from the checkpoint, if there is one, and prepare for computing."""
        if self.path.exists():
            state = _load(self.path, self.parts, self.settings, self.count)
            self.done_epochs, self.done_batches, self.summed_loss = state["epoch"], state["done"], state["total"]
            self.history, self.random = state["history"], state["random"]
            if self.reports:
                self.run.reporter.status(f"Continuing after {self.done_epochs} of {self.settings.epochs} epochs")
        self.wrapped, self.stepper = self.fabric.setup(self.model, self.optimizer)
        self.begun, self.share_before = time.monotonic(), self._share(self.done_batches)

    @property
    def ended(self) -> bool:
        """Whether no further epoch follows."""
        at_end = self.done_epochs >= self.settings.epochs or self.stopping.exhausted
        return at_end or self.interrupted or self.diverged

    def epoch(self) -> None:
        """Train for an epoch, or what is left of it; validate, report and save."""
        self.wrapped.train()
        batches = self._batches()
        summed = torch.tensor(self.summed_loss, device=self.fabric.device)
        for index in range(self.done_batches, self.count):
            summed += self._backward(index, next(batches))
            if (index + 1) % self.settings.accumulate and index + 1 < self.count:
                continue
            self._step(index)
            if self.interrupted and index + 1 < self.count:
                self.done_batches, self.summed_loss = index + 1, float(summed)
                self._save()
                if not self.stopping.weights:  # something has to be the best so far, but only for this result
                    self._validate()
                return
        mean_loss = float(self.fabric.all_reduce(summed / self.count))
        if math.isfinite(mean_loss):
            self._end_epoch(mean_loss)
        else:
            _diverged(self.done_epochs, self.stopping, self.run, self.reports)
            self.diverged = True

    def result(self) -> FitResult:
        """Give the model its best weights."""
        self.fabric.barrier()
        if not self.stopping.weights:
            hint = "Look at the data, or lower learning_rate."
            raise InputError("The held-out figure was never a finite number.", hint)
        self.stopping.restore(self.model)
        self.model.eval()
        if self.reports and not self.interrupted:
            self.run.reporter.progress(1.0, 0.0)
        early = self.stopping.exhausted and self.done_epochs < self.settings.epochs
        best, best_epoch = self.stopping.best, self.stopping.best_epoch
        return FitResult(best, best_epoch, self.done_epochs, early, self.interrupted, self.history)

    def _batches(self) -> Iterator[Any]:
        """Those of the epoch that are left, with the random numbers that belong to them."""
        if self.rank:  # rank 0 continues with the generators as they are, and they are in the checkpoint
            entropy = [self.run.seed, self.done_epochs, self.done_batches, self.rank]
            seed_generators(int(np.random.SeedSequence(entropy).generate_state(1)[0]))
        batches = iter(self.train_batches(self.done_epochs, self.rank, self.processes))
        for _ in range(self.done_batches):
            next(batches)
        if self.random is not None and not self.rank:
            set_random_state(self.random)
            self.random = None
        return batches

    def _backward(self, index: int, batch: Any) -> Tensor:
        """Gradients of a batch, added to those of its group; the batch's loss."""
        accumulate = self.settings.accumulate
        first_of_group = index // accumulate * accumulate
        group = min(accumulate, self.count - first_of_group)
        last_of_group = index + 1 == first_of_group + group
        with self.fabric.no_backward_sync(self.wrapped, enabled=not last_of_group):
            value = self.loss(self.wrapped, self.fabric.to_device(batch))
            self.fabric.backward(value / group)
        return value.detach()

    def _step(self, index: int) -> None:
        """One optimizer step, after the batch with this number in the epoch."""
        if self.settings.clip_norm:
            if self.scaler is not None:
                self.scaler.unscale_(self.optimizer)
            for group in self.optimizer.param_groups:
                nn.utils.clip_grad_norm_(group["params"], self.settings.clip_norm)
        self.stepper.step()
        self.optimizer.zero_grad()
        self.schedule.after_step()
        if self.ema is not None:
            self.ema.update()
        if self.reports:
            share = self._share(index + 1)
            pace = (time.monotonic() - self.begun) / (share - self.share_before)
            self.run.reporter.progress(share, pace * (1 - share))
        self.interrupted = bool(self.fabric.broadcast(self.run.should_stop()))

    def _share(self, batches: int) -> float:
        """Of the training that is done after some batches of the epoch."""
        return (self.done_epochs + batches / self.count) / self.settings.epochs

    def _validate(self) -> float:
        """The held-out figure of the weights, or of their average; keeps the best."""
        self.wrapped.eval()
        with torch.no_grad(), nullcontext() if self.ema is None else self.ema.applied():
            figure = float(self.validate(self.wrapped))
            if self.processes > 1:
                figure = float(self.fabric.all_reduce(torch.tensor(figure, device=self.fabric.device)))
            self.stopping.update(self.done_epochs, figure, self.model)
            if self.files is not None:
                self.files.update(self.done_epochs, figure, self.model)
        return figure

    def _end_epoch(self, mean_loss: float) -> None:
        rate = self.schedule.learning_rate
        figure = self._validate()
        self.schedule.after_epoch(figure)
        found = {"loss": mean_loss, "validation": figure, "learning_rate": rate}
        found |= {} if self.figures is None else self.figures()
        self.history.append({"epoch": self.done_epochs, **found})
        if self.reports:
            self.run.reporter.metric(self.steps_per_epoch * (self.done_epochs + 1), **found)
        self.done_epochs, self.done_batches, self.summed_loss = self.done_epochs + 1, 0, 0.0
        if self.ended or self.done_epochs % self.settings.checkpoint_every == 0:
            self._save()

    def _save(self) -> None:
        if self.reports:
            place = {"epoch": self.done_epochs, "done": self.done_batches, "total": self.summed_loss}
            state = {name: part.state_dict() for name, part in self.parts.items()}
            further = {"history": self.history, "random": random_state(), "settings": to_json(self.settings)}
            save_checkpoint(self.path, {**place, **state, **further, "batches": self.count})


def _optimizer(model: nn.Module, adversary: nn.Module | None, settings: FitSettings) -> torch.optim.Optimizer:
    """With one group of parameters, and a second one of the adversary."""
    others = set() if adversary is None else set(adversary.parameters())
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [{"params": [parameter for parameter in learning if parameter not in others]}]
    if others:
        groups.append({"params": [parameter for parameter in learning if parameter in others]})
    if settings.optimizer is OptimizerName.SGD:
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=0.9, weight_decay=settings.weight_decay)
    return torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)


def _load(path: Path, parts: dict[str, Any], settings: FitSettings, count: int) -> dict[str, Any]:
    """Put every part where the checkpoint left it; the checkpoint's state is returned."""
    hint = "Give the settings and data of that training, or delete the checkpoint to start again."
    state = load_checkpoint(path)
    now = to_json(settings)
    then = state.get("settings", {})
    changed = sorted(name for name in now if name != "epochs" and now[name] != then.get(name))
    if changed:
        raise InputError(f"{path} was made with other settings: {', '.join(changed)}.", hint)
    if state.get("batches") != count:
        raise InputError(f"{path} was made with {state.get('batches')} batches an epoch, now there are {count}.", hint)
    try:
        for name, part in parts.items():
            part.load_state_dict(state[name])
    except (KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"{path} belongs to another network or precision: {error}.", hint) from error
    return state


def _diverged(epoch: int, stopping: EarlyStopping, run: Run, report: bool) -> None:
    hint = "Lower learning_rate."
    message = f"The training loss is no finite number any more in epoch {epoch}."
    if not stopping.weights:
        raise InputError(message, hint)
    if report:
        run.reporter.warning(f"{message} The weights of epoch {stopping.best_epoch} are kept. {hint}")
