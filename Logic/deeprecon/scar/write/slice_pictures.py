"""Pictures of the slices: what was observed and reconstructed, and the mesh before and after the alignment."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from deeprecon.reporting.figures import Slice
from deeprecon.reporting.orientation import orientation
from deeprecon.scar.observe.stacks import Stack
from deeprecon.scar.read.case import StackImages
from deeprecon.scar.write.finished import Finished

FloatArray = npt.NDArray[np.floating[Any]]

MAX_PICTURES = 10
"""Slices in a montage."""
MARGIN = 6
"""Pixels left around the wall in the slice pictures."""
_DEPTHS = (np.arange(4) + 0.5) / 4 - 0.5
"""Places across the slab at which the mesh is looked up, in thicknesses."""


def slice_pictures(done: Finished) -> list[Slice]:
    """The slices that show wall, at most MAX_PICTURES spread evenly, cropped to the heart."""
    slices = []
    stacks = zip(done.case.stacks, done.slices.stacks, done.found.slice_probability, strict=True)
    for number, (images, stack, probability) in enumerate(stacks, 1):
        crop, gray = _crop(stack), _gray(images, stack)
        view = orientation(stack.ijk_to_ras[:3, 1], stack.ijk_to_ras[:3, 0])
        for k in np.flatnonzero((stack.wall > 0).any(axis=(1, 2))).tolist():
            outlines = {
                "myocardium": stack.wall[k][crop],
                "observed scar": (stack.scar[k] * (stack.wall[k] > 0))[crop],
                "reconstructed scar": probability[k][crop],
            }
            slices.append(Slice(_title(done, number, k), gray[k][crop], outlines, view))
    return _some(slices)


def alignment_pictures(done: Finished) -> list[Slice]:
    """The slices that were moved, with the mesh where it lay in them before and after, at most MAX_PICTURES."""
    slices = []
    for number, (images, stack) in enumerate(zip(done.case.stacks, done.slices.stacks, strict=True), 1):
        crop, gray = _crop(stack), _gray(images, stack)
        view = orientation(stack.ijk_to_ras[:3, 1], stack.ijk_to_ras[:3, 0])
        for k in np.flatnonzero((stack.wall > 0).any(axis=(1, 2)) & stack.moved).tolist():
            outlines = {
                "myocardium": stack.wall[k][crop],
                "mesh before": _cut(done, stack, k, stack.ijk_to_ras)[crop],
                "mesh after": _cut(done, stack, k, stack.placed[k])[crop],
            }
            slices.append(Slice(_title(done, number, k), gray[k][crop], outlines, view))
    return _some(slices)


def _cut(done: Finished, stack: Stack, k: int, ijk_to_ras: FloatArray) -> FloatArray:
    """(j, i) share of the slab at the pixels of a slice that is wall of the mesh."""
    j, i = np.indices(stack.wall.shape[1:])
    index = np.stack([i, j, np.full(i.shape, k)], axis=-1).reshape(-1, 3)
    centers = index @ ijk_to_ras[:3, :3].T + ijk_to_ras[:3, 3]
    offsets = _DEPTHS[:, None] * stack.thickness * stack.normal
    share = np.mean([done.slices.inside(centers + offset) for offset in offsets], axis=0)
    return np.asarray(share.reshape(i.shape))


def _crop(stack: Stack) -> tuple[slice, ...]:
    return tuple(_around(np.nonzero((stack.wall > 0).any(axis=axes))[0]) for axes in ((0, 2), (0, 1)))


def _gray(images: StackImages, stack: Stack) -> FloatArray:
    return stack.wall * 0.3 if images.lge is None else np.asarray(images.lge.array, np.float32)


def _title(done: Finished, number: int, k: int) -> str:
    return f"{'' if len(done.case.stacks) == 1 else f'stack {number}, '}slice {k + 1}"


def _some(slices: list[Slice]) -> list[Slice]:
    chosen = np.unique(np.linspace(0, len(slices) - 1, min(MAX_PICTURES, len(slices))).round().astype(int))
    return [slices[index] for index in chosen]


def _around(indices: npt.NDArray[np.integer[Any]]) -> slice:
    return slice(max(int(indices[0]) - MARGIN, 0), int(indices[-1]) + MARGIN + 1)
