"""Where a training step runs: Lightning Fabric where it is installed, else a stand-in for one device.

`fit` uses only the methods of the protocol `Fabric` below, and both give the same numbers.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from deeprecon.data.errors import InputError

AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


class Fabric(Protocol):
    """The part of Lightning Fabric that this library uses."""

    @property
    def device(self) -> torch.device: ...
    @property
    def world_size(self) -> int: ...
    @property
    def global_rank(self) -> int: ...
    @property
    def is_global_zero(self) -> bool: ...
    def setup(self, module: nn.Module, *optimizers: torch.optim.Optimizer) -> Any: ...
    def to_device(self, obj: Any) -> Any: ...
    def autocast(self) -> AbstractContextManager[Any]: ...
    def backward(self, tensor: Tensor) -> None: ...
    def no_backward_sync(self, module: nn.Module, enabled: bool = True) -> AbstractContextManager[Any]: ...
    def all_reduce(self, data: Any, *, reduce_op: str = "mean") -> Any: ...
    def broadcast(self, obj: Any, src: int = 0) -> Any: ...
    def barrier(self) -> None: ...


def make_fabric(device: str, precision: str, processes: int | None = None) -> Fabric:
    """The fabric for a resolved device and precision, launched.

    Inputs of the network are never rounded, whatever the precision: coordinates must stay fp32. Layers compute under
    autocast, outputs come back as fp32.

    Args:
        device: "cpu", "cuda:N" or "mps"; with several processes each takes its own GPU.
        precision: "fp32", "bf16" or "fp16".
        processes: how many share the work; that of torchrun if left out.

    Raises:
        InputError: several processes without torchrun or without Lightning Fabric.
    """
    started = int(os.environ.get("WORLD_SIZE", "1"))
    processes = started if processes is None else processes
    if processes != started:
        raise InputError(
            f"Training over {processes} processes was asked for, but {started} were started.",
            f"Start them with: torchrun --nproc-per-node {processes} -m deeprecon ...",
        )
    lightning = _lightning()
    if lightning is None:
        if processes > 1:
            raise InputError("Training over several processes needs Lightning Fabric.", "Install lightning-fabric.")
        return SingleDevice(device, precision)
    kind, _, index = device.partition(":")
    environments = importlib.import_module(f"{lightning.__name__}.plugins.environments")
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    fabric: Fabric = lightning.Fabric(
        accelerator=kind,
        devices=local if processes > 1 or kind != "cuda" else [int(index)],
        num_nodes=processes // local,
        strategy="ddp" if processes > 1 else "auto",
        plugins=[
            _precision_plugin(lightning, kind, precision),
            # Named, because Fabric would otherwise take a batch system's variables for an order to start processes.
            environments.TorchElasticEnvironment() if processes > 1 else environments.LightningEnvironment(),
        ],
    )
    fabric.launch()  # type: ignore[attr-defined]
    return fabric


def grad_scaler(fabric: Fabric) -> torch.amp.GradScaler | None:
    """The loss scaler of fp16, None in other precisions."""
    owner = fabric if isinstance(fabric, SingleDevice) else fabric.strategy.precision  # type: ignore[attr-defined]
    return getattr(owner, "scaler", None)


def _lightning() -> Any:
    for name in ("lightning_fabric", "lightning.fabric"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


def _precision_plugin(lightning: Any, kind: str, precision: str) -> Any:
    plugins = importlib.import_module(f"{lightning.__name__}.plugins")
    if precision == "fp32":
        return plugins.Precision()

    class Mixed(plugins.MixedPrecision):  # type: ignore[misc, name-defined]
        """Fabric's own rounds the inputs as well, which costs a coordinate network its resolution."""

        def convert_input(self, data: Any) -> Any:
            return data

    return Mixed("bf16-mixed" if precision == "bf16" else "16-mixed", device=kind)


class SingleDevice:
    """Stands in for Lightning Fabric on one device."""

    world_size = 1
    global_rank = 0
    is_global_zero = True

    def __init__(self, device: str, precision: str) -> None:
        self.device = torch.device(device)
        self._dtype = AUTOCAST.get(precision)
        self.scaler = torch.amp.GradScaler(self.device.type) if precision == "fp16" else None

    def setup(self, module: nn.Module, *optimizers: torch.optim.Optimizer) -> Any:
        """The module and optimizers as they are to be called in training."""
        wrapped = _Autocast(module.to(self.device), self)
        return (wrapped, *(_Scaled(optimizer, self.scaler) for optimizer in optimizers)) if optimizers else wrapped

    def to_device(self, obj: Any) -> Any:
        """Tensors in nested dicts, lists and tuples, or a module, moved to the device."""
        return obj.to(self.device) if isinstance(obj, nn.Module) else _map(lambda tensor: tensor.to(self.device), obj)

    def autocast(self) -> AbstractContextManager[Any]:
        """Context in which layers compute in the chosen precision."""
        return nullcontext() if self._dtype is None else torch.autocast(self.device.type, dtype=self._dtype)

    def backward(self, tensor: Tensor) -> None:
        """Gradients of a loss, scaled against underflow in fp16."""
        (tensor if self.scaler is None else self.scaler.scale(tensor)).backward()  # type: ignore[no-untyped-call]

    def no_backward_sync(self, module: nn.Module, enabled: bool = True) -> AbstractContextManager[Any]:
        """There is nothing to synchronize."""
        return nullcontext()

    def all_reduce(self, data: Any, *, reduce_op: str = "mean") -> Any:
        """Mean over one process: the data."""
        return data

    def broadcast(self, obj: Any, src: int = 0) -> Any:
        """The object itself."""
        return obj

    def barrier(self) -> None:
        """Nobody to wait for."""


class _Autocast(nn.Module):
    """A module that computes in the fabric's precision and answers in fp32; its state_dict is the module's own."""

    def __init__(self, module: nn.Module, fabric: SingleDevice) -> None:
        super().__init__()
        self.module = module
        self._fabric = fabric

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        with self._fabric.autocast():
            output = self.module(*args, **kwargs)
        return output if self._fabric._dtype is None else _map(_as_float, output)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return self.module.state_dict(*args, **kwargs)

    def load_state_dict(self, *args: Any, **kwargs: Any) -> Any:
        return self.module.load_state_dict(*args, **kwargs)


def _as_float(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


class _Scaled:
    """An optimizer whose step undoes the loss scaling, and is skipped where a gradient overflowed."""

    def __init__(self, optimizer: torch.optim.Optimizer, scaler: torch.amp.GradScaler | None) -> None:
        self.optimizer = optimizer
        self._scaler = scaler

    def step(self) -> None:
        if self._scaler is None:
            self.optimizer.step()
        else:
            self._scaler.step(self.optimizer)
            self._scaler.update()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.optimizer, name)


def _map(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, dict):
        return {key: _map(function, entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        entries = [_map(function, entry) for entry in value]
        return type(value)(*entries) if hasattr(value, "_fields") else type(value)(entries)
    return value
