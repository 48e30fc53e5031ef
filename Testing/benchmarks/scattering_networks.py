"""Networks that BCR-Net is compared with, and a design with lazy parameters. Part of scattering_inversion.py."""

from __future__ import annotations

import itertools
import sys
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "Logic"))

import numpy as np
import torch
from torch import Tensor, nn

from deeprecon.scattering.fit.linear import LinearInversion
from deeprecon.scattering.networks.bcrnet import Architecture
from deeprecon.scattering.read.far_field_data import FarFieldData


def backprojected_input(measured: FarFieldData) -> Any:
    """(S, rings, angles) filtered back-projection, the input of `UNet`."""
    inversion = _inversion(measured.k, measured.angles)
    parts = [measured.subset(slice(start, start + 256)) for start in range(0, len(measured), 256)]
    images = [inversion.backprojection(part.midpoint()).astype(np.float32) for part in parts]
    return np.ascontiguousarray(np.concatenate(images).swapaxes(1, 2))


@cache
def _inversion(k: float, angles: int) -> LinearInversion:
    return LinearInversion(k, angles, angles // 2)


class UNet(nn.Module):
    """(B, rings, angles) back-projected image to (B, angles, rings): Ronneberger et al. 2015, periodic in the angle,
    with the input added to the output."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        sizes = (width, 2 * width, 4 * width)
        self.down = nn.ModuleList(_Block(inputs, outputs) for inputs, outputs in zip((1, *sizes), sizes, strict=False))
        self.up = nn.ModuleList(_Block(3 * size, size) for size in reversed(sizes[:-1]))
        self.last = nn.Conv2d(width, 1, 1)

    def forward(self, image: Tensor) -> tuple[Tensor]:
        image = image[:, None]
        x, kept = image, []
        for level, block in enumerate(self.down):
            x = block(x if not level else nn.functional.max_pool2d(x, 2))
            kept.append(x)
        for block, skip in zip(self.up, reversed(kept[:-1]), strict=True):
            x = block(torch.cat([nn.functional.interpolate(x, scale_factor=2), skip], dim=1))
        return ((image + self.last(x))[:, 0].transpose(1, 2),)


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(inputs, outputs, 3), nn.Conv2d(outputs, outputs, 3)])

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = nn.functional.pad(nn.functional.pad(x, (0, 0, 1, 1)), (1, 1, 0, 0), mode="circular")
            x = nn.functional.relu(conv(x))
        return x


class FourierOperator(nn.Module):
    """(B, 2 offsets, angles) data to (B, angles, rings): Fourier layers over offset and midpoint (Li et al. 2021), as
    neural inverse operators use them. There are as many offsets as rings and one more, which is left out."""

    def __init__(self, width: int = 16, layers: int = 4, modes: tuple[int, int] = (12, 12)) -> None:
        super().__init__()
        self.modes = modes
        self.lift = nn.Conv2d(3, width, 1)
        shape = (width, width, 2 * modes[0], modes[1])
        self.spectral = nn.ParameterList(torch.randn(*shape, dtype=torch.cfloat) / width for _ in range(layers))
        self.local = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(layers))
        self.last = nn.Sequential(nn.Conv2d(width, 64, 1), nn.GELU(), nn.Conv2d(64, 1, 1))

    def forward(self, data: Tensor) -> tuple[Tensor]:
        batch, channels, angles = data.shape
        image = data.view(batch, 2, channels // 2, angles)[:, :, :-1]
        offset = torch.linspace(0, 1, image.shape[2])[None, None, :, None].expand(batch, 1, -1, angles)
        x = self.lift(torch.cat([image, offset.to(image)], dim=1))
        rows, columns = self.modes
        for index, (weights, local) in enumerate(zip(self.spectral, self.local, strict=True)):
            low = torch.fft.rfft2(x)
            low = torch.cat([low[:, :, :rows], low[:, :, -rows:]], dim=2)[..., :columns]
            mixed = torch.einsum("bixy,ioxy->boxy", low, weights)
            full = torch.zeros(*x.shape[:3], angles // 2 + 1, dtype=torch.cfloat)
            full[:, :, :rows, :columns], full[:, :, -rows:, :columns] = mixed[:, :, :rows], mixed[:, :, rows:]
            x = torch.fft.irfft2(full, s=x.shape[2:]) + local(x)
            if index < len(self.local) - 1:
                x = nn.functional.gelu(x)
        return (self.last(x)[:, 0].transpose(1, 2),)


class LazyBcrNet(nn.Module):
    """BCR-Net with lazy parameters: every layer creates its convolution in the first forward pass.

    An optimizer that is built before that holds only the two-dimensional layers. For the comparison of speed.
    """

    def __init__(self, shape: Architecture) -> None:
        super().__init__()
        self.shape = shape
        self.layers = nn.ModuleDict()
        sizes = [1, *[4] * (shape.refinements - 1), 1]
        self.refine = nn.ModuleList(nn.Conv2d(a, b, 3) for a, b in itertools.pairwise(sizes))

    def _conv(self, name: str, x: Tensor, outputs: int, w: int, stride: int = 1, bias: bool = True) -> Tensor:
        if name not in self.layers:
            self.layers[name] = nn.Conv1d(x.shape[1], outputs, w, stride, bias=bias)
        pad = w // 2 - (w % 2 == 0)
        x = torch.cat([x[..., x.shape[2] - pad :], x, x[..., :pad]], dim=2) if pad else x
        result: Tensor = self.layers[name](x)
        return result

    def forward(self, data: Tensor) -> tuple[Tensor, Tensor]:
        s = self.shape
        b, scales = self._conv("encoder", data, s.rank, 1), []
        for level in range(s.levels):
            scales.append(self._conv(f"wavelet{level}", b, 2 * s.rank, s.taps, 2, False))
            b = scales[-1][:, s.rank :]
        for layer in range(s.kernels):
            b = torch.relu(self._conv(f"core{layer}", b, s.rank, s.coarse_band))
        for level in reversed(range(s.levels)):
            e = scales[level]
            for layer in range(s.kernels):
                e = torch.relu(self._conv(f"detail{level}-{layer}", e, 2 * s.rank, s.band))
            e = torch.cat([e[:, : s.rank], e[:, s.rank :] + b], dim=1)
            e = self._conv(f"inverse{level}", e, 2 * s.rank, s.taps // 2, 1, False)
            batch, _, n = e.shape
            b = e.view(batch, 2, s.rank, n).permute(0, 2, 3, 1).reshape(batch, s.rank, 2 * n)
        image = self._conv("decoder", b, s.rings, 1).transpose(1, 2)
        y = image[:, None]
        for index, conv in enumerate(self.refine):
            y = torch.cat([y[:, :, -1:], y, y[:, :, :1]], dim=2)
            y = conv(nn.functional.pad(y, (1, 1)))
            y = torch.relu(y) if index < len(self.refine) - 1 else y
        return image + y[:, 0], image
