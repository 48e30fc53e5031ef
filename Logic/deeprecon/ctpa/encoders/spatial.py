"""The X-ray encoder that is trained with the denoiser: a feature map at the latent's resolution."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class ChannelNorm(nn.Module):
    """Layer normalization over the channels of each voxel (Ba 2016), for images and volumes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        last = functional.layer_norm(x.movedim(1, -1), self.weight.shape, self.weight, self.bias)
        return last.movedim(-1, 1)


class XrayEncoder(nn.Module):
    """(batch, 1, rows, columns) to a map of features (batch, features, rows / factor, columns / factor)."""

    def __init__(self, features: int, factor: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(1, features, 3, padding=1)]
        while factor > 1:
            layers += [nn.SiLU(), nn.Conv2d(features, features, 4, stride=2, padding=1)]
            factor //= 2
        for dilation in (1, 2, 4):
            layers += [nn.SiLU(), ChannelNorm(features), nn.Conv2d(features, features, 3, 1, dilation, dilation)]
        self.layers = nn.Sequential(*layers)

    def forward(self, xray: Tensor) -> Tensor:
        features: Tensor = self.layers(xray)
        return features
