"""A CT on the grid of the networks: its lungs in the middle of the field, and which voxels it really shows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.grid import AIR, Grid, Hu, block_mean, bounds, is_on_grid, resample
from deeprecon.ctpa.observe.lungs import lung_center
from deeprecon.ctpa.observe.projection import Geometry, line_integrals
from deeprecon.ctpa.patches import Shape
from deeprecon.data.doubts import Doubt
from deeprecon.data.volume import Volume

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

BLOCK = 8
"""Voxels along each axis of the blocks that are known or unknown as a whole; patches begin at multiples of it."""
MAX_DISTANCE = 30.0
"""Maximum distance in mm of the lungs from the middle of a volume on the grid's voxels, for it to stay as it is."""
MAX_UNKNOWN_ATTENUATION, MAX_UNKNOWN_PATH = 0.2, 0.5
"""Maximum shares of a ray's attenuation and of its length in unknown voxels, for its pixel to be known."""


@dataclass(frozen=True, eq=False)
class PlacedCt:
    """A CT on a grid.

    Attributes:
        hu: (k, j, i); what is not known continues the nearest known voxel.
        affine: (4, 4) IJK to RAS in the patient.
        blocks: (k, j, i) blocks of `BLOCK` voxels that lie within the scan; see `known_voxels`.
        inside: (k, j, i) the same for single voxels of a coarser grid.
        center: of the field, RAS mm.
        doubts: what had to be assumed.
    """

    hu: Hu
    affine: Array
    blocks: Mask
    inside: Mask
    center: Array
    doubts: tuple[Doubt, ...]

    @property
    def known(self) -> Mask:
        """(k, j, i) voxels that lie within the scan, in whole blocks."""
        k, j, i = self.hu.shape
        return known_voxels(self.blocks, (k, j, i), (k, j, i))


def place(volume: Volume, grid: Grid, offset: npt.ArrayLike = (0.0, 0.0, 0.0), *, synthetic: bool = False) -> PlacedCt:
    """Resample a CT with its lungs in the middle of the field.

    Args:
        volume: in any orientation.
        grid: to resample on.
        offset: of the middle of the field from that of the lungs, RAS mm.
        synthetic: whether it was synthesized on `grid`: its own middle is that of the field, wherever its lungs are.

    Raises:
        InputError: see `resample`.
    """
    center, doubts = (_middle(volume), ()) if synthetic else _center(volume, grid)
    center = center + np.asarray(offset, float)
    hu, affine = resample(volume, grid, center)
    blocks = _known_blocks(volume, grid, affine)
    if not blocks.all():
        found = f"It fills {blocks.mean():.0%} of the field of view: the rest is unknown and does not count."
        doubts = (*doubts, Doubt("ct-partial", volume.name, found, assumed=True))
    return PlacedCt(hu, affine, blocks, _known_centers(volume, grid, affine), center, doubts)


def known_voxels(blocks: Mask, full: Shape, shape: Shape) -> Mask:
    """Which voxels of a grid over the same field, such as that of a latent, lie in known blocks alone.

    Args:
        blocks: (k, j, i) of the full grid.
        full: voxels of the full grid.
        shape: voxels of the other grid.
    """
    if blocks.all():
        return np.ones(shape, bool)
    for axis, (count, fine) in enumerate(zip(shape, full, strict=True)):
        spans = [(number * fine // count, -(-(number + 1) * fine // count) - 1) for number in range(count)]
        planes = [blocks.take(range(first // BLOCK, last // BLOCK + 1), axis).all(axis=axis) for first, last in spans]
        blocks = np.stack(planes, axis=axis)
    return blocks


def known_pixels(placed: PlacedCt, grid: Grid, geometry: Geometry) -> Mask:
    """(rows, columns) pixels of the detector whose rays pass little attenuation that is unknown.

    The unknown attenuation is that of the continued voxels: air beside a body that lies within the scan, tissue beside
    one that is cut.
    """
    if placed.blocks.all():
        return np.ones((grid.shape[0], grid.shape[2]), bool)
    factor = grid.shape[0] // len(placed.inside)
    coarse, hu, known = grid.coarser(factor), block_mean(placed.hu, factor), placed.inside
    attenuation, unknown, path, whole = (
        line_integrals(volume, coarse, geometry)
        for volume in (hu, np.where(known, AIR, hu), np.where(known, AIR, 0), np.zeros_like(hu))
    )
    seen = (unknown <= MAX_UNKNOWN_ATTENUATION * attenuation) & (path <= MAX_UNKNOWN_PATH * whole)
    pixels: Mask = seen.repeat(factor, axis=0).repeat(factor, axis=1)
    return pixels


def _middle(volume: Volume) -> Array:
    lower, upper = bounds(volume)
    middle: Array = 0.5 * (lower + upper)
    return middle


def _center(volume: Volume, grid: Grid) -> tuple[Array, tuple[Doubt, ...]]:
    """The middle of the lungs, or of the scan where there are none."""
    middle = _middle(volume)
    lungs = lung_center(volume)
    if lungs is None:
        found = "No lungs were found in it: the middle of the scan lies in the middle of the field of view."
        return middle, (Doubt("lungs-not-found", volume.name, found, assumed=True),)
    if is_on_grid(volume, grid) and np.linalg.norm(lungs - middle) < MAX_DISTANCE:
        return middle, ()
    return lungs, ()


def _known_blocks(volume: Volume, grid: Grid, affine: Array) -> Mask:
    """Blocks of a grid whose corner voxels, and so all, lie within a volume."""
    ends = []
    for count in grid.shape:
        first = np.arange(0.0, count, BLOCK)
        ends.append(np.stack([first, np.minimum(first + BLOCK, count) - 1]))
    corners = [
        _inside(volume, affine, [axis[end] for axis, end in zip(ends, corner, strict=True)])
        for corner in np.ndindex(2, 2, 2)
    ]
    known: Mask = np.logical_and.reduce(corners)
    return known


def _known_centers(volume: Volume, grid: Grid, affine: Array) -> Mask:
    """Voxels of a grid that is coarser by a factor that divides `BLOCK`, whose centers lie within a volume."""
    factor = math.gcd(BLOCK, *grid.shape)
    axes = [np.arange(0.5 * (factor - 1), count, factor) for count in grid.shape]
    return _inside(volume, affine, axes)


def _inside(volume: Volume, affine: Array, axes: Sequence[Array]) -> Mask:
    """Which points lie within a volume: (k, j, i) of the indices along each axis of a grid with an affine."""
    to_index = np.linalg.inv(volume.ijk_to_ras) @ affine
    k, j, i = np.meshgrid(*axes, indexing="ij")
    index = np.stack([i, j, k], axis=-1) @ to_index[:3, :3].T + to_index[:3, 3]
    limits = np.array(volume.n) - 0.5
    found: Mask = np.all((index > -0.5 - 1e-3) & (index < limits + 1e-3), axis=-1)
    return found
