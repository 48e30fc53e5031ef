"""Gradients of convolutions do not depend on what was in memory before."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from deeprecon.training.layers.convolution import Conv3d


def fill_memory() -> None:
    """Leave NaN and large numbers in memory that is then free."""
    for count in (10, 1000, 100_000, 3_000_000):
        for value in (math.nan, 1e30):
            parts = [torch.full((count,), value) for _ in range(4)]
            del parts


def gradients(layer: nn.Conv3d, x: torch.Tensor) -> tuple[bytes, ...]:
    layer.zero_grad()
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
    y.float().square().mean().backward()
    assert layer.weight.grad is not None
    assert layer.bias is not None
    assert layer.bias.grad is not None
    assert x.grad is not None
    found = (layer.weight.grad, layer.bias.grad, x.grad)
    assert all(bool(torch.isfinite(one).all()) for one in found)
    return tuple(one.numpy().tobytes() for one in found)


@pytest.mark.parametrize("size", [(1, 1, 1), (2, 2, 2), (2, 8, 8), (8, 8, 2), (8, 8, 8)])
@pytest.mark.parametrize("kernel", [3, 5])
def test_gradients_in_bf16_are_the_same_whatever_was_in_memory(size: tuple[int, int, int], kernel: int) -> None:
    torch.manual_seed(0)
    layer = Conv3d(8, 64, kernel, padding=kernel // 2)
    x = torch.randn(1, 8, *size).contiguous(memory_format=torch.channels_last_3d)
    found = set()
    for _ in range(6):
        fill_memory()
        found.add(gradients(layer, x))
    assert len(found) == 1


def test_the_layer_is_that_of_torch() -> None:
    torch.manual_seed(0)
    own = Conv3d(2, 3, 3, padding=1)
    other = nn.Conv3d(2, 3, 3, padding=1)
    other.load_state_dict(own.state_dict())
    for side in (2, 6):
        x = torch.randn(1, 2, side, side, side)
        assert torch.equal(own(x), other(x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert own(torch.randn(1, 2, 6, 6, 6)).dtype == torch.bfloat16
