"""The relative error of images over the disc, as a differentiable loss; see `measure.metrics.relative_l2`."""

from __future__ import annotations

import torch
from torch import Tensor

from deeprecon.scattering.physics.image_grids import ring_weights


def relative_error(found: Tensor, truth: Tensor, floor: float = 0.0) -> Tensor:
    """(B,) |found - truth| / |truth| of (B, angles, rings) images; rings count by their area.

    Its mean is the reported metric. Unlike the squared error, its gradient does not vanish for objects that are nearly
    right, and objects of strong contrast do not dominate it.

    Args:
        found, truth: images.
        floor: lower bound of the root mean square that an error is divided by, for nearly empty objects.
    """
    weights = torch.from_numpy(ring_weights(truth.shape[-1])).to(truth)
    error = ((found - truth).square() * weights).mean(dim=1).sum(dim=1)
    size = (truth.square() * weights).mean(dim=1).sum(dim=1).clamp_min(max(floor**2, 1e-20))
    return (error / size + 1e-12).sqrt()
