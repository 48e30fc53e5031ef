"""The layers of multiscale neural networks in one, two and three dimensions (Fan, Lin, Ying and Zepeda-Nunez 2019).

Tensors are (B, C, n, ...) with `dim` spatial axes. A restriction maps a vector to a coarser grid, a kernel is a banded
matrix, an interpolation maps to a finer grid; each is a convolution for shift-invariant operators, or locally connected
with weights that depend on the position. All parameters are created in `__init__`, so that optimizers, checkpoints and
copies include them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

CONVOLUTIONS: dict[int, type[nn.Conv1d | nn.Conv2d | nn.Conv3d]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


class PeriodicPad(nn.Module):
    """Pads a tensor periodically by `width` on both sides of each of its last `dim` axes.

    Raises:
        ValueError: in the forward pass, if an axis is shorter than `width`.
    """

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.dim, self.width = dim, width

    def forward(self, x: Tensor) -> Tensor:
        if not self.width:
            return x
        if min(x.shape[-self.dim :]) < self.width:
            raise ValueError(f"an axis of {min(x.shape[-self.dim :])} cannot be padded periodically by {self.width}")
        return nn.functional.pad(x, (self.width,) * (2 * self.dim), mode="circular")


class ReshapeT(nn.Module):
    """Blocks to channels: (B, C, n, ...) to (B, w^dim C, n / w, ...). Channels are ordered (w, ..., w, C)."""

    def __init__(self, dim: int, w: int) -> None:
        super().__init__()
        self.dim, self.w = dim, w

    def forward(self, x: Tensor) -> Tensor:
        (batch, channels), dim, w = x.shape[:2], self.dim, self.w
        coarse = [n // w for n in x.shape[2:]]
        parts = x.reshape(batch, channels, *(size for n in coarse for size in (n, w)))
        inner, outer = range(3, 3 + 2 * dim, 2), range(2, 2 + 2 * dim, 2)
        return parts.permute(0, *inner, 1, *outer).reshape(batch, w**dim * channels, *coarse)


class ReshapeM(nn.Module):
    """Channels to blocks, the inverse of `ReshapeT`: (B, w^dim C, n, ...) to (B, C, w n, ...)."""

    def __init__(self, dim: int, w: int) -> None:
        super().__init__()
        self.dim, self.w = dim, w

    def forward(self, x: Tensor) -> Tensor:
        batch, dim, w = x.shape[0], self.dim, self.w
        channels, coarse = x.shape[1] // w**dim, x.shape[2:]
        parts = x.reshape(batch, *[w] * dim, channels, *coarse)
        pairs = [axis for d in range(dim) for axis in (2 + dim + d, 1 + d)]
        return parts.permute(0, 1 + dim, *pairs).reshape(batch, channels, *(w * n for n in coarse))


class Restriction(nn.Module):
    """(B, inputs, n, ...) to (B, outputs, n / w, ...): each block of w points in every axis becomes one point."""

    def __init__(self, dim: int, inputs: int, outputs: int, w: int, relu: bool = False) -> None:
        super().__init__()
        self.conv = CONVOLUTIONS[dim](inputs, outputs, w, stride=w)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        return _activate(self.conv(x), self.relu)


class Kernel(nn.Module):
    """(B, inputs, n, ...) to (B, outputs, n, ...): a block-banded matrix, block-circulant with periodic padding.

    Args:
        dim: number of axes.
        inputs, outputs: channels.
        w: width of the band in each axis; odd.
        relu: apply a rectifier to the result.
        periodic: pad periodically, else with zeros.
        bias: add a bias.
    """

    def __init__(
        self, dim: int, inputs: int, outputs: int, w: int, relu: bool = False, periodic: bool = True, bias: bool = True
    ) -> None:
        super().__init__()
        if w % 2 == 0:
            raise ValueError(f"a kernel has an odd width, not {w}")
        self.pad = PeriodicPad(dim, w // 2 if periodic else 0)
        self.conv = CONVOLUTIONS[dim](inputs, outputs, w, padding=0 if periodic else w // 2, bias=bias)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        return _activate(self.conv(self.pad(x)), self.relu)


class Interpolation(nn.Module):
    """(B, inputs, n, ...) to (B, outputs, w n, ...): each point becomes a block of w points in every axis."""

    def __init__(self, dim: int, inputs: int, outputs: int, w: int, relu: bool = False) -> None:
        super().__init__()
        self.conv = CONVOLUTIONS[dim](inputs, outputs * w**dim, 1)
        self.reshape = ReshapeM(dim, w)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        return _activate(self.reshape(self.conv(x)), self.relu)


class LocallyConnected(nn.Module):
    """A convolution whose weights depend on the position.

    Args:
        shape: (n, ...) of the result; its length is the number of axes.
        inputs, outputs: channels.
        w: width in each axis.
        stride: between the inputs of neighboring outputs.
    """

    def __init__(self, shape: Sequence[int], inputs: int, outputs: int, w: int, stride: int = 1) -> None:
        super().__init__()
        self.shape, self.w, self.stride = tuple(shape), w, stride
        points, fan_in = math.prod(shape), inputs * w ** len(shape)
        bound = 1 / math.sqrt(fan_in)
        self.weight = nn.Parameter(torch.empty(points, outputs, fan_in).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(points, outputs))

    def forward(self, x: Tensor) -> Tensor:
        dim = len(self.shape)
        for axis in range(2, 2 + dim):
            x = x.unfold(axis, self.w, self.stride)
        if tuple(x.shape[2 : 2 + dim]) != self.shape:
            raise ValueError(f"built for {self.shape} points, but given {tuple(x.shape[2 : 2 + dim])}")
        batch, inputs = x.shape[:2]
        patches = x.reshape(batch, inputs, len(self.weight), -1).permute(2, 0, 1, 3).flatten(2)
        result = torch.baddbmm(self.bias[:, None], patches, self.weight.transpose(1, 2))
        return result.permute(1, 2, 0).reshape(batch, -1, *self.shape)


class LocalRestriction(nn.Module):
    """`Restriction` with separate weights for each block; `shape` is that of the input."""

    def __init__(self, shape: Sequence[int], inputs: int, outputs: int, w: int, relu: bool = False) -> None:
        super().__init__()
        self.local = LocallyConnected([n // w for n in shape], inputs, outputs, w, stride=w)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        return _activate(self.local(x), self.relu)


class LocalKernel(nn.Module):
    """`Kernel` with separate weights for each point; `shape` is that of the input."""

    def __init__(
        self, shape: Sequence[int], inputs: int, outputs: int, w: int, relu: bool = False, periodic: bool = True
    ) -> None:
        super().__init__()
        if w % 2 == 0:
            raise ValueError(f"a kernel has an odd width, not {w}")
        self.pad: nn.Module = PeriodicPad(len(shape), w // 2) if periodic else _ZeroPad(len(shape), w // 2)
        self.local = LocallyConnected(shape, inputs, outputs, w)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        return _activate(self.local(self.pad(x)), self.relu)


class LocalInterpolation(nn.Module):
    """`Interpolation` with separate weights for each point; `shape` is that of the input."""

    def __init__(self, shape: Sequence[int], inputs: int, outputs: int, w: int, relu: bool = False) -> None:
        super().__init__()
        self.local = LocallyConnected(shape, inputs, outputs * w ** len(shape), 1)
        self.reshape = ReshapeM(len(shape), w)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        return _activate(self.reshape(self.local(x)), self.relu)


class _ZeroPad(nn.Module):
    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.widths = (width,) * (2 * dim)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pad(x, self.widths)


def _activate(x: Tensor, relu: bool) -> Tensor:
    return nn.functional.relu(x) if relu else x
