"""Frozen X-ray encoders: files with the published names and shapes load, anything else is refused."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from deeprecon.ctpa.diffusion.denoiser import parameter_count
from deeprecon.ctpa.encoders.pretrained import (
    CARDS,
    CLIP_DEVIATION,
    CLIP_MEAN,
    RGB_MEAN,
    FrozenEncoder,
    ResNet50,
    Vit,
    make_encoder,
)
from deeprecon.ctpa.encoders.pretrained import _VitBlock as VitBlock
from deeprecon.ctpa.encoders.spatial import XrayEncoder
from deeprecon.ctpa.encoders.swin import Swin, SwinBlock
from deeprecon.ctpa.parameters import EncoderName
from deeprecon.data.errors import InputError


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def norm(name, width):
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def linear(name, inputs, outputs):
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def batch_norm(name, width):
    return {**norm(name, width), f"{name}.running_mean": (width,), f"{name}.running_var": (width,)}


def resnet_shapes():
    """As torchvision names them."""
    shapes = {"conv1.weight": (64, 3, 7, 7), **batch_norm("bn1", 64)}
    channels = 64
    for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), start=1):
        for block in range(blocks):
            name = f"layer{stage}.{block}"
            shapes[f"{name}.conv1.weight"] = (width, channels, 1, 1)
            shapes[f"{name}.conv2.weight"] = (width, width, 3, 3)
            shapes[f"{name}.conv3.weight"] = (4 * width, width, 1, 1)
            for number, count in ((1, width), (2, width), (3, 4 * width)):
                shapes.update(batch_norm(f"{name}.bn{number}", count))
            if block == 0:
                shapes[f"{name}.downsample.0.weight"] = (4 * width, channels, 1, 1)
                shapes.update(batch_norm(f"{name}.downsample.1", 4 * width))
            channels = 4 * width
    return shapes


def biomedclip_shapes():
    """As open_clip names the image tower of timm."""
    own = {"cls_token": (1, 1, 768), "pos_embed": (1, 197, 768), **norm("norm", 768)}
    own |= {"patch_embed.proj.weight": (768, 3, 16, 16), "patch_embed.proj.bias": (768,)}
    for block in range(12):
        name = f"blocks.{block}"
        own |= {**norm(f"{name}.norm1", 768), **norm(f"{name}.norm2", 768)}
        own |= {**linear(f"{name}.attn.qkv", 768, 2304), **linear(f"{name}.attn.proj", 768, 768)}
        own |= {**linear(f"{name}.mlp.fc1", 768, 3072), **linear(f"{name}.mlp.fc2", 3072, 768)}
    others = {"visual.head.proj.weight": (512, 768), "text.transformer.x.weight": (3, 3), "logit_scale": (1,)}
    return {**{f"visual.trunk.{key}": shape for key, shape in own.items()}, **others}


def medclip_shapes():
    """As transformers names Swin, within the vision model."""
    own = {"embeddings.patch_embeddings.projection.weight": (96, 3, 4, 4)}
    own |= {
        "embeddings.patch_embeddings.projection.bias": (96,),
        **norm("embeddings.norm", 96),
        **norm("layernorm", 768),
    }
    for stage, (blocks, heads) in enumerate(((2, 3), (2, 6), (6, 12), (2, 24))):
        width = 96 << stage
        for block in range(blocks):
            name = f"encoder.layers.{stage}.blocks.{block}"
            own |= {**norm(f"{name}.layernorm_before", width), **norm(f"{name}.layernorm_after", width)}
            own[f"{name}.attention.self.relative_position_bias_table"] = (169, heads)
            own[f"{name}.attention.self.relative_position_index"] = (49, 49)
            for part in ("query", "key", "value"):
                own |= linear(f"{name}.attention.self.{part}", width, width)
            own |= linear(f"{name}.attention.output.dense", width, width)
            own |= {**linear(f"{name}.intermediate.dense", width, 4 * width)}
            own |= {**linear(f"{name}.output.dense", 4 * width, width)}
        if stage < 3:
            own |= norm(f"encoder.layers.{stage}.downsample.norm", 4 * width)
            own[f"encoder.layers.{stage}.downsample.reduction.weight"] = (2 * width, 4 * width)
    others = {"vision_model.projection_head.weight": (512, 768), "text_model.x.weight": (2, 2), "logit_scale": (1,)}
    return {**{f"vision_model.model.{key}": shape for key, shape in own.items()}, **others}


SHAPES = {"resnet50": resnet_shapes, "biomedclip-vit-b16": biomedclip_shapes, "medclip-swin-t": medclip_shapes}


def made(shapes):
    return {
        key: torch.zeros(shape, dtype=torch.int64) if key.endswith("index") else 0.02 * torch.rand(shape)
        for key, shape in shapes.items()
    }


def radimagenet(state):
    """As RadImageNet's sequential backbone names them."""
    numbers = {"conv1": 0, "bn1": 1, **{f"layer{number}": number + 3 for number in range(1, 5)}}
    return {
        ".".join(["backbone", str(numbers[key.split(".")[0]]), *key.split(".")[1:]]): value
        for key, value in state.items()
    }


