"""One image in every order of its axes: shared by the tests of this folder."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np

from deeprecon.data.volume import Volume


def rotation(angles: tuple[float, float, float]) -> np.ndarray:
    """Rotation about R, then A, then S, in degrees."""
    matrix = np.eye(3)
    for axis, angle in enumerate(np.radians(angles)):
        turn = np.eye(3)
        first, second = [a for a in range(3) if a != axis]
        turn[first, first] = turn[second, second] = np.cos(angle)
        turn[first, second], turn[second, first] = -np.sin(angle), np.sin(angle)
        matrix = turn @ matrix
    return matrix


def image(spacing=(1.25, 1.25, 8.0), angles=(0.0, 0.0, 0.0), shape=(4, 6, 5), dtype=np.int16) -> Volume:
    """A volume whose every voxel differs."""
    array = np.random.default_rng(3).permutation(int(np.prod(shape))).reshape(shape).astype(dtype)
    affine = np.eye(4)
    affine[:3, :3] = rotation(angles) * spacing
    affine[:3, 3] = (-31.5, 20.253, 7.1273)
    return Volume(array, affine, "image")


def orders(volume: Volume) -> list[Volume]:
    """All 48 orders and flips of the array axes, half of them left-handed, of the same image in space."""
    result = []
    for order in permutations(range(3)):
        for flips in product((False, True), repeat=3):
            array = np.transpose(volume.array, order)
            columns = volume.ijk_to_ras[:3, [2 - axis for axis in reversed(order)]].copy()
            origin = volume.ijk_to_ras[:3, 3].copy()
            for axis in range(3):
                if flips[axis]:
                    array = np.flip(array, axis)
                    origin += (array.shape[axis] - 1) * columns[:, 2 - axis]
                    columns[:, 2 - axis] *= -1
            affine = np.eye(4)
            affine[:3, :3], affine[:3, 3] = columns, origin
            result.append(Volume(np.ascontiguousarray(array), affine, "image"))
    return result


KINDS = {
    "axis-aligned": {},
    "oblique": {"angles": (25.0, -40.0, 65.0)},
    "anisotropic": {"spacing": (0.9, 2.1, 10.0), "angles": (5.0, 3.0, -7.0)},
    "isotropic": {"spacing": (1.5, 1.5, 1.5), "angles": (12.0, 33.0, 4.0)},
    "two thick axes": {"spacing": (1.0, 6.0, 6.0), "angles": (10.0, 0.0, 20.0)},
    "halfway between axes": {"angles": (45.0, 0.0, 45.0)},
}
