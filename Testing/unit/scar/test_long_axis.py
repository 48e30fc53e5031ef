"""The long axis from the wall alone."""

from __future__ import annotations

import numpy as np
import pytest

from deeprecon.scar.anatomy.axes import axes_from_landmarks
from deeprecon.scar.anatomy.long_axis import long_axis
from deeprecon.scar.simulate.hearts import sample_case

Floats = np.ndarray
NONE = np.zeros((0, 3))
AXIS = np.array([0.48, 0.6, 0.64])


def cup(points: Floats, length: float, width: float, floor: float) -> np.ndarray:
    """A wall of 9 mm around half an ellipsoid of blood along AXIS, open at the base above `floor` (in lengths)."""
    along = points @ AXIS
    across = np.linalg.norm(points - along[:, None] * AXIS, axis=1)
    outer = (along / (length + 9)) ** 2 + (across / (width + 9)) ** 2 < 1
    inner = (along / length) ** 2 + (across / width) ** 2 < 1
    return outer & ~inner & (along < floor * length)


def degrees_off(found: Floats | None, axis: Floats) -> float:
    assert found is not None
    return float(np.degrees(np.arccos(min(abs(found @ axis), 1))))


def corners(size: float) -> Floats:
    return np.array([[-size] * 3, [size] * 3], np.float64)


@pytest.mark.parametrize("width", [22, 35, 50], ids=["slim", "usual", "dilated"])
def test_axis_of_a_ventricle_of_any_shape(width: float) -> None:
    found = long_axis(lambda points: cup(points, 60, width, 0.2), corners(72), NONE)
    assert degrees_off(found, AXIS) < 12


def test_axis_of_a_ventricle_that_is_closed_at_the_base() -> None:
    found = long_axis(lambda points: cup(points, 60, 35, 2), corners(72), NONE)
    assert degrees_off(found, AXIS) < 12


def test_axis_of_the_sample_heart() -> None:
    case = sample_case(seed=0, node_spacing=4, pixel=3)
    axis = axes_from_landmarks(case.landmarks).direction
    assert degrees_off(long_axis(case.wall, case.mesh.points, NONE), axis) < 12


def test_a_single_ring_is_closed_in_its_own_plane_only() -> None:
    def ring(points: Floats) -> np.ndarray:
        return cup(points, 60, 35, 0.2) & (np.abs(points @ AXIS) < 4)

    points = np.random.default_rng(0).uniform(-50, 50, (200_000, 3))
    assert degrees_off(long_axis(ring, points[ring(points)], AXIS[None]), AXIS) < 12


def test_a_long_axis_cut_encloses_nothing() -> None:
    side = np.cross(AXIS, [0, 0, 1]) / np.linalg.norm(np.cross(AXIS, [0, 0, 1]))

    def cut(points: Floats) -> np.ndarray:
        return cup(points, 60, 35, 0.2) & (np.abs(points @ side) < 4)

    points = np.random.default_rng(0).uniform(-72, 72, (200_000, 3))
    assert long_axis(cut, points[cut(points)], side[None]) is None
