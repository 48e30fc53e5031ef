"""What the slices ask of the field: the mean over each pixel's prism, not any single point."""

from __future__ import annotations

import torch
from torch import Tensor

_DOUBT = 1e-3
"""Share of the observations that may be anything: bounds what one wrong pixel can cost."""
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


def rounded(means: Tensor) -> Tensor:
    """What a mean looks like once it was rounded to 0 or 1: a steep logistic step at one half."""
    return torch.sigmoid(_SHARPNESS * (means - 0.5))


def indecision(logits: Tensor, weights: Tensor, share: Tensor) -> Tensor:
    """Mean of 4 p (1 - p) over the points, 0 where each is sure and 1 where each is a coin, summed over members.

    A mask says only on which side of one half a mean lies; it does not say that tissue is scar or is not, which is what
    this adds.

    Args:
        logits: (M, G * K) log-odds at the points of G groups.
        weights: (G, K), rows sum to 1.
        share: (G,) weight of each group.
    """
    p = torch.sigmoid(logits.float()).view(len(logits), *weights.shape)
    return ((4 * p * (1 - p) * weights).sum(dim=2) * share).sum() / share.sum()


def group_loss(means: Tensor, y: Tensor, share: Tensor) -> Tensor:
    """Binomial cross-entropy of the group means, averaged over groups and summed over members.

    Unlike the squared error it does not fade where the field is confidently wrong. The minimum of both is the same:
    the mean over the prism equals the observation.

    Args:
        means: (M, G) mean probability over each prism.
        y: (G,) observed share of scar.
        share: (G,) weight of each group, the share of its prism that is wall.

    Returns:
        (), the sum over the members, so that each learns as if it were alone.
    """
    means = _DOUBT + (1 - 2 * _DOUBT) * means
    entropy = -(y * means.log() + (1 - y) * torch.log1p(-means))
    return (entropy * share).sum() / share.sum()
