"""A mesh of voxel hexahedra made out of a segmented stack of slices."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from vtkmodules.vtkCommonDataModel import VTK_HEXAHEDRON

from deeprecon.data.errors import InputError
from deeprecon.data.mesh.mesh import Mesh, unstructured_grid
from deeprecon.data.volume import Volume, canonical
from deeprecon.numerics.grids import interpolate

Floats = npt.NDArray[np.float64]

_SMOOTHING = 0.5
"""Standard deviation in pixels by which the steps of pixels are smoothed."""


def voxel_mesh(mask: Volume, spacing: float, thickness: float | None = None) -> Mesh:
    """A mesh of hexahedra that fills the wall segmented in a stack of slices.

    Between the slices the wall is interpolated by shape: the signed in-plane distance to the wall's edge, linear
    along the slices (Raya & Udupa 1990, doi 10.1109/42.52980). The hexahedra lie along the axes of the stack and are
    as near to `spacing` as whole numbers of them fit the wall's extent.

    Args:
        mask: the wall: bool, label (not 0), or share of each voxel (above one half).
        spacing: edge length wanted, mm.
        thickness: of the imaged slab, mm; the mesh ends half of it beyond the outermost slices that show wall.
            `mask.slice_thickness`, or else the slice spacing, when left out.

    Raises:
        InputError: no wall in any slice, or hexahedra so large that none fits.
    """
    stack = canonical(mask)
    wall = np.greater(stack.array, 0.5 if stack.array.dtype.kind == "f" else 0)  # type: ignore[arg-type]
    used = np.argwhere(wall)
    if used.size == 0:
        raise InputError(f"{mask.name} shows no wall in any slice.", "Choose the segment of the myocardium.")
    first, last = used.min(axis=0), used.max(axis=0)
    wall = wall[tuple(slice(low, high + 1) for low, high in zip(first, last, strict=True))]
    size = stack.spacing[::-1]  # along k, j, i
    thickness = thickness or stack.slice_thickness or float(size[0])

    # Edges of the hexahedra in mm from the centre of the first voxel of the box around the wall.
    beyond = (thickness / 2, size[1] / 2, size[2] / 2)
    edges = []
    for axis in range(3):
        length = (wall.shape[axis] - 1) * size[axis] + 2 * beyond[axis]
        edges.append(np.linspace(-beyond[axis], length - beyond[axis], max(1, round(length / spacing)) + 1))
    centers = np.meshgrid(*((edge[1:] + edge[:-1]) / 2 / size[axis] for axis, edge in enumerate(edges)), indexing="ij")
    distance = interpolate(_signed_distance(wall, size), np.stack(centers, axis=-1).reshape(-1, 3))
    cells = np.argwhere(distance.reshape(centers[0].shape) > 0)
    if cells.size == 0:
        raise InputError(f"No element of {spacing:g} mm fits the wall of {mask.name}.", "Choose smaller elements.")

    corners = np.array([(0, 0, 0), (0, 0, 1), (0, 1, 1), (0, 1, 0), (1, 0, 0), (1, 0, 1), (1, 1, 1), (1, 1, 0)])
    shape = tuple(edge.size for edge in edges)
    nodes = np.ravel_multi_index(tuple((cells[:, None] + corners).reshape(-1, 3).T), shape)
    ids, connectivity = np.unique(nodes, return_inverse=True)
    kji = np.stack([edges[axis][place] / size[axis] for axis, place in enumerate(np.unravel_index(ids, shape))], axis=1)
    points = stack.to_ras((kji + first)[:, ::-1])
    grid = unstructured_grid(
        points, connectivity.ravel(), np.arange(len(cells) + 1) * 8, np.full(len(cells), VTK_HEXAHEDRON)
    )
    return Mesh(grid, f"mesh of {mask.name}")


def stack_depth(mask: Volume, thickness: float | None = None) -> tuple[Callable[[Floats], Floats], Floats, Floats]:
    """How deep points lie in the wall segmented in a stack of slices, interpolated by shape between them.

    As in `voxel_mesh`, of a wall without the steps of pixels: the in-plane distance is smoothed by less than a pixel.

    Args:
        mask, thickness: as of `voxel_mesh`.

    Returns:
        A function of (M, 3) RAS mm -> (M,) mm, positive inside, and the (3,) corners of a box around the wall.

    Raises:
        InputError: no wall in any slice.
    """
    from scipy.ndimage import gaussian_filter

    stack = canonical(mask)
    wall = np.greater(stack.array, 0.5 if stack.array.dtype.kind == "f" else 0)  # type: ignore[arg-type]
    shown = np.flatnonzero(wall.any(axis=(1, 2)))
    if not len(shown):
        raise InputError(f"{mask.name} shows no wall in any slice.", "Choose the segment of the myocardium.")
    size = stack.spacing[::-1]
    half = (thickness or stack.slice_thickness or float(size[0])) / 2
    distance = _signed_distance(wall, size)
    distance = np.stack([gaussian_filter(plane, _SMOOTHING) for plane in distance])

    def depth(points: Floats) -> Floats:
        kji = stack.to_ijk(points)[:, ::-1]
        inside = interpolate(distance, kji)
        first, last = ((kji[:, 0] - shown[0]) * size[0] + half, (shown[-1] - kji[:, 0]) * size[0] + half)
        found: Floats = np.minimum(inside, np.minimum(first, last))
        return found

    j, i = np.nonzero(wall.any(axis=0))
    low, high = (
        (shown[0] - half / size[0], j.min() - 1, i.min() - 1),
        (shown[-1] + half / size[0], j.max() + 1, i.max() + 1),
    )
    corners = np.stack(np.meshgrid(*zip(low, high, strict=True), indexing="ij"), axis=-1).reshape(-1, 3)
    places = stack.to_ras(corners[:, ::-1])
    return depth, places.min(axis=0), places.max(axis=0)


def _signed_distance(wall: npt.NDArray[np.bool_], size: Floats) -> Floats:
    """(k, j, i) in-plane distance of each pixel centre to the wall's edge in mm, positive inside."""
    padded = np.pad(wall, ((0, 0), (1, 1), (1, 1)))
    half = size[1:].min() / 2
    signed = np.where(padded, _distance_to_false(padded, size) - half, half - _distance_to_false(~padded, size))
    # A slice without wall between two others: the wall ends halfway towards it at the latest.
    empty = ~wall.any(axis=(1, 2))
    signed[empty] = -size[0]
    trimmed: Floats = signed[:, 1:-1, 1:-1]
    return trimmed


def _distance_to_false(mask: npt.NDArray[np.bool_], size: Floats) -> Floats:
    """(k, j, i) in-plane distance in mm to the nearest pixel centre outside the mask, 0 outside it."""
    import SimpleITK as sitk  # vtkImageEuclideanDistance does not heed the pixel size along rows

    result = np.zeros(mask.shape)
    for k, plane in enumerate(mask):
        image = sitk.GetImageFromArray((~plane).astype(np.uint8))
        image.SetSpacing((float(size[2]), float(size[1])))
        signed = sitk.SignedMaurerDistanceMap(image, squaredDistance=False, useImageSpacing=True)
        result[k] = np.maximum(sitk.GetArrayFromImage(signed), 0)
    return result
