"""Trained networks as ONNX files, each checked against the network that it was made of, or as Keras 3 files."""

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

TOLERANCE = 1e-5
"""Largest difference of a probability between an exported file and its network."""


class _Probability(nn.Module):
    """(B, N) magnitude in g to (B,) seizure probability."""

    def __init__(self, network: DeepEpi) -> None:
        super().__init__()
        self.network = network

    def forward(self, magnitude: Tensor) -> Tensor:
        return torch.softmax(self.network(magnitude), dim=1)[:, 1]


def export_onnx(network: DeepEpi, window: int, path: Path) -> float:
    """Write one network: input `magnitude` (batch, window) in g, output `probability` (batch,).

    Returns:
        The largest difference between what onnxruntime and PyTorch compute.

    Raises:
        InputError: onnx, onnxscript or onnxruntime are not installed, or the file computes something else.
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
    module = _Probability(network).eval()
    example = examples(window)
    with _quiet():
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
    return _difference(path, found, module(example).detach().numpy())


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter says to its own developers; the file is checked afterwards."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def export_keras(network: DeepEpi, window: int, path: Path) -> float:
    """Write one network as a .keras file; see `export_onnx`. Input is (batch, window, 1), output (batch, 2)."""
    from deeprecon.seizure.networks.deepepi_keras import import_keras, keras_model, set_weights

    os.environ.setdefault("KERAS_BACKEND", "torch")  # which is loaded anyway; the file is the same for all backends
    keras = import_keras()
    model = keras_model(window, network.strides)
    set_weights(model, {name: value.numpy() for name, value in network.state_dict().items()})
    model.save(path)
    loaded = keras.saving.load_model(path, compile=False, safe_mode=True)
    example = examples(window)
    found = np.asarray(loaded.predict_on_batch(example.numpy()[..., None]))[:, 1]
    return _difference(path, found, _Probability(network).eval()(example).detach().numpy())


def examples(window: int) -> Tensor:
    """(4, window) signals to try a network on: rest, and movements of growing strength."""
    seconds = torch.arange(window) / 25
    strength = torch.tensor([0.0, 0.1, 0.4, 1.5])[:, None]
    return (1 + strength * torch.sin(2 * torch.pi * 4 * seconds)).abs()


def _difference(path: Path, found: np.ndarray[Any, Any], expected: np.ndarray[Any, Any]) -> float:
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE:
        raise InputError(f"{path.name} differs from its network by {difference:.2g}.", "Do not use it.")
    return difference
