"""The field: scar probability as a function of position, an ensemble of small networks; its loss and prediction."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

UNIT_MM = 40.0
"""Millimeters per unit of the network's coordinates, about half a ventricle."""
_LABEL_NOISE = 1e-3
"""Share of the observations that may be arbitrary: bounds the loss of one wrong pixel."""
_SHARPNESS = 24.0
"""Slope of the soft step that rounds a mean to 0 or 1."""


class Field(nn.Module):
    """M networks of random Fourier features (Tancik et al. 2020, NeurIPS 33:7537) and SiLU layers, computed together.

    The frequencies are drawn once from a normal distribution and shared by all members, which differ in their weights:
    the features are then computed once. They are isotropic and prefer no direction of the slices. `scale` sets the
    band: a wave at one standard deviation is 2 pi 40 mm / scale long.

    Args:
        center: (3,) RAS mm, the origin of the coordinates.
        mean: share of scar that every member starts with.
        members: M.
        features: sine and cosine pairs.
        scale: standard deviation of the angular frequencies in radians per `UNIT_MM`.
        width, depth: of the hidden layers.
        seed: of frequencies and weights.
    """

    center: Tensor
    frequencies: Tensor

    def __init__(
        self,
        center: npt.NDArray[np.float64] | Sequence[float],
        mean: float,
        members: int,
        features: int,
        scale: float,
        width: int,
        depth: int,
        seed: int,
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)

        def normal(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator)

        self.register_buffer("center", torch.tensor(np.asarray(center), dtype=torch.float32))
        self.register_buffer("frequencies", scale * normal(3, features))
        sizes = [3 + 2 * features, *[width] * depth, 1]
        # The features have a variance of 1/2 and SiLU halves it again: 2 / inputs keeps the signal's size.
        self.weights = nn.ParameterList(
            math.sqrt(2 / inputs) * normal(members, inputs, outputs) for inputs, outputs in itertools.pairwise(sizes)
        )
        self.biases = nn.ParameterList(torch.zeros(members, 1, outputs) for outputs in sizes[1:])
        with torch.no_grad():
            self.weights[-1] *= 0.2
            self.biases[-1] += math.log(mean / (1 - mean))

    def coordinates(self, points: npt.NDArray[np.float64]) -> Tensor:
        """(..., 3) RAS mm to (..., 3) float32 coordinates on the field's device."""
        # In double precision, for hearts far from the origin.
        center = self.center.cpu().numpy().astype(np.float64)
        return torch.as_tensor(((points - center) / UNIT_MM).astype(np.float32)).to(self.frequencies.device)

    def forward(self, coordinates: Tensor) -> Tensor:
        """Log-odds of scar, (M, n), at (n, 3) coordinates."""
        phase = coordinates @ self.frequencies
        hidden = torch.cat([coordinates, torch.sin(phase), torch.cos(phase)], dim=1)
        hidden = hidden.expand(len(self.biases[0]), -1, -1)
        *inner, last = zip(self.weights, self.biases, strict=True)
        for weight, bias in inner:
            hidden = nn.functional.silu(torch.baddbmm(bias, hidden, weight))
        return torch.baddbmm(last[1], hidden, last[0])[..., 0]


def group_means(logits: Tensor, weights: Tensor) -> Tensor:
    """Mean probability of each group.

    Args:
        logits: (M, G * K) log-odds at the points of G groups.
        weights: (G, K), rows sum to 1.

    Returns:
        (M, G), float32.
    """
    return (torch.sigmoid(logits.float()).view(len(logits), *weights.shape) * weights).sum(dim=2)


def soft_round(means: Tensor) -> Tensor:
    """A differentiable rounding of a mean to 0 or 1: a steep logistic step at one half."""
    return torch.sigmoid(_SHARPNESS * (means - 0.5))


def ambiguity(logits: Tensor, weights: Tensor, share: Tensor) -> Tensor:
    """Mean of 4 p (1 - p) over the points, summed over members: 0 where all are 0 or 1, and 1 where all are one half.

    A mask constrains only on which side of one half a mean lies; this term adds that every point is either scar or not.

    Args:
        logits: (M, G * K) log-odds at the points of G groups.
        weights: (G, K), rows sum to 1.
        share: (G,) weight of each group.
    """
    p = torch.sigmoid(logits.float()).view(len(logits), *weights.shape)
    return ((4 * p * (1 - p) * weights).sum(dim=2) * share).sum() / share.sum()


def group_loss(means: Tensor, y: Tensor, share: Tensor) -> Tensor:
    """Binomial cross-entropy of the group means, averaged over groups and summed over members.

    Unlike that of the squared error its gradient does not vanish where the field is confidently wrong. Both have the
    same minimum: the mean over the prism equals the observation.

    Args:
        means: (M, G) mean probability over each prism.
        y: (G,) observed share of scar.
        share: (G,) weight of each group, the share of its prism that is wall.

    Returns:
        (), the sum over the members, so that each is trained independently.
    """
    means = _LABEL_NOISE + (1 - 2 * _LABEL_NOISE) * means
    entropy = -(y * means.log() + (1 - y) * torch.log1p(-means))
    return (entropy * share).sum() / share.sum()


def likelihood_loss(means: Tensor, likelihood: Tensor, share: Tensor) -> Tensor:
    """Negative log likelihood of the group means, averaged over groups and summed over members.

    Args:
        means: (M, G) mean probability over each prism.
        likelihood: (G, S) log likelihood of S equally spaced means from 0 to 1; between them it is linear.
        share: (G,) weight of each group, the share of its prism that is wall.
    """
    place = means * (likelihood.shape[1] - 1)
    below = place.detach().floor().clamp(0, likelihood.shape[1] - 2).long()
    rows = likelihood.expand(len(means), -1, -1)
    low, high = (rows.gather(2, (below + step)[..., None])[..., 0] for step in (0, 1))
    return -((low + (place - below) * (high - low)) * share).sum() / share.sum()


def members(field: Field, nodes: npt.NDArray[np.float64], batch: int = 16_384) -> npt.NDArray[np.float32]:
    """(M, N) scar probability by each of the ensemble's members.

    Args:
        field: fitted, on any device.
        nodes: (N, 3) RAS mm.
        batch: nodes at a time; bounds the memory.
    """
    result = np.empty((len(field.biases[0]), len(nodes)), np.float32)
    with torch.no_grad():
        for first in range(0, len(nodes), batch):
            part = slice(first, first + batch)
            result[:, part] = torch.sigmoid(field(field.coordinates(nodes[part]))).cpu().numpy()
    return result


def samples(field: Field, spread: float, nodes: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """(M, N) equally likely probabilities: the members, moved apart from their mean by the factor `spread`."""
    found = members(field, nodes)
    mean = found.mean(axis=0)
    moved: npt.NDArray[np.float32] = np.clip(mean + spread * (found - mean), 0, 1)
    return moved


def predict(
    field: Field, spread: float, nodes: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Scar probability and its uncertainty.

    Args:
        field: fitted, on any device.
        spread: factor on the uncertainty, see `FieldFit.spread`.
        nodes: (N, 3) RAS mm.

    Returns:
        (N,) probability, the mean over the ensemble's members; and (N,) uncertainty, their standard deviation times
        `spread`, at most 0.5. It shows how far equally good fits differ, which is most in the gaps between slices; it
        does not include errors that all members share, such as wrong contours.
    """
    found = members(field, nodes)
    return found.mean(axis=0), np.minimum(spread * found.std(axis=0), 0.5).astype(np.float32)
