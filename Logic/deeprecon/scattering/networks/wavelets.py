"""One level of a learned wavelet transform and its inverse, in one, two and three dimensions.

Both can be initialized as Daubechies wavelets with three vanishing moments (db3): their 6 taps fit the 6 taps of the
analysis and the 3 block taps of the synthesis, so that the pair reconstructs perfectly.
"""

from __future__ import annotations

import itertools
import math
from functools import reduce

import torch
from torch import Tensor, nn

from deeprecon.scattering.networks.layers import CONVOLUTIONS, PeriodicPad, ReshapeM

_R10, _R5 = math.sqrt(10), math.sqrt(5 + 2 * math.sqrt(10))
DB3 = tuple(
    value / (16 * math.sqrt(2))
    for value in (
        1 + _R10 + _R5,
        5 + _R10 + 3 * _R5,
        10 - 2 * _R10 + 2 * _R5,
        10 - 2 * _R10 - 2 * _R5,
        5 + _R10 - 3 * _R5,
        1 + _R10 - _R5,
    )
)
"""Scaling filter of db3 (Daubechies 1988, Commun Pure Appl Math 41:909)."""


class Wavelet(nn.Module):
    """(B, inputs, n, ...) to (B, 2^dim rank, n / 2, ...), linear and periodic.

    The channels are 2^dim groups, one for each product of wavelet and scaling function in the axes; the last group is
    the scaling function in all axes, which is the input of the next level.

    Args:
        dim: number of axes.
        inputs: channels.
        rank: channels of each group.
        w: taps in each axis, even.
    """

    def __init__(self, dim: int, inputs: int, rank: int, w: int = 6) -> None:
        super().__init__()
        if w % 2:
            raise ValueError(f"a wavelet transform has an even number of taps, not {w}")
        self.dim, self.rank = dim, rank
        self.pad = PeriodicPad(dim, w // 2 - 1)
        self.conv = CONVOLUTIONS[dim](inputs, 2**dim * rank, w, stride=2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.pad(x))  # type: ignore[no-any-return]


class InverseWavelet(nn.Module):
    """(B, 2^dim rank, n, ...) to (B, rank, 2n, ...), linear and periodic; w taps in each axis, odd."""

    def __init__(self, dim: int, rank: int, w: int = 3) -> None:
        super().__init__()
        if w % 2 == 0:
            raise ValueError(f"an inverse wavelet transform has an odd number of taps, not {w}")
        self.dim, self.rank = dim, rank
        self.pad = PeriodicPad(dim, w // 2)
        self.conv = CONVOLUTIONS[dim](2**dim * rank, 2**dim * rank, w, bias=False)
        self.reshape = ReshapeM(dim, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.reshape(self.conv(self.pad(x)))  # type: ignore[no-any-return]


@torch.no_grad()
def initialize_db3(wavelet: Wavelet, inverse: InverseWavelet) -> None:
    """Set the coefficients of db3: each channel separately, products of filters in the axes.

    Raises:
        ValueError: other numbers of taps or channels.
    """
    dim, rank = wavelet.dim, wavelet.rank
    if wavelet.conv.weight.shape[1:] != (rank, *[6] * dim) or inverse.conv.weight.shape[2:] != (*[3] * dim,):
        raise ValueError("db3 needs 6 and 3 taps, and as many inputs as channels in a group")
    scaling = torch.tensor(DB3, dtype=torch.float64)
    sign = torch.tensor([(-1.0) ** n for n in range(6)], dtype=torch.float64)
    filters = (sign * scaling.flip(0), scaling)
    wavelet.conv.weight.zero_()
    inverse.conv.weight.zero_()
    channel = torch.arange(rank)
    for group, kinds in enumerate(itertools.product((0, 1), repeat=dim)):
        product = reduce(lambda one, other: one[..., None] * other, [filters[kind] for kind in kinds])
        wavelet.conv.weight[group * rank + channel, channel] = product.to(wavelet.conv.weight.dtype)
        for block, phase in enumerate(itertools.product((0, 1), repeat=dim)):
            # the transpose of the analysis: a coefficient t blocks away reaches phase p of this one by tap p + 4 - 2t
            taps = [filters[kind][[p + 4, p + 2, p]] for kind, p in zip(kinds, phase, strict=True)]
            product = reduce(lambda one, other: one[..., None] * other, taps)
            inverse.conv.weight[block * rank + channel, group * rank + channel] = product.to(inverse.conv.weight.dtype)
