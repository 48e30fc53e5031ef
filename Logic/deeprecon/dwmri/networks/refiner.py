"""The network of the default method: it refines local PCA, from the noisy scan and several PCA results."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

from deeprecon.training.layers.convolution import Conv3d


class Refiner(nn.Module):
    """Three layers of 3^3 convolutions over the leading components of a scan, with a gate for each component.

    The result is a blend of the noisy and the PCA-denoised components plus a correction: before training it is nearly
    the PCA result. Its receptive field reaches three voxels far.

    Args:
        components: C of the scan.
        guides: G PCA results.
        scale: (C,) standard deviation of each component, by which inputs are divided.
        width: channels of the layers.
    """

    def __init__(self, components: int, guides: int, scale: Tensor, width: int = 32) -> None:
        super().__init__()
        self.components = components
        self.scale: Tensor
        self.register_buffer("scale", scale.view(1, components, 1, 1, 1))
        self.first = Conv3d((3 + guides) * components, width, 3, padding=1)
        self.layers = nn.ModuleList(Conv3d(width, width, 3, padding=1) for _ in range(2))
        self.correction = Conv3d(width, components, 1)
        self.gate = Conv3d(width, components, 1)
        nn.init.zeros_(self.correction.weight)
        for layer, value in ((self.correction, 0.0), (self.gate, 2.0)):
            assert layer.bias is not None
            nn.init.constant_(layer.bias, value)
        nn.init.zeros_(self.gate.weight)

    def forward(self, noisy: Tensor, guides: Tensor) -> Tensor:
        """(B, C, k, j, i) noisy components and (B, G C, k, j, i) those of the PCA results, to (B, C, k, j, i)."""
        parts = torch.split(guides, self.components, dim=1)
        mean = torch.stack(parts).mean(dim=0)
        inputs = [noisy / self.scale, torch.tanh(noisy / 4), mean / self.scale, torch.tanh((noisy - mean) / 4)]
        inputs += [torch.tanh(part - mean) for part in parts[1:]]
        features = silu(self.first(torch.cat(inputs, dim=1).contiguous(memory_format=torch.channels_last_3d)))
        for layer in self.layers:
            features = features + silu(layer(features))
        share = torch.sigmoid(self.gate(features))
        result: Tensor = noisy + share * (mean - noisy) + self.correction(features)
        return result
