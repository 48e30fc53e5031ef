"""Convolutions whose gradients are the same in every run, in any precision."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Conv3d(nn.Conv3d):
    """`nn.Conv3d`, without autocast on a CPU where its input is shorter than its kernel along an axis.

    There oneDNN's bf16 gradient of the weights reads memory that was never set (PyTorch 2.13, AVX-512 BF16): trainings
    with small patches went differently in each run, or to NaN.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        short = any(length < kernel for length, kernel in zip(input.shape[2:], self.kernel_size, strict=True))
        if not short or input.device.type != "cpu":
            return super()._conv_forward(input, weight, bias)  # type: ignore[no-any-return]
        with torch.autocast("cpu", enabled=False):
            return super()._conv_forward(input.to(weight.dtype), weight, bias)  # type: ignore[no-any-return]
