"""A real heart given by the closed surface around its wall: tissues, axes and a mesh of cubes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from vtkmodules.vtkCommonDataModel import VTK_HEXAHEDRON

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.mesh import Inside, Mesh, open_edges
from deeprecon.scar.simulate.lesions import Lesion, ellipsoid
from deeprecon.scar.simulate.ventricle import Points, Tissue, grid_mesh

STEP = 1.0
"""Step in mm of the grid on which blood and outside are separated."""


class SurfaceHeart:
    """The same as `Ventricle`, from a surface. Blood is what the wall encloses in short-axis planes.

    Args:
        surface: closed, around the wall of the left or of both ventricles, RAS mm.
        endocardium: (M, 3) RAS mm points of the left ventricle's endocardium, whose longest axis is the heart's axis.
            By default the points with 3 in the point array `class`, as the hearts of Cobiveco mark them.

    Raises:
        InputError: the surface is not closed, or does not mark the endocardium.

    Attributes:
        axes: (3, 3) rows: to the septum, to the front and from apex to base, in RAS.
        center: (3,) RAS mm, the middle of the left ventricle.
    """

    def __init__(self, surface: Mesh, endocardium: Points | None = None) -> None:
        if open_edges(surface):
            raise InputError(f"{surface.name} is not a closed surface.", "Close its holes first.")
        self.inside = Inside(surface)
        self.points = surface.points
        if endocardium is None:
            endocardium = self.points[np.asarray(surface.point_array("class")).ravel() == 3]
        if len(endocardium) < 3:
            raise InputError(
                f"{surface.name} does not mark the left ventricle's endocardium.",
                "Give its points the value 3 in the point array class.",
            )
        self.center = endocardium.mean(axis=0)
        self.endocardium = endocardium - self.center
        base = np.linalg.svd(self.endocardium, full_matrices=False)[2][0]
        along = self.endocardium @ base
        width = np.linalg.norm(self.endocardium - along[:, None] * base, axis=1)
        if width[along > 0].mean() < width[along < 0].mean():  # a ventricle narrows to its apex
            base = -base
        septum = self.points.mean(axis=0) - self.center
        septum -= base * (septum @ base)
        septum /= np.linalg.norm(septum)
        self.axes = np.stack([septum, np.cross(base, septum), base])
        self._find_outside()

    def _find_outside(self) -> None:
        """Flood each plane of a grid in the heart's own axes from its border up to the wall."""
        from scipy.ndimage import binary_dilation, binary_propagation, generate_binary_structure

        placed = self.points @ self.axes.T
        self._low = placed.min(axis=0) - 3 * STEP
        counts = np.ceil((placed.max(axis=0) + 3 * STEP - self._low) / STEP).astype(int) + 1
        grid = np.meshgrid(*[self._low[n] + STEP * np.arange(counts[n]) for n in range(3)], indexing="ij")
        wall = self.inside(np.stack(grid, axis=-1).reshape(-1, 3) @ self.axes).reshape(tuple(counts))
        in_plane = generate_binary_structure(3, 1) & np.array([False, True, False])
        border = np.ones_like(wall)
        border[1:-1, 1:-1, 1:-1] = False
        outside = binary_propagation(border & ~wall, in_plane, ~wall)
        self._outside = binary_dilation(outside, in_plane)  # the half voxel around the epicardium is not blood either

    def tissue(self, points: Points) -> npt.NDArray[np.uint8]:
        """(M, 3) RAS mm to (M,) values of `Tissue`; the blood of both ventricles counts as the left one's."""
        index = np.rint((points @ self.axes.T - self._low) / STEP).astype(int)
        index = np.clip(index, 0, np.array(self._outside.shape) - 1)
        result = np.where(self._outside[tuple(index.T)], Tissue.OUTSIDE, Tissue.LEFT_BLOOD).astype(np.uint8)
        result[self.inside(points)] = Tissue.WALL
        return result

    def landmarks(self) -> dict[str, npt.NDArray[np.float64]]:
        """Named places, each (3,) RAS mm: apex and base of the left cavity, and its middle."""
        along = self.endocardium @ self.axes[2]
        return {
            "apex": self.center + along.min() * self.axes[2],
            "base": self.center + along.max() * self.axes[2],
            "left ventricle": self.center,
        }

    def side_wall_scar(self) -> Lesion:
        """A slanted ellipsoid through the left ventricle's wall, away from the septum and somewhat in front."""
        outwards = -0.8 * self.axes[0] + 0.6 * self.axes[1]
        middle = np.abs(self.endocardium @ self.axes[2]) < 8
        radius = np.quantile((self.endocardium @ outwards)[middle], 0.98)
        around = np.cross(self.axes[2], outwards)
        slanted = np.stack([outwards + 0.25 * self.axes[2], 0.87 * around + 0.5 * self.axes[2], self.axes[2]])
        rows = np.linalg.qr(slanted.T)[0].T
        center = self.center + (radius + 2) * outwards - 4 * self.axes[2]
        return ellipsoid(center, rows, (12.0, 23.0, 30.0))

    def mesh(self, spacing: float) -> Mesh:
        """Cubes of `spacing` mm, along the RAS axes, all those whose centers lie in the wall."""
        low = self.points.min(axis=0)
        counts = np.ceil((self.points.max(axis=0) - low) / spacing).astype(int)
        cells = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1).reshape(-1, 3)
        cells = cells[self.inside(low + (cells + 0.5) * spacing)]
        corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])
        flat = np.ravel_multi_index(tuple((cells[:, None] + corners).reshape(-1, 3).T), tuple(counts + 1))
        used, hexahedra = np.unique(flat, return_inverse=True)
        nodes = low + np.stack(np.unravel_index(used, tuple(counts + 1)), axis=-1) * spacing
        return grid_mesh(nodes, [(VTK_HEXAHEDRON, hexahedra.reshape(-1, 8))], "heart")
