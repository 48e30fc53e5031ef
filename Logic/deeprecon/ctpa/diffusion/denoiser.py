"""The denoiser: a UNet on latents, conditioned on X-ray features lifted along the rays and on the position.

The X-ray's features are spread over the volume along the rays, so a window of a latent gets those of the rays through
it. Channels are normalized voxel by voxel, not over the volume, so that a window gives the same values as the whole
latent does.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from deeprecon.ctpa.encoders.spatial import ChannelNorm, XrayEncoder
from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.observe.projection import Geometry, detector_axes, interpolation
from deeprecon.ctpa.patches import Slices
from deeprecon.training.layers.convolution import Conv3d


@dataclass(frozen=True)
class DenoiserShape:
    """Hyperparameters of a denoiser; the size of patches is not one of them.

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
        """Windows begin at multiples of it along each axis, so that they are pooled as the whole latent is."""
        return int(2 ** (len(self.widths) - 1))


DENOISERS = {
    "small": DenoiserShape(8, (32, 64, 128), 1, 32),
    "medium": DenoiserShape(8, (64, 128, 256), 1, 64),
    "large": DenoiserShape(8, (112, 224, 448, 592), 2, 64, 8),
}
"""By `DenoiserName`, for the latent of `small-8x`. The small one suits CPUs; the large one is of the size of a
published 3D UNet with 143 million parameters."""

POSITION_FREQUENCIES = (1.0, 2.0, 4.0)
"""Frequencies of the position encoding, in half waves per half field of view."""
TIME_FEATURES = 32
"""Sines and cosines of the time embedding."""


@dataclass(frozen=True, eq=False)
class RayWeights:
    """Weights that lift an X-ray's features along the rays into a part of a volume.

    Attributes:
        rows: (j, k, rows) weights of the features' rows for each coronal plane.
        columns: (j, i, columns) of their columns.
        position: (channels, k, j, i) sines and cosines of the position.
        axes: (k,), (j,), (i,) centers of the voxels, from -1 to 1 over the field of view.
    """

    rows: Tensor
    columns: Tensor
    position: Tensor
    axes: tuple[Tensor, Tensor, Tensor]

    def to(self, like: Tensor) -> RayWeights:
        """The same on the device and with the type of a tensor."""
        k, j, i = (axis.to(like.device) for axis in self.axes)
        return RayWeights(self.rows.to(like), self.columns.to(like), self.position.to(like), (k, j, i))

    def lift(self, features: Tensor) -> Tensor:
        """(batch, channels, rows, columns) to (batch, channels, k, j, i)."""
        return torch.einsum("jkr,bcrs,jis->bkjic", self.rows, features, self.columns).movedim(-1, 1)


def ray_weights(grid: Grid, geometry: Geometry, window: Slices | None = None) -> RayWeights:
    """For a window of a latent grid, or all of it; the features' pixels are those of `projection.detector_axes`."""
    axes = grid.axes()
    z, y, x = axes if window is None else (axis[part] for axis, part in zip(axes, window, strict=True))
    v, u = detector_axes(grid, geometry)
    scale = geometry.magnification(y)
    rows = torch.stack([torch.from_numpy(interpolation(z * factor, v)) for factor in scale])
    columns = torch.stack([torch.from_numpy(interpolation(x * factor, u)) for factor in scale])
    k, j, i = (
        torch.from_numpy(2 * axis / size).float() for axis, size in zip((z, y, x), grid.field[::-1], strict=True)
    )
    coordinates = torch.meshgrid(k, j, i, indexing="ij")
    angles = torch.stack([0.5 * torch.pi * wave * axis for axis in coordinates for wave in POSITION_FREQUENCIES])
    return RayWeights(rows, columns, torch.cat([angles.sin(), angles.cos()]), (k, j, i))


class Pointwise(nn.Linear):
    """A 1^3 convolution as a matrix product: several times as fast on CPUs with channels last."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.movedim(1, -1)).movedim(-1, 1)


class ResidualBlock(nn.Module):
    """A residual block, modulated by the time embedding, with the lifted X-ray features as context."""

    def __init__(self, channels: int, out: int, embedding: int, context: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList([ChannelNorm(channels), ChannelNorm(out)])
        self.first = Conv3d(channels, out, 3, padding=1)
        self.second = Conv3d(out, out, 3, padding=1)
        self.time = nn.Linear(embedding, 2 * out)
        self.context = Pointwise(context, out)
        self.skip = Pointwise(channels, out) if channels != out else nn.Identity()
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, embedding: Tensor, context: Tensor) -> Tensor:
        scale, shift = self.time(embedding)[:, :, None, None, None].chunk(2, dim=1)
        inner = self.first(functional.silu(self.norms[0](x))) + self.context(context)
        inner = self.norms[1](inner) * (1 + scale) + shift
        result: Tensor = self.skip(x) + self.second(functional.silu(inner))
        return result


class Attention(nn.Module):
    """Self-attention over all voxels (Vaswani 2017), for the coarsest resolution only."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self._heads = heads
        self.norm = ChannelNorm(channels)
        self.asked = Pointwise(channels, 3 * channels)
        self.result = Pointwise(channels, channels)
        nn.init.zeros_(self.result.weight)
        nn.init.zeros_(self.result.bias)

    def forward(self, x: Tensor, embedding: Tensor, context: Tensor) -> Tensor:
        parts = self.asked(self.norm(x)).flatten(2).unflatten(1, (3, self._heads, -1))
        query, key, value = (part.transpose(2, 3) for part in parts.unbind(1))
        attended = functional.scaled_dot_product_attention(query, key, value)
        result: Tensor = x + self.result(attended.transpose(2, 3).reshape(x.shape))
        return result


