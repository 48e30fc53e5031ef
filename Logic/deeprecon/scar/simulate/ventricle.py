"""An analytic left ventricle: its wall, both blood pools, landmarks and a hexahedral mesh."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt
from vtkmodules.vtkCommonDataModel import VTK_HEXAHEDRON, VTK_WEDGE

from deeprecon.data.mesh.mesh import Mesh, unstructured_grid

Points = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class Tissue(IntEnum):
    """What lies at a point."""

    OUTSIDE = 0
    WALL = 1
    LEFT_BLOOD = 2
    RIGHT_BLOOD = 3
    RIGHT_WALL = 4


@dataclass(frozen=True)
class Ventricle:
    """A truncated half-ellipsoid whose wall varies around the circumference and tapers to the apex.

    Local axes, in mm: x from the cavity's axis to the septum, y to the anterior wall, z from apex to base, origin
    where the cavity is widest. Endocardium (depth 0) and epicardium (depth 1) are members of one family of
    ellipsoids: at depth d and angle a about z the in-plane radius is R(a) + d t(a), the half-length is
    `cavity_length` + d `apex_thickness`, and both are cut by the plane of the valves.

    Attributes:
        cavity_radius: mean in-plane radius of the cavity at its widest.
        cavity_length: from there to the endocardial apex.
        base_height: from there up to the plane of the valves.
        wall_thickness: mean thickness at the widest place; septum and side wall are thicker, front and back thinner.
        apex_thickness: wall thickness at the apex.
        center: (3,) RAS mm, the local origin.
        base_direction: (3,) RAS, apex to base. The default is the short-axis normal of a human examination
            (-0.480, 0.619, 0.622 in LPS): to the right, back and up.
        septum_direction: (3,) RAS, towards the right ventricle; its part across `base_direction` counts.
    """

    cavity_radius: float = 24.0
    cavity_length: float = 70.0
    base_height: float = 18.0
    wall_thickness: float = 8.5
    apex_thickness: float = 4.0
    center: tuple[float, float, float] = (-28.0, 22.0, -14.0)
    base_direction: tuple[float, float, float] = (0.480, -0.619, 0.622)
    septum_direction: tuple[float, float, float] = (0.80, 0.55, -0.10)

    @property
    def length(self) -> float:
        """From the epicardial apex to the plane of the valves in mm."""
        return self.cavity_length + self.apex_thickness + self.base_height

    @property
    def axes(self) -> npt.NDArray[np.float64]:
        """(3, 3) rows: the local x, y and z axes in RAS."""
        z = np.array(self.base_direction) / np.linalg.norm(self.base_direction)
        x = np.array(self.septum_direction) - z * np.dot(self.septum_direction, z)
        x /= np.linalg.norm(x)
        return np.stack([x, np.cross(z, x), z])

    def to_local(self, points: Points) -> Points:
        """(M, 3) RAS mm to (M, 3) local mm."""
        local: Points = (points - np.array(self.center)) @ self.axes.T
        return local

    def to_ras(self, local: Points) -> Points:
        """(M, 3) local mm to (M, 3) RAS mm."""
        points: Points = local @ self.axes + np.array(self.center)
        return points

    def _radius(self, cosine: Points) -> Points:
        """Cavity radius R at the widest place for the cosine of the angle from the septum: flatter towards it."""
        radius: Points = self.cavity_radius * (1 - 0.04 * cosine + 0.02 * (1 - 2 * cosine**2))
        return radius

    def _thickness(self, cosine: Points) -> Points:
        """Wall thickness t at the widest place: septum thickest, side wall next, front and back thinnest."""
        thickness: Points = self.wall_thickness * (1 + 0.06 * cosine + 0.13 * (2 * cosine**2 - 1))
        return thickness

    def _level(self, local: Points, depth: Points | float) -> Points:
        """Implicit function of the ellipsoid at `depth`: below 1 inside it, above 1 outside."""
        radial = np.hypot(local[:, 0], local[:, 1])
        cosine = local[:, 0] / np.maximum(radial, 1e-9)
        wide = self._radius(cosine) + depth * self._thickness(cosine)
        level: Points = (radial / wide) ** 2 + (local[:, 2] / (self.cavity_length + depth * self.apex_thickness)) ** 2
        return level

    def _right_level(self, local: Points, margin: float) -> Points:
        """Implicit function of the right ventricle's ellipsoid, `margin` mm larger than its cavity."""
        scale = self.cavity_radius / 24.0
        center = scale * np.array([22.0, -2.0, 4.0])
        halves = scale * np.array([33.0, 30.0, 0.0]) + [0, 0, 0.84 * self.cavity_length] + margin
        level: Points = (((local - center) / halves) ** 2).sum(axis=1)
        return level

    def tissue(self, points: Points) -> npt.NDArray[np.uint8]:
        """(M, 3) RAS mm to (M,) values of `Tissue`. Everything above the valves is outside."""
        local = self.to_local(np.asarray(points, dtype=np.float64))
        result = np.full(len(local), Tissue.OUTSIDE, dtype=np.uint8)
        below = local[:, 2] <= self.base_height
        epicardium, endocardium = self._level(local, 1.0) <= 1, self._level(local, 0.0) < 1
        result[below & (self._right_level(local, 3.0) < 1)] = Tissue.RIGHT_WALL
        result[below & (self._right_level(local, 0.0) < 1)] = Tissue.RIGHT_BLOOD
        result[below & epicardium] = Tissue.WALL
        result[below & endocardium] = Tissue.LEFT_BLOOD
        return result

    def wall(self, points: Points) -> Mask:
        """(M,) whether (M, 3) RAS mm points lie in the left ventricle's wall."""
        found: Mask = self.tissue(points) == Tissue.WALL
        return found

    def wall_coordinates(self, points: Points) -> tuple[Points, Points, Points]:
        """Where wall points (M, 3) RAS mm lie in the wall.

        Returns:
            depth (M,), 0 at the endocardium and 1 at the epicardium; angle (M,) in radians from the septum over the
            anterior wall; height (M,) in mm along z (local).
        """
        local = self.to_local(np.asarray(points, dtype=np.float64))
        depth = np.zeros(len(local))
        step = 1e-4
        for _ in range(6):  # Newton: the level falls with depth and is convex, so that it converges from depth 0
            level = self._level(local, depth)
            depth -= (level - 1) * step / (self._level(local, depth + step) - level)
        return np.clip(depth, 0, 1), np.arctan2(local[:, 1], local[:, 0]), local[:, 2]

    def surface_point(self, depth: Points, angle: Points, polar: Points) -> Points:
        """RAS mm of depth, angle from the septum and polar angle from the apex; arrays of one shape (...)."""
        cosine = np.cos(angle)
        radial = (self._radius(cosine) + depth * self._thickness(cosine)) * np.sin(polar)
        z = -(self.cavity_length + depth * self.apex_thickness) * np.cos(polar)
        return self.to_ras(np.stack([radial * cosine, radial * np.sin(angle), z], axis=-1))

    def landmarks(self) -> dict[str, npt.NDArray[np.float64]]:
        """Named places, each (3,) RAS mm: apex, base, both insertions of the right ventricle, both cavities."""
        angles = np.linspace(0, np.pi, 1801)
        places = {"apex": [0, 0, -self.cavity_length - self.apex_thickness], "base": [0, 0, self.base_height]}
        for name, sign in (("anterior insertion", 1.0), ("inferior insertion", -1.0)):
            epicardium = self.surface_point(np.ones(1801), sign * angles, np.full(1801, np.pi / 2))
            outside = self._right_level(self.to_local(epicardium), 0.0) > 1
            places[name] = self.to_local(epicardium[[np.argmax(outside)]])[0]
        places["left ventricle"] = [0, 0, -0.2 * self.cavity_length]
        places["right ventricle"] = [self.cavity_radius * 1.8, 0, -0.1 * self.cavity_length]
        return {name: self.to_ras(np.array([place], dtype=np.float64))[0] for name, place in places.items()}

    def mesh(self, spacing: float = 1.4) -> Mesh:
        """The wall as hexahedra of about `spacing` mm in rings around the long axis, with wedges at the apex."""
        middle = self.cavity_radius + self.wall_thickness / 2, self.cavity_length + self.apex_thickness / 2
        polar = np.linspace(0, np.arccos(-self.base_height / middle[1]), 2000)
        arc = np.hypot(middle[0] * np.cos(polar), middle[1] * np.sin(polar))
        arc = np.concatenate([[0.0], np.cumsum((arc[1:] + arc[:-1]) / 2 * np.diff(polar))])
        rings, around = round(arc[-1] / spacing), 2 * round(np.pi * middle[0] / spacing)
        layers = round(self.wall_thickness / spacing) + 1
        share = np.interp(np.linspace(0, arc[-1], rings + 1), arc, polar / polar[-1])

        depth = np.linspace(0, 1, layers + 1)
        top = np.arccos(-self.base_height / (self.cavity_length + depth * self.apex_thickness))
        angle = np.arange(around) * (2 * np.pi / around)
        d, a, p = (
            grid.ravel()
            for grid in np.broadcast_arrays(depth[None, None], angle[None, :, None], share[1:, None, None] * top)
        )
        axis = self.surface_point(depth, np.zeros(layers + 1), np.zeros(layers + 1))
        nodes = np.concatenate([axis, self.surface_point(d, a, p)])

        ids = layers + 1 + np.arange(rings * around * (layers + 1)).reshape(rings, around, layers + 1)
        ahead = np.roll(ids, -1, axis=1)
        inner = np.stack([ids[:-1], ahead[:-1], ahead[1:], ids[1:]], axis=-1)
        hexahedra = np.concatenate([inner[:, :, :-1], inner[:, :, 1:]], axis=-1).reshape(-1, 8)
        apex = np.broadcast_to(np.arange(layers + 1), (around, layers + 1))
        triangle = np.stack([apex, ids[0], ahead[0]], axis=-1)
        wedges = np.concatenate([triangle[:, :-1], triangle[:, 1:]], axis=-1).reshape(-1, 6)
        return grid_mesh(nodes, [(VTK_WEDGE, wedges), (VTK_HEXAHEDRON, hexahedra)], "left ventricle")


def grid_mesh(nodes: Points, blocks: list[tuple[int, npt.NDArray[np.int64]]], name: str) -> Mesh:
    """A mesh of nodes (N, 3) RAS mm and blocks of (VTK cell type, (M, nodes per cell) node indices)."""
    counts = np.concatenate([np.full(len(cells), cells.shape[1]) for _, cells in blocks])
    offsets = np.concatenate([[0], np.cumsum(counts)])
    connectivity = np.concatenate([cells.ravel() for _, cells in blocks])
    types = np.concatenate([np.full(len(cells), kind, dtype=np.uint8) for kind, cells in blocks])
    return Mesh(unstructured_grid(nodes, connectivity, offsets, types), name)
