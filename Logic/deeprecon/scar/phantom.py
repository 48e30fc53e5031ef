"""Hearts with known scar: the sample case, the same from a real heart's surface, and their files.

Importable inside Slicer before anything is installed: standard library, numpy and vtk only.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
from vtkmodules.vtkCommonDataModel import VTK_HEXAHEDRON

from deeprecon.data.mesh import Inside, Mesh
from deeprecon.data.volume import Volume
from deeprecon.scar.lesions import LESIONS, Lesion, ellipsoid
from deeprecon.scar.scan import Scan, scan, slices
from deeprecon.scar.stacks import Stack
from deeprecon.scar.ventricle import Points, Tissue, Ventricle, grid_mesh


@dataclass(frozen=True, eq=False)
class Phantom:
    """A heart whose scar is known everywhere.

    Attributes:
        mesh: hexahedra and wedges of the wall, RAS mm.
        truth: (N,) bool, scar at the mesh nodes.
        scans: what the slices hold, one for each stack.
        lge: late-enhancement images, one for each stack.
        landmarks: name to (3,) RAS mm.
        tissue: (M, 3) RAS mm to (M,) `Tissue`.
        lesion: (M, 3) RAS mm wall points to (M,) bool.
        noise: standard deviation of the noise in `lge`.
    """

    mesh: Mesh
    truth: npt.NDArray[np.bool_]
    scans: tuple[Scan, ...]
    lge: tuple[Volume, ...]
    landmarks: dict[str, npt.NDArray[np.float64]]
    tissue: Callable[[Points], npt.NDArray[np.uint8]]
    lesion: Lesion
    noise: float

    @cached_property
    def stacks(self) -> tuple[Stack, ...]:
        """Soft observations: the true shares of wall and scar in each pixel's prism."""
        return tuple(scan.stack(f"stack {number}") for number, scan in enumerate(self.scans, 1))

    def wall(self, points: Points) -> npt.NDArray[np.bool_]:
        """(M,) whether (M, 3) RAS mm points lie in the wall."""
        return self.tissue(points) == Tissue.WALL

    def scar(self, points: Points) -> npt.NDArray[np.bool_]:
        """(M,) whether (M, 3) RAS mm points lie in scar."""
        result = self.wall(points)
        result[result] = self.lesion(points[result])
        return result


def sample_case(seed: int = 0, lesion: str = "infarct", ventricle: Ventricle | None = None, *, spacing: float = 10.0,
                thickness: float = 8.0, pixel: float = 1.4, node_spacing: float = 1.4, shift: float = 0.0,
                noise: float = 18.0) -> Phantom:
    """A left ventricle in an oblique pose with an analytic scar, imaged in thick short-axis slices.

    Args:
        seed: of noise and shifts.
        lesion: a key of `lesions.LESIONS`.
        ventricle: its shape and pose; a grown person's if left out.
        spacing: between slice centres in mm.
        thickness: of each imaged slab in mm; the rest of the spacing is a gap that nobody sees.
        pixel: size in the plane in mm.
        node_spacing: of the mesh in mm.
        shift: standard deviation of each slice's shift in the plane in mm, along both axes.
        noise: of the late-enhancement image, where healthy wall has 60 and scar 330.
    """
    heart = ventricle or Ventricle()
    mesh = heart.mesh(node_spacing)
    landmarks = heart.landmarks()
    free_wall = 2 * landmarks["right ventricle"] - landmarks["left ventricle"]
    cover = np.vstack([mesh.points, free_wall])
    matrix, shape = slices(cover, heart.axes[2], -heart.axes[1], spacing=spacing, pixel=pixel)
    return _phantom(mesh, heart.tissue, LESIONS[lesion](heart), landmarks, matrix, shape, thickness, shift, noise, seed)


def from_surface(mesh: Mesh, lesion: Lesion | None = None, *, endocardium: Points | None = None, seed: int = 0,
                 spacing: float = 10.0, thickness: float = 8.0, pixel: float = 1.4, node_spacing: float = 1.2,
                 shift: float = 0.0, noise: float = 18.0) -> Phantom:
    """The same from a real heart: a closed surface around the wall, RAS mm.

    Args:
        mesh: the closed surface.
        lesion: scar as a function of points; by default a slanted ellipsoid in the left ventricle's side wall.
        endocardium: (M, 3) RAS mm points of the left ventricle's endocardium, whose longest axis the slices cross.
            By default the points with 3 in the point array `class`, as the hearts of Cobiveco mark them.
        seed: see `sample_case` for this and all others. The mesh is cubes of `node_spacing` mm.
    """
    inside = Inside(mesh)
    inner = mesh.points[np.asarray(mesh.point_array("class")).ravel() == 3] if endocardium is None else endocardium
    center = inner.mean(axis=0)
    base = np.linalg.svd(inner - center, full_matrices=False)[2][0]
    along = (inner - center) @ base
    width = np.linalg.norm(inner - center - along[:, None] * base, axis=1)
    if width[along > 0].mean() < width[along < 0].mean():  # a ventricle narrows to its apex
        base, along = -base, -along
    septum = mesh.points.mean(axis=0) - center
    septum -= base * (septum @ base)
    septum /= np.linalg.norm(septum)
    front = np.cross(base, septum)
    if lesion is None:
        lesion = _side_wall_scar(inner, center, np.stack([septum, front, base]))

    matrix, shape = slices(mesh.points, base, -front, spacing=spacing, pixel=pixel)
    tissue = _with_blood(inside, mesh.points, np.stack([septum, front, base]))
    landmarks = {"apex": center + along.min() * base, "base": center + along.max() * base, "left ventricle": center}
    volume = _cubes(inside, mesh.points, node_spacing)
    return _phantom(volume, tissue, lesion, landmarks, matrix, shape, thickness, shift, noise, seed)


