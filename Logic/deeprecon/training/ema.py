"""A moving average of the weights, smoother and often better than the last ones (Polyak and Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


class Ema:
    """Exponential moving average of a model's parameters; buffers are taken as they are.

    The decay climbs as (1 + n) / (10 + n) with the update number n, so that the first weights are soon forgotten.
    """

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        self._parameters = dict(model.named_parameters())
        self._decay = decay
        self._updates = 0
        self._average = {name: value.detach().clone() for name, value in self._parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Call after every optimizer step."""
        decay = min(self._decay, (1 + self._updates) / (10 + self._updates))
        self._updates += 1
        for name, value in self._parameters.items():
            self._average[name].lerp_(value, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within this context the model has the averaged weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` needs to go on."""
        return {"updates": self._updates, "average": self._average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where another one stood."""
        self._updates = state["updates"]
        for name, value in state["average"].items():
            self._average[name].copy_(value)

    @torch.no_grad()
    def _swap(self) -> None:
        for name, value in self._parameters.items():
            current = value.clone()
            value.copy_(self._average[name])
            self._average[name].copy_(current)