def test_every_name_has_an_encoder_with_its_license():
    assert set(CARDS) | {"spatial"} == {name.value for name in EncoderName}
    assert all(card.license for card in CARDS.values())
    assert isinstance(make_encoder("spatial", 4, 8), XrayEncoder)


@pytest.mark.parametrize(
    ("name", "count"), [("resnet50", 23.508e6), ("biomedclip-vit-b16", 85.8e6), ("medclip-swin-t", 27.5e6)]
)
def test_files_with_the_published_names_and_shapes_load(tmp_path, name, count):
    state = made(SHAPES[name]())
    save_file(state, tmp_path / "weights.safetensors")
    encoder = make_encoder(name, 4, 8, tmp_path / "weights.safetensors")
    assert parameter_count(encoder) < 10_000
    assert sum(value.numel() for value in encoder.trunk.parameters()) == pytest.approx(count, rel=2e-3)
    encoder.train()
    image = torch.randn(1, 1, 64, 48)
    found = encoder(image)
    assert found.shape == (1, 4, 8, 6)
    found.square().mean().backward()
    assert encoder.project.weight.grad is not None
    assert all(value.grad is None for value in encoder.trunk.parameters())
    assert not encoder.trunk.training
    again = FrozenEncoder(name, 4, 8)  # from a bundle, normalization included
    again.load_state_dict(encoder.state_dict())
    torch.testing.assert_close(again(image), found)
    assert float(again.deviation[0]) != 1.0


@pytest.mark.parametrize("name", list(SHAPES))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_frozen_encoders_run_in_bf16_on_a_cpu(name, dtype):
    encoder, image = FrozenEncoder(name, 2, 8).eval(), torch.randn(1, 1, 64, 48)
    with torch.no_grad():
        exact = encoder(image)
        with torch.autocast("cpu", torch.bfloat16):
            found = encoder(image.to(dtype)).float()
    assert found.isfinite().all()
    assert float((found - exact).abs().median()) < 0.02 * float(exact.abs().max())


def test_radimagenet_weights_are_known_by_their_names(tmp_path):
    state = made(resnet_shapes())
    save_file(radimagenet(state), tmp_path / "weights.safetensors")
    encoder = make_encoder("resnet50", 4, 8, tmp_path / "weights.safetensors")
    torch.testing.assert_close(encoder.trunk.get_parameter("layer3.2.conv2.weight"), state["layer3.2.conv2.weight"])
    torch.testing.assert_close(encoder.mean, torch.tensor(RGB_MEAN[::-1]))
    torch.testing.assert_close(encoder.deviation, torch.ones(3))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.pop("layer4.2.bn3.running_var"), r"layer4\.2\.bn3\.running_var is missing"),
        (lambda state: state.update(extra=torch.zeros(1)), "extra is not known"),
        (
            lambda state: state.update({"conv1.weight": torch.zeros(64, 1, 7, 7)}),
            r"\(64, 1, 7, 7\), not \(64, 3, 7, 7\)",
        ),
        (lambda state: state.clear() or state.update(a=torch.zeros(1)), "and .* more"),
    ],
)
def test_other_weights_are_refused_with_what_is_wrong(tmp_path, change, words):
    state = made(resnet_shapes())
    change(state)
    save_file(state, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=words) as caught:
        make_encoder("resnet50", 4, 8, tmp_path / "other.safetensors")
    assert "other.safetensors" in caught.value.message


