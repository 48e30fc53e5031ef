"""The shape of DeepEpi, the same for every framework (Spahr et al. 2025, doi 10.1111/epi.18406)."""

from __future__ import annotations

from collections.abc import Sequence

CHANNELS = (16, *(32,) * 11, 64, 64)
"""Filters of the 14 convolutions."""

KERNEL = 5
"""Samples of each convolution's kernel; there is no padding."""

DENSE = (64, 64, 32, 16)
"""Units of the dense layers before the last, which has one for each of two classes."""

TRAINABLE_PARAMETERS = 97_362
"""Independent of the strides."""

PUBLISHED_STRIDES = (1, 1, 1, 1, 2, 1, 1, 1, 1, 2, 1, 1, 1, 1)
"""Strides of the published code; its documentation has a third 2 at the last layer, the paper states none."""

EPSILON, MOMENTUM = 1e-3, 0.1
"""Of the batch norms; momentum as PyTorch defines it. Epsilon is the default of Keras. Its default momentum (0.01 as
PyTorch defines it) is not used: after 100 steps the running means would still be those of the untrained network."""


def receptive_field(strides: Sequence[int]) -> int:
    """Samples on which one feature of the last convolution depends: the shortest signal that the network accepts."""
    reach, step = 1, 1
    for stride in strides:
        reach += (KERNEL - 1) * step
        step *= stride
    return reach
