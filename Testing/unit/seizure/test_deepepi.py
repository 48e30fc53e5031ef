"""The network: its size, its receptive field, and one pass over a recording compared with separate windows."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from deeprecon.data.errors import InputError
from deeprecon.seizure.fit.inference import WINDOWS_PER_CHUNK, window_probabilities
from deeprecon.seizure.networks.architecture import PUBLISHED_STRIDES, TRAINABLE_PARAMETERS, receptive_field
from deeprecon.seizure.networks.deepepi import DeepEpi, new_network
from deeprecon.seizure.observe.windows import window_ends

SEED_STRIDES = (1, 1, 1, 1, 2, 1, 1, 1, 1, 2, 1, 1, 1, 2)


def calibrated_network(strides: tuple[int, ...] = PUBLISHED_STRIDES) -> DeepEpi:
    """A network whose batch norms have statistics of movements, so that its probabilities differ."""
    network = new_network(3, strides)
    windows = torch.from_numpy(signal(16 * 750)).view(16, 750)
    with torch.no_grad():
        for _ in range(30):
            network(windows)
    return network.eval()


def signal(samples: int) -> np.ndarray:
    """Movement whose strength and frequency change every ten seconds or so."""
    rng = np.random.default_rng(0)
    place = np.arange(samples) / 25
    knots = np.arange(0, place[-1] + 7, 7)
    strength, frequency = (np.interp(place, knots, rng.uniform(0, high, len(knots))) for high in (1.2, 6))
    wave = strength * np.sin(2 * np.pi * np.cumsum(frequency) / 25)
    return np.abs(1 + wave + rng.normal(0, 0.02, samples)).astype(np.float32)


def window_by_window(network: DeepEpi, magnitude: np.ndarray, window: int, stride: int) -> np.ndarray:
    """Probability of each window from a pass of its own, gaps ignored: the reference."""
    rows = np.stack([magnitude[end - window : end] for end in window_ends(len(magnitude), window, stride)])
    with torch.inference_mode():
        logits = network(torch.from_numpy(rows).to(next(network.parameters())))
    return torch.softmax(logits, dim=1)[:, 1].double().numpy()


def test_strides_are_computed_in_fp32_on_a_cpu_whose_bf16_gradient_reads_unwritten_memory():
    made = {}
    network = new_network(0)
    for index, block in enumerate(network.convolutions):
        block.linear.register_forward_hook(lambda *found, index=index: made.update({index: found[2].dtype}))
    with torch.autocast("cpu", torch.bfloat16):
        network(torch.ones(2, 750))
    strided = {index for index, stride in enumerate(PUBLISHED_STRIDES) if stride > 1}
    assert {index for index, dtype in made.items() if dtype == torch.float32} == strided


@pytest.mark.parametrize("strides", [PUBLISHED_STRIDES, SEED_STRIDES])
def test_97362_trainable_parameters_for_all_strides(strides):
    network = DeepEpi(strides)
    assert (
        sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad) == TRAINABLE_PARAMETERS
    )
    assert TRAINABLE_PARAMETERS == 97_362
    statistics = [value for name, value in network.named_buffers() if name.endswith(("mean", "var"))]
    assert sum(value.numel() for value in statistics) == 1_344
    assert sum(isinstance(layer, nn.Conv1d) for layer in network.modules()) == 14


@pytest.mark.parametrize(("strides", "length"), [(PUBLISHED_STRIDES, 157), (SEED_STRIDES, 79)])
def test_number_of_features_of_30_s_equals_the_published_code(strides, length):
    network = DeepEpi(strides)
    assert network.convolutions(torch.zeros(1, 1, 750)).shape == (1, 64, length)


@pytest.mark.parametrize("strides", [PUBLISHED_STRIDES, SEED_STRIDES, (2,) * 5 + (1,) * 9])
def test_receptive_field_of_a_feature(strides):
    reach = receptive_field(strides)
    network = DeepEpi(strides).eval()
    for layer in network.convolutions.modules():
        if isinstance(layer, nn.Conv1d):  # no value is set to 0 by a ReLU
            layer.weight.data.abs_()
            layer.bias.data.zero_()
    x = torch.ones(1, 1, reach + 50, requires_grad=True)
    network.convolutions(x)[0, :, 0].sum().backward()
    seen = x.grad[0, 0].nonzero().ravel()
    assert (seen[0], seen[-1]) == (0, reach - 1)


def test_shortest_signal_is_5_s():
    network = calibrated_network()
    assert network.minimum == 125
    assert network(torch.ones(2, 125)).shape == (2, 2)
    with pytest.raises(InputError, match=r"needs 125 samples, the signal has 124"):
        network(torch.ones(2, 124))


def test_every_parameter_is_trained():
    network = new_network(0)
    before = [parameter.detach().clone() for parameter in network.parameters()]
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, weight_decay=0)
    nn.functional.cross_entropy(network(torch.from_numpy(signal(8 * 250)).view(8, 250)), torch.arange(8) % 2).backward()
    optimizer.step()
    for old, new in zip(before, network.parameters(), strict=True):
        assert not torch.equal(old, new)


def test_seed_determines_weights_and_keeps_the_generator_state():
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one, other = new_network(1), new_network(1)
    torch.testing.assert_close(torch.rand(3), expected)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(one.dense[4].weight, new_network(2).dense[4].weight)


@pytest.mark.parametrize(
    ("strides", "stride"),
    [
        (PUBLISHED_STRIDES, 125),
        (PUBLISHED_STRIDES, 128),
        (PUBLISHED_STRIDES, 6),
        (SEED_STRIDES, 125),
        ((3, 2) + (1,) * 12, 25),
    ],
)
def test_one_pass_over_a_recording_equals_separate_windows(strides, stride):
    network = calibrated_network(strides).double()
    samples = signal(3000 if stride < 100 else 9001)
    window = max(750, network.minimum)
    found = window_probabilities(network, samples, np.ones(len(samples), bool), window, stride)
    expected = window_by_window(network, samples, window, stride)
    assert len(found) == len(window_ends(len(samples), window, stride)) == len(expected)
    assert expected.std() > 1e-2  # else the comparison would be trivial
    assert np.abs(found - expected).max() < 1e-12


def test_result_does_not_depend_on_the_chunk_size(monkeypatch):
    network, samples = calibrated_network().double(), signal(10_000)
    whole = window_probabilities(network, samples, np.ones(len(samples), bool), 750, 125)
    monkeypatch.setitem(WINDOWS_PER_CHUNK, "cpu", 7)
    np.testing.assert_allclose(
        window_probabilities(network, samples, np.ones(len(samples), bool), 750, 125), whole, atol=1e-12
    )


def test_windows_with_a_gap_are_nan_and_others_unchanged():
    network, samples = calibrated_network().double(), signal(6000)
    valid = np.ones(len(samples), bool)
    valid[2000:2010] = False
    found = window_probabilities(network, samples, valid, 750, 125)
    touched = [not valid[end - 750 : end].all() for end in window_ends(len(samples), 750, 125)]
    np.testing.assert_array_equal(np.isnan(found), touched)
    whole = window_by_window(network, samples, 750, 125)
    np.testing.assert_allclose(found[~np.isnan(found)], whole[~np.isnan(found)], atol=1e-12)


def test_a_recording_shorter_than_a_window_has_no_windows():
    assert len(window_probabilities(calibrated_network(), signal(700), np.ones(700, bool), 750, 125)) == 0


def test_probability_depends_only_on_samples_inside_the_window():
    network, samples = calibrated_network(), signal(3000)
    valid = np.ones(len(samples), bool)
    before = window_probabilities(network, samples, valid, 750, 125)
    changed = samples.copy()
    changed[1500:] = 5.0
    after = window_probabilities(network, changed, valid, 750, 125)
    ends = window_ends(len(samples), 750, 125)
    np.testing.assert_allclose(after[ends <= 1500], before[ends <= 1500], atol=1e-7)
    assert all(a != b for a, b in itertools.islice(zip(after[ends > 1600], before[ends > 1600], strict=True), 3))
