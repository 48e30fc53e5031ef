"""The pose of a stack and its slices as a few numbers, and the motions in RAS that it stands for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from deeprecon.scar.observe.alignment.motion import Motion, rotation
from deeprecon.scar.observe.alignment.pixels import Pixels
from deeprecon.scar.observe.stacks import Stack

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Pose:
    """Where a stack lies: turned and moved as a whole after each slice moved in its own plane and across it.

    Attributes:
        stack: (6,) mm along the axes of the frame, and rotation vector in radians around the middle of the stack.
        slices: (S, 4) mm along the axes, and radians around the normal at the middle of each slice's wall.
    """

    stack: Floats
    slices: Floats

    def within_stack(self, pixels: Pixels) -> Floats:
        """(N, 3) places of the pixels after each slice moved."""
        turn = self.slices[pixels.owner, 3]
        middles = pixels.middles[pixels.owner]
        offset = pixels.places - middles
        x = np.cos(turn) * offset[:, 0] - np.sin(turn) * offset[:, 1]
        y = np.sin(turn) * offset[:, 0] + np.cos(turn) * offset[:, 1]
        places: Floats = middles + np.stack([x, y, offset[:, 2]], axis=1) + self.slices[pixels.owner, :3]
        return places

    def places(self, pixels: Pixels) -> Floats:
        """(N, 3) places of the pixels after both."""
        moved = self.within_stack(pixels) - pixels.center
        places: Floats = pixels.center + moved @ rotation(self.stack[3:]).T + self.stack[:3]
        return places

    def jacobian(self, pixels: Pixels, gradients: Floats) -> tuple[Floats, Floats]:
        """Change with `stack`, (N, 6), and with the slice's own four numbers, (N, 4), of what has (N, 3) gradients."""
        inner = self.within_stack(pixels)
        turned = (inner - pixels.center) @ rotation(self.stack[3:]).T
        of_stack = np.concatenate([gradients, np.cross(turned, gradients)], axis=1)
        along = gradients @ rotation(self.stack[3:])
        offset = inner - pixels.middles[pixels.owner] - self.slices[pixels.owner, :3]
        around = offset[:, 0] * along[:, 1] - offset[:, 1] * along[:, 0]
        return of_stack, np.concatenate([along, around[:, None]], axis=1)

    def of_slices(self, pixels: Pixels) -> tuple[Floats, Floats]:
        """(S, 3, 3) rotations and (S, 3) translations along the axes of the frame that take pixels to their places."""
        whole = rotation(self.stack[3:])
        turns = np.stack([whole @ rotation([0, 0, turn]) for turn in self.slices[:, 3]])
        middles = (pixels.middles + self.slices[:, :3] - pixels.center) @ whole.T + pixels.center + self.stack[:3]
        return turns, middles - np.einsum("sab,sb->sa", turns, pixels.middles)


def still(stack: Stack, pixels: Pixels | None = None) -> Motion:
    """No motion; without `pixels`, the middles of the slices stay unknown."""
    count = len(stack.wall)
    middles, found = np.full((count, 3), np.nan), np.full((count, 2), np.nan)
    if pixels is not None:
        middles[pixels.slices] = pixels.frame.to_ras(pixels.middles)
    nothing = np.full((count, 4), np.nan)
    return Motion(np.tile(np.eye(4), (count, 1, 1)), middles, np.zeros((count, 4)), nothing, np.zeros(2), found)


def motion_of(stack: Stack, pixels: Pixels, pose: Pose, covariance: Floats) -> Motion:
    """A pose as motions in RAS; slices without wall move with the stack.

    Args:
        stack: of the pixels.
        pixels: in and around its wall.
        pose: of the stack and its slices.
        covariance: (6 + 4 S, 6 + 4 S) of the numbers of `pose`, the stack's first.
    """
    motion = still(stack, pixels)
    frame = pixels.frame
    whole = rotation(pose.stack[3:])
    with_stack = pixels.center + pose.stack[:3] - whole @ pixels.center
    motion.matrices[:] = frame.motion_in_ras(whole, with_stack)
    for k, turned, shifted in zip(pixels.slices, *pose.of_slices(pixels), strict=True):
        motion.matrices[k] = frame.motion_in_ras(turned, shifted)
    # The second axis of the frame may run against the columns of the image.
    sign = np.array([1.0, np.sign(stack.ijk_to_ras[:3, 1] @ frame.axes[1]), 1.0, 1.0])
    sign[3] = sign[1]
    in_degrees = sign * [1, 1, 1, np.degrees(1)]
    for number, k in enumerate(pixels.slices):
        part = slice(6 + 4 * number, 10 + 4 * number)
        change = np.zeros((4, len(covariance)))
        change[:, part] = np.eye(4)
        change[:3, :3], change[3, 5] = np.eye(3), 1
        change[:3, 3:6] = np.cross(np.eye(3), pixels.middles[number] - pixels.center).T
        motion.moved[k] = in_degrees * (change[:, :6] @ pose.stack + pose.slices[number])
        motion.deviation[k] = np.abs(in_degrees) * np.sqrt(np.diag(change @ covariance @ change.T))
    motion.tilt[:] = np.degrees(pose.stack[3:5])
    return motion
