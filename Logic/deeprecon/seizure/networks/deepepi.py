"""DeepEpi, the network of Spahr et al. 2025 (doi 10.1111/epi.18406): 14 convolutions over the wrist's acceleration."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deeprecon.data.errors import InputError
from deeprecon.seizure.networks.architecture import (
    CHANNELS,
    DENSE,
    EPSILON,
    KERNEL,
    MOMENTUM,
    PUBLISHED_STRIDES,
    receptive_field,
)


class Convolution(nn.Conv1d):
    """A convolution that computes strides without autocast on a CPU.

    In bf16 oneDNN's gradient of the weights (torch 2.13, stride 2, from 4 taps and some 500 samples on) reads memory
    that nothing was written to: trainings then ended with NaN, or had other weights, once in fifty times.
    """

    def forward(self, signal: Tensor) -> Tensor:
        """(B, channels, N) to (B, channels, N')."""
        if self.stride[0] == 1 or signal.device.type != "cpu":
            return super().forward(signal)
        with torch.autocast("cpu", enabled=False):
            return super().forward(signal.to(self.weight.dtype))


class DeepEpi(nn.Module):
    """Convolutions without padding, a mean over time, and five dense layers.

    Args:
        strides: of the 14 convolutions.
        conv_dropout: share of the channels dropped after each convolution.
        dense_dropout: share of the features dropped after the first dense layer.
    """

    def __init__(
        self, strides: Sequence[int] = PUBLISHED_STRIDES, conv_dropout: float = 0.0, dense_dropout: float = 0.025
    ) -> None:
        super().__init__()
        self.strides = tuple(strides)
        self.minimum = receptive_field(self.strides)
        widths = (1, *CHANNELS)
        self.convolutions = nn.Sequential(
            *(
                _block(
                    Convolution(widths[index], widths[index + 1], KERNEL, stride),
                    nn.Dropout1d(conv_dropout) if conv_dropout else None,
                )
                for index, stride in enumerate(self.strides)
            )
        )
        sizes = (CHANNELS[-1], *DENSE)
        self.dense = nn.Sequential(
            *(
                _block(
                    nn.Linear(sizes[index], sizes[index + 1]),
                    nn.Dropout(dense_dropout) if index == 0 else None,
                )
                for index in range(len(DENSE))
            ),
            nn.Linear(DENSE[-1], 2),
        )

    def forward(self, magnitude: Tensor) -> Tensor:
        """Logits (B, 2) of no seizure and seizure.

        Args:
            magnitude: (B, N) acceleration in g, at least `minimum` samples long.

        Raises:
            InputError: the signal is too short.
        """
        if magnitude.shape[-1] < self.minimum:
            raise InputError(
                f"The network needs {self.minimum} samples, the signal has {magnitude.shape[-1]}.", "Give a longer one."
            )
        return self.head(self.convolutions(magnitude.unsqueeze(1)).mean(dim=2))

    def head(self, features: Tensor) -> Tensor:
        """Logits (B, 2) of (B, 64) features averaged over a window."""
        logits: Tensor = self.dense(features)
        return logits


def new_network(
    seed: int,
    strides: Sequence[int] = PUBLISHED_STRIDES,
    conv_dropout: float = 0.0,
    dense_dropout: float = 0.025,
) -> DeepEpi:
    """An untrained network: Glorot-uniform weights, biases of 0 as in Keras. Keeps the state of torch's generators."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = DeepEpi(strides, conv_dropout, dense_dropout)
        for layer in network.modules():
            if isinstance(layer, nn.Conv1d | nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
    return network


def _block(linear: nn.Conv1d | nn.Linear, dropout: nn.Module | None) -> nn.Sequential:
    width = linear.out_channels if isinstance(linear, nn.Conv1d) else linear.out_features
    parts: dict[str, nn.Module] = {
        "linear": linear,
        "norm": nn.BatchNorm1d(width, eps=EPSILON, momentum=MOMENTUM),
        "relu": nn.ReLU(),
    }
    if dropout is not None:
        parts["dropout"] = dropout
    return nn.Sequential(OrderedDict(parts))
