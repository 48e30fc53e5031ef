"""A reconstruction on a voxel grid, for segmentations and channels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.data.mesh.mesh import Inside
from deeprecon.scar.fit.fitted import Predict
from deeprecon.scar.observe.stacks import Stack

Floats = npt.NDArray[np.floating[Any]]

Known = Callable[[npt.NDArray[np.float64]], npt.NDArray[np.bool_]]
"""(M, 3) points in RAS mm -> (M,)."""

VOXEL_MM = 1.0
"""Size of the voxels."""


@dataclass(frozen=True, eq=False)
class VoxelResult:
    """A reconstruction on cubic voxels of VOXEL_MM along the axes of a stack.

    Attributes:
        wall: (k, j, i) bool.
        observed: (k, j, i) bool, wall that the slices show.
        scar: (k, j, i) float32 probability, 0 off the wall.
        core: (k, j, i) float32 probability of scar core, or None where it was not fitted by itself.
        ijk_to_ras: (4, 4).
    """

    wall: npt.NDArray[np.bool_]
    observed: npt.NDArray[np.bool_]
    scar: npt.NDArray[np.float32]
    core: npt.NDArray[np.float32] | None
    ijk_to_ras: npt.NDArray[np.float64]


def predict_voxels(
    predict: Predict, core: Predict | None, inside: Inside, stack: Stack, box: Floats, known: Known
) -> VoxelResult:
    """Evaluate a reconstruction on a grid of voxels.

    Args:
        predict: of scar.
        core: of scar core, or None.
        inside: whether points lie in the wall.
        stack: gives the axes.
        box: (2, 3) RAS corners, or any (M, 3) points that span the wall.
        known: whether points of the wall are observed.
    """
    axes = stack.ijk_to_ras[:3, :3] / np.linalg.norm(stack.ijk_to_ras[:3, :3], axis=0)
    local = box @ np.linalg.inv(axes).T
    low, high = local.min(axis=0), local.max(axis=0)
    size = np.ceil((high - low) / VOXEL_MM).astype(int) + 1
    ijk_to_ras = np.eye(4)
    ijk_to_ras[:3, :3] = axes * VOXEL_MM
    ijk_to_ras[:3, 3] = axes @ low
    k, j, i = np.indices(size[::-1])
    points = np.stack([i, j, k], axis=-1).reshape(-1, 3) @ ijk_to_ras[:3, :3].T + ijk_to_ras[:3, 3]
    wall = inside(points)
    observed = np.zeros(len(points), bool)
    observed[wall] = known(points[wall])

    def evaluate(function: Predict) -> npt.NDArray[np.float32]:
        result = np.zeros(len(points), np.float32)
        result[wall] = function(points[wall])[0]
        return result.reshape(k.shape)

    shape = k.shape
    found_core = None if core is None else evaluate(core)
    return VoxelResult(wall.reshape(shape), observed.reshape(shape), evaluate(predict), found_core, ijk_to_ras)
