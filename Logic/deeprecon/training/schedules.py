"""Learning rates: constant, cosine, one-cycle and reduce-on-plateau behind one interface."""

from __future__ import annotations

import math
from collections.abc import Callable
from enum import Enum
from typing import Any

import torch


class ScheduleName(Enum):
    """How the learning rate changes during training."""

    CONSTANT = "constant"
    COSINE = "cosine"
    ONE_CYCLE = "one-cycle"
    PLATEAU = "plateau"


class Schedule:
    """Sets the learning rate of an optimizer; the rates found in it at first are the peaks.

    Args:
        optimizer: whose parameter groups are set.
        name: which curve.
        steps: optimizer steps of the whole training.
        warmup: share of the steps over which the rate climbs to its peak (one-cycle has its own climb).
        patience: epochs without a better figure that PLATEAU waits before it lowers the rate.
        factor: what PLATEAU multiplies the rate with.
        curve: step -> share of the peak rate, in place of `name`'s; what is negative counts as 0.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        name: ScheduleName,
        steps: int,
        warmup: float = 0.0,
        patience: int = 10,
        factor: float = 0.5,
        curve: Callable[[int], float] | None = None,
    ) -> None:
        self._optimizer = optimizer
        self._curve = curve
        self._peaks = [float(group["lr"]) for group in optimizer.param_groups]
        self._name, self._steps, self._warmup = name, steps, round(warmup * steps)
        self._patience, self._lowering = patience, factor
        self._step, self._scale, self._best, self._bad_epochs = 0, 1.0, math.inf, 0
        self._apply()

    @property
    def learning_rate(self) -> float:
        """The rate of the first parameter group."""
        return float(self._optimizer.param_groups[0]["lr"])

    def after_step(self) -> None:
        """Call after every optimizer step."""
        self._step += 1
        self._apply()

    def after_epoch(self, figure: float) -> None:
        """Call after every validation with its figure; lower is better.

        PLATEAU counts an epoch as better when the figure falls by more than 1e-4 of its size, as PyTorch's
        ReduceLROnPlateau does.
        """
        if self._name is not ScheduleName.PLATEAU:
            return
        if self._best == math.inf or figure < self._best - 1e-4 * abs(self._best):
            self._best, self._bad_epochs = figure, 0
        else:
            self._bad_epochs += 1
        if self._bad_epochs > self._patience:
            self._scale *= self._lowering
            self._bad_epochs = 0
        self._apply()

    def state_dict(self) -> dict[str, Any]:
        """The state, for `load_state_dict`."""
        return {"step": self._step, "scale": self._scale, "best": self._best, "bad_epochs": self._bad_epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the state of another schedule."""
        self._step, self._scale = state["step"], state["scale"]
        self._best, self._bad_epochs = state["best"], state["bad_epochs"]
        self._apply()

    def _apply(self) -> None:
        for group, peak in zip(self._optimizer.param_groups, self._peaks, strict=True):
            group["lr"] = peak * self._factor()

    def _factor(self) -> float:
        if self._curve is not None:
            return max(0.0, self._curve(self._step))
        if self._name is ScheduleName.ONE_CYCLE:
            return one_cycle(self._step, self._steps)
        if self._step < self._warmup:
            return (self._step + 1) / (self._warmup + 1)
        if self._name is ScheduleName.COSINE:
            return cosine(self._step - self._warmup, self._steps - self._warmup)
        return self._scale


def cosine(step: int, steps: int) -> float:
    """Share of the peak rate, from 1 at step 0 to 0 after `steps` (Loshchilov and Hutter 2017, without restarts)."""
    return 0.5 * (1 + math.cos(math.pi * min(1.0, step / max(1, steps))))


def one_cycle(step: int, steps: int) -> float:
    """Share of the peak rate: up from 1/25 over the first 30 %, then down to 4e-6 (Smith and Topin 2018).

    The same numbers as PyTorch's OneCycleLR with its default shape; momentum is left alone.
    """
    first, peak, last = 1 / 25, 1.0, 1 / 25 * 1e-4
    top, end = 0.3 * steps - 1, steps - 1
    if step <= top:
        begin, finish, share = first, peak, step / max(top, 1e-9)
    else:
        begin, finish, share = peak, last, min(1.0, (step - top) / max(end - top, 1e-9))
    return finish + (begin - finish) * 0.5 * (1 + math.cos(math.pi * share))
