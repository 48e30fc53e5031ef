"""Alignment of slices without a mesh: with a smooth heart through one stack, and other stacks with that."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from deeprecon.data.mesh.mesh import Inside, Mesh
from deeprecon.data.mesh.voxels import voxel_mesh
from deeprecon.data.volume import Volume
from deeprecon.numerics.grids import interpolate
from deeprecon.scar.observe.alignment.motion import Motion
from deeprecon.scar.observe.alignment.pixels import Pixels, pixels_of
from deeprecon.scar.observe.alignment.pose import Pose, motion_of, still
from deeprecon.scar.observe.alignment.to_mesh import align
from deeprecon.scar.observe.stacks import Stack

Floats = npt.NDArray[np.float64]

_MIN_SLICES = 5
"""Fewer slices always lie on a smooth curve."""
_MIDDLE_NOISE, _END_NOISE, _OPEN_NOISE, _TURN_NOISE = 0.7, 1.5, 3.0, np.radians(2.0)
"""Standard deviations: mm of the middle of a slice, of the first and the last one, of one whose wall is not closed, and
radians of the direction to the right ventricle."""
_BEND = (2.5, 1.0)
"""Standard deviations in mm of how far a heart's axis bends from a straight line at its ends: quadratic, cubic."""
_TWIST = np.radians(5.0)
"""The same of the direction of the right ventricle in radians, quadratic."""
_SPREADS = np.concatenate([[0.0], np.geomspace(1.0, 8.0, 16)])
"""Standard deviations of the motions that are compared, in mm, or in units of 2 degrees; less is the heart's own."""
_CONVINCING = np.log(19.0)
"""Log evidence by which motions must be more likely than none."""
_NODE_SPACING = 1.5


def align_to_each_other(
    stacks: Sequence[Stack], right: Sequence[npt.NDArray[np.floating] | None] | None = None
) -> tuple[Stack, ...]:
    """Bring slices to where they were when there is no mesh.

    In the stack with most slices, the middles of the left ventricle lie on a smooth, nearly straight curve; what lies
    beside it moved in its plane, and where the right ventricle's blood is drawn, slices whose direction to it leaves a
    smooth course turned. The spread of the motions is that of most evidence, and none is applied where it is not at
    least 19 times as likely as no motion. Where the heart as a whole lay is not known from its slices: motions that all
    of them share, or that grow evenly from slice to slice, stay. Other stacks, such as long-axis slices, are then
    brought onto the wall that this stack shows (`align`).

    Args:
        stacks: as observed.
        right: (k, j, i) shares of the right ventricle's blood in each stack, None where they are not drawn.

    Returns:
        The stacks with `motion`.
    """
    main = main_stack(stacks)
    blood = None if right is None else right[main]
    aligned = list(stacks)
    aligned[main] = replace(stacks[main], motion=_smooth_motion(stacks[main], blood))
    if len(stacks) > 1:
        inside = Inside(mesh_of_stack(aligned[main], _NODE_SPACING))
        for number, stack in enumerate(stacks):
            if number != main:
                (aligned[number],) = align([stack], inside)
    return tuple(aligned)


def main_stack(stacks: Sequence[Stack]) -> int:
    """The stack with most slices of wall."""
    return max(range(len(stacks)), key=lambda number: np.count_nonzero(stacks[number].wall.any(axis=(1, 2))))


def mesh_of_stack(stack: Stack, node_spacing: float) -> Mesh:
    """A volume mesh of the wall that the slices of a stack show after their motion in the plane.

    Raises:
        InputError: as `voxel_mesh`.
    """
    wall = np.asarray(stack.wall, np.float32)
    if stack.motion is not None:
        j, i = np.indices(wall.shape[1:])
        still = stack.ijk_to_ras
        moved = np.zeros_like(wall)
        for k, placed in enumerate(stack.placed):
            index = np.stack([i, j, np.full(i.shape, k), np.ones(i.shape)], axis=-1).reshape(-1, 4)
            source = index @ (np.linalg.inv(placed) @ still).T
            moved[k] = interpolate(wall[k], source[:, [1, 0]], "zero").reshape(i.shape)
        wall = moved
    return voxel_mesh(Volume(wall, stack.ijk_to_ras, stack.name, stack.thickness), node_spacing)


