"""Loss of the supervised networks: squared errors of the values and of the edges."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv3d, pad


class EdgeAwareLoss(nn.Module):
    """Mean square error plus `weight` times the mean square error of the gradient's length.

    The gradient is that of Sobel's 3D filter: the derivative along one axis, smoothed along the two others. Its length
    is smooth at zero, where a square root has no derivative. Only for clean truths: noise would count as edges.

    Args:
        weight: of the edges; 0 for none.
        epsilon: gradient, in units of the volume, below which its length is a parabola.
    """

    def __init__(self, weight: float = 0.5, epsilon: float = 1e-2) -> None:
        super().__init__()
        self.weight, self.epsilon = weight, epsilon
        self.kernels: Tensor
        self.register_buffer("kernels", sobel(), persistent=False)

    def forward(self, found: Tensor, truth: Tensor, inside: Tensor) -> Tensor:
        """Loss of (B, 1, k, j, i) volumes, over the voxels where `inside` is 1."""
        count = inside.sum().clamp_min(1)
        error = ((found - truth) ** 2 * inside).sum() / count
        if not self.weight:
            return error
        edges = (self.edges(found) - self.edges(truth)) ** 2
        return error + self.weight * (edges * inside).sum() / count

    def edges(self, values: Tensor) -> Tensor:
        """(B, 1, k, j, i) length of the gradient, per voxel; the border is repeated, so that it is no edge."""
        gradient = conv3d(pad(values, (1,) * 6, mode="replicate"), self.kernels.to(values.dtype))
        return torch.sqrt((gradient**2).sum(dim=1, keepdim=True) + self.epsilon**2) - self.epsilon


def sobel() -> Tensor:
    """(3, 1, 3, 3, 3) derivatives along k, j and i, per voxel."""
    derivative, smoothing = torch.tensor([-1.0, 0.0, 1.0]) / 2, torch.tensor([1.0, 2.0, 1.0]) / 4
    kernels = []
    for axis in range(3):
        parts = [derivative if place == axis else smoothing for place in range(3)]
        kernels.append(torch.einsum("a,b,c->abc", *parts))
    return torch.stack(kernels)[:, None]
