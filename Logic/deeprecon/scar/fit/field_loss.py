"""The loss of the field: the mean over each pixel's prism is compared with the pixel, not any single point."""

from __future__ import annotations

import torch
from torch import Tensor

_LABEL_NOISE = 1e-3
"""Share of the observations that may be arbitrary: bounds the loss of one wrong pixel."""
_SHARPNESS = 24.0
"""Slope of the soft step that rounds a mean to 0 or 1."""


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
