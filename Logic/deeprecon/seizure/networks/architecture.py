"""The shape of DeepEpi, the same for every framework (Spahr et al. 2025, doi 10.1111/epi.18406)."""

from __future__ import annotations

from collections.abc import Sequence

CHANNELS = (16, *(32,) * 11, 64, 64)
"""Filters of the 14 convolutions."""

KERNEL = 5
"""Samples that each convolution sees; there is no padding."""

DENSE = (64, 64, 32, 16)
"""Units of the dense layers before the last, which has one for each of two classes."""

PARAMETERS = 97_362
"""Trainable parameters, whatever the strides."""

CODE_STRIDES = (1, 1, 1, 1, 2, 1, 1, 1, 1, 2, 1, 1, 1, 1)
"""Strides of the published code; its documentation has a third 2 in the last place, the paper gives none."""

EPSILON, MOMENTUM = 1e-3, 0.1
"""Of the batch norms, the momentum as PyTorch counts it. The first is that of Keras. Keras' own momentum, 0.01, is not
taken: after a hundred steps the running means would still be those of the untrained network."""


def receptive_field(strides: Sequence[int]) -> int:
    """Samples that one feature of the last convolution sees: the shortest signal that the network takes."""
    reach, step = 1, 1
    for stride in strides:
        reach += (KERNEL - 1) * step
        step *= stride
    return reach
