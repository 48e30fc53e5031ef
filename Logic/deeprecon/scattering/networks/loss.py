"""The relative error of images over the disc, as it is trained on and reported."""

from __future__ import annotations

import torch
from torch import Tensor

from deeprecon.scattering.physics.coordinates import ring_weights


def relative_error(found: Tensor, truth: Tensor, floor: float = 0.0) -> Tensor:
    """(B,) |found - truth| / |truth| of (B, angles, rings) images; rings count by their area.

    Its mean is the metric itself: unlike the squared error it does not fade for objects that are nearly right, nor is
    it ruled by the strongest ones.

    Args:
        found, truth: images.
        floor: least root mean square that an error is divided by, for objects that are nearly empty.
    """
    weights = torch.from_numpy(ring_weights(truth.shape[-1])).to(truth)
    error = ((found - truth).square() * weights).mean(dim=1).sum(dim=1)
    size = (truth.square() * weights).mean(dim=1).sum(dim=1).clamp_min(max(floor**2, 1e-20))
    return (error / size + 1e-12).sqrt()
