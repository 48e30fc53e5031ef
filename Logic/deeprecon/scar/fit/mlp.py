"""The coordinate network with dropout after Sen et al. 2025 (Comput Biol Med 198:111219): layers, loss, prediction."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from deeprecon.data.errors import InputError

Floats = npt.NDArray[np.float64]

_STEEPNESS = 4.0
"""Standard deviation of the first layer's weights at the start; of 1, 2 and 4 the best on phantoms with tiny scars."""
_ROWS = 65_536
"""Points times passes that are computed at a time when predicting; bounds the memory."""


class Mlp(nn.Module):
    """ReLU layers from position to scar probability, with dropout after every second layer but the first.

    Layers and names are those of cardioscar's network, so that its weights fit. 4 x 128 has 50,177 parameters, 6 x 256
    has 330,241.

    The network sees the `box` as 0 to 1 along each axis. For our own training points the box is a cube, so that no
    direction is scaled against another; for those of a file it is the file's, which is cardioscar's range per axis,
    because weights are valid in the scale that they were trained in only.

    Args:
        width: of the hidden layers.
        hidden_layers: at least 3; with fewer there is no dropout, and the uncertainty would be 0 everywhere.
        dropout: share of the units that are left out, above 0 and below 1.
        box: (2, 3) lowest and highest corner in mm.

    Raises:
        InputError: too few layers.
    """

    def __init__(self, width: int, hidden_layers: int, dropout: float, box: npt.ArrayLike) -> None:
        super().__init__()
        if hidden_layers < 3:
            raise InputError(
                f"A network of {hidden_layers} hidden layers has no dropout and gives no uncertainty.",
                "Use at least 3 hidden layers.",
            )
        self.box = np.asarray(box, np.float64)
        self.width, self.hidden_layers, self.dropout = width, hidden_layers, dropout
        layers: list[nn.Module] = [nn.Linear(3, width), nn.ReLU()]
        for number in range(1, hidden_layers):
            layers.append(nn.Linear(width, width))
            if number % 2 == 0:
                layers.append(nn.Dropout(dropout))
            layers.append(nn.ReLU())
        self.network = nn.Sequential(*layers, nn.Linear(width, 1))

    def initialize(self, mean: float, seed: int) -> None:
        """Random weights with which the network predicts about `mean` and can learn small scars.

        Scar is rare. From PyTorch's default initialization the first steps push all probabilities down before places
        are separated, until they are 0, where the sigmoid has no gradient. Here the output's bias is the log-odds of
        the mean, the hidden layers keep the variance of the signal (He et al. 2015), and the first layer has its kinks
        at planes through the box, several times as steep.
        """
        generator = torch.Generator().manual_seed(seed)
        mean = min(max(mean, 1e-3), 1 - 1e-3)
        first, *hidden, last = (layer for layer in self.network if isinstance(layer, nn.Linear))
        with torch.no_grad():
            first.weight.normal_(0, _STEEPNESS, generator=generator)
            first.bias.copy_(-(first.weight * torch.rand(self.width, 3, generator=generator)).sum(dim=1))
            for layer in hidden:
                layer.weight.normal_(0, math.sqrt(2 / self.width), generator=generator)
                layer.bias.zero_()
            reach = 1 / math.sqrt(self.width)
            last.weight.uniform_(-reach, reach, generator=generator)
            last.bias.fill_(math.log(mean / (1 - mean)))

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def coordinates(self, points: Floats) -> Tensor:
        """(n, 3) mm to (n, 3) float32 coordinates on the network's device."""
        scaled = (points - self.box[0]) / (self.box[1] - self.box[0])
        return torch.from_numpy(scaled.astype(np.float32)).to(self.device)

    def forward(self, coordinates: Tensor, passes: int = 1, masks: Sequence[Tensor] = ()) -> Tensor:
        """(passes, n) float32 probability of scar at (n, 3) coordinates.

        In training every pass and point has dropout of its own. With `masks` (see `draw_masks`) these are used as
        dropout. The layers before the first dropout are the same in all passes and computed once.

        The first and the last layer compute in fp32 in every precision: a coordinate in bf16 is off by up to 0.4 mm.
        """
        kind, drawn = coordinates.device.type, iter(masks)
        first, *inner, last = self.network
        with torch.autocast(kind, enabled=False):
            hidden: Tensor = first(coordinates)[None]
        for layer in inner:
            if not isinstance(layer, nn.Dropout):
                hidden = layer(hidden)
                continue
            if len(hidden) < passes:
                hidden = hidden.expand(passes, -1, -1)
            hidden = hidden * next(drawn) if masks else layer(hidden)
        with torch.autocast(kind, enabled=False):
            return torch.sigmoid(last(hidden.float())[..., 0]).expand(passes, -1)

    def draw_masks(self, passes: int, seed: int) -> list[Tensor]:
        """For each layer of dropout (passes, 1, width) what its units are multiplied by: 0, or 1 / (1 - dropout).

        A pass uses the same thinned network at every point: it is a smooth field that depends neither on the order of
        the points nor on their batches. At each point the spread is that of independent dropout.
        """
        generator = torch.Generator().manual_seed(seed)
        count = sum(isinstance(layer, nn.Dropout) for layer in self.network)
        kept = torch.rand(count, passes, 1, self.width, generator=generator) >= self.dropout
        return list((kept / (1 - self.dropout)).to(self.device))


