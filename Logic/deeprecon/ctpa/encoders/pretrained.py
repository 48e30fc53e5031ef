"""Pretrained, frozen X-ray encoders from local files, whose keys are checked.

Their features are a coarse map of 14 x 14 or 7 x 7 pixels, which is added to the features of the spatial encoder. None
of these weights is shipped, and they have licenses of their own: see `CARDS`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from deeprecon.ctpa.encoders.spatial import XrayEncoder
from deeprecon.ctpa.encoders.swin import Swin
from deeprecon.data.errors import InputError

SIDE = 224
"""Pixels along each side of the networks' input."""
SPAN = 3.0
"""Standardized gray values -SPAN .. SPAN become 0 .. 1."""
RGB_MEAN, RGB_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN, CLIP_DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


class Bottleneck(nn.Module):
    """A residual block of ResNet-50 (He 2016), the stride in its 3 x 3 convolution; named as in torchvision."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, width, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = nn.Conv2d(width, 4 * width, 1, bias=False), nn.BatchNorm2d(4 * width)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or channels != 4 * width:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, 4 * width, 1, stride, bias=False), nn.BatchNorm2d(4 * width)
            )

    def forward(self, x: Tensor) -> Tensor:
        inner = functional.relu(self.bn1(self.conv1(x)))
        inner = functional.relu(self.bn2(self.conv2(inner)))
        return functional.relu(self.bn3(self.conv3(inner)) + self.downsample(x))


class ResNet50(nn.Module):
    """The trunk of ResNet-50: (batch, 3, rows, columns) to (batch, 2048, rows / 32, columns / 32)."""

    channels = 2048

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        channels = 64
        for number, (count, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), start=1):
            blocks = []
            for index in range(count):
                blocks.append(Bottleneck(channels, width, 2 if index == 0 and number > 1 else 1))
                channels = 4 * width
            self.add_module(f"layer{number}", nn.Sequential(*blocks))

    def stages(self, x: Tensor) -> list[Tensor]:
        """Features at a quarter, eighth, sixteenth and 32nd of the resolution."""
        x = functional.max_pool2d(functional.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        found = []
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
            found.append(x)
        return found

    def forward(self, x: Tensor) -> Tensor:
        return self.stages(x)[-1]


class _Attention(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.qkv(x).unflatten(2, (3, self._heads, -1)).permute(2, 0, 3, 1, 4)
        attended = functional.scaled_dot_product_attention(query, key, value)
        result: Tensor = self.proj(attended.transpose(1, 2).flatten(2))
        return result


class _Mlp(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.fc2(functional.gelu(self.fc1(x)))
        return result


class _VitBlock(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn, self.mlp = _Attention(width, heads), _Mlp(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class Vit(nn.Module):
    """The trunk of ViT-B/16 (Dosovitskiy 2021): (batch, 3, 224, 224) to (batch, 768, 14, 14); named as in timm."""

    channels = 768

    def __init__(self) -> None:
        super().__init__()
        width, patch = self.channels, 16
        self._side = SIDE // patch
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self._side**2, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, patch, patch)})
        self.blocks = nn.Sequential(*[_VitBlock(width, 12) for _ in range(12)])
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patch_embed["proj"](x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), tokens], dim=1) + self.pos_embed
        tokens = self.norm(self.blocks(tokens))[:, 1:]
        result: Tensor = tokens.transpose(1, 2).unflatten(2, (self._side, self._side))
        return result


Trunk = ResNet50 | Vit | Swin


@dataclass(frozen=True)
class Layout:
    """The keys of a trunk's weights in a file.

    Attributes:
        prefix: of the trunk's keys; it is removed.
        others: pattern of keys of other parts, such as a text encoder; they are ignored.
        renames: patterns and replacements, in the trunk's keys.
        mean, deviation: of red, green and blue, for normalizing the input.
    """

    prefix: str
    others: str
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    renames: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Card:
    """A pretrained network.

    Attributes:
        trunk: its class.
        layouts: of its files; the first whose prefix is found is used.
        source: of the published weights, as text.
        license: of the published weights, as text.
    """

    trunk: type[ResNet50] | type[Vit] | type[Swin]
    layouts: tuple[Layout, ...]
    source: str
    license: str


_RADIMAGENET = tuple(
    [(r"^0\.", "conv1."), (r"^1\.", "bn1.")] + [(rf"^{number + 3}\.", f"layer{number}.") for number in range(1, 5)]
)
GRAY_MEAN, GRAY_DEVIATION = (0.5862785803043838,) * 3, (0.27950088968644304,) * 3

CARDS = {
    "biomedclip-vit-b16": Card(
        Vit,
        (Layout("visual.trunk.", r"visual\.head\.|text\.|logit_scale|logit_bias", CLIP_MEAN, CLIP_DEVIATION),),
        "Microsoft (BiomedCLIP)",
        "MIT; the authors ask for research use only",
    ),
    "medclip-swin-t": Card(
        Swin,
        (Layout("vision_model.model.", r"vision_model\.projection_head\.|text_model\.|logit_scale", GRAY_MEAN,
                GRAY_DEVIATION, Swin.RENAMES),),
        "the authors of MedCLIP",
        "none stated: ask the authors",
    ),
    "resnet50": Card(
        ResNet50,
        (
            Layout("backbone.", r"fc\.|classifier\.", RGB_MEAN[::-1], (1.0, 1.0, 1.0), _RADIMAGENET),
            Layout("", r"fc\.", RGB_MEAN, RGB_DEVIATION),
        ),
        "torchvision or RadImageNet",
        "torchvision: BSD-3-Clause, trained on ImageNet; RadImageNet: research only",
    ),
}  # fmt: skip
"""By `EncoderName`."""


class FrozenEncoder(nn.Module):
    """Spatial features plus those of a frozen trunk, projected to as many channels.

    Args:
        name: a key of `CARDS`.
        features: channels of the result.
        factor: pixels of the X-ray along an axis for each pixel of the features.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, name: str, features: int, factor: int) -> None:
        super().__init__()
        self.own = XrayEncoder(features, factor)
        self.trunk: Trunk = CARDS[name].trunk()
        self.trunk.requires_grad_(False)
        self.project = nn.Conv2d(self.trunk.channels, features, 1)
        self.register_buffer("mean", torch.zeros(3))
        self.register_buffer("deviation", torch.ones(3))
        self.train(self.training)

    def train(self, mode: bool = True) -> FrozenEncoder:
        """The trunk stays in evaluation mode, so that its statistics are frozen."""
        super().train(mode)
        self.trunk.eval()
        return self

    def forward(self, xray: Tensor) -> Tensor:
        """(batch, 1, rows, columns) standardized to (batch, features, rows / factor, columns / factor)."""
        own: Tensor = self.own(xray)
        with torch.no_grad():
            features = self.trunk(self.normalized(xray))
        return own + functional.interpolate(self.project(features), own.shape[2:], mode="bilinear")

    def normalized(self, xray: Tensor) -> Tensor:
        """(batch, 3, SIDE, SIDE) as the trunk expects it."""
        # in float32: on a CPU there is no antialiasing in bf16
        image = functional.interpolate(xray.float(), (SIDE, SIDE), mode="bilinear", antialias=True).to(xray.dtype)
        image = (0.5 + image / (2 * SPAN)).clamp(0, 1)
        return (image - self.mean.view(1, 3, 1, 1)) / self.deviation.view(1, 3, 1, 1)


