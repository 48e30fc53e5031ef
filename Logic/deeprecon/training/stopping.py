"""Early stopping, which keeps the best weights."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


class EarlyStopping:
    """Watches a held-out figure, lower is better.

    Args:
        patience: epochs without a better figure after which to stop; 0 for no early stop.

    Attributes:
        best: the lowest figure so far, infinity before the first.
        best_epoch: its epoch, -1 before the first.
        weights: a copy of the weights of that epoch, on the CPU.
    """

    def __init__(self, patience: int) -> None:
        self._patience = patience
        self._waited = 0
        self.best = math.inf
        self.best_epoch = -1
        self.weights: dict[str, Tensor] = {}

    def update(self, epoch: int, figure: float, model: torch.nn.Module) -> None:
        """Register an epoch; a figure that is not finite cannot be the best."""
        if math.isfinite(figure) and figure < self.best:
            self.best, self.best_epoch, self._waited = figure, epoch, 0
            self.weights = {name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items()}
        else:
            self._waited += 1

    @property
    def exhausted(self) -> bool:
        """True when the figure has not become better for `patience` epochs."""
        return 0 < self._patience <= self._waited

    def restore(self, model: torch.nn.Module) -> None:
        """Give the model the best weights, if there are any yet."""
        if self.weights:
            model.load_state_dict(self.weights)

    def state_dict(self) -> dict[str, Any]:
        """The state, for `load_state_dict`."""
        return {"waited": self._waited, "best": self.best, "best_epoch": self.best_epoch, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the state of another one."""
        self._waited, self.best, self.best_epoch = state["waited"], state["best"], state["best_epoch"]
        self.weights = state["weights"]