def shift_slices(phantom: Phantom, shift: float, seed: int = 0) -> Phantom:
    """The same heart, imaged again with each slice displaced in its plane by N(0, shift mm) along both axes."""
    rng = np.random.default_rng(seed)
    scans = tuple(
        scan(phantom.tissue, phantom.lesion, old.ijk_to_ras, old.scar.shape, old.thickness,
             rng.normal(0, shift, size=(len(old.scar), 2)))
        for old in phantom.scans
    )
    lge = tuple(new.lge(rng, phantom.noise, old.name) for new, old in zip(scans, phantom.lge, strict=True))
    return replace(phantom, scans=scans, lge=lge)


def _phantom(mesh: Mesh, tissue: Callable[[Points], npt.NDArray[np.uint8]], lesion: Lesion,
             landmarks: dict[str, npt.NDArray[np.float64]], matrix: npt.NDArray[np.float64],
             shape: tuple[int, int, int], thickness: float, shift: float, noise: float, seed: int) -> Phantom:
    """Image a heart in one stack."""
    rng = np.random.default_rng(seed)
    only = scan(tissue, lesion, matrix, shape, thickness, rng.normal(0, shift, size=(shape[0], 2)))
    return Phantom(mesh, lesion(mesh.points), (only,), (only.lge(rng, noise, "LGE"),), landmarks, tissue, lesion, noise)


def _side_wall_scar(endocardium: Points, center: Points, axes: Points) -> Lesion:
    """A slanted ellipsoid through the wall away from the septum and somewhat in front."""
    outwards = -0.8 * axes[0] + 0.6 * axes[1]
    reach = np.abs((endocardium - center) @ axes[2]) < 8
    radius = np.quantile(((endocardium - center) @ outwards)[reach], 0.98)
    around = np.cross(axes[2], outwards)
    turned = np.stack([outwards + 0.25 * axes[2], 0.87 * around + 0.5 * axes[2], axes[2]])
    rows = np.linalg.qr(turned.T)[0].T
    return ellipsoid(center + (radius + 2) * outwards - 4 * axes[2], rows, (12.0, 23.0, 30.0))


def _with_blood(inside: Inside, points: Points, axes: Points) -> Callable[[Points], npt.NDArray[np.uint8]]:
    """Tissue of a heart known by its wall alone: blood is what the wall encloses in planes across the last of `axes`.

    Both ventricles' blood counts as the left one's.
    """
    step = 1.0
    placed = points @ axes.T
    low = placed.min(axis=0) - 3 * step
    counts = np.ceil((placed.max(axis=0) + 3 * step - low) / step).astype(int) + 1
    x, y, z = np.meshgrid(*[low[n] + step * np.arange(counts[n]) for n in range(3)], indexing="ij")
    wall = inside(np.stack([x, y, z], axis=-1).reshape(-1, 3) @ axes).reshape(x.shape)
    outer = np.zeros_like(wall)
    outer[[0, -1]] = outer[:, [0, -1]] = True
    outer[:, :, [0, -1]] = True
    while True:
        grown = _grown(outer) & ~wall
        if np.array_equal(grown, outer):
            break
        outer = grown
    outer = _grown(outer)  # the first half voxel outside the epicardium is outside, not blood

    def tissue(points: Points) -> npt.NDArray[np.uint8]:
        index = np.clip(np.rint((points @ axes.T - low) / step).astype(int), 0, counts - 1)
        result = np.where(outer[tuple(index.T)], Tissue.OUTSIDE, Tissue.LEFT_BLOOD).astype(np.uint8)
        result[inside(points)] = Tissue.WALL
        return result

    return tissue


def _grown(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """`mask` and its neighbours along the first two axes."""
    result = mask.copy()
    result[1:] |= mask[:-1]
    result[:-1] |= mask[1:]
    result[:, 1:] |= mask[:, :-1]
    result[:, :-1] |= mask[:, 1:]
    return result


def _cubes(inside: Inside, points: Points, spacing: float) -> Mesh:
    """Hexahedra of `spacing` mm, all whose centres lie inside."""
    low = points.min(axis=0)
    counts = np.ceil((points.max(axis=0) - low) / spacing).astype(int)
    cells = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1).reshape(-1, 3)
    cells = cells[inside(low + (cells + 0.5) * spacing)]
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])
    flat = np.ravel_multi_index(tuple((cells[:, None] + corners).reshape(-1, 3).T), tuple(counts + 1))
    used, hexahedra = np.unique(flat, return_inverse=True)
    nodes = low + np.stack(np.unravel_index(used, tuple(counts + 1)), axis=-1) * spacing
    return grid_mesh(nodes, [(VTK_HEXAHEDRON, hexahedra.reshape(-1, 8))], "heart")