def make_encoder(name: str, features: int, factor: int, weights: Path | None = None) -> nn.Module:
    """An X-ray encoder by `EncoderName`.

    Args:
        name: see there.
        features, factor: see `FrozenEncoder`.
        weights: safetensors of a frozen one; without them it is to be loaded from a model bundle.

    Raises:
        InputError: the file is unreadable, or holds other weights than this network's.
    """
    if name not in CARDS:
        return XrayEncoder(features, factor)
    encoder = FrozenEncoder(name, features, factor)
    if weights is not None:
        layout = load_trunk(encoder.trunk, name, weights)
        encoder.mean.copy_(torch.tensor(layout.mean))
        encoder.deviation.copy_(torch.tensor(layout.deviation))
    return encoder


def load_trunk(trunk: nn.Module, name: str, path: Path) -> Layout:
    """Load a trunk from a safetensors file.

    Returns:
        The layout of the file.

    Raises:
        InputError: the file is unreadable, or its keys or shapes are not those of the network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    hint = f"Give the weights of {name} as a safetensors file, with the keys under which they were published."
    try:
        state = load_file(path)
    except (OSError, SafetensorError, ValueError) as error:
        raise InputError(f"{path} holds no readable weights: {error}.", hint) from error
    layouts = CARDS[name].layouts
    layout = next((entry for entry in layouts if any(key.startswith(entry.prefix) for key in state)), layouts[-1])
    own = trunk.state_dict()
    found = {_renamed(key, layout): value for key, value in state.items() if not re.match(layout.others, key)}
    optional = {
        key for key in own if key.endswith(("num_batches_tracked", ".index"))
    }  # constants, which some files lack
    problems = [
        *(f"{key} is missing" for key in sorted(own.keys() - found.keys() - optional)),
        *(f"{key} is not known" for key in sorted(found.keys() - own.keys())),
        *(
            f"{key} is {tuple(found[key].shape)}, not {tuple(own[key].shape)}"
            for key in sorted(own.keys() & found.keys())
            if found[key].shape != own[key].shape
        ),
    ]
    if problems:
        more = f", and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise InputError(f"{path} is not {name}: {'; '.join(problems[:3])}{more}.", hint)
    trunk.load_state_dict({**{key: own[key] for key in optional}, **found})
    return layout


def _renamed(key: str, layout: Layout) -> str:
    key = key.removeprefix(layout.prefix)
    for pattern, replacement in layout.renames:
        key = re.sub(pattern, replacement, key)
    return key
