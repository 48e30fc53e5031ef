"""The built-in atlases: simulated thoraces of several builds."""

from __future__ import annotations

import math

from deeprecon.ctpa.atlas.volume import Atlas
from deeprecon.ctpa.grid import Grid
from deeprecon.ctpa.simulate.chests import draw_grid
from deeprecon.ctpa.simulate.thorax import BUILDS, Build, make_thorax

FIELD = (460.0, 290.0, 560.0)
"""Of a built-in atlas in mm from right to left, front to back, and foot to head: more than a film shows."""

__all__ = ["BUILDS", "builtin_atlas"]


def builtin_atlas(build: Build, voxel: float) -> Atlas:
    """The thorax of a build.

    Args:
        build: one of `BUILDS`.
        voxel: size of its voxels in mm, about.
    """
    i, j, k = (math.ceil(size / voxel) for size in FIELD)
    grid = Grid((k, j, i), FIELD)
    hu, labels = draw_grid(make_thorax(build), grid)
    z, y, x = grid.axes()
    return Atlas(f"built-in: {build.name}", hu, labels, grid.spacing, (float(x[0]), float(y[0]), float(z[0])))
