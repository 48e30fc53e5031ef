"""Masks and labels on the voxels of the image that they were drawn on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from deeprecon.data.doubts import Doubt
from deeprecon.data.errors import InputError
from deeprecon.data.volume import Volume
from deeprecon.numerics.grids import interpolate

MIN_SHARE = 0.5
"""Of the volume of what is drawn on another grid that must lie on the image."""
SAME_PLACE = 0.3
"""Voxels by which the places of two grids may differ, as by rounding."""


def labels_on_grid(labels: Volume, image: Volume) -> tuple[npt.NDArray[np.generic], tuple[Doubt, ...]]:
    """(k, j, i) a mask or labels at the voxels of an image, and the doubts about where they lie.

    What is stored in another order of axes is the same. On another grid, a mask (of booleans) is interpolated, and
    labels are taken from the nearest voxel; 0 outside.

    Raises:
        InputError: they have the image's size but another geometry, or most of them lie elsewhere.
    """
    same = _reordered(labels, image)
    return (same, ()) if same is not None else _resampled(labels, image)


def _reordered(labels: Volume, image: Volume) -> npt.NDArray[np.generic] | None:
    """The labels in the order of the image's axes; None where the grids differ."""
    between = np.linalg.inv(labels.ijk_to_ras) @ image.ijk_to_ras  # from the image's indices to those of the labels
    turn = np.round(between[:3, :3])
    if not all(np.array_equal(np.abs(turn).sum(axis=axis), np.ones(3)) for axis in (0, 1)):
        return None
    axes = np.abs(turn).argmax(axis=0)  # axis (i, j, k) of the labels for each of the image's
    flipped = turn[axes, np.arange(3)] < 0
    counts = np.array(labels.n)
    first = np.zeros(3)
    first[axes] = np.where(flipped, counts[axes] - 1, 0)
    exact = np.eye(4)
    exact[:3, :3], exact[:3, 3] = turn, first
    corners = np.array(np.meshgrid(*[(0, count - 1) for count in image.n], [1])).reshape(4, -1)
    if tuple(counts[axes]) != image.n or np.abs((between - exact) @ corners).max() > SAME_PLACE:
        return None

    turned = labels.array.transpose([2 - int(axes[axis]) for axis in (2, 1, 0)])
    return turned[tuple(slice(None, None, -1 if flipped[axis] else 1) for axis in (2, 1, 0))]


def _resampled(labels: Volume, image: Volume) -> tuple[npt.NDArray[np.generic], tuple[Doubt, ...]]:
    """The labels at the voxels of an image with another grid, and the doubt about it."""
    if labels.array.shape == image.array.shape:
        raise InputError(
            f"{labels.name} has as many voxels as {image.name} but does not lie on the grid of it: its geometry is "
            "another one.",
            f"Copy the geometry of {image.name} to it if it was drawn there.",
        )
    found = np.zeros(image.array.shape, labels.array.dtype)
    j, i = np.indices(found.shape[1:]).reshape(2, -1)
    for k, plane in enumerate(found):  # a slice at a time, as all indices of a CT take much memory
        places = labels.to_ijk(image.to_ras(np.stack([i, j, np.full_like(i, k)], axis=1)))[:, ::-1]
        if labels.array.dtype == bool:
            plane.flat = interpolate(labels.array.astype(np.float32), places, "zero") > 0.5
        else:
            plane.flat = _nearest(labels.array, places)
    sizes = [float(np.prod(each.spacing)) for each in (labels, image)]
    drawn, kept = (int(np.count_nonzero(array)) for array in (labels.array, found))
    share = kept * sizes[1] / max(drawn * sizes[0], 1e-12)
    if share < MIN_SHARE:
        raise InputError(
            f"{labels.name} ({_size(labels)} voxels) does not lie on the grid of {image.name} ({_size(image)}), and "
            f"{100 * share:.0f} % of it lie on {image.name}.",
            f"Draw it on {image.name}, or resample it to its grid.",
        )
    text = (
        f"it has another grid ({_size(labels)} voxels) than {image.name} ({_size(image)}) and was interpolated: {kept} "
        f"voxels of {image.name}."
    )
    way_out = f"Look at it beside the result; draw it on {image.name} where it does not fit."
    return found, (Doubt("mask-resampled", labels.name, text, way_out, assumed=True),)


def _nearest(array: npt.NDArray[np.generic], places: npt.NDArray[np.float64]) -> npt.NDArray[np.generic]:
    """(N,) the values at the voxels nearest to indices (N, 3) along (k, j, i); 0 outside."""
    voxels = np.rint(places).astype(int)
    last = np.array(array.shape) - 1
    within = ((voxels >= 0) & (voxels <= last)).all(axis=1)
    values = array[tuple(np.clip(voxels, 0, last).T)]
    return np.where(within, values, np.zeros((), array.dtype))


def _size(volume: Volume) -> str:
    return " x ".join(map(str, volume.n))
