"""The supervised networks by name. Each takes a volume with its context and an encoding of its gradient.

A network is a layout of one or two bodies: a body computes features, a layout computes the enhanced volume from them.
Names with a + combine the layout of the first with the body of the second.

Inputs are (B, CHANNELS, k, j, i): the volume, the mean of its neighbors in direction, the mean of its shell, the mean
b0, and the noise level; and (B, FEATURES) of `encode`. The first channel of the output (B, 1, k, j, i) is the enhanced
volume: the input volume plus a correction that is zero before training. Sizes may be odd, and the number of volumes in
a scan does not matter.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d, conv3d, interpolate, pad, silu

from deeprecon.training.layers.convolution import Conv3d

CHANNELS = 5
FREQUENCIES = 3
FEATURES = 2 * FREQUENCIES * 7
MAX_B = 3000.0
"""s/mm2 that the encoding maps to 1."""


def encode(bvals: npt.NDArray[np.float64], directions: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """(V, FEATURES) sines and cosines of b and of g g', which is the same for opposite directions.

    Args:
        bvals: (V,) in s/mm2.
        directions: (V, 3) along the axes of the image, zero for b0.
    """
    pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
    values = np.stack([bvals / MAX_B, *(directions[:, a] * directions[:, b] for a, b in pairs)], axis=1)
    angles = values[:, :, None] * np.pi * 2.0 ** np.arange(FREQUENCIES)
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=2).reshape(len(bvals), -1).astype(np.float32)


class Modulated(nn.Module):
    """A 3^3 convolution whose channels are scaled and shifted by the encoding (FiLM, Perez et al. 2018, AAAI)."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.conv = Conv3d(before, after, 3, padding=1)
        self.film = nn.Linear(FEATURES, 2 * after)
        nn.init.zeros_(self.film.weight)

    def forward(self, values: Tensor, code: Tensor) -> Tensor:
        scale, shift = self.film(code)[:, :, None, None, None].chunk(2, dim=1)
        return silu(self.conv(values) * (1 + scale) + shift)


