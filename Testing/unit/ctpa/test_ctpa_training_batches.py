"""Training batches and losses: latents with their X-rays, patches, the autoencoder's and the discriminators' loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from deeprecon.ctpa.autoencoder.network import Autoencoder, AutoencoderShape
from deeprecon.ctpa.diffusion.processes import PROCESSES
from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.observe.projection import Geometry, View
from deeprecon.ctpa.training.autoencoder_loss import AutoencoderLoss
from deeprecon.ctpa.training.auxiliary_losses import AdversarialLoss
from deeprecon.ctpa.training.denoising import NoisyLatents, latent_statistics
from deeprecon.ctpa.training.patch_batches import PhantomPatches
from deeprecon.training.batches import RandomBatches

FULL = Grid((96, 64, 64))


# ---- samples


class _Case:
    def __init__(self, number: int, view: View) -> None:
        self.geometry = Geometry(view=view)
        self._latent = np.full((2, 12, 8, 8), number, np.float32)

    def latent(self):
        return self._latent

    def known(self, shape):
        return np.ones(shape, bool)


def latent_samples(**changes):
    cases = [_Case(number, View.AP if number % 3 else View.PA) for number in range(9)]
    ones = torch.ones(2, 1, 1, 1)
    values = {
        "cases": cases, "xrays": torch.arange(9.0).view(9, 1, 1, 1).expand(9, 1, 24, 16),
        "deviations": torch.zeros(9, 2, 12, 8, 8), "shift": 0 * ones, "scale": ones, "grid": Grid((12, 8, 8)),
        "process": PROCESSES["rectified-flow"], "withheld": 0.25, "patch": 0, "divisor": 4, "group": 4, "seed": 0,
    }  # fmt: skip
    return NoisyLatents(**(values | changes))


def test_a_latent_comes_with_its_own_xray_and_a_batch_has_one_geometry():
    """Trap: pairs that are mixed up, or rays of another patient."""
    samples = latent_samples(process=PROCESSES["v-prediction"])
    for step in range(12):
        batch = samples(np.arange(4 * step, 4 * step + 4))
        time = batch["t"].view(-1, 1, 1, 1, 1)
        scale, deviation = samples.process.scales(time)
        noise = (batch["target"] + deviation * (batch["x"] - 0) / scale) / (scale + deviation**2 / scale)
        data = (batch["x"] - deviation * noise) / scale
        numbers = batch["xray"][:, 0, 0, 0]
        torch.testing.assert_close(data.mean(dim=(1, 2, 3, 4)), numbers, atol=2e-3, rtol=0)
        assert len({int(number) % 3 == 0 for number in numbers}) == 1


def test_two_processes_see_together_what_one_sees_with_the_double_batch():
    samples = latent_samples()
    two = [list(RandomBatches(3, 2, samples)(1, rank, 2)) for rank in (0, 1)]
    one = list(RandomBatches(3, 4, samples)(1))
    for left, right, both in zip(*two, one, strict=True):
        for name in ("x", "t", "target", "xray", "withheld"):
            assert torch.equal(torch.cat([left[name], right[name]]), both[name])
        assert all(torch.equal(a, b) for a, b in zip(left["rays"], both["rays"], strict=True))


def test_times_are_spread_evenly_and_some_xrays_are_withheld():
    """Trap: a share of withheld X-rays that is always zero, so that guidance has nothing to compare with."""
    batches = [latent_samples()(np.arange(4 * step, 4 * step + 4)) for step in range(50)]
    times = torch.cat([batch["t"] for batch in batches]).sort().values
    assert (times - (torch.arange(200) + 0.5) / 200).abs().max() < 0.02
    assert torch.cat([batch["withheld"] for batch in batches]).float().mean() == pytest.approx(0.25, abs=0.08)


def test_a_patch_has_the_rays_of_its_place():
    """Trap: patches that do not know where they are."""
    samples = latent_samples(patch=8)
    first, second = samples(np.arange(4)), samples(np.arange(4, 8))
    assert first["x"].shape == (4, 2, 8, 8, 8)
    assert first["rays"][2].shape[1:] == (8, 8, 8)
    starts = {float(samples(np.arange(4 * step, 4 * step + 4))["rays"][3][0]) for step in range(12)}
    assert len(starts) == 2  # 0 and 4 of 12 planes: multiples of the divisor
    assert not torch.equal(first["x"], second["x"])


def test_latents_are_standardized_by_the_spread_of_all_voxels():
    """Trap: scaling by extremes of a codebook, which gives neither unit variance nor bounds."""
    mean, deviation = latent_statistics(latent_samples().cases)
    np.testing.assert_allclose(mean.flatten(), 4.0, rtol=1e-6)
    np.testing.assert_allclose(deviation.flatten(), np.std(np.arange(9)), rtol=1e-6)


def test_phantom_patches_are_parts_of_one_chest_and_do_not_repeat():
    patches = PhantomPatches(16, 0, FULL)
    batch = patches(np.arange(6))
    assert batch.shape == (6, 1, 16, 16, 16)
    assert torch.equal(batch[2:4], patches(np.array([2, 3])))
    assert not torch.equal(batch, patches(np.arange(6, 12)))
    assert (batch > -0.9).float().mean() > 0.5  # the patient, not the air around


# ---- the autoencoder's loss


def test_all_resolutions_learn_and_their_latents_agree():
    torch.manual_seed(0)
    model = Autoencoder(AutoencoderShape((4, 8, 8), 2))
    loss = AutoencoderLoss(model, 0)
    patch = PhantomPatches(16, 0, FULL)(np.arange(2))
    optimizer = torch.optim.AdamW(loss.parameters(), 1e-2)
    values = []
    for _ in range(60):
        value = loss(patch)
        optimizer.zero_grad()
        value.backward()
        assert all(parameter.grad is not None for parameter in loss.parameters())  # DDP waits for every one
        optimizer.step()
        values.append(value.item())
    assert values[-1] < 0.5 * values[0]
    with torch.no_grad():
        full, preview = model.encode(patch), model.encode(nn.functional.avg_pool3d(patch, 2), 1)
        assert (full - preview).square().mean() < 0.3 * full.var()
        volumes, _ = loss.eval()._decoded(full, 0)
        torch.testing.assert_close(volumes[1], model.decode(full, 1))


def test_the_discriminators_gradient_does_not_reach_the_autoencoder_nor_the_other_way():
    """Traps: detached images give no adversarial gradient; undetached ones train the generator to help."""
    patch = PhantomPatches(16, 0, FULL)(np.arange(2))

    def gradients(weight):
        torch.manual_seed(0)
        autoencoder = Autoencoder(AutoencoderShape((4, 8, 8), 2))
        loss = AutoencoderLoss(autoencoder, 0, adversary=AdversarialLoss(weight, weight))
        torch.manual_seed(1)
        loss(patch).backward()
        own = torch.cat([parameter.grad.flatten() for parameter in loss.autoencoder.parameters()])
        other = torch.cat([parameter.grad.flatten() for parameter in loss.adversary.parameters()])
        return own, other

    (weak, first), (strong, second) = gradients(1e-9), gradients(1.0)
    assert not torch.allclose(weak, strong, atol=1e-6)
    torch.testing.assert_close(first, second)
    assert first.abs().max() > 0
