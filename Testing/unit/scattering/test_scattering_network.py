"""BCR-Net: the sizes of the published network, its graph, its symmetry, and that all of it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deeprecon.scattering.networks.bcrnet import Architecture, BcrNet, parameter_count


@pytest.mark.parametrize(
    ("angles", "inputs", "rings", "levels", "rank", "count"),
    [
        (128, 128, 128, 5, 40, 1_194_369),
        (128, 128, 128, 5, 5, 20_714),
        (128, 128, 128, 5, 2, 4_247),
        (128, 128, 128, 5, 1, 1_710),
        (100, 100, 100, 2, 40, 710_661),
        (100, 100, 100, 2, 80, 2_822_301),
        (100, 100, 100, 2, 128, 7_206_381),
        (128, 256, 64, 5, 40, 1_196_865),
    ],
)
def test_parameter_counts_are_those_of_the_original(
    angles: int, inputs: int, rings: int, levels: int, rank: int, count: int
) -> None:
    assert parameter_count(BcrNet(Architecture(angles, inputs, rings, levels, rank))) == count


def small(**other: int) -> BcrNet:
    torch.manual_seed(1)
    return BcrNet(
        Architecture(**{"angles": 32, "inputs": 6, "rings": 5, "levels": 2, "rank": 3, "kernels": 2, **other})
    )


def test_the_graph_is_that_of_a_transcription_with_channels_last() -> None:
    """Every layer written again with loops and numpy, on (N, C) arrays as the original has them."""
    net = small().double()
    x = torch.randn(1, 6, 32, dtype=torch.float64)
    weights = {name: value.detach().numpy() for name, value in net.named_parameters()}

    def conv(a: np.ndarray, name: str, stride: int = 1, pad: int | None = None) -> np.ndarray:
        w = weights[f"{name}.weight"]
        width = w.shape[2]
        pad = width // 2 if pad is None else pad
        bias = weights.get(f"{name}.bias", np.zeros(len(w)))
        rows = []
        for i in range(0, len(a), stride):
            rows.append(bias + sum(w[:, :, t] @ a[(i + t - pad) % len(a)] for t in range(width)))
        return np.array(rows)

    def stack(a: np.ndarray, name: str) -> np.ndarray:
        for layer in range(2):
            a = np.maximum(conv(a, f"{name}.{layer}.conv"), 0)
        return a

    a = conv(x[0].numpy().T, "encoder.conv")
    scales = []
    for level in range(2):
        scales.append(conv(a, f"wavelets.{level}.conv", stride=2, pad=2))
        a = scales[-1][:, 3:]
    a = stack(a, "core")
    for level in (1, 0):
        seen = stack(scales[level], f"details.{level}")
        seen[:, 3:] += a
        seen = conv(seen, f"inverses.{level}.conv")
        a = seen.reshape(len(seen), 2, 3).reshape(2 * len(seen), 3)  # (n, 2a) -> (2n, a)
    image = conv(a, "decoder.conv")
    y = image[:, :, None]
    for layer in range(5):
        w, bias = weights[f"refinement.convs.{layer}.weight"], weights[f"refinement.convs.{layer}.bias"]
        padded = np.pad(np.pad(y, ((1, 1), (0, 0), (0, 0)), mode="wrap"), ((0, 0), (1, 1), (0, 0)))
        y = bias + sum(padded[i : i + 32, j : j + 5] @ w[:, :, i, j].T for i in range(3) for j in range(3))
        y = np.maximum(y, 0) if layer < 4 else y
    refined, before = net(x)
    np.testing.assert_allclose(before[0].detach().numpy(), image, atol=1e-13)
    np.testing.assert_allclose(refined[0].detach().numpy(), image + y[..., 0], atol=1e-13)


def test_network_is_equivariant_to_rotations_by_a_coarse_grid_step() -> None:
    net = small().double()
    x = torch.randn(1, 6, 32, dtype=torch.float64)
    for shift, equal in ((4, True), (8, True), (1, False), (2, False)):
        turned = torch.roll(net(x)[0], shift, 1)
        assert (float((net(torch.roll(x, shift, 2))[0] - turned).detach().abs().max()) < 1e-12) == equal


def test_every_parameter_exists_before_the_first_pass_and_changes_in_one_step() -> None:
    net = small()
    count = parameter_count(net)
    optimizer = torch.optim.AdamW(net.parameters(), 1e-2)
    held = sum(values.numel() for group in optimizer.param_groups for values in group["params"])
    before = {name: values.clone() for name, values in net.named_parameters()}
    refined, image = net(torch.randn(8, 6, 32))
    (refined.square().mean() + image.square().mean()).backward()
    optimizer.step()
    assert held == count == parameter_count(net)
    unchanged = [name for name, values in net.named_parameters() if torch.equal(values, before[name])]
    assert unchanged == []


def test_a_fresh_network_takes_the_weights_of_another() -> None:
    one, other = small(), small()
    with torch.no_grad():
        for values in one.parameters():
            values.add_(0.1)
    other.load_state_dict(one.state_dict())
    x = torch.randn(2, 6, 32)
    torch.testing.assert_close(one(x)[0], other(x)[0], rtol=0, atol=0)


def test_no_column_of_the_image_is_lost_in_the_refinement() -> None:
    net = small()
    with torch.no_grad():
        for conv in net.refinement.convs:
            conv.weight.fill_(0.1)
            conv.bias.fill_(0.1)
    refined, image = net(torch.randn(1, 6, 32))
    assert bool(((refined - image).abs() > 0).all())


def test_checkpointing_gives_the_same_gradients() -> None:
    plain, sparing = small(), small()
    sparing.checkpointing = True
    x = torch.randn(2, 6, 32)
    for net in (plain, sparing):
        net.train()
        net(x)[0].square().sum().backward()
    for one, other in zip(plain.parameters(), sparing.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=0, atol=0)


def test_initializing_wavelets_as_db3_changes_no_other_layer() -> None:
    net, same = small().double(), small().double()
    net.initialize_wavelets()
    a = torch.randn(1, 3, 32, dtype=torch.float64)
    torch.testing.assert_close(net.inverses[0](net.wavelets[0](a)), a, rtol=0, atol=1e-14)
    assert torch.equal(net.encoder.conv.weight, same.encoder.conv.weight)


@pytest.mark.parametrize(
    ("other", "words"), [({"levels": 6}, "cannot be halved 6 times"), ({"levels": 5}, "leave 1 points")]
)
def test_impossible_architectures_are_refused_with_a_reason(other: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        small(**other)