class Blend(nn.Module):
    """The last layer: weights of the neighbors, the shell and the smoothed volume in each voxel, and an additive term.

    It returns the change of the volume, zero before training: an untrained network returns its input volume.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = Conv3d(width, 4, 1)
        nn.init.zeros_(self.conv.weight)
        assert self.conv.bias is not None
        nn.init.zeros_(self.conv.bias)

    def forward(self, features: Tensor, values: Tensor) -> Tensor:
        own = values[:, :1]
        others = [values[:, 1:2] - own, values[:, 2:3] - own, low_band(own) - own, torch.ones_like(own)]
        change: Tensor = (self.conv(features) * torch.cat(others, dim=1)).sum(dim=1, keepdim=True)
        return change


class Factorized(nn.Module):
    """Convolutions along k, j and i side by side, joined by a 1^3 one."""

    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        kernels = [(3, 1, 1), (1, 3, 1), (1, 1, 3)]
        self.along = nn.ModuleList(Conv3d(before, after, size, padding="same") for size in kernels)
        self.join = Conv3d(3 * after, after, 1)

    def forward(self, values: Tensor) -> Tensor:
        joined: Tensor = self.join(torch.cat([layer(values) for layer in self.along], dim=1))
        return joined


class Attention(nn.Module):
    """Convolutional block attention: of channels, then of voxels (CBAM, Woo et al. 2018, ECCV)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.channels = nn.Sequential(
            nn.Linear(width, max(1, width // 4)), nn.SiLU(), nn.Linear(max(1, width // 4), width)
        )
        self.places = Conv3d(2, 1, 7, padding=3)

    def forward(self, values: Tensor) -> Tensor:
        mean, peak = values.mean(dim=(2, 3, 4)), values.amax(dim=(2, 3, 4))
        values = values * torch.sigmoid(self.channels(mean) + self.channels(peak))[:, :, None, None, None]
        summary = torch.cat([values.mean(dim=1, keepdim=True), values.amax(dim=1, keepdim=True)], dim=1)
        attended: Tensor = values * torch.sigmoid(self.places(summary))
        return attended


class TwoConvolutions(nn.Module):
    """Two modulated convolutions, one after the other."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Modulated(before, width), Modulated(width, width)])

    def forward(self, values: Tensor, code: Tensor) -> Tensor:
        for layer in self.layers:
            values = layer(values, code)
        return values


class Baseline(nn.Module):
    """Factorized convolutions, a gated block applied twice, attention, and the encoding."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.first = Factorized(before, width)
        self.film = nn.Linear(FEATURES, 2 * width)
        nn.init.zeros_(self.film.weight)
        self.update, self.candidate = Factorized(2 * width, width), Factorized(2 * width, width)
        self.attention = Attention(width)

    def forward(self, values: Tensor, code: Tensor) -> Tensor:
        scale, shift = self.film(code)[:, :, None, None, None].chunk(2, dim=1)
        start = silu(self.first(values) * (1 + scale) + shift)
        state = start
        for _ in range(2):  # a gated recurrent unit over the same input
            both = torch.cat([state, start], dim=1)
            gate = torch.sigmoid(self.update(both))
            state = (1 - gate) * state + gate * silu(self.candidate(both))
        attended: Tensor = self.attention(state)
        return attended


class MultiScale(nn.Module):
    """A path at full and one at half resolution, which is interpolated to the full one, whatever the size."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.fine, self.coarse = TwoConvolutions(before, width), TwoConvolutions(before, width)
        self.join = Modulated(2 * width, width)

    def forward(self, values: Tensor, code: Tensor) -> Tensor:
        coarse = self.coarse(avg_pool3d(values, _halves(values)), code)
        coarse = interpolate(coarse, size=values.shape[2:], mode="trilinear", align_corners=False)
        joined: Tensor = self.join(torch.cat([self.fine(values, code), coarse], dim=1), code)
        return joined


class VolumeSpecific(nn.Module):
    """The kernels of the first layer are computed from the encoding, so that each volume has its own."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__()
        self.before, self.width = before, width
        self.kernels = nn.Linear(FEATURES, width * before * 27)
        nn.init.normal_(self.kernels.weight, std=0.05 / np.sqrt(before * 27))
        nn.init.normal_(self.kernels.bias, std=1 / np.sqrt(before * 27))
        self.layers = nn.ModuleList([Modulated(width, width), Modulated(width, width)])

    def forward(self, values: Tensor, code: Tensor) -> Tensor:
        count, shape = len(values), values.shape[2:]
        kernels = self.kernels(code).view(count * self.width, self.before, 3, 3, 3).to(values.dtype)
        features = silu(conv3d(values.reshape(1, -1, *shape), kernels, padding=1, groups=count))
        features = features.view(count, self.width, *shape)
        for layer in self.layers:
            features = features + layer(features, code)
        return features


class UNet(nn.Module):
    """Two resolutions with a plain skip connection: the baseline of the others."""

    def __init__(self, before: int, width: int, adaptive: bool = False) -> None:
        super().__init__()
        self.down, self.deep = Modulated(before, width), Modulated(width, 2 * width)
        self.up, self.join = Modulated(2 * width, width), Modulated(2 * width, width)
        self.gate = Conv3d(2 * width, width, 1) if adaptive else None

    def forward(self, values: Tensor, code: Tensor) -> Tensor:
        skip = self.down(values, code)
        deep = self.up(self.deep(avg_pool3d(skip, _halves(skip)), code), code)
        deep = interpolate(deep, size=skip.shape[2:], mode="trilinear", align_corners=False)
        if self.gate is not None:
            skip = skip * torch.sigmoid(self.gate(torch.cat([deep, skip], dim=1)))
        joined: Tensor = self.join(torch.cat([deep, skip], dim=1), code)
        return joined


class AdaptiveSkip(UNet):
    """A U-Net whose skip connection is weighted by a gate from both of its sides, for each channel and voxel."""

    def __init__(self, before: int, width: int) -> None:
        super().__init__(before, width, adaptive=True)


Body = Callable[[int, int], nn.Module]
"""Numbers of channels -> a module from (B, before, k, j, i) and the encoding to (B, width, k, j, i)."""


class Direct(nn.Module):
    """One body with all inputs, and one correction."""

    def __init__(self, body: Body, width: int) -> None:
        super().__init__()
        self.body, self.last = body(CHANNELS, width), Blend(width)

    def forward(self, values: Tensor, code: Tensor) -> Tensor:
        result: Tensor = values[:, :1] + self.last(self.body(values, code), values)
        return result


class Progressive(nn.Module):
    """A coarse stage that is trained on the blurred truth, and a detail stage that refines it; each has a body.

    The second channel of the output is the coarse result.
    """

    def __init__(self, body: Body, width: int) -> None:
        super().__init__()
        self.coarse, self.detail = body(CHANNELS, width), body(CHANNELS + 1, width)
        self.coarse_last, self.last = Blend(width), Blend(width)

    def forward(self, values: Tensor, code: Tensor) -> Tensor:
        blurred = low_band(values[:, :1])
        coarse = blurred + self.coarse_last(self.coarse(values, code), values)
        features = self.detail(torch.cat([values, coarse], dim=1), code)
        detail = values[:, :1] - blurred + self.last(features, values)
        return torch.cat([coarse + detail, coarse], dim=1)


class FrequencyBands(nn.Module):
    """A low and a high band that add up to the volume exactly, each with a body of its own."""

    def __init__(self, body: Body, width: int) -> None:
        super().__init__()
        self.low, self.high = body(CHANNELS, width), body(CHANNELS, width)
        self.low_last, self.high_last = Blend(width), Blend(width)

    def forward(self, values: Tensor, code: Tensor) -> Tensor:
        low = low_band(values)
        high = values - low
        low_change = self.low_last(self.low(low, code), low)
        high_change = self.high_last(self.high(high, code), high)
        result: Tensor = values[:, :1] + low_band(low_change) + high_change - low_band(high_change)
        return result


def low_band(values: Tensor) -> Tensor:
    """The volume after a binomial filter of 5 voxels along each axis, its edges repeated."""
    weights = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], device=values.device, dtype=values.dtype) / 16
    channels = values.shape[1]
    for axis in range(3):
        size, width = [1, 1, 1], [0] * 6
        size[axis] = 5
        width[2 * (2 - axis)] = width[2 * (2 - axis) + 1] = 2
        kernel = weights.view(1, 1, *size).expand(channels, 1, *size)
        values = conv3d(pad(values, width, mode="replicate"), kernel, groups=channels)
    return values


def _halves(values: Tensor) -> tuple[int, ...]:
    """Pooling factors along k, j and i."""
    return tuple(2 if count > 1 else 1 for count in values.shape[2:])


ARCHITECTURES: dict[str, tuple[Callable[[Body, int], nn.Module], Body]] = {
    "baseline": (Direct, Baseline),
    "multi-scale": (Direct, MultiScale),
    "progressive": (Progressive, TwoConvolutions),
    "frequency": (FrequencyBands, TwoConvolutions),
    "volume-specific": (Direct, VolumeSpecific),
    "adaptive-skip": (Direct, AdaptiveSkip),
    "progressive+multi-scale": (Progressive, MultiScale),
    "frequency+adaptive-skip": (FrequencyBands, AdaptiveSkip),
    "unet": (Direct, UNet),
}
"""Name -> layout and body of a network. Every layout can be combined with every body."""


def build(name: str, width: int) -> nn.Module:
    """A network by its name.

    Raises:
        KeyError: no such name.
    """
    layout, body = ARCHITECTURES[name]
    return layout(body, width)


def count_parameters(network: nn.Module) -> int:
    """Number of weights of a network."""
    return sum(weights.numel() for weights in network.parameters())
