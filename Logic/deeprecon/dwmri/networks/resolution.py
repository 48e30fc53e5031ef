"""Grids of half the voxel size: interpolation to them and averages back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import interpolate

from deeprecon.data.diffusion.scan import DwiScan

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


def finer_affine(ijk_to_ras: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The affine of a grid whose voxels are half as large along each axis and cover the same space."""
    finer = ijk_to_ras.copy()
    finer[:3, :3] = ijk_to_ras[:3, :3] / 2
    finer[:3, 3] = ijk_to_ras[:3, 3] - ijk_to_ras[:3, :3].sum(axis=1) / 4
    return finer


def upsample(array: Floats) -> Floats:
    """(2 k, 2 j, 2 i, V) a scan (k, j, i, V) on the finer grid by linear interpolation, its edges repeated."""
    volumes = torch.from_numpy(np.ascontiguousarray(np.moveaxis(array, -1, 0)))[None]
    finer = interpolate(volumes, scale_factor=2, mode="trilinear", align_corners=False)[0].numpy()
    return np.ascontiguousarray(np.moveaxis(finer, 0, -1))


def upsample_scan(scan: DwiScan) -> DwiScan:
    """A scan on the finer grid by linear interpolation."""
    array = upsample(scan.array.astype(np.float32))
    return replace(scan, array=array, ijk_to_ras=finer_affine(scan.ijk_to_ras))


def upsample_maps(mask: Mask, sigma: Floats) -> tuple[Mask, Floats]:
    """Mask and noise map (k, j, i) on the finer grid, each voxel repeated."""
    cube = np.ones((2, 2, 2), np.float32)
    return np.kron(mask, cube) > 0, np.kron(sigma, cube)


def downsample(array: Floats) -> Floats:
    """(k / 2, j / 2, i / 2, ...) mean of each 2^3 voxels; sizes must be even."""
    k, j, i = (count // 2 for count in array.shape[:3])
    mean: Floats = array.reshape(k, 2, j, 2, i, 2, *array.shape[3:]).mean(axis=(1, 3, 5), dtype=np.float32)
    return mean
