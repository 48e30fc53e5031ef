"""The supervised networks and their loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deeprecon.dwmri.networks.architectures import (
    ARCHITECTURES,
    CHANNELS,
    FEATURES,
    Progressive,
    build,
    count_parameters,
    encode,
    low_band,
)
from deeprecon.dwmri.parameters import Architecture, TrainParameters
from deeprecon.dwmri.training.loss import EdgeAwareLoss, sobel

from .networks import batch, perturbed


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_untrained_network_returns_its_input_whatever_the_size(name):
    torch.manual_seed(0)
    network = build(name, 8)
    for shape in ((5, 7, 9), (1, 6, 3), (8, 8, 8)):
        values, codes = batch(shape)
        found = network(values, codes)
        assert found.shape[2:] == shape
        torch.testing.assert_close(found[:, :1], values[:, :1], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_weight_has_a_gradient_and_batches_do_not_mix(name):
    network = perturbed(name)
    values, codes = batch()
    network(values, codes).pow(2).sum().backward()
    assert all(weights.grad is not None and weights.grad.abs().sum() > 0 for weights in network.parameters())
    with torch.no_grad():
        both = network(values, codes)
        torch.testing.assert_close(both[1:], network(values[1:], codes[1:]), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_output_depends_on_the_gradient_of_the_volume(name):
    network = perturbed(name)
    values, codes = batch()
    with torch.no_grad():
        assert (network(values, codes) - network(values, codes.flip(0))).abs().max() > 1e-4


def test_the_encoding_depends_on_direction_and_b_and_not_on_the_sign():
    directions = np.array([[0.6, 0.8, 0], [-0.6, -0.8, 0], [0.8, 0.6, 0], [0.6, 0.8, 0]])
    codes = encode(np.array([1000.0, 1000, 1000, 2000]), directions)
    assert codes.shape == (4, FEATURES)
    np.testing.assert_allclose(codes[0], codes[1])
    assert np.abs(codes[0] - codes[2]).max() > 0.1
    assert np.abs(codes[0] - codes[3]).max() > 0.1


def test_the_low_band_is_the_binomial_filter():
    """The binomial filter of five voxels has gain cos(pi f)^4."""
    places = torch.arange(64.0)
    for cycles in (2, 16, 32):
        wave = torch.cos(2 * torch.pi * cycles / 64 * places).expand(1, 1, 8, 8, 64)
        gain = np.cos(np.pi * cycles / 64) ** 4
        torch.testing.assert_close(low_band(wave)[..., 4:-4], gain * wave[..., 4:-4], atol=1e-4, rtol=0)


def test_the_paths_of_the_frequency_network_get_one_band_each():
    network = perturbed("frequency")
    slow = torch.ones(1, CHANNELS, 8, 8, 8)
    codes = torch.zeros(1, FEATURES)
    seen = {}
    for name in ("low", "high"):
        getattr(network, name).layers[0].conv.register_forward_pre_hook(
            lambda module, inputs, name=name: seen.update({name: inputs[0]})
        )
    network(slow, codes)
    torch.testing.assert_close(seen["low"], slow, atol=1e-5, rtol=0)
    assert seen["high"].abs().max() < 1e-5


def test_the_kernels_of_the_volume_specific_network_depend_on_the_volume():
    network = perturbed("volume-specific")
    codes = torch.from_numpy(encode(np.array([1000.0, 1000.0]), np.eye(3)[:2]))
    kernels = network.body.kernels(codes)
    assert (kernels[0] - kernels[1]).abs().max() > 1e-3


def test_the_progressive_network_returns_its_coarse_stage():
    network = perturbed("progressive")
    values, codes = batch()
    fine, coarse = network(values, codes).split(1, dim=1)
    network.last.conv.weight.data.zero_()
    network.last.conv.bias.data.zero_()
    plain, same = network(values, codes).split(1, dim=1)
    torch.testing.assert_close(same, coarse)
    torch.testing.assert_close(plain, coarse + values[:, :1] - low_band(values[:, :1]), atol=1e-5, rtol=0)
    assert (fine - plain).abs().max() > 1e-3


def test_the_baseline_has_factorized_kernels():
    sizes = {tuple(layer.kernel_size) for layer in build("baseline", 8).body.first.along}
    assert sizes == {(3, 1, 1), (1, 3, 1), (1, 1, 3)}


def test_only_the_adaptive_skip_weights_its_skip_connection():
    assert build("unet", 8).body.gate is None
    assert count_parameters(build("adaptive-skip", 8)) > count_parameters(build("unet", 8))


def test_a_combination_has_the_stages_or_bands_of_one_and_the_layers_of_the_other():
    for name in ARCHITECTURES:
        if "+" in name:
            layout, body = name.split("+")
            network, parts = build(name, 8), list(build(name, 8).children())
            assert type(network) is type(build(layout, 8))
            assert [type(part) for part in parts[:2]] == 2 * [type(build(body, 8).body)]
    assert sum("+" in name for name in ARCHITECTURES) == 2


def test_the_settings_name_every_architecture():
    assert [network.value for network in Architecture] == list(ARCHITECTURES)
    for network in Architecture:
        refused = bool(TrainParameters(network=network, in_stages=True).validate())
        assert refused is not isinstance(build(network.value, 4), Progressive)


# loss


def test_the_gradient_of_a_ramp_is_its_slope_along_each_axis():
    loss = EdgeAwareLoss(epsilon=1e-6)
    for axis in range(3):
        ramp = torch.arange(7.0).view([-1 if place == axis else 1 for place in range(3)]).expand(7, 7, 7)[None, None]
        inner = loss.edges(3 * ramp)[0, 0, 1:-1, 1:-1, 1:-1]
        torch.testing.assert_close(inner, torch.full_like(inner, 3.0), atol=1e-4, rtol=0)
    assert sobel().sum(dim=(1, 2, 3, 4)).abs().max() < 1e-7


def test_flat_images_have_no_edges_and_a_finite_gradient():
    flat = torch.full((1, 1, 5, 5, 5), 2.0, requires_grad=True)
    loss = EdgeAwareLoss()
    assert loss.edges(flat).abs().max() < 1e-6
    loss(flat, torch.zeros_like(flat), torch.ones_like(flat)).backward()
    assert torch.isfinite(flat.grad).all()


def test_the_edge_loss_distinguishes_blur_from_an_offset_and_ignores_the_outside():
    sharp = torch.zeros(1, 1, 9, 9, 9)
    sharp[..., 4:] = 1
    everywhere = torch.ones_like(sharp)
    plain, aware = EdgeAwareLoss(0.0), EdgeAwareLoss(0.5)
    torch.testing.assert_close(aware(sharp + 0.3, sharp, everywhere), plain(sharp + 0.3, sharp, everywhere))
    blurred = low_band(sharp)
    assert aware(blurred, sharp, everywhere) > 1.2 * plain(blurred, sharp, everywhere)
    assert aware(blurred, sharp, torch.zeros_like(sharp)) == 0
    assert set(EdgeAwareLoss().state_dict()) == set()
