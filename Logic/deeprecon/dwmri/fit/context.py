"""What a supervised network sees of a scan: each volume with its surroundings in the table, in units of the scan."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from deeprecon.data.diffusion.gradients import GradientTable, image_rotation
from deeprecon.data.diffusion.scan import DwiScan
from deeprecon.dwmri.fit.architectures import CHANNELS, encode

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

REACH = 0.35
"""Angle in radians over which volumes of a shell count as neighbors."""


@dataclass(frozen=True, eq=False)
class Context:
    """A scan as networks see it, on the device.

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

    def inputs(self, volume: int, window: tuple[slice, ...] = (slice(None),) * 3) -> Tensor:
        """(CHANNELS, k, j, i) of a volume within a window."""
        parts = [self.volumes[volume], self.neighbors[volume], self.shells[self.shell_of[volume]], self.shells[0]]
        stacked = torch.stack([part[window] for part in (*parts, self.sigma)])
        assert len(stacked) == CHANNELS
        return stacked


def make_context(
    array: Floats, table: GradientTable, ijk_to_ras: npt.NDArray[np.float64], mask: Mask, sigma: Floats, device: str
) -> Context:
    """The context of a scan (k, j, i, V).

    The unit is the mean of the b0 (else of all volumes) in the mask. Directions are taken along the image's axes, as
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
    return Context(values, neighbors, shells, shell_of, torch.from_numpy(sigma).to(device) / scale, codes, scale)


def neighbor_weights(table: GradientTable) -> Floats:
    """(V, V) column v has the weights of the other volumes in the mean of the neighbors of v; they add up to 1.

    A volume that is alone in its shell is its own neighbor.
    """
    weights = np.zeros((len(table), len(table)))
    for group in (np.flatnonzero(table.b0), *(volumes for _, volumes in table.shells)):
        if len(group) < 2:
            weights[group, group] = 1.0
            continue
        directions = table.weighted_directions[group]
        cosine = np.abs(directions @ directions.T)  # 0 between b0, whose weights are then alike
        near = np.exp(-0.5 * (np.arccos(np.clip(cosine, 0, 1)) / REACH) ** 2) + 1e-6
        np.fill_diagonal(near, 0.0)
        weights[np.ix_(group, group)] = near / near.sum(axis=0, keepdims=True)
    return weights.astype(np.float32)


def finer_affine(ijk_to_ras: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The affine of a grid whose voxels are half as large along each axis and cover the same space."""
    finer = ijk_to_ras.copy()
    finer[:3, :3] = ijk_to_ras[:3, :3] / 2
    finer[:3, 3] = ijk_to_ras[:3, 3] - ijk_to_ras[:3, :3].sum(axis=1) / 4
    return finer


def upsample(array: Floats) -> Floats:
    """(2 k, 2 j, 2 i, ...) an array on the finer grid by linear interpolation, its rim repeated."""
    for axis in range(3):
        before = np.concatenate([array.take([0], axis), array.take(range(array.shape[axis] - 1), axis)], axis)
        after = np.concatenate([array.take(range(1, array.shape[axis]), axis), array.take([-1], axis)], axis)
        pair = np.stack([0.75 * array + 0.25 * before, 0.75 * array + 0.25 * after], axis + 1)
        shape = list(array.shape)
        shape[axis] *= 2
        array = pair.reshape(shape).astype(np.float32)
    return array


def downsample(array: Floats) -> Floats:
    """(k / 2, j / 2, i / 2, ...) mean of each 2^3 voxels; sizes must be even."""
    k, j, i = (count // 2 for count in array.shape[:3])
    mean: Floats = array.reshape(k, 2, j, 2, i, 2, *array.shape[3:]).mean(axis=(1, 3, 5), dtype=np.float32)
    return mean


def finer_scan(scan: DwiScan) -> DwiScan:
    """A scan on the grid of half the voxel size by linear interpolation."""
    array = upsample(scan.array.astype(np.float32))
    return replace(scan, array=array, ijk_to_ras=finer_affine(scan.ijk_to_ras))
