"""The one training loop: `fit`.

    result = fit(model, loss, Batches(count, size, load), validate, FitSettings(epochs=100), run)

It reads from top to bottom: set up, go on where a checkpoint stands, then epoch after epoch train, validate, report and
save; at the end the model has its best weights. What `train_batches`, `loss` and `validate` must be is said at `fit`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from torch import Tensor, nn

from deeprecon.data.errors import InputError
from deeprecon.jobs.parameters import Range, check_ranges, to_json
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
class FitSettings:
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
    patience: Annotated[int, Range(0, 1_000_000, "epochs"), "stop early after so long without progress; 0 never"] = 20
    checkpoint_every: Annotated[int, Range(1, 1_000_000, "epochs"), "how often what resuming needs is saved"] = 1
    keep: Annotated[int, Range(0, 1000), "best epochs whose weights are kept as files beside the checkpoint"] = 0

    def validate(self) -> list[str]:
        """Reasons why these settings cannot be used, in words; empty when they can."""
        reasons = check_ranges(self)
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
    apart: nn.Module | None = None,
    figures: Callable[[], Mapping[str, float]] | None = None,
) -> FitResult:
    """Train a model and leave it with its best weights, in evaluation mode, on the device.

    A checkpoint in `run.checkpoint` is gone on from, to the same numbers as without the interruption. Under torchrun
    every process calls this alike; then only rank 0's random numbers go on after an interruption amid an epoch.

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
        apart: a part of the model that learns against the rest, such as discriminators: the norm of its gradient is
            clipped apart from that of the rest.
        figures: further figures of an epoch by name, for its report and history; called in evaluation mode.

    Raises:
        InputError: unusable settings, a checkpoint of another training, or a loss that is not finite from the start.
    """
    reasons = settings.validate()
    if reasons:
        raise InputError(f"These training settings cannot be used: {'; '.join(reasons)}.")
    fabric = make_fabric(run.device, run.precision) if fabric is None else fabric
    rank, processes, report = fabric.global_rank, fabric.world_size, fabric.is_global_zero

    model.to(fabric.device)
    optimizer = _optimizer(model, apart, settings)
    count = len(train_batches(0, rank, processes))
    if count == 0:
        raise InputError("There are no training batches.", "Give more training data, or a smaller batch size.")
    steps = settings.epochs * math.ceil(count / settings.accumulate)
    schedule = Schedule(
        optimizer, settings.schedule, steps, settings.warmup, settings.plateau_patience, settings.plateau_factor, curve
    )
    stopping = EarlyStopping(settings.patience)
    ema = Ema(model, settings.ema) if settings.ema else None
    scaler = grad_scaler(fabric)
    files = BestFiles(run.checkpoint, name, settings.keep) if settings.keep and report else None

    # A checkpoint holds whatever has a state, and the place: which epoch, how many of its batches, their summed loss.
    parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "schedule": schedule, "stopping": stopping}
    parts |= {name: part for name, part in (("ema", ema), ("scaler", scaler)) if part is not None}
    path = run.checkpoint / f"{name}.safetensors"
    epoch, done, total, history, random = 0, 0, 0.0, [], None
    if path.exists():
        state = _load(path, parts, settings, count)
        epoch, done, total, history, random = (state[key] for key in ("epoch", "done", "total", "history", "random"))
        if report:
            run.reporter.status(f"Going on after {epoch} of {settings.epochs} epochs")

    def save() -> None:
        if report:
            place = {"epoch": epoch, "done": done, "total": total, "history": history, "random": random_state()}
            state = {name: part.state_dict() for name, part in parts.items()}
            save_checkpoint(path, {**place, **state, "settings": to_json(settings), "batches": count})

    wrapped, stepper = fabric.setup(model, optimizer)

    def held_out() -> float:
        wrapped.eval()
        with torch.no_grad(), nullcontext() if ema is None else ema.applied():
            figure = float(validate(wrapped))
            if processes > 1:
                figure = float(fabric.all_reduce(torch.tensor(figure, device=fabric.device)))
            stopping.update(epoch, figure, model)
            if files is not None:
                files.update(epoch, figure, model)
        return figure

    begun, share_before = time.monotonic(), (epoch + done / count) / settings.epochs
    interrupted = False
    while epoch < settings.epochs and not stopping.exhausted and not interrupted:
        wrapped.train()
        if rank:  # rank 0 goes on with the generators as they are, and they are in the checkpoint
            seed_generators(int(np.random.SeedSequence([run.seed, epoch, done, rank]).generate_state(1)[0]))
        batches = iter(train_batches(epoch, rank, processes))
        for _ in range(done):
            next(batches)
        if random is not None and not rank:
            set_random_state(random)
            random = None
        summed = torch.tensor(total, device=fabric.device)

        for index in range(done, count):
            first_of_group = index // settings.accumulate * settings.accumulate
            group = min(settings.accumulate, count - first_of_group)
            last_of_group = index + 1 == first_of_group + group
            with fabric.no_backward_sync(wrapped, enabled=not last_of_group):
                value = loss(wrapped, fabric.to_device(next(batches)))
                fabric.backward(value / group)
            summed += value.detach()
            if not last_of_group:
                continue
            if settings.clip_norm:
                if scaler is not None:
                    scaler.unscale_(optimizer)
                for part in optimizer.param_groups:
                    nn.utils.clip_grad_norm_(part["params"], settings.clip_norm)
            stepper.step()
            optimizer.zero_grad()
            schedule.after_step()
            if ema is not None:
                ema.update()
            if report:
                share = (epoch + (index + 1) / count) / settings.epochs
                pace = (time.monotonic() - begun) / (share - share_before)
                run.reporter.progress(share, pace * (1 - share))
            interrupted = bool(fabric.broadcast(run.should_stop()))
            if interrupted and index + 1 < count:
                done, total = index + 1, float(summed)
                save()
                if not stopping.weights:  # something has to be the best so far, but only for this result
                    held_out()
                break
        else:
            mean_loss = float(fabric.all_reduce(summed / count))
            if not math.isfinite(mean_loss):
                _diverged(epoch, stopping, run, report)
                break
            rate = schedule.learning_rate
            figure = held_out()
            schedule.after_epoch(figure)
            found = {"loss": mean_loss, "validation": figure, "learning_rate": rate}
            found |= {} if figures is None else figures()
            history.append({"epoch": epoch, **found})
            if report:
                run.reporter.metric(steps // settings.epochs * (epoch + 1), **found)
            epoch, done, total = epoch + 1, 0, 0.0
            at_end = epoch == settings.epochs or stopping.exhausted or interrupted
            if at_end or epoch % settings.checkpoint_every == 0:
                save()

    fabric.barrier()
    if not stopping.weights:
        raise InputError("The held-out figure was never a finite number.", "Look at the data, or lower learning_rate.")
    stopping.restore(model)
    model.eval()
    if report and not interrupted:
        run.reporter.progress(1.0, 0.0)
    early = stopping.exhausted and epoch < settings.epochs
    return FitResult(stopping.best, stopping.best_epoch, epoch, early, interrupted, history)


def _optimizer(model: nn.Module, apart: nn.Module | None, settings: FitSettings) -> torch.optim.Optimizer:
    """With one group of parameters, or a second one of what is apart."""
    others = set() if apart is None else set(apart.parameters())
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [{"params": [parameter for parameter in learning if parameter not in others]}]
    if others:
        groups.append({"params": [parameter for parameter in learning if parameter in others]})
    if settings.optimizer is OptimizerName.SGD:
        return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=0.9, weight_decay=settings.weight_decay)
    return torch.optim.AdamW(groups, lr=settings.learning_rate, weight_decay=settings.weight_decay)


def _load(path: Path, parts: dict[str, Any], settings: FitSettings, count: int) -> dict[str, Any]:
    """Put every part where the checkpoint left it; the checkpoint's state is returned."""
    hint = "Give the settings and data of that training, or delete the checkpoint to start anew."
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
