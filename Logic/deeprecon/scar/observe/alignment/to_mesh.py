"""Alignment of the slices with the wall of a mesh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from deeprecon.scar.observe.alignment.motion import Motion
from deeprecon.scar.observe.alignment.pixels import pixels_of
from deeprecon.scar.observe.alignment.pose import motion_of, still
from deeprecon.scar.observe.alignment.pose_fit import MAX_SHIFT, fit_poses, overlap
from deeprecon.scar.observe.alignment.wall_volume import Inside, WallVolume
from deeprecon.scar.observe.stacks import Stack

_MIN_AGREEMENT = 0.6
"""Overlap of a stack's wall with that of the mesh after the alignment, below which nothing is moved."""


def align(stacks: Sequence[Stack], inside: Inside, rigid: bool = True) -> tuple[Stack, ...]:
    """Find where each slice was when it was imaged: its wall is brought onto that of the mesh.

    Every stack is moved and turned as a whole, and each of its slices within its plane, around its normal and across
    the plane, see `fit_poses`. Scar is not used, so that the alignment cannot bias the result. The mesh must come from
    other images: one made of the same slices lies on them wherever they are.

    Args:
        stacks: as observed.
        inside: whether points lie in the wall of the mesh.
        rigid: whether slices may turn and move across their plane, and stacks turn; else slices move in their plane.

    Returns:
        The stacks with `motion`. What the wall does not show beyond doubt stays as it is: the motion is 0 of slices
        that do not meet the mesh, and of stacks that fit it badly wherever they lie.
    """
    return tuple(replace(stack, motion=_motion(stack, inside, rigid)) for stack in stacks)


def _motion(stack: Stack, inside: Inside, rigid: bool) -> Motion:
    if not stack.wall.any():
        return still(stack)
    pixels = pixels_of(stack)
    low, high = pixels.places.min(axis=0), pixels.places.max(axis=0)
    margin = 1.5 * MAX_SHIFT + np.array([0, 0, stack.thickness / 2])
    pixel = np.linalg.norm(stack.ijk_to_ras[:3, :2], axis=0)
    wall = WallVolume(pixels.frame, inside, low - margin, high + margin, pixel, stack.thickness)
    several = len(pixels.slices) > 1
    free = np.array([rigid] * 6 + ([several, several, several, several] if rigid else [True, True, False, False]))
    fit = fit_poses(pixels, wall, free)
    before = overlap(pixels, wall.shares(pixels.places))
    after = overlap(pixels, wall.shares(fit.pose.places(pixels)))
    size = pixels.sums(pixels.share)
    believed = bool(fit.met.any()) and float(np.average(after, weights=size)) >= _MIN_AGREEMENT
    motion = motion_of(stack, pixels, fit.pose, fit.covariance) if believed else still(stack, pixels)
    motion.agreement[pixels.slices] = np.stack([before, after if believed else before], axis=1)
    return motion
