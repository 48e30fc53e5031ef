"""Diffusion scans for tests, and their comparison."""

from __future__ import annotations

import numpy as np

from deeprecon.data.diffusion.gradients import gradient_table
from deeprecon.data.diffusion.scan import DwiScan

VOLUMES = 9


def table(count: int = VOLUMES):
    vectors = np.random.default_rng(5).standard_normal((count, 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    bvals = np.where(np.arange(count) % 4 == 0, 0.0, np.where(np.arange(count) % 2, 1000.0, 2500.0))
    bvals[[2, 4, 8]] = 20.0, 50.0, 0.004  # of IVIM, and what scanners write for b0
    vectors[bvals == 0] = 0  # NRRD files have no place for them
    return gradient_table(bvals, vectors)


def scan(volume, gradients=None, dtype=np.int16) -> DwiScan:
    """A scan whose every voxel differs, on the grid of a volume."""
    gradients = table() if gradients is None else gradients
    array = np.stack([volume.array + 200 * number for number in range(len(gradients))], axis=-1).astype(dtype)
    return DwiScan(array, volume.ijk_to_ras, gradients, "scan")


def same(one: DwiScan, other: DwiScan) -> None:
    np.testing.assert_array_equal(one.array, other.array)
    np.testing.assert_allclose(one.ijk_to_ras, other.ijk_to_ras, atol=1e-5)
    np.testing.assert_allclose(one.gradients.bvals, other.gradients.bvals, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(one.gradients.directions, other.gradients.directions, atol=1e-5)