def _smooth_motion(stack: Stack, right: npt.NDArray[np.floating] | None) -> Motion:
    """Of each slice in its plane, by how far it lies beside a smooth heart."""
    if np.count_nonzero(stack.wall.any(axis=(1, 2))) < _MIN_SLICES:
        return still(stack, pixels_of(stack))
    pixels = pixels_of(stack)
    middles, noise = _middles(stack, pixels)
    height = _height(pixels)
    curve = np.stack([np.ones_like(height), height, height**2, height**3], axis=1)
    shifts, of_shifts = _beside(middles, noise, curve, np.array([1e3, 1e3, *_BEND]), 1.0)
    turns, of_turns = np.zeros(len(height)), np.zeros((len(height),) * 2)
    if right is not None and (seen := _directions(stack, pixels, middles, right)) is not None:
        angles, chosen = seen
        course, prior = curve[chosen, :3], np.array([10.0, 10.0, _TWIST])
        found, spread = _beside(angles[:, None], np.full(len(angles), _TURN_NOISE), course, prior, np.radians(2.0))
        turns[chosen], of_turns[np.ix_(chosen, chosen)] = found[:, 0], spread
    pose = Pose(np.zeros(6), np.stack([-shifts[:, 0], -shifts[:, 1], 0 * turns, -turns], axis=1))
    covariance = np.zeros((6 + 4 * len(height),) * 2)
    for component, part in ((0, of_shifts), (1, of_shifts), (3, of_turns)):
        places = 6 + 4 * np.arange(len(height)) + component
        covariance[np.ix_(places, places)] = part
    motion = motion_of(stack, pixels, pose, covariance)
    motion.deviation[:, 2:] = np.where(motion.deviation[:, 2:] > 0, motion.deviation[:, 2:], np.nan)  # not measured
    return motion


def _height(pixels: Pixels) -> Floats:
    """(S,) place of each slice along the stack, -1 to 1."""
    depth = pixels.middles[:, 2]
    return np.asarray(2 * (depth - depth.min()) / max(float(np.ptp(depth)), 1e-9) - 1)


def _middles(stack: Stack, pixels: Pixels) -> tuple[Floats, Floats]:
    """(S, 2) mm, middle of the left ventricle with its blood in each slice, and (S,) standard deviations."""
    from scipy.ndimage import binary_dilation, binary_fill_holes

    middles, noise = np.zeros((len(pixels.slices), 2)), np.full(len(pixels.slices), _MIDDLE_NOISE)
    noise[[0, -1]] = _END_NOISE
    for number, k in enumerate(pixels.slices):
        wall = stack.wall[k].astype(np.float64)
        drawn = wall >= 0.5
        cavity = binary_fill_holes(drawn) & ~drawn
        filled = np.where(binary_dilation(cavity), 1.0, wall)
        j, i = np.nonzero(filled)
        index = np.stack([i, j, np.full(len(i), k)], axis=1)
        local = pixels.frame.to_local(index @ stack.ijk_to_ras[:3, :3].T + stack.ijk_to_ras[:3, 3])
        middles[number] = np.average(local[:, :2], axis=0, weights=filled[j, i])
        box = np.ptp(i) * np.ptp(j)
        if not cavity.any() and filled.sum() < 0.7 * np.pi / 4 * box:
            noise[number] = _OPEN_NOISE
    return middles, noise


def _directions(
    stack: Stack, pixels: Pixels, middles: Floats, right: npt.NDArray[np.floating]
) -> tuple[Floats, npt.NDArray[np.int64]] | None:
    """Angles in radians from the left to the right ventricle's middle, and in which slices; None if in too few."""
    area = np.asarray(right, np.float64)[pixels.slices].sum(axis=(1, 2))
    chosen = np.flatnonzero(area > 0.2 * area.max())
    if area.max() <= 0 or len(chosen) < _MIN_SLICES:
        return None
    ways = []
    for number in chosen:
        k = pixels.slices[number]
        j, i = np.nonzero(right[k] > 0)
        index = np.stack([i, j, np.full(len(i), k)], axis=1)
        local = pixels.frame.to_local(index @ stack.ijk_to_ras[:3, :3].T + stack.ijk_to_ras[:3, 3])
        ways.append(np.average(local[:, :2], axis=0, weights=right[k][j, i]) - middles[number])
    return np.unwrap([np.arctan2(y, x) for x, y in ways]), chosen


def _beside(values: Floats, noise: Floats, curve: Floats, prior: Floats, unit: float) -> tuple[Floats, Floats]:
    """How far (S, d) values lie beside a curve of given shape, and the (S, S) covariance of that; 0 if hardly likely.

    Values are the curve, normally distributed motions of one spread, and noise; the spread is that of most evidence.

    Args:
        values: d numbers of each slice that share the spread.
        noise: (S,) standard deviations.
        curve: (S, P) terms of the curve.
        prior: (P,) standard deviations of their factors.
        unit: of the spreads that are compared.
    """
    smooth = (curve * prior**2) @ curve.T + np.diag(noise**2)
    centered = values - values.mean(axis=0)

    def evidence(spread: float) -> float:
        covariance = smooth + spread**2 * np.eye(len(values))
        fit = float((centered * np.linalg.solve(covariance, centered)).sum())
        return float(-0.5 * fit - 0.5 * values.shape[1] * np.linalg.slogdet(covariance)[1])

    found = [evidence(unit * spread) for spread in _SPREADS]
    best = float(unit * _SPREADS[int(np.argmax(found))])
    inverse = np.linalg.inv(smooth + best**2 * np.eye(len(values)))
    covariance = best**2 * np.eye(len(values)) - best**4 * inverse
    if max(found) - found[0] < _CONVINCING:
        return np.zeros_like(values), covariance
    return best**2 * inverse @ centered, covariance
