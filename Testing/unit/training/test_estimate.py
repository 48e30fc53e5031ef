"""What training needs, told before it starts."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from deeprecon.training.estimate import activation_bytes, free_bytes, peak_bytes, weight_bytes


def test_what_autograd_keeps_is_counted_once() -> None:
    x = torch.rand(1000, requires_grad=True)
    assert activation_bytes(lambda: (x * x).sum()) == 4000
    assert activation_bytes(lambda: x.exp().sum()) == 4000  # its result
    assert activation_bytes(lambda: (2 * x).sum()) == 0  # a constant needs nothing of x


def test_weights_do_not_count_as_activations() -> None:
    layer = nn.Linear(100, 100)
    x = torch.rand(7, 100)
    assert activation_bytes(lambda: layer(x).sum()) == 7 * 100 * 4


def test_what_is_computed_again_is_not_kept() -> None:
    x = torch.rand(1000, requires_grad=True)

    def deep(values: torch.Tensor) -> torch.Tensor:
        for _ in range(10):
            values = values.sin()
        return values

    def again() -> torch.Tensor:
        result: torch.Tensor = checkpoint(deep, x, use_reentrant=False)
        return result

    assert activation_bytes(lambda: deep(x)) == 10 * 4000
    assert activation_bytes(again) <= 4000


def test_activations_grow_with_the_batch() -> None:
    network = nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.SiLU(), nn.Conv3d(4, 1, 3, padding=1))
    one, four = (activation_bytes(lambda n=n: network(torch.rand(n, 1, 8, 8, 8)).sum()) for n in (1, 4))  # type: ignore[misc]
    assert four == pytest.approx(4 * one, rel=0.01)


def test_six_copies_of_the_weights_are_needed() -> None:
    assert weight_bytes(nn.Linear(10, 10)) == 6 * 4 * 110


def test_memory_in_use_and_free_is_reported() -> None:
    peak, free = peak_bytes("cpu"), free_bytes("cpu")
    assert peak is not None
    assert free is not None
    assert 10e6 < peak < 1e12
    assert free > 1e6
