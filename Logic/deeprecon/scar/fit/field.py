"""The field: scar probability as a function of position, an ensemble of small coordinate networks."""

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
