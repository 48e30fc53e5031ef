"""Trained networks as ONNX or Keras 3 files, each compared with the network that it was made from."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from deeprecon.data.errors import InputError

if TYPE_CHECKING:
    from deeprecon.seizure.networks.deepepi import DeepEpi

MAX_DIFFERENCE = 1e-5
"""Of a probability between an exported file and its network."""


class _SeizureProbability(nn.Module):
    """(B, N) magnitude in g to (B,) seizure probability."""

    def __init__(self, network: DeepEpi) -> None:
        super().__init__()
        self.network = network

    def forward(self, magnitude: Tensor) -> Tensor:
        return torch.softmax(self.network(magnitude), dim=1)[:, 1]


def export_onnx(network: DeepEpi, window: int, path: Path) -> float:
    """Write one network: input `magnitude` (batch, window) in g, output `probability` (batch,).

    Returns:
        The largest difference between the probabilities of onnxruntime and PyTorch.

    Raises:
        InputError: onnx, onnxscript or onnxruntime are not installed, or the file's result differs.
    """
    try:
        import onnx
        import onnxruntime
        import onnxscript
    except ImportError as error:
        raise InputError(
            f"Exporting to ONNX needs {error.name}, which is not installed.",
            "Install it: pip install './Logic[seizure]'.",
        ) from error
    del onnxscript  # needed by torch.onnx
    module = _SeizureProbability(network).eval()
    example = example_signals(window)
    with _without_warnings():
        program: Any = torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            input_names=["magnitude"],
            output_names=["probability"],
            dynamic_shapes={"magnitude": {0: torch.export.Dim("batch", min=1)}},
            verbose=False,
        )
    proto = program.model_proto
    onnx.checker.check_model(proto)
    path.write_bytes(proto.SerializeToString())
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"magnitude": example.numpy()})
    return _checked_difference(path, found, module(example).detach().numpy())


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Suppress the exporter's warnings for its developers; the file is checked afterwards."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(logging.NOTSET)


def export_keras(network: DeepEpi, window: int, path: Path) -> float:
    """Write one network as a .keras file; see `export_onnx`. Input is (batch, window, 1), output (batch, 2)."""
    from deeprecon.seizure.networks.deepepi_keras import import_keras, keras_model, set_weights

    os.environ.setdefault("KERAS_BACKEND", "torch")  # torch is loaded anyway; the file is the same for all backends
    keras = import_keras()
    model = keras_model(window, network.strides)
    set_weights(model, {name: value.numpy() for name, value in network.state_dict().items()})
    model.save(path)
    loaded = keras.saving.load_model(path, compile=False, safe_mode=True)
    example = example_signals(window)
    found = np.asarray(loaded.predict_on_batch(example.numpy()[..., None]))[:, 1]
    return _checked_difference(path, found, _SeizureProbability(network).eval()(example).detach().numpy())


def example_signals(window: int) -> Tensor:
    """(4, window) signals for the comparison: rest, and movements of increasing strength."""
    seconds = torch.arange(window) / 25
    strength = torch.tensor([0.0, 0.1, 0.4, 1.5])[:, None]
    return (1 + strength * torch.sin(2 * torch.pi * 4 * seconds)).abs()


def _checked_difference(path: Path, found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> float:
    difference = float(np.abs(found - expected).max())
    if not difference <= MAX_DIFFERENCE:
        raise InputError(f"{path.name} differs from its network by {difference:.2g}.", "Do not use it.")
    return difference
