"""The trunk of a Swin transformer, tiny (Liu 2021), as medical image-text models use it."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

WINDOW = 7


class SwinBlock(nn.Module):
    """Attention within windows of 7 x 7 tokens, shifted by half a window in every second block.

    Args:
        width: channels.
        heads: of attention.
        side: tokens along each side.
        shift: of the windows in tokens.
    """

    index: Tensor
    mask: Tensor

    def __init__(self, width: int, heads: int, side: int, shift: int) -> None:
        super().__init__()
        self._heads, self._shift = heads, shift
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value, self.proj = (nn.Linear(width, width) for _ in range(4))
        self.fc1, self.fc2 = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.bias = nn.Parameter(torch.zeros((2 * WINDOW - 1) ** 2, heads))
        self.register_buffer("index", _relative_index())
        self.register_buffer("mask", _mask(side, shift), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(batch, side, side, width) to the same."""
        inner = torch.roll(self.norm1(x), (-self._shift, -self._shift), dims=(1, 2))
        windows = _windows(inner)  # (batch, windows, 49, width)
        query, key, value = (
            part(windows).unflatten(3, (self._heads, -1)).transpose(2, 3) for part in (self.query, self.key, self.value)
        )
        bias = self.bias[self.index.flatten()].view(WINDOW**2, WINDOW**2, -1).permute(2, 0, 1)
        attended = functional.scaled_dot_product_attention(
            query, key, value, bias[None, None] + self.mask[None, :, None]
        )
        joined = _joined(self.proj(attended.transpose(2, 3).flatten(3)), x.shape[1])
        x = x + torch.roll(joined, (self._shift, self._shift), dims=(1, 2))
        result: Tensor = x + self.fc2(functional.gelu(self.fc1(self.norm2(x))))
        return result


class Merging(nn.Module):
    """Half as many tokens along each side, twice the channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.reduction = nn.LayerNorm(4 * width), nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        parts = [x[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        result: Tensor = self.reduction(self.norm(torch.cat(parts, dim=-1)))
        return result


class Swin(nn.Module):
    """(batch, 3, 224, 224) to (batch, 768, 7, 7)."""

    channels = 768
    RENAMES: ClassVar[tuple[tuple[str, str], ...]] = (
        (r"^embeddings\.patch_embeddings\.projection\.", "embed."),
        (r"^embeddings\.norm\.", "embed_norm."),
        (r"^encoder\.layers\.(\d)\.blocks\.(\d)\.", r"stages.\1.\2."),
        (r"^encoder\.layers\.(\d)\.downsample\.", r"merges.\1."),
        (r"\.layernorm_before\.", ".norm1."),
        (r"\.layernorm_after\.", ".norm2."),
        (r"\.attention\.self\.relative_position_bias_table$", ".bias"),
        (r"\.attention\.self\.relative_position_index$", ".index"),
        (r"\.attention\.self\.", "."),
        (r"\.attention\.output\.dense\.", ".proj."),
        (r"\.intermediate\.dense\.", ".fc1."),
        (r"\.output\.dense\.", ".fc2."),
        (r"^layernorm\.", "norm."),
    )
    """From the keys of published files."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.embed_norm = nn.Conv2d(3, 96, 4, 4), nn.LayerNorm(96)
        self.stages, self.merges = nn.ModuleList(), nn.ModuleList()
        for stage, (blocks, heads) in enumerate(((2, 3), (2, 6), (6, 12), (2, 24))):
            width, side = 96 * 2**stage, 56 // 2**stage
            shifts = [WINDOW // 2 if number % 2 and side > WINDOW else 0 for number in range(blocks)]
            self.stages.append(nn.Sequential(*[SwinBlock(width, heads, side, shift) for shift in shifts]))
            if stage < 3:
                self.merges.append(Merging(width))
        self.norm = nn.LayerNorm(self.channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed_norm(self.embed(x).movedim(1, -1))
        for stage, blocks in enumerate(self.stages):
            x = blocks(x)
            if stage < len(self.merges):
                x = self.merges[stage](x)
        result: Tensor = self.norm(x).movedim(-1, 1)
        return result


def _windows(x: Tensor) -> Tensor:
    """(batch, side, side, width) to (batch, windows, tokens of a window, width)."""
    batch, side, _, width = x.shape
    parts = x.reshape(batch, side // WINDOW, WINDOW, side // WINDOW, WINDOW, width).transpose(2, 3)
    return parts.reshape(batch, -1, WINDOW**2, width)


def _joined(windows: Tensor, side: int) -> Tensor:
    """Back to (batch, side, side, width)."""
    batch, width, count = windows.shape[0], windows.shape[3], side // WINDOW
    parts = windows.reshape(batch, count, count, WINDOW, WINDOW, width).transpose(2, 3)
    return parts.reshape(batch, side, side, width)


def _relative_index() -> Tensor:
    """(49, 49) row of the bias table for each pair of tokens."""
    position = torch.stack(torch.meshgrid(torch.arange(WINDOW), torch.arange(WINDOW), indexing="ij")).flatten(1)
    difference = position[:, :, None] - position[:, None, :] + WINDOW - 1
    return difference[0] * (2 * WINDOW - 1) + difference[1]


def _mask(side: int, shift: int) -> Tensor:
    """(windows, 49, 49): -100 between tokens that share a window only because of the cyclic shift."""
    part = torch.zeros(side)
    if shift:
        part[-WINDOW:-shift], part[-shift:] = 1, 2
    label = _windows((3 * part[:, None] + part[None, :])[None, :, :, None])[0, :, :, 0]
    return torch.where(label[:, :, None] == label[:, None, :], 0.0, -100.0)