class Denoiser(nn.Module):
    """Predicts the target of its process (such as v) from x_t, the time, and an X-ray.

    Args:
        shape: see there.
        factor: of the autoencoder; the X-ray has so many times the latent's pixels along each axis.
        encoder: of X-rays, see `deeprecon.ctpa.encoders.pretrained`; `XrayEncoder` if left out.
        checkpointing: recompute the blocks in the backward pass instead of keeping their activations.
    """

    def __init__(
        self, shape: DenoiserShape, factor: int, encoder: nn.Module | None = None, checkpointing: bool = False
    ) -> None:
        super().__init__()
        self.shape, self.factor, self._checkpointing = shape, factor, checkpointing
        widths, embedding = shape.widths, 4 * shape.widths[0]
        context = shape.features + 6 * len(POSITION_FREQUENCIES)
        self.encoder = encoder or XrayEncoder(shape.features, factor)
        self.null = nn.Parameter(0.02 * torch.randn(shape.features))
        self.time = nn.Sequential(nn.Linear(TIME_FEATURES, embedding), nn.SiLU(), nn.Linear(embedding, embedding))
        self.overall = nn.Linear(shape.features, embedding)
        self.enter = Conv3d(shape.latent, widths[0], 3, padding=1)
        self.down, self.up, self.shrink, self.grow = (nn.ModuleList() for _ in range(4))
        for level, width in enumerate(widths):
            blocks: list[nn.Module] = [ResidualBlock(width, width, embedding, context) for _ in range(shape.blocks)]
            if level + 1 < len(widths):
                self.shrink.append(Conv3d(width, widths[level + 1], 2, stride=2))
                self.grow.append(Conv3d(widths[level + 1], width, 3, padding=1))
                merged = [
                    ResidualBlock(2 * width if n == 0 else width, width, embedding, context)
                    for n in range(shape.blocks)
                ]
                self.up.append(nn.ModuleList(merged))
            elif shape.heads:
                blocks += [Attention(width, shape.heads), ResidualBlock(width, width, embedding, context)]
            self.down.append(nn.ModuleList(blocks))
        self.leave = nn.Sequential(ChannelNorm(widths[0]), nn.SiLU(), Conv3d(widths[0], shape.latent, 3, padding=1))
        for part in (self.down, self.up, self.shrink, self.grow, self.enter, self.leave):
            part.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]  # twice as fast on CPUs

    def features(self, xray: Tensor, withheld: Tensor | None = None) -> Tensor:
        """Features of X-rays (batch, 1, rows, columns); null features where `withheld` (batch,) is set."""
        features: Tensor = self.encoder(xray)
        if withheld is None:
            return features
        return torch.where(withheld.view(-1, 1, 1, 1), self.null_features(features), features)

    def null_features(self, features: Tensor) -> Tensor:
        """The features without an X-ray, in the shape of those of one."""
        return self.null.to(features.dtype).view(1, -1, 1, 1).expand_as(features)

    def forward(self, x: Tensor, t: Tensor, xray: Tensor, rays: RayWeights, withheld: Tensor | None = None) -> Tensor:
        """The prediction for x_t (batch, latent, k, j, i) at times t (batch,)."""
        return self.denoise(x, t, self.features(xray, withheld), rays)

    def denoise(self, x: Tensor, t: Tensor, features: Tensor, rays: RayWeights) -> Tensor:
        """As `forward`, from features, which are the same at every step."""
        embedding = functional.silu(self.time(_time_features(t).to(x.dtype)) + self.overall(features.mean(dim=(2, 3))))
        context = torch.cat([rays.lift(features), rays.position.expand(len(x), -1, -1, -1, -1)], dim=1)
        shape = x.shape[2:]
        x, context = (_padded(part, self.shape.divisor) for part in (x, context))
        contexts = [context]
        for _ in self.shrink:
            contexts.append(functional.interpolate(contexts[-1], scale_factor=0.5, mode="trilinear"))
        x = self.enter(x)
        skips = []
        for level, blocks in enumerate(self.down):
            x = self._run(blocks, x, embedding, contexts[level])
            if level < len(self.shrink):
                skips.append(x)
                x = self.shrink[level](x)
        for level in reversed(range(len(self.up))):
            x = self.grow[level](functional.interpolate(x, scale_factor=2.0, mode="nearest"))
            x = self._run(self.up[level], torch.cat([x, skips.pop()], dim=1), embedding, contexts[level])
        result: Tensor = self.leave(x)[:, :, : shape[0], : shape[1], : shape[2]]
        return result

    def _run(self, blocks: nn.Module, x: Tensor, embedding: Tensor, context: Tensor) -> Tensor:
        for block in blocks.children():
            if self._checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, embedding, context, use_reentrant=False)
            else:
                x = block(x, embedding, context)
        return x


def parameter_count(model: nn.Module) -> int:
    """Number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _time_features(t: Tensor) -> Tensor:
    """(batch, `TIME_FEATURES`) sines and cosines of the time."""
    waves = torch.exp(torch.linspace(0, 6, TIME_FEATURES // 2, device=t.device, dtype=torch.float32))
    angles = t.float()[:, None] * waves
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _padded(x: Tensor, divisor: int) -> Tensor:
    """Padded by repeating the last planes until every axis is divisible; channels last."""
    k, j, i = (-count % divisor for count in x.shape[2:])
    padded = functional.pad(x, (0, i, 0, j, 0, k), mode="replicate") if k or j or i else x
    return padded.contiguous(memory_format=torch.channels_last_3d)
