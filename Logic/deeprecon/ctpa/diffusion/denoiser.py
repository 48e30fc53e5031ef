"""The denoiser: a UNet on latents that sees the X-ray where its rays pass, and knows where it is.

The X-ray's features are spread over the volume along the rays, so a window of a latent gets just those that cast its
shadow. Channels are normalized voxel by voxel, not over the volume: a window is then treated as within the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.observe.projection import Geometry, detector_axes, interpolation
from deeprecon.ctpa.patches import Slices


@dataclass(frozen=True)
class DenoiserShape:
    """What a denoiser is built with; the size of patches is not part of it.

    Attributes:
        latent: channels of the latent.
        widths: channels at full, half, quarter ... resolution of the latent.
        blocks: residual blocks at each resolution.
        features: channels of the X-ray's features.
        heads: of self-attention at the coarsest resolution; 0 for none.
    """

    latent: int
    widths: tuple[int, ...]
    blocks: int
    features: int
    heads: int = 0

    @property
    def divisor(self) -> int:
        """A window's first voxel along each axis should divide by it, to be pooled as within the whole."""
        return int(2 ** (len(self.widths) - 1))


DENOISERS = {
    "small": DenoiserShape(8, (32, 64, 128), 1, 32),
    "medium": DenoiserShape(8, (64, 128, 256), 1, 64),
    "large": DenoiserShape(8, (112, 224, 448, 592), 2, 64, 8),
}
"""By `DenoiserName`, for the latent of `small-8x`. The small one suits CPUs; the large one has the size of the 3D UNet
with 143 million parameters that X-ray to CT began with."""

WAVES = (1.0, 2.0, 4.0)
"""Waves across the field of view that tell a voxel its place."""
TIMES = 32
"""Sines and cosines that tell the time."""


@dataclass(frozen=True, eq=False)
class Rays:
    """How an X-ray's features spread over a part of a volume.

    Attributes:
        rows: (j, k, rows) weights of the features' rows for each coronal plane.
        columns: (j, i, columns) of their columns.
        place: (channels, k, j, i) sines and cosines of the place.
        axes: (k,), (j,), (i,) centers of the voxels, from -1 to 1 over the field of view.
    """

    rows: Tensor
    columns: Tensor
    place: Tensor
    axes: tuple[Tensor, Tensor, Tensor]

    def to(self, like: Tensor) -> Rays:
        """The same on the device and with the type of a tensor."""
        k, j, i = (axis.to(like.device) for axis in self.axes)
        return Rays(self.rows.to(like), self.columns.to(like), self.place.to(like), (k, j, i))

    def lift(self, features: Tensor) -> Tensor:
        """(batch, channels, rows, columns) to (batch, channels, k, j, i)."""
        return torch.einsum("jkr,bcrs,jis->bkjic", self.rows, features, self.columns).movedim(-1, 1)


def rays(grid: Grid, geometry: Geometry, where: Slices | None = None) -> Rays:
    """For the part `where` of a latent grid; the whole if left out. X-ray features lie on the grid's detector."""
    axes = grid.axes()
    z, y, x = axes if where is None else (axis[part] for axis, part in zip(axes, where, strict=True))
    v, u = detector_axes(grid, geometry)
    scale = geometry.magnification(y)
    rows = torch.stack([torch.from_numpy(interpolation(z * factor, v)) for factor in scale])
    columns = torch.stack([torch.from_numpy(interpolation(x * factor, u)) for factor in scale])
    k, j, i = (
        torch.from_numpy(2 * axis / size).float() for axis, size in zip((z, y, x), grid.field[::-1], strict=True)
    )
    coordinates = torch.meshgrid(k, j, i, indexing="ij")
    angles = torch.stack([0.5 * torch.pi * wave * axis for axis in coordinates for wave in WAVES])
    return Rays(rows, columns, torch.cat([angles.sin(), angles.cos()]), (k, j, i))


class ChannelNorm(nn.Module):
    """Layer normalization over the channels of each voxel (Ba 2016), for images and volumes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(channels)), nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        last = functional.layer_norm(x.movedim(1, -1), self.weight.shape, self.weight, self.bias)
        return last.movedim(-1, 1)


class Pointwise(nn.Linear):
    """A 1^3 convolution, as the product of matrices that it is: several times as fast on CPUs with channels last."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class XrayEncoder(nn.Module):
    """(batch, 1, rows, columns) to features (batch, features, rows / factor, columns / factor): a map, not a vector.

    A vector for the whole image could not tell where things are.
    """

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


class Block(nn.Module):
    """A residual block that is told the time, and what the X-ray shows here."""

    def __init__(self, channels: int, out: int, told: int, context: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([ChannelNorm(channels), ChannelNorm(out)])
        self.first = nn.Conv3d(channels, out, 3, padding=1)
        self.second = nn.Conv3d(out, out, 3, padding=1)
        self.time = nn.Linear(told, 2 * out)
        self.context = Pointwise(context, out)
        self.skip = Pointwise(channels, out) if channels != out else nn.Identity()
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, told: Tensor, context: Tensor) -> Tensor:
        scale, shift = self.time(told)[:, :, None, None, None].chunk(2, dim=1)
        inner = self.first(functional.silu(self.norms[0](x))) + self.context(context)
        inner = self.norms[1](inner) * (1 + scale) + shift
        result: Tensor = self.skip(x) + self.second(functional.silu(inner))
        return result


