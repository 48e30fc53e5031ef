"""MNN-H and MNN-H2: networks with the structure of hierarchical matrices, for maps between functions on one grid.

MNN-H (Fan, Lin, Ying and Zepeda-Nunez 2019, Multiscale Model Simul 17:1189) sums over scales, each with a restriction
from and an interpolation to the finest grid. MNN-H2 (Fan, Feliu-Faba, Lin, Ying and Zepeda-Nunez 2019, Res Math Sci
6:21) nests the scales: vectors are restricted from scale to scale and interpolated back in the same way, so that the
work is proportional to the grid size and independent of the number of layers.
"""

from __future__ import annotations

from torch import Tensor, nn

from deeprecon.scattering.networks.layers import (
    Interpolation,
    Kernel,
    LocalInterpolation,
    LocalKernel,
    LocalRestriction,
    ReshapeM,
    ReshapeT,
    Restriction,
)

KERNEL_WIDTHS = (3, 5, 7)
"""Width of the kernels next to the diagonal, on the second scale, and on all finer ones: the neighbors and interaction
lists of a hierarchical matrix under strong admissibility."""


class _LayerFactory:
    """Creates the layers of one network, convolutions or locally connected.

    Args:
        dim: number of axes.
        n: points along each axis.
        levels: scale l has 2^l blocks along each axis; the coarsest scale is l = 2.
        local: locally connected layers.
    """

    def __init__(self, dim: int, n: int, levels: int, local: bool) -> None:
        if levels < 2 or n % 2**levels:
            raise ValueError(f"{n} points cannot be halved {levels} times, of which at least 2 are needed")
        self.dim, self.n, self.levels, self.local = dim, n, levels, local

    def restriction(self, inputs: int, outputs: int, w: int, n: int) -> nn.Module:
        if self.local:
            return LocalRestriction([n] * self.dim, inputs, outputs, w)
        return Restriction(self.dim, inputs, outputs, w)

    def interpolation(self, inputs: int, outputs: int, w: int, n: int) -> nn.Module:
        if self.local:
            return LocalInterpolation([n] * self.dim, inputs, outputs, w)
        return Interpolation(self.dim, inputs, outputs, w)

    def kernels(self, channels: int, w: int, count: int, n: int, last_linear: bool = False) -> nn.Sequential:
        """`count` kernels on n points along each axis."""
        relu = [not (last_linear and index == count - 1) for index in range(count)]
        if self.local:
            return nn.Sequential(*(LocalKernel([n] * self.dim, channels, channels, w, active) for active in relu))
        return nn.Sequential(*(Kernel(self.dim, channels, channels, w, active) for active in relu))

    def band(self, level: int) -> int:
        return KERNEL_WIDTHS[1] if level == 2 else KERNEL_WIDTHS[2]


class MnnH(nn.Module):
    """(B, 1, n, ...) to (B, 1, n, ...); see the module.

    Args:
        dim: 1, 2 or 3.
        n: points along each axis, divisible by 2^levels.
        levels: scales, at least 2.
        rank: channels on each scale.
        kernels: on each scale, nonlinear.
        local: locally connected layers, for operators that are not shift-invariant.
    """

    def __init__(self, dim: int, n: int, levels: int, rank: int, kernels: int, local: bool = False) -> None:
        super().__init__()
        layers, m = _LayerFactory(dim, n, levels, local), n // 2**levels
        self.near = nn.Sequential(
            ReshapeT(dim, m),
            layers.kernels(m**dim, KERNEL_WIDTHS[0], kernels, n // m, last_linear=True),
            ReshapeM(dim, m),
        )
        self.far = nn.ModuleList()
        for level in range(2, levels + 1):
            block, count = m * 2 ** (levels - level), 2**level
            self.far.append(
                nn.Sequential(
                    layers.restriction(1, rank, block, n),
                    layers.kernels(rank, layers.band(level), kernels, count),
                    layers.interpolation(rank, 1, block, count),
                )
            )

    def forward(self, x: Tensor) -> Tensor:
        y = self.near(x)
        for scale in self.far:
            y = y + scale(x)
        return y  # type: ignore[no-any-return]


class MnnH2(nn.Module):
    """As `MnnH`, with nested scales: arguments and shapes are the same."""

    def __init__(self, dim: int, n: int, levels: int, rank: int, kernels: int, local: bool = False) -> None:
        super().__init__()
        layers, m = _LayerFactory(dim, n, levels, local), n // 2**levels
        self.near = nn.Sequential(
            ReshapeT(dim, m),
            layers.kernels(m**dim, KERNEL_WIDTHS[0], kernels, n // m, last_linear=True),
            ReshapeM(dim, m),
        )
        self.down = nn.ModuleList([layers.restriction(1, rank, m, n)])
        self.up = nn.ModuleList([layers.interpolation(rank, 1, m, 2**levels)])
        for level in range(levels, 2, -1):
            self.down.append(layers.restriction(rank, rank, 2, 2**level))
            self.up.append(layers.interpolation(rank, rank, 2, 2 ** (level - 1)))
        self.kernels = nn.ModuleList(
            layers.kernels(rank, layers.band(level), kernels, 2**level) for level in range(levels, 1, -1)
        )

    def forward(self, x: Tensor) -> Tensor:
        restricted: list[Tensor] = []
        for down in self.down:
            restricted.append(down(restricted[-1] if restricted else x))
        y: Tensor | None = None
        for up, kernels, coarse in zip(
            reversed(list(self.up)), reversed(list(self.kernels)), reversed(restricted), strict=True
        ):
            here = kernels(coarse)
            y = up(here if y is None else here + y)
        return self.near(x) + y  # type: ignore[no-any-return]
