"""The denoiser: what it sees of the X-ray, what it knows of its place, and what windows of it are worth."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from deeprecon.ctpa.diffusion.denoiser import (
    DENOISERS,
    Denoiser,
    DenoiserShape,
    Pointwise,
    parameter_count,
    ray_weights,
)
from deeprecon.ctpa.encoders.spatial import ChannelNorm
from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.observe.projection import Beam, Geometry, line_integrals
from deeprecon.ctpa.parameters import DenoiserName
from deeprecon.ctpa.patches import Windows
from deeprecon.ctpa.simulate.chests import Anatomy, Ellipsoid, Label, draw_grid

TINY = DenoiserShape(latent=2, widths=(8, 16), blocks=1, features=4)
LATENT = Grid((12, 10, 8))


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def randomized(model):
    """The model with no layer left at zero, as after training."""
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.1)
    return model.eval()


def denoised(model, xray, withheld=None):
    grid = Grid((12, 12, 8))
    x = torch.randn(1, 2, 12, 12, 8, generator=torch.Generator().manual_seed(1))
    return model(x, torch.tensor([0.5]), xray, ray_weights(grid, Geometry()), withheld)


@pytest.mark.parametrize("beam", list(Beam))
def test_the_xray_is_lifted_to_where_its_rays_pass(beam):
    """What a bead casts on the detector, lifted again, is brightest along the ray through the bead."""
    grid, geometry = Grid((30, 28, 26)), Geometry(beam, source_distance=1000)
    hu, _ = draw_grid(Anatomy((Ellipsoid(3000, Label.BONE, (90, 60, -80), (14, 14, 14)),), np.zeros((1, 4))), grid)
    image = torch.from_numpy(line_integrals(hu, grid, geometry))
    lifted = ray_weights(grid, geometry).lift(image[None, None])[0, 0].numpy()
    z, y, x = grid.axes()
    scale = geometry.magnification(60.0) / geometry.magnification(y)
    for j in range(grid.shape[1]):
        k, i = np.unravel_index(lifted[:, j].argmax(), lifted[:, j].shape)
        assert z[k] == pytest.approx(-80 * scale[j], abs=13)
        assert x[i] == pytest.approx(90 * scale[j], abs=14)


def test_a_patch_has_its_position_and_its_part_of_the_xray():
    geometry = Geometry()
    whole = ray_weights(LATENT, geometry)
    features = torch.randn(1, 3, 12, 8)
    for where in Windows(LATENT.shape, (6, 6, 6), (4, 4, 2), (2, 1, 0)):
        part = ray_weights(LATENT, geometry, where)
        torch.testing.assert_close(part.position, whole.position[(slice(None), *where)])
        torch.testing.assert_close(part.lift(features), whole.lift(features)[(..., *where)])
    assert not torch.equal(
        ray_weights(LATENT, geometry, (slice(0, 6),) * 3).position[:, :2], whole.position[:, 6:8, :6, :6]
    )


def test_the_prediction_depends_on_the_xray():
    """Published code turned the embedding to whole numbers, that is to zeros, as soon as guidance was on."""
    model = randomized(Denoiser(TINY, 4))
    first, second = torch.randn(2, 1, 1, 48, 32)
    assert not torch.allclose(denoised(model, first), denoised(model, second))
    kept = torch.tensor([False])
    torch.testing.assert_close(denoised(model, first, kept), denoised(model, first))


def test_the_null_features_of_guidance_are_trained():
    """Guidance compares with an X-ray that was withheld in training; features left at random would mean nothing."""
    model = randomized(Denoiser(TINY, 4))
    first, second = torch.randn(2, 1, 1, 48, 32)
    withheld = torch.tensor([True])
    torch.testing.assert_close(denoised(model, first, withheld), denoised(model, second, withheld))
    denoised(model, first, withheld).square().mean().backward()
    assert model.null.grad is not None
    assert model.null.grad.abs().max() > 0


def test_where_the_xray_changes_the_volume_changes():
    model = randomized(Denoiser(TINY, 4))
    grid = Grid((16, 16, 16))
    xray = torch.zeros(1, 1, 64, 64)
    marked = xray.clone()
    marked[:, :, 4:12, 4:12] = 4.0
    with torch.no_grad():
        change = (model.features(marked) - model.features(xray)).abs().sum(dim=1)[0]
        lifted = ray_weights(grid, Geometry(Beam.PARALLEL)).lift(change[None, None])[0, 0]
    assert float(lifted[:8, :, :8].sum()) > 3 * float(lifted[8:, :, 8:].sum())


def test_every_parameter_gets_a_gradient():
    """So that distributed training needs no search for unused parameters."""
    model = randomized(Denoiser(DenoiserShape(2, (8, 16), 1, 4, heads=2), 4)).train()
    x, xray = torch.randn(2, 2, 12, 12, 8), torch.randn(2, 1, 48, 32)
    where = ray_weights(Grid((12, 12, 8)), Geometry())
    model(x, torch.tensor([0.2, 0.7]), xray, where, torch.tensor([True, False])).square().mean().backward()
    assert [name for name, value in model.named_parameters() if value.grad is None] == []


def test_gradient_checkpointing_is_really_on():
    """It computes blocks twice, keeps less, and gives the same gradients."""
    gradients, kept, calls = [], [], []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = randomized(Denoiser(TINY, 4, checkpointing=checkpointing)).train()
        count, saved = [0], [0]
        model.down[0][0].register_forward_pre_hook(lambda *_, count=count: count.__setitem__(0, count[0] + 1))

        def keep(tensor, saved=saved):
            saved[0] += tensor.numel()
            return tensor

        xray = torch.randn(1, 1, 48, 32, generator=torch.Generator().manual_seed(2))
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            loss = denoised(model, xray).square().mean()
        loss.backward()
        gradients.append(torch.cat([value.grad.flatten() for value in model.parameters() if value.grad is not None]))
        kept.append(saved[0])
        calls.append(count[0])
    torch.testing.assert_close(gradients[0], gradients[1])
    assert calls == [1, 2]
    assert kept[1] < 0.6 * kept[0]


def test_windows_of_a_latent_equal_parts_of_the_whole_latent():
    """No normalization over the volume: the middle of a window comes out as the whole does."""
    grid = Grid((40, 8, 8))
    model = randomized(Denoiser(TINY, 4))
    x, xray, t = torch.randn(1, 2, 40, 8, 8), torch.randn(1, 1, 160, 32), torch.tensor([0.4])
    where = (slice(0, 32), slice(0, 8), slice(0, 8))
    with torch.no_grad():
        whole = model(x, t, xray, ray_weights(grid, Geometry()))
        part = model(x[(..., *where)], t, xray, ray_weights(grid, Geometry(), where))
    torch.testing.assert_close(part[:, :, :12], whole[:, :, :12], atol=1e-5, rtol=1e-4)


def test_the_width_does_not_depend_on_the_size_of_patches():
    model = Denoiser(TINY, 4)
    for shape in ((8, 8, 8), (12, 8, 10), (7, 5, 9)):  # odd sizes too
        xray = torch.randn(1, 1, 4 * shape[0], 4 * shape[2])
        found = model(torch.randn(1, 2, *shape), torch.tensor([0.1]), xray, ray_weights(Grid(shape), Geometry()))
        assert found.shape[2:] == shape


def test_attention_mixes_far_voxels_and_convolutions_alone_do_not():
    for heads, mixed in ((0, False), (2, True)):
        model = randomized(Denoiser(DenoiserShape(2, (8, 16), 1, 4, heads), 4))
        x = torch.randn(1, 2, 48, 4, 4)
        other = x.clone()
        other[:, :, 0] += 5
        where = ray_weights(Grid((48, 4, 4)), Geometry())
        xray, t = torch.randn(1, 1, 192, 16), torch.tensor([0.5])
        with torch.no_grad():
            far = (model(x, t, xray, where) - model(other, t, xray, where))[:, :, -4:]
        assert bool((far.abs() > 1e-6).any()) == mixed


def test_the_norm_is_over_channels_and_a_pointwise_layer_is_a_convolution():
    x = torch.randn(2, 6, 3, 4, 5)
    found = ChannelNorm(6)(x)
    torch.testing.assert_close(found.mean(dim=1), torch.zeros(2, 3, 4, 5), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.var(dim=1, unbiased=False), torch.ones(2, 3, 4, 5), atol=1e-3, rtol=0)
    layer = Pointwise(6, 4)
    wanted = torch.nn.functional.conv3d(x, layer.weight[:, :, None, None, None], layer.bias)
    torch.testing.assert_close(layer(x), wanted)


def test_registered_denoisers_have_their_documented_size():
    assert set(DENOISERS) == {name.value for name in DenoiserName}
    with torch.device("meta"):
        counts = {name: parameter_count(Denoiser(shape, 8)) for name, shape in DENOISERS.items()}
    assert counts["small"] < 3e6 < counts["medium"] < 20e6
    assert counts["large"] == pytest.approx(143e6, rel=0.05)