def samples(network: Mlp, masks: Sequence[Tensor], points: Floats) -> npt.NDArray[np.float32]:
    """(S, N) scar probability at (N, 3) points in mm after each of the masks' S passes."""
    network.eval()
    passes = len(masks[0])
    batch = max(1, _ROWS // passes)
    result = np.empty((passes, len(points)), np.float32)
    with torch.no_grad():
        for start in range(0, len(points), batch):
            part = slice(start, start + batch)
            result[:, part] = network(network.coordinates(points[part]), passes, masks).cpu().numpy()
    return result


def predict(
    network: Mlp, masks: Sequence[Tensor], points: Floats
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """(N,) scar probability at (N, 3) points in mm, the mean over the passes; and (N,) their standard deviation."""
    mean, spread = np.empty((2, len(points)), np.float32)
    batch = 16_384  # bounds the memory of all passes
    for start in range(0, len(points), batch):
        part = slice(start, start + batch)
        drawn = samples(network, masks, points[part])
        mean[part], spread[part] = drawn.mean(axis=0), drawn.std(axis=0)
    return mean, spread


def group_error(probability: Tensor, offsets: Tensor, values: Tensor) -> Tensor:
    """Mean over the groups of (mean over the group's nodes - value) squared; every group has the same weight.

    Args:
        probability: (S, n) of the nodes, sorted by group; its mean over the passes is used.
        offsets: (G + 1,) int64, where each group starts and the last one ends.
        values: (G,) what was observed.
    """
    return (segment_mean(probability.mean(dim=0), offsets) - values).square().mean()


def segment_mean(values: Tensor, offsets: Tensor) -> Tensor:
    """(G,) mean over each group of (n,) values sorted by group, with torch_scatter where that is installed.

    torch's own `segment_reduce` is as fast and deterministic, so that the compiled extra stays optional; on Apple's
    GPU, which lacks it, `index_add` sums.

    Args:
        values: float32.
        offsets: (G + 1,) int64, no group empty.
    """
    if (segment_csr := _segment_csr()) is not None:
        mean: Tensor = segment_csr(values, offsets, reduce="mean")
        return mean
    if values.device.type != "mps":
        # Unchecked, since `NodeGroups` has no empty group.
        return torch.segment_reduce(values, "mean", offsets=offsets, unsafe=True)
    return _index_mean(values, offsets)


def _index_mean(values: Tensor, offsets: Tensor) -> Tensor:
    sizes = offsets.diff()
    group = torch.repeat_interleave(torch.arange(len(sizes), device=values.device), sizes, output_size=len(values))
    return values.new_zeros(len(sizes)).index_add(0, group, values) / sizes


@functools.cache
def _segment_csr() -> Callable[..., Any] | None:
    """torch_scatter's sum over sorted groups; None where it is missing or was built for another torch."""
    try:
        from torch_scatter import segment_csr
    except (ImportError, OSError):
        return None
    function: Callable[..., Any] = segment_csr
    return function
