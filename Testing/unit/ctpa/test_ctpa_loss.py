"""Perceptual and adversarial losses: who gets a gradient, and who does not."""

from __future__ import annotations

import pytest
import torch

from deeprecon.ctpa.training.auxiliary_losses import (
    AdversarialLoss,
    Discriminator,
    PerceptualLoss,
    frozen,
    paired_slices,
)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def gradients(module):
    return [parameter.grad for parameter in module.parameters() if parameter.grad is not None]


def test_the_perceptual_loss_has_a_gradient():
    """Published code computed it without a graph: it was shown, and taught nothing."""
    loss = PerceptualLoss(None)
    truth = torch.rand(1, 1, 32, 32, 32)
    result = truth.flip(2).requires_grad_()
    value = loss(result, truth)
    value.backward()
    assert value > 0
    assert result.grad is not None
    assert result.grad.abs().max() > 0
    assert gradients(loss) == []
    assert not loss.train().trunk.training  # else its statistics would become those of our slices


def test_the_perceptual_loss_is_zero_for_the_truth_and_falls_along_its_gradient():
    loss = PerceptualLoss(None)
    truth = torch.rand(1, 1, 32, 32, 32)
    assert float(loss(truth, truth)) == pytest.approx(0, abs=1e-9)
    result = (truth + 0.5 * torch.randn_like(truth)).requires_grad_()

    def measured(volume):
        return loss(volume, truth, torch.Generator().manual_seed(3))

    before = measured(result)
    before.backward()
    step = 0.2 * result.grad / result.grad.norm()
    assert float(measured(result.detach() - step)) < float(before)


def test_slices_of_both_volumes_are_the_same_ones():
    volume = torch.arange(4 * 5 * 6.0).view(1, 1, 4, 5, 6)
    pairs = paired_slices(volume, volume + 1000)
    assert [tuple(one.shape[2:]) for one, _ in pairs] == [(5, 6), (4, 6), (4, 5)]
    for one, other in pairs:
        torch.testing.assert_close(other, one + 1000)


def test_the_adversary_moves_the_autoencoder_and_not_itself():
    """Published code detached both images: the network got no adversarial gradient."""
    adversary = AdversarialLoss(width=8)
    result = torch.randn(1, 1, 16, 16, 16, requires_grad=True)
    adversary.autoencoder_loss(result).backward()
    assert result.grad is not None
    assert result.grad.abs().max() > 0
    assert gradients(adversary) == []


def test_the_discriminators_learn_and_the_autoencoder_does_not_with_them():
    adversary = AdversarialLoss(width=8)
    result = torch.randn(1, 1, 16, 16, 16, requires_grad=True)
    adversary.discriminator_loss(result, torch.randn(1, 1, 16, 16, 16)).backward()
    assert result.grad is None
    assert len(gradients(adversary)) == len(list(adversary.parameters()))


@pytest.mark.parametrize(("slice_weight", "volume_weight"), [(1.0, 0.0), (0.0, 1.0)])
def test_each_discriminator_has_its_weight(slice_weight, volume_weight):
    adversary = AdversarialLoss(slice_weight, volume_weight, width=8)
    assert (adversary.slices is not None, adversary.volumes is not None) == (bool(slice_weight), bool(volume_weight))
    adversary.discriminator_loss(torch.randn(1, 1, 16, 16, 16), torch.randn(1, 1, 16, 16, 16)).backward()
    assert len(gradients(adversary)) == len(list(adversary.parameters()))


def test_the_discriminators_begin_when_the_autoencoder_has_learned_something():
    """Until then their loss is 0, with gradients of 0: several processes wait for the gradient of every weight."""
    adversary = AdversarialLoss(start=2, width=8)
    result, truth = torch.randn(1, 1, 16, 16, 16, requires_grad=True), torch.randn(1, 1, 16, 16, 16)
    values = []
    for _ in range(3):
        adversary.zero_grad()
        value = adversary(result, truth)
        value.backward()
        found = [bool(gradient.any()) for gradient in gradients(adversary)]
        assert len(found) == len(list(adversary.parameters()))
        values.append((float(value.detach()) != 0, any(found)))
    assert values == [(False, False), (False, False), (True, True)]
    assert int(adversary.state_dict()["passes"]) == 3  # a training that goes on knows


def test_weights_scale_the_loss():
    volume = torch.randn(1, 1, 16, 16, 16)
    once, thrice = AdversarialLoss(1.0, 1.0, width=8).eval(), AdversarialLoss(3.0, 3.0, width=8).eval()
    thrice.load_state_dict(once.state_dict())
    losses = [float(each.autoencoder_loss(volume, torch.Generator().manual_seed(1))) for each in (once, thrice)]
    assert losses[1] == pytest.approx(3 * losses[0], rel=1e-5)


def test_discriminators_tell_smooth_from_rough_with_batches_of_one():
    adversary = AdversarialLoss(width=8)
    optimizer = torch.optim.Adam(adversary.parameters(), 2e-3)
    for _ in range(25):
        rough = torch.randn(1, 1, 16, 16, 16)
        smooth = torch.nn.functional.avg_pool3d(rough, 5, 1, 2)
        loss = adversary.discriminator_loss(smooth, rough)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    adversary.eval()
    with torch.no_grad():
        assert float(adversary.volumes(rough).mean()) > float(adversary.volumes(smooth).mean())
    assert float(loss) < 1.9


@pytest.mark.parametrize("dimensions", [2, 3])
def test_a_discriminator_judges_patches(dimensions):
    logits = Discriminator(dimensions, width=8)(torch.randn(1, 1, *[32] * dimensions))
    assert logits.shape == (1, 1, *[4] * dimensions)


def test_frozen_weights_learn_again_afterwards():
    module = Discriminator(2, width=8)
    with frozen(module):
        assert not any(parameter.requires_grad for parameter in module.parameters())
    assert all(parameter.requires_grad for parameter in module.parameters())
