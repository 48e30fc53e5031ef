"""A fitted atlas on the voxels of a synthetic CT: HU, labels, what the film sees, and the deformation as a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from deeprecon.ctpa.atlas.deformation import Deformation
from deeprecon.ctpa.atlas.volume import Atlas, Labels
from deeprecon.ctpa.grid import AIR, HIGH, Grid, Hu
from deeprecon.ctpa.observe.projection import Geometry, detector_axes

Mask = npt.NDArray[np.bool_]

SLAB = 16
"""Planes that are computed at a time; divisible by the factors of coarse copies."""
FIELD_GRID = Grid((76, 64, 64))
"""Of the displacements that are written."""


class DeformedAtlas:
    """Slabs of a deformed atlas.

    Args:
        atlas, deformation: see there.
        grid: of the result.
    """

    def __init__(self, atlas: Atlas, deformation: Deformation, grid: Grid) -> None:
        self._atlas, self._deformation, self._grid = atlas, deformation, grid
        with torch.no_grad():
            self._planes = deformation.planes()

    def hu(self) -> Iterator[Hu]:
        """(planes, j, i) int16 from foot to head, trilinear between the atlas's voxels; its border is continued."""
        values = torch.from_numpy(np.clip(self._atlas.hu, AIR, HIGH).astype(np.float32))
        for slab in self._sampled(values, "bilinear"):
            yield np.rint(slab).astype(np.int16)

    def labels(self) -> Iterator[Labels]:
        """(planes, j, i) uint8, of the nearest voxel."""
        for slab in self._sampled(torch.from_numpy(self._atlas.labels.astype(np.float32)), "nearest"):
            yield slab.astype(np.uint8)

    def _sampled(self, values: Tensor, mode: str) -> Iterator[npt.NDArray[np.float32]]:
        z, y, x = (torch.from_numpy(axis).float() for axis in self._grid.axes())
        for first in range(0, len(z), SLAB):
            up = z[first : first + SLAB]
            with torch.no_grad():
                where = self._index(x[None, None, :], y[None, :, None], up[:, None, None])
                slab = F.grid_sample(values[None, None], where[None], mode, "border", align_corners=False)
            yield slab[0, 0].numpy()

    def _index(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """(k, j, i, 3) places in the atlas from -1 to 1 along i, j, k, of the points of a slab."""
        atlas, shape = self._atlas, (z.shape[0], y.shape[1], x.shape[2])
        points = self._deformation.to_atlas(x, y, z, self._planes)
        counts = atlas.hu.shape[::-1]
        index = [
            (2 / size / count) * at + ((1 - 2 * first / size) / count - 1)
            for at, first, size, count in zip(points, atlas.first, atlas.spacing, counts, strict=True)
        ]
        return torch.stack([part.expand(shape) for part in index], dim=-1)


def seen_voxels(weight: npt.NDArray[np.float32], grid: Grid, detector: Grid, geometry: Geometry) -> Mask:
    """(k, j, i) voxels whose ray ends in a pixel that shows the patient.

    Args:
        weight: (rows, columns) of the film on `detector`, above 0 where it shows the patient.
        grid: of the voxels.
        detector, geometry: see `projection.detector_axes`.
    """
    v, u = detector_axes(detector, geometry)
    z, y, x = grid.axes()
    scale = geometry.magnification(y)
    rows = np.rint((z[:, None] * scale - v[0]) / (v[1] - v[0])).astype(int)
    columns = np.rint((x[:, None] * scale - u[0]) / (u[1] - u[0])).astype(int)
    within = ((rows >= 0) & (rows < len(v)))[:, :, None] & ((columns >= 0) & (columns < len(u))).T[None]
    used = weight[np.clip(rows, 0, len(v) - 1)[:, :, None], np.clip(columns, 0, len(u) - 1).T[None]] > 0
    seen: Mask = within & used
    return seen


def write_deformation(path: Path, atlas: Atlas, deformation: Deformation) -> None:
    """Write the map from the synthetic CT to the atlas's own file as a grid transform in LPS mm (ITK, .h5 or .tfm).

    Slicer shows it as a grid transform; the atlas's CT under it lies on the synthetic one.
    """
    import SimpleITK as sitk

    z, y, x = (torch.from_numpy(axis).float() for axis in FIELD_GRID.axes())
    up, deep, across = torch.meshgrid(z, y, x, indexing="ij")
    with torch.no_grad():
        points = deformation.to_atlas(across, deep, up)
    right, front, head = atlas.center
    middle = (-right, -front, head)
    moved = [to.numpy() + at - own.numpy() for to, at, own in zip(points, middle, (across, deep, up), strict=True)]
    image = sitk.GetImageFromArray(np.stack(moved, axis=-1).astype(np.float64), isVector=True)
    image.SetSpacing(FIELD_GRID.spacing)
    image.SetOrigin([float(axis[0]) for axis in (x, y, z)])
    sitk.WriteTransform(sitk.DisplacementFieldTransform(image), str(path))