def test_a_file_that_is_no_safetensors_is_refused(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"\x80\x02pickle")
    for name in ("model.pt", "none.safetensors"):
        with pytest.raises(InputError, match="no readable weights"):
            make_encoder("medclip-swin-t", 4, 8, tmp_path / name)


def test_the_image_is_normalized_as_the_weights_expect():
    """Median brightness is middle gray, and CLIP's mean and deviation count: raw 0 .. 1 would be wrong."""
    encoder = FrozenEncoder("biomedclip-vit-b16", 2, 8)
    encoder.mean.copy_(torch.tensor(CLIP_MEAN))
    encoder.deviation.copy_(torch.tensor(CLIP_DEVIATION))
    middle = encoder.normalized(torch.zeros(1, 1, 30, 20))
    assert middle.shape == (1, 3, 224, 224)
    for channel in range(3):
        wanted = (0.5 - CLIP_MEAN[channel]) / CLIP_DEVIATION[channel]
        assert float(middle[0, channel].mean()) == pytest.approx(wanted, abs=1e-5)
    brighter = encoder.normalized(torch.full((1, 1, 30, 20), 99.0))
    assert float(brighter.max()) == pytest.approx((1 - CLIP_MEAN[2]) / CLIP_DEVIATION[2], abs=1e-4)


def test_a_vit_block_is_a_transformer_layer():
    block = VitBlock(24, 3).eval()
    layer = nn.TransformerEncoderLayer(24, 3, 96, 0.0, "gelu", 1e-6, batch_first=True, norm_first=True).eval()
    with torch.no_grad():
        layer.self_attn.in_proj_weight.copy_(block.attn.qkv.weight)
        layer.self_attn.in_proj_bias.copy_(block.attn.qkv.bias)
        for own, other in (
            (layer.self_attn.out_proj, block.attn.proj), (layer.linear1, block.mlp.fc1),
            (layer.linear2, block.mlp.fc2), (layer.norm1, block.norm1), (layer.norm2, block.norm2),
        ):  # fmt: skip
            own.load_state_dict(other.state_dict())
        x = torch.randn(2, 7, 24)
        torch.testing.assert_close(block(x), layer(x), atol=1e-5, rtol=1e-4)


def test_swin_windows_do_not_mix_and_shifted_ones_mix_neighbors_only():
    plain, shifted = SwinBlock(12, 3, 14, 0).eval(), SwinBlock(12, 3, 14, 3).eval()
    x = torch.randn(1, 14, 14, 12)
    other = x.clone()
    other[:, 0, 0] = torch.randn(12)
    with torch.no_grad():
        changed = (plain(x) != plain(other)).any(dim=-1)[0]
        assert changed[:7, :7].all()
        assert not changed[7:].any()
        assert not changed[:, 7:].any()
        changed = ((shifted(x) - shifted(other)).abs() > 1e-6).any(dim=-1)[0]
    assert changed[:3, :3].all()
    assert not changed[3:].any()  # what the roll brought into one window stays apart
    assert not changed[:, 3:].any()


@pytest.mark.parametrize("trunk", [ResNet50, Vit, Swin])
def test_trunks_keep_a_map(trunk):
    """One vector for the image holds no positions."""
    model = trunk().eval()
    x = torch.zeros(1, 3, 224, 224)
    with torch.no_grad():
        map = model(x)
        assert map.shape[1] == model.channels
        assert map.shape[2] == map.shape[3] >= 7
        marked = x.clone()
        marked[:, :, :32, :32] = 2.0
        change = (model(marked) - map).abs().sum(dim=1)[0]
    half = len(change) // 2
    assert change[:half, :half].mean() > change[half:, half:].mean()
