"""A CT as an atlas: without table and clothes, with labels of what the fit and the result need."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deeprecon.ctpa.atlas.volume import Atlas, Labels
from deeprecon.ctpa.grid import AIR, Grid, Hu, bounds, resample
from deeprecon.ctpa.observe.lungs import find_lungs
from deeprecon.ctpa.simulate.solids import Label
from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume

Mask = npt.NDArray[np.bool_]

SEARCH = 4.0
"""Size in mm of the voxels in which body and lungs are looked for."""
TISSUE_HU = -400
"""HU above which a voxel is tissue, cloth or table."""
LUNG_HU = -500
FAT_HU, BONE_HU = -30, 200
"""HU below which tissue of the body is fat, and above which it is bone, outside of the heart."""
VESSEL = 8.0
"""Radius in mm of the largest vessels that are counted to the lungs."""
HEART = (0.28, 0.62), (0.1, 0.62), (0.25, 0.75)
"""Box of the heart as shares of the lungs' extent from foot to head, front to back, and right to left."""


def prepare_atlas(volume: Volume, voxel: float) -> Atlas:
    """Make an atlas of a CT.

    The table and what else does not touch the body becomes air. Labels are those of lungs, vessels in them, heart,
    bone, fat and other tissue, by HU and place.

    Args:
        volume: a CT of the whole lungs, in any orientation.
        voxel: smallest size of its voxels in mm.

    Raises:
        InputError: no lungs are found, or see `resample`.
    """
    size = max(voxel, float(np.min(volume.spacing)))
    hu, grid, affine = _on_axes(volume, size)
    coarse, search, _ = _on_axes(volume, max(SEARCH, size))
    body = _body(coarse)
    lungs = find_lungs(np.where(body, coarse, TISSUE_HU).astype(np.int16), float(np.prod(search.spacing)) / 1e6)
    if lungs is None:
        raise InputError(f"No lungs were found in {volume.name}.", "Give a CT of a whole chest as an atlas.")
    body, lungs = (_resized(mask, hu.shape) for mask in (body, lungs))
    hu = np.where(body, hu, AIR).astype(np.int16)
    labels = _labels(hu, body, lungs, size)
    axes = grid.axes()
    middle = [0.5 * (low + high) for low, high in (_extent(lungs, axis, axes[axis]) for axis in (2, 0))]
    depth = float(np.average(axes[1], weights=body.sum(axis=(0, 2))))
    x, z = middle
    first = (float(axes[2][0]) - x, float(axes[1][0]) - depth, float(axes[0][0]) - z)
    center = affine[:3, 3] + affine[:3, :3] @ (0.5 * (np.array(hu.shape[::-1]) - 1)) + np.array([-x, -depth, z])
    return Atlas(volume.name, hu, labels, grid.spacing, first, (float(center[0]), float(center[1]), float(center[2])))


def _on_axes(volume: Volume, size: float) -> tuple[Hu, Grid, npt.NDArray[np.float64]]:
    """A volume resampled along the body's axes on voxels of `size` mm, about."""
    lower, upper = bounds(volume)
    across, deep, high = (upper - lower).tolist()
    i, j, k = (max(8, round(length / size)) for length in (across, deep, high))
    grid = Grid((k, j, i), (across, deep, high))
    hu, affine = resample(volume, grid, 0.5 * (lower + upper))
    return hu, grid, affine


def _body(hu: Hu) -> Mask:
    """The largest piece of tissue, filled in each axial slice from both sides, so that lungs are within."""
    from scipy import ndimage

    plane = np.zeros((3, 3, 3), bool)
    plane[1] = ndimage.generate_binary_structure(2, 1)
    opened = ndimage.binary_opening(hu > TISSUE_HU, plane)
    pieces, count = ndimage.label(opened)
    if not count:
        return np.zeros(hu.shape, bool)
    largest = 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    mask = ndimage.binary_dilation(pieces == largest, plane) & ((hu > TISSUE_HU) | (pieces == largest))
    filled = np.ones(hu.shape, bool)
    for axis in (1, 2):
        ahead = np.logical_or.accumulate(mask, axis=axis)
        behind = np.flip(np.logical_or.accumulate(np.flip(mask, axis), axis=axis), axis)
        filled &= ahead & behind
    return filled


def _resized(mask: Mask, shape: tuple[int, ...]) -> Mask:
    """A mask on other voxels of the same field, its border interpolated."""
    at = [(np.arange(count) + 0.5) * have / count - 0.5 for count, have in zip(shape, mask.shape, strict=True)]
    values = mask.astype(np.float32)
    for axis, places in enumerate(at):
        low = np.clip(np.floor(places).astype(int), 0, mask.shape[axis] - 1)
        high = np.minimum(low + 1, mask.shape[axis] - 1)
        share = np.clip(places - low, 0, 1).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        values = values.take(low, axis) * (1 - share) + values.take(high, axis) * share
    found: Mask = values > 0.5
    return found


def _labels(hu: Hu, body: Mask, lungs: Mask, size: float) -> Labels:
    """Labels by HU within the body, of voxels of `size` mm."""
    from scipy import ndimage

    labels = np.zeros(hu.shape, np.uint8)
    labels[body] = np.where(hu[body] < FAT_HU, Label.FAT, np.where(hu[body] > BONE_HU, Label.BONE, Label.MUSCLE))
    filled = ndimage.binary_closing(lungs, iterations=max(1, round(VESSEL / size))) | lungs
    labels[filled & (hu > LUNG_HU) & (labels != Label.BONE)] = Label.VESSEL
    labels[body & (hu <= LUNG_HU)] = Label.AIRWAY
    labels[filled & (hu <= LUNG_HU)] = Label.LUNG
    spans = [_extent(lungs, axis, np.arange(count, dtype=float)) for axis, count in enumerate(hu.shape)]
    box = tuple(
        slice(int(low + first * (high - low)), int(low + last * (high - low)))
        for (low, high), (first, last) in zip(spans, HEART, strict=True)
    )
    inside = labels[box]
    inside[(inside == Label.MUSCLE) | (inside == Label.BONE)] = Label.HEART
    return labels


def _extent(mask: Mask, axis: int, coordinates: npt.NDArray[np.float64]) -> tuple[float, float]:
    """First and last coordinate of a mask along an axis."""
    used = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
    return float(coordinates[used[0]]), float(coordinates[used[-1]])
