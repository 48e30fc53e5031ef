"""How long a step takes on this machine, so that a time budget becomes a number of steps before the run starts."""

from __future__ import annotations

import time
from collections.abc import Callable

from deeprecon.training.devices import synchronize


def seconds_per_step(step: Callable[[], object], device: str, seconds: float = 1.0) -> float:
    """Mean seconds of one call of `step`, over at least 3 calls and about `seconds`, after 2 calls to warm up."""
    for _ in range(2):
        step()
    synchronize(device)
    count, start = 0, time.perf_counter()
    while count < 3 or time.perf_counter() - start < seconds:
        step()
        synchronize(device)
        count += 1
    return (time.perf_counter() - start) / count


def steps_for_budget(step: Callable[[], object], budget: float, device: str, least: int = 1) -> int:
    """How many calls of `step` fit into `budget` seconds, at least `least`.

    Measuring takes about a tenth of the budget, at most a second, where five steps are not longer than that.
    """
    return max(least, int(budget / seconds_per_step(step, device, seconds=min(1.0, 0.1 * budget))))
