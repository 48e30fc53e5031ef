"""DeepEpi as a Keras 3 model, and conversion of its weights to and from the PyTorch network's. Does not import torch.

The environment variable KERAS_BACKEND selects the backend at the first import, for the life of the process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.errors import InputError
from deeprecon.seizure.networks.architecture import CHANNELS, DENSE, EPSILON, KERNEL, MOMENTUM, PUBLISHED_STRIDES

Weights = dict[str, npt.NDArray[np.float32]]


def import_keras() -> Any:
    """The keras module.

    Raises:
        InputError: it, or its backend, is not installed.
    """
    try:
        import keras
    except ImportError as error:
        missing = error.name or "keras"
        raise InputError(
            f"Keras 3 with its backend is needed, but {missing} is not installed.",
            "Install them: pip install './Logic[tensorflow]'. Training also works with framework pytorch.",
        ) from error
    return keras


def keras_model(
    window: int | None,
    strides: Sequence[int] = PUBLISHED_STRIDES,
    conv_dropout: float = 0.0,
    dense_dropout: float = 0.025,
) -> Any:
    """An untrained keras.Model: (B, window, 1) magnitude in g to (B, 2) probability of no seizure and seizure.

    Args:
        window: samples; None takes any length.
        strides, conv_dropout, dense_dropout: as in `deepepi.DeepEpi`.
    """
    keras = import_keras()
    layers = keras.layers
    norm = {"epsilon": EPSILON, "momentum": 1 - MOMENTUM}  # Keras defines momentum as 1 minus PyTorch's
    signal = keras.Input((window, 1), name="magnitude")
    x = signal
    for index, (width, stride) in enumerate(zip(CHANNELS, strides, strict=True)):
        x = layers.Conv1D(width, KERNEL, strides=stride, padding="valid", name=f"conv_{index:02d}")(x)
        x = layers.BatchNormalization(name=f"conv_norm_{index:02d}", **norm)(x)
        x = layers.ReLU(name=f"conv_relu_{index:02d}")(x)
        if conv_dropout:
            x = layers.SpatialDropout1D(conv_dropout, name=f"conv_dropout_{index:02d}")(x)
    x = layers.GlobalAveragePooling1D(name="mean")(x)
    for index, width in enumerate(DENSE):
        x = layers.Dense(width, name=f"dense_{index}")(x)
        x = layers.BatchNormalization(name=f"dense_norm_{index}", **norm)(x)
        x = layers.ReLU(name=f"dense_relu_{index}")(x)
        if index == 0:
            x = layers.Dropout(dense_dropout, name="dense_dropout")(x)
    probability = layers.Dense(2, activation="softmax", name="probability")(x)
    return keras.Model(signal, probability, name="deepEpi")


def get_weights(model: Any) -> Weights:
    """The weights of a Keras model in the names and layouts of the PyTorch network's state_dict."""
    found: Weights = {}
    for torch_name, keras_name, kind in _layer_names():
        values = [np.asarray(value, np.float32) for value in model.get_layer(keras_name).get_weights()]
        if kind == "norm":
            names = ("weight", "bias", "running_mean", "running_var")
            found |= {f"{torch_name}.{name}": value for name, value in zip(names, values, strict=True)}
            found[f"{torch_name}.num_batches_tracked"] = np.array(0, np.int64)  # type: ignore[assignment]
        else:
            found[f"{torch_name}.weight"] = np.ascontiguousarray(values[0].T)  # (k, in, out) or (in, out), reversed
            found[f"{torch_name}.bias"] = values[1]
    return found


def set_weights(model: Any, weights: Mapping[str, npt.NDArray[np.floating]]) -> None:
    """Copy the weights of a PyTorch network into a Keras model.

    Raises:
        InputError: weights are missing, or have other shapes.
    """
    for torch_name, keras_name, kind in _layer_names():
        names = ("weight", "bias", "running_mean", "running_var") if kind == "norm" else ("weight", "bias")
        layer = model.get_layer(keras_name)
        try:
            values = [np.asarray(weights[f"{torch_name}.{name}"], np.float32) for name in names]
            if kind != "norm":
                values[0] = values[0].T
            layer.set_weights(values)
        except (KeyError, ValueError) as error:
            raise InputError(f"The weights do not fit {keras_name} of the Keras model: {error}.") from error


def _layer_names() -> list[tuple[str, str, str]]:
    """(name in the PyTorch network, name in the Keras model, kind) of each layer with weights."""
    pairs = []
    for index in range(len(CHANNELS)):
        pairs.append((f"convolutions.{index}.linear", f"conv_{index:02d}", "linear"))
        pairs.append((f"convolutions.{index}.norm", f"conv_norm_{index:02d}", "norm"))
    for index in range(len(DENSE)):
        pairs.append((f"dense.{index}.linear", f"dense_{index}", "linear"))
        pairs.append((f"dense.{index}.norm", f"dense_norm_{index}", "norm"))
    return [*pairs, (f"dense.{len(DENSE)}", "probability", "linear")]
