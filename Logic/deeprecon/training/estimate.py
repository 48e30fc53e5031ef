"""Estimates before a run starts: time of a step on this machine, and memory of a training."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from deeprecon.training.devices import synchronize
from deeprecon.training.hardware import memory

if TYPE_CHECKING:
    from torch import Tensor, nn

COPIES = 6
"""Of the weights while a network is trained: themselves, gradients, two of AdamW, the average, the best so far."""


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


def steps_for_budget(step: Callable[[], object], budget: float, device: str, minimum: int = 1) -> int:
    """How many calls of `step` fit into `budget` seconds, at least `minimum`.

    Measuring takes about a tenth of the budget, at most a second, where five steps are not longer than that.
    """
    return max(minimum, int(budget / seconds_per_step(step, device, seconds=min(1.0, 0.1 * budget))))


def activation_bytes(step: Callable[[], Tensor]) -> int:
    """Bytes that autograd keeps from the forward pass of `step` for the backward pass.

    They grow with the voxels of a batch, so that the need of a large batch follows from a small one. What is computed
    again in place of being kept does not count.
    """
    import torch

    seen: dict[int, Tensor] = {}  # tensors stay alive, so that no address is given away twice

    def note(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            seen.setdefault(tensor.untyped_storage().data_ptr(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        result = step()  # has to live until all is counted
        total = sum(tensor.untyped_storage().nbytes() for tensor in seen.values())
    del result
    return total


def weight_bytes(model: nn.Module) -> int:
    """Bytes of a network's weights and of what training keeps beside them; see `COPIES`."""
    return COPIES * sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())


def free_bytes(device: str) -> int | None:
    """Memory of the device that is free now; None where it is unknown."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.mem_get_info(device)[0])
    return memory()[1]


def total_bytes(device: str) -> int | None:
    """Memory of the device, a container's limit respected; None where it is unknown. It is the same on every run."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.get_device_properties(device).total_memory)
    return memory()[0]


def peak_bytes(device: str) -> int | None:
    """Most memory that this process has used so far, on the device; None where it is unknown."""
    if device.startswith("cuda"):
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
