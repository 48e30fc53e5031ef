"""Network layers: padding, reshaping, kernels, locally connected layers, wavelets and hierarchical networks."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from deeprecon.scattering.networks.bcrnet import parameter_count
from deeprecon.scattering.networks.layers import (
    Interpolation,
    Kernel,
    LocalInterpolation,
    LocalKernel,
    LocalRestriction,
    PeriodicPad,
    ReshapeM,
    ReshapeT,
    Restriction,
)
from deeprecon.scattering.networks.mnn import MnnH, MnnH2
from deeprecon.scattering.networks.wavelets import DB3, InverseWavelet, Wavelet, initialize_db3

DIMENSIONS = (1, 2, 3)


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))


def axes(dim: int) -> tuple[int, ...]:
    return tuple(range(2, 2 + dim))


# ---- padding and reshaping


@pytest.mark.parametrize("dim", DIMENSIONS)
def test_periodic_padding_wraps_around(dim: int) -> None:
    x = noise(2, 3, *[5] * dim)
    padded = PeriodicPad(dim, 2)(x)
    index = torch.arange(-2, 7) % 5
    expected = x
    for axis in axes(dim):
        expected = expected.index_select(axis, index)
    torch.testing.assert_close(padded, expected, rtol=0, atol=0)


def test_periodic_padding_refuses_what_wraps_more_than_once() -> None:
    with pytest.raises(ValueError, match="cannot be padded periodically by 4"):
        PeriodicPad(1, 4)(noise(1, 1, 3))


@pytest.mark.parametrize("dim", DIMENSIONS)
def test_reshaping_to_channels_and_back_is_the_identity_in_both_orders(dim: int) -> None:
    image, blocks = noise(2, 3, *[6] * dim), noise(2, 3 * 2**dim, *[3] * dim)
    torch.testing.assert_close(ReshapeM(dim, 2)(ReshapeT(dim, 2)(image)), image, rtol=0, atol=0)
    torch.testing.assert_close(ReshapeT(dim, 2)(ReshapeM(dim, 2)(blocks)), blocks, rtol=0, atol=0)


@pytest.mark.parametrize("dim", DIMENSIONS)
def test_channels_of_a_block_are_ordered_by_position_then_channel(dim: int) -> None:
    w, channels = 3, 2
    x = noise(1, channels, *[6] * dim)
    blocks = ReshapeT(dim, w)(x)
    for number, place in enumerate(itertools.product(range(w), repeat=dim)):
        for channel in range(channels):
            index = (0, channel, *(slice(offset, None, w) for offset in place))
            assert torch.equal(blocks[0, number * channels + channel], x[index])


# ---- restriction, kernel, interpolation


@pytest.mark.parametrize("dim", DIMENSIONS)
def test_a_kernel_is_a_block_circulant_matrix(dim: int) -> None:
    layer = Kernel(dim, 2, 3, 3).double()
    x = noise(1, 2, *[6] * dim)
    shift = (2, 1, 5)[:dim]
    torch.testing.assert_close(
        layer(torch.roll(x, shift, axes(dim))), torch.roll(layer(x), shift, axes(dim)), rtol=0, atol=1e-14
    )
    impulse = torch.zeros_like(x)
    impulse[(0, 0, *[0] * dim)] = 1
    change = (layer(impulse) - layer(torch.zeros_like(x))).abs().amax(dim=(0, 1))
    assert torch.count_nonzero(change) == 3**dim


def test_a_kernel_without_period_ends_at_the_border() -> None:
    layer = Kernel(1, 1, 1, 3, periodic=False, bias=False).double()
    impulse = torch.zeros(1, 1, 6, dtype=torch.float64)
    impulse[..., 0] = 1
    assert torch.count_nonzero(layer(impulse)) == 2


@pytest.mark.parametrize("dim", DIMENSIONS)
def test_restriction_and_interpolation_act_block_by_block(dim: int) -> None:
    down, up = Restriction(dim, 1, 4, 2).double(), Interpolation(dim, 4, 1, 2).double()
    x = noise(1, 1, *[8] * dim)
    coarse = down(x)
    fine = up(coarse)
    assert coarse.shape == (1, 4, *[4] * dim)
    assert fine.shape == x.shape
    changed = x.clone()
    changed[(0, 0, *[3] * dim)] += 1  # in block 1 of each axis
    assert torch.nonzero((down(changed) - coarse)[0, 0]).tolist() == [[1] * dim]
    touched = torch.nonzero((up(down(changed)) - fine)[0, 0])
    assert set(map(tuple, touched.tolist())) <= set(itertools.product((2, 3), repeat=dim))


@pytest.mark.parametrize("dim", DIMENSIONS)
@pytest.mark.parametrize("kind", ["restriction", "kernel", "interpolation"])
def test_local_layers_with_equal_weights_everywhere_are_the_convolutions(dim: int, kind: str) -> None:
    n = 4
    shared: nn.Module
    if kind == "restriction":
        shared, local = Restriction(dim, 2, 3, 2), LocalRestriction([n] * dim, 2, 3, 2)
    elif kind == "kernel":
        shared, local = Kernel(dim, 2, 3, 3), LocalKernel([n] * dim, 2, 3, 3)
    else:
        shared, local = Interpolation(dim, 2, 3, 2), LocalInterpolation([n] * dim, 2, 3, 2)
    shared, local = shared.double(), local.double()
    with torch.no_grad():
        local.local.weight.copy_(shared.conv.weight.flatten(1).expand_as(local.local.weight))
        local.local.bias.copy_(shared.conv.bias.expand_as(local.local.bias))
    x = noise(2, 2, *[n] * dim)
    torch.testing.assert_close(local(x), shared(x), rtol=0, atol=1e-13)


def test_a_local_kernel_is_not_shift_invariant() -> None:
    layer = LocalKernel([6], 1, 1, 3).double()
    x = noise(1, 1, 6)
    assert float((layer(torch.roll(x, 1, 2)) - torch.roll(layer(x), 1, 2)).detach().abs().max()) > 1e-3


def test_a_local_layer_refuses_another_grid() -> None:
    with pytest.raises(ValueError, match=r"built for \(6,\) points, but given \(8,\)"):
        LocalKernel([6], 1, 1, 3)(torch.zeros(1, 1, 8))


# ---- wavelets


def test_the_filter_of_db3_is_orthonormal_with_three_vanishing_moments() -> None:
    h = np.array(DB3)
    assert abs(h.sum() - math.sqrt(2)) < 1e-15
    for shift in range(3):
        assert abs(h[2 * shift :] @ h[: 6 - 2 * shift] - (shift == 0)) < 1e-15
    wavelet = (-1.0) ** np.arange(6) * h[::-1]
    for moment in range(3):
        assert abs(wavelet @ np.arange(6.0) ** moment) < 1e-12


@pytest.mark.parametrize("dim", DIMENSIONS)
def test_db3_reconstructs_perfectly_and_keeps_the_norm(dim: int) -> None:
    wavelet, inverse = Wavelet(dim, 2, 2).double(), InverseWavelet(dim, 2).double()
    initialize_db3(wavelet, inverse)
    x = noise(2, 2, *[12] * dim)
    coefficients = wavelet(x)
    assert coefficients.shape == (2, 2 * 2**dim, *[6] * dim)
    torch.testing.assert_close(inverse(coefficients), x, rtol=0, atol=2e-14)
    torch.testing.assert_close(coefficients.norm(), x.norm(), rtol=1e-14, atol=0)


@pytest.mark.parametrize("dim", DIMENSIONS)
def test_only_the_scaling_group_sees_a_constant(dim: int) -> None:
    wavelet, inverse = Wavelet(dim, 1, 1).double(), InverseWavelet(dim, 1).double()
    initialize_db3(wavelet, inverse)
    coefficients = wavelet(torch.ones(1, 1, *[8] * dim, dtype=torch.float64))
    assert float(coefficients[:, :-1].detach().abs().max()) < 1e-13
    torch.testing.assert_close(coefficients[:, -1:], torch.full_like(coefficients[:, -1:], 2 ** (dim / 2)))


def test_db3_is_refused_by_other_numbers_of_taps() -> None:
    with pytest.raises(ValueError, match="6 and 3 taps"):
        initialize_db3(Wavelet(1, 2, 2, w=4), InverseWavelet(1, 2))


# ---- MNN-H and MNN-H2


@pytest.mark.parametrize("local", [False, True])
@pytest.mark.parametrize("dim", DIMENSIONS)
@pytest.mark.parametrize("network", [MnnH, MnnH2])
def test_the_networks_keep_the_shape_and_train_every_parameter(
    network: type[MnnH | MnnH2], dim: int, local: bool
) -> None:
    torch.manual_seed(0)
    n = {1: 32, 2: 16, 3: 8}[dim]
    net = network(dim, n, {1: 4, 2: 3, 3: 3}[dim], 4, 1, local)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    before = [values.clone() for values in net.parameters()]
    x = torch.randn(4, 1, *[n] * dim)
    y = net(x)
    assert y.shape == x.shape
    (y - torch.roll(x, 1, 2)).square().sum().backward()
    optimizer.step()
    for values, old in zip(net.parameters(), before, strict=True):
        assert values.grad is not None
        assert not torch.equal(values, old)


def test_mnn_h2_nests_its_scales_and_is_smaller() -> None:
    h, h2 = MnnH(1, 64, 5, 4, 2), MnnH2(1, 64, 5, 4, 2)
    # by hand: m = 2; near field 2 (2 2 3 + 2); kernels of 4 channels, 5 wide once and 7 wide three times
    near, kernels = 2 * (2 * 2 * 3 + 2), 2 * (4 * 4 * 5 + 4) + 3 * 2 * (4 * 4 * 7 + 4)
    direct = sum((4 * w + 4) + (4 * w + w) for w in (16, 8, 4, 2))
    nested = (4 * 2 + 4) + (4 * 2 + 2) + 3 * ((4 * 4 * 2 + 4) + (4 * 8 + 8))
    assert parameter_count(h) == near + kernels + direct
    assert parameter_count(h2) == near + kernels + nested
    assert nested != direct


@pytest.mark.parametrize("network", [MnnH, MnnH2])
def test_a_nonlocal_linear_operator_can_be_learned(network: type[MnnH | MnnH2]) -> None:
    """A smooth periodic kernel, which is what the far field of a hierarchical matrix is for."""
    torch.manual_seed(0)
    n = 32
    distance = 2 * math.pi / n * (torch.arange(n)[:, None] - torch.arange(n)[None])
    matrix = torch.log(2.1 - 2 * torch.cos(distance)) / n
    x = torch.randn(400, 1, n)
    y = x @ matrix.T
    net = network(1, n, 3, 6, 2)
    optimizer = torch.optim.Adam(net.parameters(), 5e-3)
    for step in range(200):
        part = slice(step * 50 % 400, step * 50 % 400 + 50)
        loss = (net(x[part]) - y[part]).square().mean() / y.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    fresh = torch.randn(100, 1, n)
    error = (net(fresh) - fresh @ matrix.T).norm() / (fresh @ matrix.T).norm()
    assert float(error.detach()) < 0.35


@pytest.mark.parametrize("levels", [1, 5])
def test_a_grid_that_cannot_be_halved_so_often_is_refused(levels: int) -> None:
    with pytest.raises(ValueError, match="cannot be halved"):
        MnnH(1, 16 * 3, levels, 2, 2)
