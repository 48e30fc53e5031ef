"""A moving average of the weights, smoother and often better than the last ones (Polyak and Juditsky 1992)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class Ema:
    """Exponential moving average of a model's parameters; buffers are those of the model.

    The decay climbs as (1 + n) / (10 + n) with the update number n, so that the first weights soon have no influence.
    """

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        def average(averages: Any, values: Any, count: Any) -> None:
            blend: Any = get_ema_multi_avg_fn  # untyped in torch
            blend(min(decay, int(count) / (9 + int(count))))(averages, values, count)

        self._averaged = AveragedModel(model, multi_avg_fn=average)
        self._averaged.n_averaged += 1  # the weights at the start, which it would replace by those of the first update
        self._model = model

    def update(self) -> None:
        """Call after every optimizer step."""
        self._averaged.update_parameters(self._model)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within this context the model has the averaged weights."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def state_dict(self) -> dict[str, Any]:
        """Number of updates and averaged parameters by name, for `load_state_dict`."""
        average = {name: value.detach() for name, value in self._averaged.module.named_parameters()}
        return {"updates": int(self._averaged.n_averaged) - 1, "average": average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from the state of another one."""
        self._averaged.n_averaged.fill_(state["updates"] + 1)
        self._averaged.module.load_state_dict(state["average"], strict=False)

    @torch.no_grad()
    def _swap(self) -> None:
        for value, averaged in zip(self._model.parameters(), self._averaged.module.parameters(), strict=True):
            current = value.clone()
            value.copy_(averaged)
            averaged.copy_(current)
