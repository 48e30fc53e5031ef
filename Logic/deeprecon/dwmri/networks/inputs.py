"""Inputs of the supervised networks: each volume with the means of its neighbors and its shell, normalized."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deeprecon.data.diffusion.gradients import GradientTable, image_rotation
from deeprecon.dwmri.networks.architectures import encode

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

NEIGHBOR_ANGLE = 0.35
"""Standard deviation in radians of the weights of a shell's volumes as neighbors."""


@dataclass(frozen=True, eq=False)
class NetworkInputs:
    """A scan as input of the networks, on the device.

    Attributes:
        volumes, neighbors: (V, k, j, i) each volume, and the mean of its neighbors in direction.
        shells: (S, k, j, i) mean of the b0 and of each shell.
        shell_of: (V,) index into `shells`; 0 is the b0.
        sigma: (k, j, i) noise.
        codes: (V, FEATURES) encoding of the gradients.
        scale: what the image was divided by.
    """

    volumes: Tensor
    neighbors: Tensor
    shells: Tensor
    shell_of: list[int]
    sigma: Tensor
    codes: Tensor
    scale: float

    def channels(self, volume: int, window: tuple[slice, ...] = (slice(None),) * 3) -> Tensor:
        """(CHANNELS, k, j, i) of a volume within a window."""
        parts = [self.volumes[volume], self.neighbors[volume], self.shells[self.shell_of[volume]], self.shells[0]]
        return torch.stack([part[window] for part in (*parts, self.sigma)])


def network_inputs(
    array: Floats, table: GradientTable, ijk_to_ras: npt.NDArray[np.float64], mask: Mask, sigma: Floats, device: str
) -> NetworkInputs:
    """The inputs of a scan (k, j, i, V).

    The unit is the mean of the b0 (else of all volumes) in the mask. Directions are relative to the image's axes, as
    the networks' kernels are.
    """
    groups = [np.flatnonzero(table.b0), *(volumes for _, volumes in table.shells)]
    chosen = groups[0] if len(groups[0]) else np.arange(len(table))
    scale = max(float(array[mask][:, chosen].mean()), 1e-12)
    values = torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 0))).to(device) / scale
    weights = torch.from_numpy(neighbor_weights(table)).to(device)
    neighbors = torch.einsum("uv,ukji->vkji", weights, values)
    means = [values[torch.from_numpy(group).to(device)].mean(dim=0) if len(group) else None for group in groups]
    everything = values.mean(dim=0)
    shells = torch.stack([everything if mean is None else mean for mean in means])
    shell_of = [next(n for n, group in enumerate(groups) if volume in group) for volume in range(len(table))]
    codes = torch.from_numpy(encode(table.bvals, table.weighted_directions @ image_rotation(ijk_to_ras))).to(device)
    return NetworkInputs(values, neighbors, shells, shell_of, torch.from_numpy(sigma).to(device) / scale, codes, scale)


def neighbor_weights(table: GradientTable) -> Floats:
    """(V, V) column v holds the weights of the other volumes in the mean of the neighbors of v; they add up to 1.

    A volume that is alone in its shell is its own neighbor.
    """
    weights = np.zeros((len(table), len(table)))
    for group in (np.flatnonzero(table.b0), *(volumes for _, volumes in table.shells)):
        if len(group) < 2:
            weights[group, group] = 1.0
            continue
        directions = table.weighted_directions[group]
        cosine = np.abs(directions @ directions.T)  # 0 between b0, whose weights are then alike
        near = np.exp(-0.5 * (np.arccos(np.clip(cosine, 0, 1)) / NEIGHBOR_ANGLE) ** 2) + 1e-6
        np.fill_diagonal(near, 0.0)
        weights[np.ix_(group, group)] = near / near.sum(axis=0, keepdims=True)
    return weights.astype(np.float32)