class Attention(nn.Module):
    """Every voxel looks at every other one (Vaswani 2017); for the coarsest resolution only."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.norm = ChannelNorm(channels)
        self.asked = Pointwise(channels, 3 * channels)
        self.result = Pointwise(channels, channels)
        nn.init.zeros_(self.result.weight)
        nn.init.zeros_(self.result.bias)

    def forward(self, x: Tensor, told: Tensor, context: Tensor) -> Tensor:
        parts = self.asked(self.norm(x)).flatten(2).unflatten(1, (3, self._heads, -1))
        query, key, value = (part.transpose(2, 3) for part in parts.unbind(1))
        seen = functional.scaled_dot_product_attention(query, key, value)
        result: Tensor = x + self.result(seen.transpose(2, 3).reshape(x.shape))
        return result


class Denoiser(nn.Module):
    """Foretells what its process asks for (such as v) from x_t, the time, and an X-ray.

    Args:
        shape: see there.
        factor: of the autoencoder; the X-ray has so many times the latent's pixels along each axis.
        encoder: of X-rays, see `deeprecon.ctpa.encoders.pretrained`; `XrayEncoder` if left out.
        checkpointing: compute the blocks again in the backward pass, in place of keeping what they need.
    """

    def __init__(
        self, shape: DenoiserShape, factor: int, encoder: nn.Module | None = None, checkpointing: bool = False
    ) -> None:
        super().__init__()
        self.shape, self.factor, self._checkpointing = shape, factor, checkpointing
        widths, told = shape.widths, 4 * shape.widths[0]
        context = shape.features + 6 * len(WAVES)
        self.encoder = encoder or XrayEncoder(shape.features, factor)
        self.null = nn.Parameter(0.02 * torch.randn(shape.features))
        self.time = nn.Sequential(nn.Linear(TIMES, told), nn.SiLU(), nn.Linear(told, told))
        self.overall = nn.Linear(shape.features, told)
        self.enter = nn.Conv3d(shape.latent, widths[0], 3, padding=1)
        self.down, self.up, self.shrink, self.grow = (nn.ModuleList() for _ in range(4))
        for level, width in enumerate(widths):
            blocks: list[nn.Module] = [Block(width, width, told, context) for _ in range(shape.blocks)]
            if level + 1 < len(widths):
                self.shrink.append(nn.Conv3d(width, widths[level + 1], 2, stride=2))
                self.grow.append(nn.Conv3d(widths[level + 1], width, 3, padding=1))
                merged = [Block(2 * width if n == 0 else width, width, told, context) for n in range(shape.blocks)]
                self.up.append(nn.ModuleList(merged))
            elif shape.heads:
                blocks += [Attention(width, shape.heads), Block(width, width, told, context)]
            self.down.append(nn.ModuleList(blocks))
        self.leave = nn.Sequential(ChannelNorm(widths[0]), nn.SiLU(), nn.Conv3d(widths[0], shape.latent, 3, padding=1))
        for part in (self.down, self.up, self.shrink, self.grow, self.enter, self.leave):
            part.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # twice as fast on CPUs

    def features(self, xray: Tensor, withheld: Tensor | None = None) -> Tensor:
        """Features of X-rays (batch, 1, rows, columns); those of `withheld` (batch,) give way to the null features."""
        found: Tensor = self.encoder(xray)
        if withheld is None:
            return found
        return torch.where(withheld.view(-1, 1, 1, 1), self.null_features(found), found)

    def null_features(self, features: Tensor) -> Tensor:
        """What stands for no X-ray, in the shape of the features of one."""
        return self.null.to(features.dtype).view(1, -1, 1, 1).expand_as(features)

    def forward(self, x: Tensor, t: Tensor, xray: Tensor, where: Rays, withheld: Tensor | None = None) -> Tensor:
        """What is foretold of x_t (batch, latent, k, j, i) at times t (batch,)."""
        return self.denoise(x, t, self.features(xray, withheld), where)

    def denoise(self, x: Tensor, t: Tensor, features: Tensor, where: Rays) -> Tensor:
        """The same with features that are there already: they are the same at every step."""
        told = functional.silu(self.time(_embedded(t).to(x.dtype)) + self.overall(features.mean(dim=(2, 3))))
        context = torch.cat([where.lift(features), where.place.expand(len(x), -1, -1, -1, -1)], dim=1)
        shape = x.shape[2:]
        x, context = (_divisible(part, self.shape.divisor) for part in (x, context))
        contexts = [context]
        for _ in self.shrink:
            contexts.append(functional.interpolate(contexts[-1], scale_factor=0.5, mode="trilinear"))
        x = self.enter(x)
        kept = []
        for level, blocks in enumerate(self.down):
            x = self._run(blocks, x, told, contexts[level])
            if level < len(self.shrink):
                kept.append(x)
                x = self.shrink[level](x)
        for level in reversed(range(len(self.up))):
            x = self.grow[level](functional.interpolate(x, scale_factor=2.0, mode="nearest"))
            x = self._run(self.up[level], torch.cat([x, kept.pop()], dim=1), told, contexts[level])
        result: Tensor = self.leave(x)[:, :, : shape[0], : shape[1], : shape[2]]
        return result

    def _run(self, blocks: nn.Module, x: Tensor, told: Tensor, context: Tensor) -> Tensor:
        for block in blocks.children():
            if self._checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, told, context, use_reentrant=False)
            else:
                x = block(x, told, context)
        return x


def parameter_count(model: nn.Module) -> int:
    """Trainable numbers."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _embedded(t: Tensor) -> Tensor:
    """(batch, `TIMES`) sines and cosines of the time."""
    waves = torch.exp(torch.linspace(0, 6, TIMES // 2, device=t.device, dtype=torch.float32))
    angles = t.float()[:, None] * waves
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _divisible(x: Tensor, divisor: int) -> Tensor:
    """With the last planes repeated until every axis divides, channels last."""
    k, j, i = (-count % divisor for count in x.shape[2:])
    padded = functional.pad(x, (0, i, 0, j, 0, k), mode="replicate") if k or j or i else x
    return padded.contiguous(memory_format=torch.channels_last_3d)
