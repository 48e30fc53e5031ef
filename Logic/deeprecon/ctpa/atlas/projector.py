"""Projections of an atlas: of the deformed one along the rays of a film, and of the whole one for the search."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from deeprecon.ctpa.atlas.deformation import Deformation
from deeprecon.ctpa.atlas.volume import Atlas
from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.observe.projection import WATER, Geometry, detector_axes

GRID = Grid((76, 64, 64))
"""Rays and planes of the fit: 4.8 x 5.6 x 5.6 mm."""
COARSE = 4.5
"""Size in mm of the voxels of the atlas that is projected, about."""
PLANE_STEP = 2
"""Every how manyth plane is summed while a fit is on its way."""
CANVAS = 320.0
"""Half the side in mm of the projection of the whole atlas."""


class Projector:
    """Line integrals through a deformed atlas along the rays of `GRID`.

    Args:
        atlas: see there.
        geometry: of the X-ray; for a lateral one its view is AP, as the left side is next to the detector.
        lateral: the beam runs from the right side to the left one; columns grow to the back.
    """

    def __init__(self, atlas: Atlas, geometry: Geometry, lateral: bool = False) -> None:
        factor = max(1, round(COARSE / max(atlas.spacing)))
        density, self._spacing, self._first = atlas.coarser(factor)
        self._density = torch.from_numpy(np.ascontiguousarray(density))[None, None]
        self._geometry, self._lateral = geometry, lateral
        v, u = detector_axes(GRID, geometry)
        slant = np.sqrt(1 + np.hypot(v[:, None], u[None, :]) ** 2 / geometry.source_distance**2)
        self._path = torch.from_numpy(WATER * GRID.spacing[1] * slant).float()
        self._points = {step: self._rays(step) for step in (1, PLANE_STEP)}

    def _rays(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """x, y and z in mm, (rows, planes, columns), where the rays pass every `step`th plane."""
        planes = GRID.axes()[1][step // 2 :: step]
        v, u = detector_axes(GRID, self._geometry)
        scale = self._geometry.magnification(planes)[None, :, None]
        shape = (len(v), len(planes), len(u))
        across, through, up = (
            torch.from_numpy(np.array(np.broadcast_to(part, shape))).float()
            for part in (u[None, None, :] / scale, planes[None, :, None], v[:, None, None] / scale)
        )
        return (through, across, up) if self._lateral else (across, through, up)

    def __call__(self, deformation: Deformation, step: int = 1, raised: Tensor | float = 0.0) -> Tensor:
        """(rows, columns), differentiable.

        Args:
            deformation: see there.
            step: every how manyth plane is summed: 1, or `PLANE_STEP`.
            raised: mm by which the body lay higher on this film than on the one of the field.
        """
        x, y, z = self._points[step]
        return self.values(*deformation.to_atlas(x, y, z - raised)).sum(dim=1) * (step * self._path)

    def values(self, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
        """Densities of the atlas at points in mm from its middle; its border is continued."""
        counts = self._density.shape[:1:-1]
        index = [
            (2 * ((at - first) / size + 0.5) / count - 1)
            for at, first, size, count in zip((x, y, z), self._first, self._spacing, counts, strict=True)
        ]
        where = torch.stack(index, dim=-1).reshape(1, 1, 1, -1, 3)
        return F.grid_sample(self._density, where, padding_mode="border", align_corners=False).reshape(x.shape)

    def canvas(self) -> Tensor:
        """(rows, columns) projection of the whole undeformed atlas, 5 mm a pixel at the middle of the field."""
        geometry = self._geometry
        line = torch.arange(-CANVAS + 2.5, CANVAS, 5.0)
        planes = torch.from_numpy(GRID.axes()[1]).float()
        scale = torch.from_numpy(geometry.magnification(planes.numpy()) / geometry.at_middle()).float()
        total = torch.zeros(len(line), len(line))
        for plane, magnified in zip(planes, scale, strict=True):
            z, x = torch.meshgrid(line / magnified, line / magnified, indexing="ij")
            total += self.values(x, plane.expand_as(x), z)
        return total
